"""The positional convolution as banded products is torch's own grouped convolution, forward and backward."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ecgfm.banded_convolution import BLOCK, banded, convolve

GENERATOR = torch.Generator().manual_seed(17)


def by_torch(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """As many frames out as in, by torch's convolution."""
    kernel = weight.shape[-1]
    found = F.conv1d(x.transpose(1, 2), weight, padding=kernel // 2, groups=groups)
    return found[..., : x.shape[1]].transpose(1, 2)


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(
    ("batch", "frames", "width", "groups", "kernel", "block"),
    [
        (2, 156, 48, 4, 128, BLOCK),
        (1, 156, 16, 16, 128, 26),
        (3, 1, 8, 2, 4, 3),
        (2, 40, 12, 3, 7, 5),  # an odd kernel, and frames that no number of blocks makes
        (2, 5, 8, 2, 16, 39),  # fewer frames than a block, and than the kernel
        (1, 312, 32, 2, 128, BLOCK),  # 10 s in one go
    ],
)
def test_equal_to_the_convolution(batch: int, frames: int, width: int, groups: int, kernel: int, block: int) -> None:
    x, weight = drawn(batch, frames, width), drawn(width, width // groups, kernel)
    found = convolve(x, banded(weight, groups, block), kernel, block)
    torch.testing.assert_close(found, by_torch(x, weight, groups), rtol=0, atol=1e-11)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_gradients_equal_those_of_the_convolution(dtype: torch.dtype, tolerance: float) -> None:
    x, weight, outer = drawn(2, 156, 32, dtype=dtype), drawn(32, 8, 128, dtype=dtype), drawn(2, 156, 32, dtype=dtype)
    gradients = []
    for ours in (True, False):
        a, w = x.clone().requires_grad_(), weight.clone().requires_grad_()
        found = convolve(a, banded(w, 4), 128) if ours else by_torch(a, w, 4)
        torch.sum(found * outer).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        assert a.grad is not None
        assert w.grad is not None
        gradients.append((a.grad, w.grad))
    for mine, theirs in zip(*gradients, strict=True):
        assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.slow
def test_at_the_published_size_in_float32() -> None:
    """768 channels in 16 groups, 128 taps, 156 frames."""
    x, weight = drawn(2, 156, 768, dtype=torch.float32), drawn(768, 48, 128, dtype=torch.float32) / 78
    found = torch.cat(
        [convolve(part, banded(own, 1), 128) for part, own in zip(x.chunk(16, 2), weight.chunk(16), strict=True)], 2
    )
    exact = by_torch(x.double(), weight.double(), 16)
    assert (found - exact).abs().max() <= 1e-5


def test_a_row_does_not_depend_on_its_company() -> None:
    weight = drawn(32, 8, 128, dtype=torch.float32)
    x = drawn(6, 156, 32, dtype=torch.float32)
    band = banded(weight, 4)
    whole = convolve(x, band, 128)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    assert torch.equal(convolve(x[order], band, 128), whole[order])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
def test_on_a_gpu_in_half_precision(dtype: torch.dtype, tolerance: float) -> None:
    x, weight = drawn(8, 156, 768), drawn(768, 48, 128) / 78
    exact = by_torch(x, weight, 16)
    found = convolve(x.to("cuda", dtype), banded(weight.to("cuda", dtype), 16), 128).double().cpu()
    assert (found - exact).abs().max() <= tolerance * exact.abs().max()
