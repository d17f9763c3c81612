"""The layers that train faster on a GPU are torch's own up to rounding, and a step asks the device for no number."""

import copy
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ecgfm.bench import step as bench_step
from ecgfm.bench.limits import segment_flop
from ecgfm.bench.step import measure_step, step_of
from ecgfm.config import EncoderConfig
from ecgfm.encoder import Encoder
from ecgfm.finetuning.lowrank import add_adapters
from ecgfm.training.gpu_layers import speed_up_gpu
from ecgfm.training.later import Later
from tests.helpers.tiny_models import TINY, tiny_network

CUDA = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]
SOURCE = torch.randn(3, 12, 2500, generator=torch.Generator().manual_seed(1))


def pair(module: nn.Module) -> tuple[nn.Module, nn.Module]:
    fast = copy.deepcopy(module)
    speed_up_gpu(fast)
    return module.train(), fast.train()


def gradients(module: nn.Module, dtype: torch.dtype = torch.float32) -> tuple[Tensor, dict[str, Tensor]]:
    padding = torch.zeros(3, 156, dtype=torch.bool)
    padding[1, 100:] = True
    out = module(SOURCE.to(dtype), padding)
    torch.sum(out * torch.linspace(-1, 1, out.shape[-1], dtype=out.dtype)).backward()  # type: ignore[no-untyped-call]
    return out.detach(), {name: one.grad for name, one in module.named_parameters() if one.grad is not None}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_the_encoder_gives_the_same_output_and_gradients(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    plain, fast = pair(Encoder(TINY).to(dtype))
    (expected, theirs), (found, ours) = gradients(plain, dtype), gradients(fast, dtype)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() <= tolerance * gradient.norm() + tolerance, name


def test_under_autocast_the_products_are_in_its_type() -> None:
    torch.manual_seed(0)
    plain, fast = pair(Encoder(TINY))
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = plain(SOURCE), fast(SOURCE)
    assert (found.float() - expected.float()).abs().max() <= 0.06
    torch.sum(found.float()).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert all(one.grad is not None and one.grad.dtype == torch.float32 for one in fast.parameters())


def test_adapters_of_projections_are_not_passed_over() -> None:
    """The joined product must take the weight that the adapter makes."""
    network = tiny_network()
    add_adapters(network, rank=2, alpha=4.0, seed=0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(".up"):
                parameter.normal_(generator=torch.Generator().manual_seed(0))
    expected = network.eval()(SOURCE)
    speed_up_gpu(network)
    torch.testing.assert_close(network(SOURCE), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_read_later_is_what_it_was(device: str) -> None:
    values = torch.arange(3.0, device=device)
    later = Later(values)
    values += 1
    assert later.value().tolist() == [0.0, 1.0, 2.0]


# --- no host in a step ------------------------------------------------------------------------------------------------


class Asked(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts how often a number is taken out of a tensor: on a GPU each of them waits for all that was queued."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.times = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.times += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return func(*args, **(kwargs or {}))


def step(device: str) -> Callable[[], None]:
    """A pretraining step as a run makes it."""
    config = EncoderConfig(**{**TINY.to_json(), "dropout": 0.1, "attention_dropout": 0.1})
    return step_of(config, torch.device(device), "fp32", 2)


@pytest.mark.slow
def test_a_step_takes_no_number_out_of_a_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_step, "speed_up_cpu", speed_up_gpu)
    once = step("cpu")
    once()  # the optimiser looks once at how many steps were done
    with Asked() as asked:
        once()
    assert asked.times == 0


def test_taking_a_number_would_be_seen() -> None:
    with Asked() as asked:
        float(torch.ones(1).sum())
        bool(torch.ones(1).isfinite().all())
    assert asked.times == 2


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_step_on_a_gpu_never_waits_for_it() -> None:
    once = step("cuda")
    once()
    torch.cuda.set_sync_debug_mode("error")
    try:
        once()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_figures_of_a_step_by_a_clock_of_the_tests_own() -> None:
    """Every look at the clock is a second after the last, so a step takes one."""
    ticks = count()
    found = measure_step(
        TINY, torch.device("cpu"), precision="fp32", pairs=2, rounds=1, side=64, timer=lambda: float(next(ticks))
    )
    flop = segment_flop(TINY)
    assert (found.milliseconds, found.segments_per_second) == (1000, 4)
    assert found.product_tflops == pytest.approx(2 * 64**3 / 1e12)
    assert found.share_of_product == pytest.approx(4 * 3 * flop / (2 * 64**3))
    assert found.pipeline_pairs_per_second == pytest.approx(5 * 0.35 * 2 * 64**3 / (3 * flop) / 2)
