"""The layers for training on CPUs give torch's numbers; their dropout drops what it should and follows torch's seed."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from ecgfm.config import EncoderConfig
from ecgfm.encoder import Encoder, FeatureExtractor, SelfAttention
from ecgfm.training import cpu_layers
from ecgfm.training.cpu_layers import _Attend, _draw_kept, speed_up_cpu

pytestmark = pytest.mark.slow

CONFIG = EncoderConfig(
    conv_layers=((16, 2, 2),) * 4, width=32, layers=2, ffn_width=64, heads=4, conv_pos_kernel=16, conv_pos_groups=4
)


def _pair(module: nn.Module) -> tuple[nn.Module, nn.Module]:
    fast = copy.deepcopy(module)
    speed_up_cpu(fast)
    return module.train(), fast.train()


@pytest.mark.parametrize("packed", [True, False], ids=["packed products", "torch's products"])
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
def test_an_encoder_of_fast_layers_gives_the_same_output_and_gradients(
    bf16: bool, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packed:
        monkeypatch.setattr(cpu_layers, "packs", lambda kind: False)
    elif not cpu_layers.packs(torch.bfloat16 if bf16 else torch.float32):
        pytest.skip("oneDNN does not compute products of this type on this machine")
    torch.manual_seed(0)
    plain, fast = _pair(Encoder(CONFIG))
    source = torch.randn(3, 12, 2500)
    padding = torch.zeros(3, 156, dtype=torch.bool)
    padding[1, 100:] = True
    outputs = []
    for network in (plain, fast):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            outputs.append(network(source, padding))
        (outputs[-1].float() * torch.linspace(-1, 1, 32)).sum().backward()
    rtol, atol = (0.0, 0.06) if bf16 else (1e-4, 1e-5)
    torch.testing.assert_close(outputs[1].float(), outputs[0].float(), rtol=rtol, atol=atol)
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert ours.grad.dtype == torch.float32
        size = float(theirs.grad.norm())
        assert float((ours.grad - theirs.grad).norm()) <= (0.05 if bf16 else 1e-4) * size + 0.02


def test_convolutions_are_products_that_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    products = []
    original = cpu_layers._product

    def counted(*given: object) -> torch.Tensor:
        products.append(given)
        return original(*given)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(cpu_layers, "_product", counted)
    torch.manual_seed(0)
    disjoint = ((6, 4, 4), (5, 3, 3), (8, 2, 2))  # lengths that leave samples over
    for layers, expected in ((disjoint, 2), (((6, 4, 2), (5, 4, 2)), 0)):
        plain, fast = _pair(
            FeatureExtractor(EncoderConfig(conv_layers=layers, conv_bias=True, width=8, heads=4, conv_pos_groups=4))
        )
        products.clear()
        outputs = [network(torch.linspace(-3, 3, 2 * 12 * 501).sin().view(2, 12, 501)) for network in (plain, fast)]
        assert len(products) == expected, "overlapping windows stay convolutions"
        torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
        for output in outputs:
            output.square().sum().backward()
        # The first norm over time takes a nearly constant signal apart: what is rounded before it comes back by far
        # larger, on every processor in its own way. The network's largest gradient says what is much.
        largest = max(float(theirs.grad.abs().max()) for theirs in plain.parameters() if theirs.grad is not None)
        for (name, theirs), ours in zip(plain.named_parameters(), fast.parameters(), strict=True):
            behind_norm = name.startswith("conv_layers.0.0.")
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3 * largest if behind_norm else 1e-4)


def test_attention_with_dropout_is_attention_with_some_weights_dropped() -> None:
    torch.manual_seed(0)
    module = SelfAttention(EncoderConfig(width=32, heads=4, attention_dropout=0.3))
    plain, fast = _pair(module)
    x = torch.randn(2, 10, 32)
    padding = torch.zeros(2, 10, dtype=torch.bool)
    padding[0, 7:] = True
    torch.manual_seed(5)
    found = fast(x, padding)
    torch.manual_seed(5)
    kept, scale = _draw_kept(torch.Size((8, 10, 10)), 0.3)
    assert isinstance(plain, SelfAttention)
    weights = plain.weights(x, padding) * kept.view(2, 4, 10, 10) * scale
    out = weights @ plain.v_proj(x).view(2, 10, 4, 8).transpose(1, 2)
    torch.testing.assert_close(found, plain.out_proj(out.transpose(1, 2).flatten(2)), rtol=1e-5, atol=1e-6)
    fast.eval()
    torch.testing.assert_close(fast(x, padding), plain.eval()(x, padding))


@pytest.mark.parametrize("dropout", [0.25, 0.0])
def test_the_gradients_of_attention_are_its_derivatives(dropout: float) -> None:
    torch.manual_seed(0)
    blocked = torch.zeros(3, 1, 5, dtype=torch.bool)
    blocked[2, 0, 4] = True

    def attend(*projected: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        out: torch.Tensor = _Attend.apply(*projected, blocked, dropout)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return out

    projected = tuple(torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(attend, projected)


def test_dropout_drops_its_share_keeps_the_mean_and_follows_the_seed() -> None:
    _, fast = _pair(nn.Sequential(nn.Dropout(0.1)))
    ones = torch.ones(1000, 1001, requires_grad=True)
    torch.manual_seed(1)
    once = fast(ones)
    torch.manual_seed(1)
    again = fast(ones)
    other = fast(ones)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    dropped = float((once == 0).double().mean())
    assert dropped == pytest.approx(0.1, abs=5 * math.sqrt(0.09 / ones.numel()))
    assert float(once.double().mean().detach()) == pytest.approx(1, abs=2e-3)
    once.sum().backward()
    assert ones.grad is not None
    assert torch.equal(ones.grad, once.detach())
    assert torch.equal(fast.eval()(ones), ones)


def refuse_bf16(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """oneDNN's answer on a processor without AVX-512."""
    if x.dtype == torch.bfloat16:
        raise RuntimeError("mkldnn_linear_pointwise: bf16 path needs the cpu support avx_ne_convert or avx512bw")
    return functional.linear(x, weight, bias)


def test_a_type_that_the_product_refuses_is_found_by_trying_it() -> None:
    assert cpu_layers.takes(refuse_bf16, torch.float32)
    assert not cpu_layers.takes(refuse_bf16, torch.bfloat16)


def test_where_onednn_refuses_bf16_training_goes_on_with_torchs_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_layers, "packed_product", refuse_bf16)
    monkeypatch.setattr(cpu_layers, "packs", lambda kind: cpu_layers.takes(cpu_layers.packed_product, kind))
    _, fast = _pair(Encoder(CONFIG))
    with torch.autocast("cpu", torch.bfloat16):
        output = fast(torch.randn(2, 12, 2500), None)
    output.float().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in fast.parameters())
