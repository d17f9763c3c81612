"""The positional convolution as matrix products with a discrete Fourier transform: same numbers, a third of the time.

A kernel of 128 taps over 156 frames is the one convolution here that pays for a transform; written as plain matrix
products it runs in every runtime that reads ONNX. Only for segments of one fixed length.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgfm.encoder import PositionalConv


class PositionalDft(nn.Module):
    """A folded `PositionalConv` for exactly `frames` frames.

    out[t] = sum over k of w[k] x[t + k - pad] is a correlation, so its transform is conj(W) X. A period of
    frames + max(pad, kernel - 1 - pad) is long enough that nothing wraps onto a frame that is kept.
    """

    cosines: Tensor
    real: Tensor
    imaginary: Tensor
    inverse: Tensor
    bias: Tensor

    def __init__(self, positions: PositionalConv, frames: int) -> None:
        super().__init__()
        conv = positions.pos_conv[0]
        assert isinstance(conv, nn.Conv1d)
        assert conv.bias is not None
        width, group_width, kernel = conv.weight.shape
        self.groups = conv.groups
        pad = kernel // 2
        period = frames + max(pad, kernel - 1 - pad)
        period += period % 2
        frequencies = torch.arange(period // 2 + 1, dtype=torch.float64)
        time = torch.arange(frames, dtype=torch.float64)
        angle = 2 * math.pi * frequencies[:, None] * time / period  # (F, T)
        # x -> real and imaginary part of its transform
        self._keep("cosines", torch.cat([angle.cos(), -angle.sin()]))  # (2F, T)
        taps = torch.fft.rfft(conv.weight.detach().double(), n=period, dim=-1).conj()  # (W out, W / groups in, F)
        taps = taps.view(self.groups, width // self.groups, group_width, -1).permute(3, 0, 2, 1)  # (F, groups, in, out)
        self._keep("real", taps.real)
        self._keep("imaginary", taps.imag)
        # and back, at times t - pad; every frequency but the first and last stands for two
        twice = torch.full((len(frequencies),), 2.0 / period, dtype=torch.float64)
        twice[0] = twice[-1] = 1.0 / period
        angle = 2 * math.pi * (time[:, None] - pad) * frequencies / period  # (T, F)
        self._keep("inverse", torch.cat([angle.cos() * twice, -angle.sin() * twice], dim=1))  # (T, 2F)
        self._keep("bias", conv.bias.detach().double())

    def _keep(self, name: str, values: Tensor) -> None:
        self.register_buffer(name, values.float().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        batch, _, width = x.shape
        transform = (self.cosines @ x).view(batch, 2, -1, self.groups, width // self.groups)  # (B, 2, F, groups, in)
        a, b = transform.permute(1, 2, 3, 0, 4)  # real and imaginary, each (F, groups, B, in)
        product = torch.stack([a @ self.real - b @ self.imaginary, a @ self.imaginary + b @ self.real])
        product = product.permute(3, 0, 1, 2, 4).reshape(batch, -1, width)  # (B, 2F, W)
        return F.gelu(self.inverse @ product + self.bias)  # (B, T, W)
