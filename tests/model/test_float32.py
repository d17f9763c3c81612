"""float32 is never TF32 where this package computes, and the process finds its own settings again."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from ecgfm.float32 import exact_float32
from ecgfm.network import EcgFm
from tests.helpers.tiny_models import tiny_network


@pytest.fixture(autouse=True)
def settings_of_torch() -> Iterator[None]:
    """As torch comes: TF32 for convolutions, not for products."""
    yield
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = False


def switches() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("convolutions", [True, False])
@pytest.mark.parametrize("products", [True, False])
def test_tf32_is_off_inside_and_as_it_was_afterwards(convolutions: bool, products: bool) -> None:
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products
    with exact_float32():
        assert switches() == (False, False)
        with exact_float32():
            assert switches() == (False, False)
        assert switches() == (False, False), "an inner one must not switch TF32 on for the rest of an outer one"
    assert switches() == (convolutions, products)


def test_after_an_error_too() -> None:
    def fails() -> None:
        with exact_float32():
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fails()
    assert switches() == (True, False)


def test_settings_made_by_the_newer_interface_come_back() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    with exact_float32():
        assert torch.backends.cuda.matmul.fp32_precision != "tf32"
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"


def test_threads_that_overlap_leave_no_gap_and_no_trace() -> None:
    """The one that ends first must not switch TF32 on under the other."""
    entered, left = Barrier(2), Barrier(2)

    def short() -> None:
        with exact_float32():
            entered.wait(120)
        left.wait(120)

    def long() -> tuple[bool, bool]:
        with exact_float32():
            entered.wait(120)
            left.wait(120)
            return switches()

    with ThreadPoolExecutor(2) as pool:
        ended, seen = pool.submit(short), pool.submit(long)
        ended.result(120)
        assert seen.result(120) == (False, False)
    assert switches() == (True, False)


def test_the_package_never_switches_tf32_for_the_whole_process() -> None:
    network = tiny_network().eval()
    with torch.inference_mode():
        network.embed(torch.zeros(1, 12, 2500))
    assert switches() == (True, False)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_network_on_a_gpu_is_exact_though_torch_would_take_tf32() -> None:
    assert torch.backends.cudnn.allow_tf32
    network: EcgFm = tiny_network().fold().eval()
    source = torch.randn(8, 12, 2500, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact = network(source)
        found = network.cuda()(source.cuda()).cpu()
    assert (found.sigmoid() - exact.sigmoid()).abs().max() <= 1e-6
