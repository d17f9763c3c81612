"""Two layers that train faster on a CPU, with the same parameters and, up to rounding, the same numbers.

Linear: MKL, which torch calls for float32 products, reaches on AMD processors less than half its speed where the second factor is a
transposed view, and `x @ weight.T` is one. Writing the transpose out costs a thousandth of the product; the backward products have none.

Positional convolution: a kernel of 128 taps over 156 frames is cheaper as a product of Fourier transforms, forward and backward.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor, nn

from ecgfm.encoder import PositionalConv


def speed_up_cpu(module: nn.Module) -> None:
    """Let every `nn.Linear` and `PositionalConv` inside compute this way while its input is float32 on the CPU outside autocast."""
    for child in module.modules():
        if type(child) is nn.Linear:
            child.__class__ = _CpuLinear
        elif type(child) is PositionalConv:
            child.__class__ = _CpuPositionalConv


def _suits(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


class _CpuLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        if not _suits(input):
            return super().forward(input)
        return cast("Tensor", _Product.apply(input, self.weight, self.bias))  # type: ignore[no-untyped-call]  # torch's autograd.Function is untyped


class _Product(torch.autograd.Function):
    """x (…, in) · weight (out, in) transposed + bias (out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        rows = x.reshape(-1, x.shape[-1])
        written_out = weight.t().contiguous()
        product = rows @ written_out if bias is None else torch.addmm(bias, rows, written_out)
        return product.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, weight.shape[0])
        for_x = (gradient @ weight).view_as(x) if ctx.needs_input_grad[0] else None
        for_weight = gradient.t() @ x.reshape(-1, x.shape[-1]) if ctx.needs_input_grad[1] else None
        for_bias = gradient.sum(0) if ctx.has_bias and ctx.needs_input_grad[2] else None
        return for_x, for_weight, for_bias


class _CpuPositionalConv(PositionalConv):
    def forward(self, x: Tensor) -> Tensor:
        if not _suits(x):
            return super().forward(x)
        conv = self.pos_conv[0]
        assert isinstance(conv, nn.Conv1d)
        assert conv.bias is not None
        correlated = correlate(x, conv.weight, conv.groups) + conv.bias
        return F.gelu(correlated)


def correlate(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Grouped correlation over time with padding kernel // 2, as many frames out as in: x (B, T, W), weight (W, W / groups, kernel).

    out[t] = sum over k of w[k] x[t + k - pad], whose transform is conj(W) X. The period is long enough that nothing wraps onto a
    frame that is kept.
    """
    (batch, frames, width), kernel = x.shape, weight.shape[-1]
    pad = kernel // 2
    period = next_fast_len(frames + max(pad, kernel - 1 - pad), real=True)
    signal = torch.fft.rfft(x, n=period, dim=1).view(batch, -1, groups, width // groups)  # (B, F, groups, in)
    taps = torch.fft.rfft(weight, n=period, dim=-1).conj().view(groups, width // groups, width // groups, -1)
    product = signal.permute(1, 2, 0, 3) @ taps.permute(3, 0, 2, 1)  # (F, groups, B, in) @ (F, groups, in, out)
    correlated: Tensor = torch.fft.irfft(product.permute(2, 0, 1, 3).reshape(batch, -1, width), n=period, dim=1)
    return correlated.roll(pad, dims=1)[:, :frames]
