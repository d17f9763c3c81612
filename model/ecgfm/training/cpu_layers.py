"""Layers that train faster on a CPU, with the same parameters and, up to rounding, the same numbers.

They serve float32 and, inside bf16 autocast, bf16; in every other case, and in evaluation, torch's own layers run.
Where oneDNN refuses bf16 products (a processor without AVX-512), torch's own product stands in: right, and several
times slower than float32.

Linear: oneDNN with a weight laid out in its own blocks reaches 95 % of the processor's peak in forward and towards the
input, where MKL, which torch calls for float32, reaches 80 %. Laying it out costs a hundredth of the product.

Attention: torch's fused kernel has no dropout on CPUs; its replacement there copies and rounds much more than this one.
Without dropout the fused kernel's backward pass is as fast as this one in float32, and five times slower in bf16. The
three input projections are one product.

Convolutions whose stride is their kernel are products too: frames stand in rows, the taps of one side by side. The
first stays torch's, since its norm over time is quick only where time is the last axis.

Dropout: torch draws one Bernoulli number at a time and keeps it as a float. 16 random bits an element are drawn here,
so the probability is a multiple of 2^-16 (0.1 becomes 0.100006, and the scale fits it).

Positional convolution: a kernel of 128 taps over 156 frames is cheaper as a product of Fourier transforms, forward and
backward.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias, cast  # Any: torch's contexts of autograd

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor, nn

from ecgfm.encoder import FeatureExtractor, PositionalConv, SelfAttention

_LEVELS = 2**16
Product: TypeAlias = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def speed_up_cpu(module: nn.Module) -> None:
    """Let the layers inside compute as described above while they train on the CPU."""
    fast = {
        nn.Linear: _CpuLinear,
        nn.Dropout: _CpuDropout,
        FeatureExtractor: _CpuFeatures,
        SelfAttention: _CpuAttention,
        PositionalConv: _CpuConv,
    }
    for child in module.modules():
        child.__class__ = fast.get(type(child), type(child))


def _working_type(x: Tensor) -> torch.dtype | None:
    """float32, or bf16 inside its autocast; None where torch's own layer must run."""
    if x.device.type != "cpu" or not torch.is_grad_enabled():
        return None
    if torch.is_autocast_enabled("cpu"):
        return torch.bfloat16 if torch.get_autocast_dtype("cpu") == torch.bfloat16 else None
    return torch.float32 if x.dtype == torch.float32 else None


class _CpuLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        kind = _working_type(input)
        if kind is None:
            return super().forward(input)
        return _product(input, self.weight, self.bias, kind)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, kind: torch.dtype) -> Tensor:
    """x (…, in) · weight (out, in) transposed + bias (out), computed in `kind`."""
    return cast("Tensor", _Product.apply(x.to(kind), weight, bias))  # type: ignore[no-untyped-call]  # torch's autograd.Function is untyped


class _Product(torch.autograd.Function):
    """x decides the type that the weight is rounded to and the product computed in;
    the weight's gradient has the weight's own.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rounded = weight.to(x.dtype)
        ctx.save_for_backward(x, rounded)
        ctx.kind, ctx.has_bias = weight.dtype, bias is not None
        added = None if bias is None else bias.to(x.dtype)
        return _times_transposed(x.reshape(-1, x.shape[-1]), rounded, added).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, weight.shape[0])
        for_x = for_weight = for_bias = None
        if ctx.needs_input_grad[0]:
            for_x = _times_transposed(gradient, weight.t(), None).view_as(x)
        if ctx.needs_input_grad[1]:
            for_weight = (gradient.t() @ x.reshape(-1, x.shape[-1])).to(ctx.kind)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            for_bias = gradient.sum(0).to(ctx.kind)
        return for_x, for_weight, for_bias


def _times_transposed(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (rows, in) · weight (out, in) transposed + bias: by oneDNN where it takes the type, else as torch does it."""
    product = packed_product if packs(x.dtype) else F.linear
    return product(x, weight, bias)


def described(device: str, precision: str) -> str:
    """Where a run trains, in words, and what is slow there."""
    if device == "cpu" and precision == "bf16-mixed" and not packs(torch.bfloat16):
        return "cpu (bf16 is slow on this processor; 32-true is faster)"
    return device


@cache
def packs(kind: torch.dtype) -> bool:
    """Whether `packed_product` takes this type on this machine."""
    return takes(packed_product, kind)


def takes(product: Product, kind: torch.dtype) -> bool:
    """Whether the product can be computed in this type here, by trying one.

    oneDNN raises a RuntimeError for bfloat16 on a processor without the instructions it wants for that (AVX-512 on
    x86), and for any type where torch was built without oneDNN. What the processor announces does not decide: oneDNN's
    limits are its own, and can be set lower in the environment.
    """
    try:
        product(torch.ones(2, 32, dtype=kind), torch.ones(4, 32, dtype=kind), None)
    except (RuntimeError, AttributeError):  # AttributeError: this build of torch has no such operator
        return False
    return True


def packed_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (rows, in) · weight (out, in) transposed + bias, by oneDNN;
    raises RuntimeError where it does not take the type.
    """
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return cast("Tensor", torch.ops.mkldnn._linear_pointwise(x, laid_out, bias, "none", [], ""))


class _CpuDropout(nn.Dropout):
    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1 or _working_type(input) is None:
            return super().forward(input)
        return cast("Tensor", _Drop.apply(input, self.p))  # type: ignore[no-untyped-call]  # as above


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        kept, ctx.scale = _draw_kept(x.shape, p)
        ctx.save_for_backward(kept)
        return (x * kept.to(x.dtype)).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return (gradients[0] * kept.to(gradients[0].dtype)).mul_(ctx.scale), None


def _draw_kept(shape: torch.Size, p: float) -> tuple[Tensor, float]:
    """Zeros with probability p, else ones (int16), and what keeps the mean.

    Torch's generator gives the seed, so its seed decides all.
    """
    seed = int(torch.randint(2**62, ()))
    elements = math.prod(shape)
    words = np.random.Generator(np.random.SFC64(seed)).integers(0, 2**64, -(-elements // 4), dtype=np.uint64)
    dropped = min(max(round(p * _LEVELS), 1), _LEVELS - 1)
    bits = torch.from_numpy(words.view(np.int16))[:elements].view(shape)
    return bits.ge_(dropped - _LEVELS // 2), _LEVELS / (_LEVELS - dropped)


class _CpuAttention(SelfAttention):
    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        kind = _working_type(x)
        if kind is None or not self.training or not 0 <= self.attention_dropout < 1:
            return super().forward(x, padding)
        projections = (self.q_proj, self.k_proj, self.v_proj)
        weight, bias = (torch.cat([getattr(one, name) for one in projections]) for name in ("weight", "bias"))
        batch, frames, width = x.shape
        joined = _product(x, weight, bias, kind).view(batch, frames, 3, self.heads, width // self.heads)
        q, k, v = joined.permute(2, 0, 3, 1, 4).flatten(1, 2).unbind()  # each (B · H, T, D), in memory as it is read
        blocked = None if padding is None else padding.repeat_interleave(self.heads, dim=0)[:, None]  # (B · H, 1, T)
        out = cast("Tensor", _Attend.apply(q, k, v, blocked, self.attention_dropout))  # type: ignore[no-untyped-call]  # as above
        return cast("Tensor", self.out_proj(out.view(batch, self.heads, frames, -1).transpose(1, 2).flatten(2)))


class _Attend(torch.autograd.Function):
    """softmax(q kᵀ / sqrt(D)), dropout, times v; q, k, v (rows, T, D),
    `blocked` True at keys that nobody may look at.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, blocked: Tensor | None, p: float) -> Tensor:
        ctx.factor = 1 / math.sqrt(q.shape[-1])
        scores = torch.bmm(q, k.transpose(1, 2)).mul_(ctx.factor)
        if blocked is not None:
            scores.masked_fill_(blocked, -math.inf)
        weights = scores.softmax(-1)
        kept, ctx.scale = _draw_kept(weights.shape, p) if p else (None, 1.0)
        ctx.save_for_backward(q, k, v, weights, kept)
        return torch.bmm(_those_kept(weights, kept), v).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, weights, kept = ctx.saved_tensors
        gradient = gradients[0] * ctx.scale
        for_v = torch.bmm(_those_kept(weights, kept).transpose(1, 2), gradient)
        for_weights = _those_kept(torch.bmm(gradient, v.transpose(1, 2)), kept)
        for_scores = torch._softmax_backward_data(for_weights, weights, -1, weights.dtype).mul_(ctx.factor)
        return torch.bmm(for_scores, k), torch.bmm(for_scores.transpose(1, 2), q), for_v, None, None


def _those_kept(weights: Tensor, kept: Tensor | None) -> Tensor:
    return weights if kept is None else weights * kept.to(weights.dtype)


class _CpuFeatures(FeatureExtractor):
    def forward(self, source: Tensor) -> Tensor:
        kind = _working_type(source)
        first, *others = self.conv_layers
        if kind is None or any(_conv(layer).kernel_size != _conv(layer).stride for layer in others):
            return super().forward(source)
        x: Tensor = first(source).transpose(1, 2)  # (B, L, C), as it stays from here on
        for layer in others:
            conv = _conv(layer)
            taps = conv.kernel_size[0]
            frames = x.shape[1] // taps
            rows = x[:, : frames * taps].reshape(len(x), frames, -1)  # (B, frames, taps · C)
            x = F.gelu(_product(rows, conv.weight.transpose(1, 2).flatten(1), conv.bias, kind))
        return x.transpose(1, 2)  # (B, C, T)


def _conv(layer: nn.Module) -> nn.Conv1d:
    conv = cast("nn.Sequential", layer)[0]
    assert isinstance(conv, nn.Conv1d)
    return conv


class _CpuConv(PositionalConv):
    def forward(self, x: Tensor) -> Tensor:
        if _working_type(x) is None:
            return super().forward(x)
        conv = self.pos_conv[0]
        assert isinstance(conv, nn.Conv1d)
        assert conv.bias is not None
        correlated = correlate(x.float(), conv.weight, conv.groups) + conv.bias
        return F.gelu(correlated).to(x.dtype)


def correlate(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Grouped correlation over time with padding kernel // 2, as many frames out as in:
    x (B, T, W), weight (W, W / groups, kernel).

    out[t] = sum over k of w[k] x[t + k - pad], whose transform is conj(W) X. The period is long enough that nothing
    wraps onto a frame that is kept.
    """
    (batch, frames, width), kernel = x.shape, weight.shape[-1]
    pad = kernel // 2
    period = next_fast_len(frames + max(pad, kernel - 1 - pad), real=True)
    signal = torch.fft.rfft(x, n=period, dim=1).view(batch, -1, groups, width // groups)  # (B, F, groups, in)
    taps = torch.fft.rfft(weight, n=period, dim=-1).conj().view(groups, width // groups, width // groups, -1)
    product = signal.permute(1, 2, 0, 3) @ taps.permute(3, 0, 2, 1)  # (F, groups, B, in) @ (F, groups, in, out)
    correlated: Tensor = torch.fft.irfft(product.permute(2, 0, 1, 3).reshape(batch, -1, width), n=period, dim=1)
    return correlated.roll(pad, dims=1)[:, :frames]
