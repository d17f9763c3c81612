"""The network for inference on a GPU, in one precision throughout: the same function, arranged as large matrix
products.

Weights are converted once. What is summed or exponentiated (norms, soft-max, pooling) is computed in float32 whatever
the precision, inside torch's kernels or here. Against the modules of `ecgfm.encoder`: strided convolutions without
overlap are products over frames that lie side by side, so that nothing is transposed; query, key and value are one
product; the positional convolution is a banded product. Shapes as in `ecgfm.encoder`.
"""

from typing import Literal, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgfm.banded_convolution import BLOCK, banded, convolve
from ecgfm.encoder import PositionalConv, SelfAttention, TransformerLayer
from ecgfm.network import EcgFm, pool

Positions: TypeAlias = Literal["banded", "convolution"]


class LeanNetwork(nn.Module):
    """The first encoder of a folded network, given as `EcgFm`:
    (B, 12, L) float32 -> pooled embeddings (B, W) float32.
    """

    def __init__(self, network: EcgFm, precision: torch.dtype = torch.float32, positions: Positions = "banded") -> None:
        super().__init__()
        encoder = network.encoder
        self.precision = precision
        self.pre_norm = encoder.config.pre_norm
        self.features = nn.ModuleList(
            _Stem(cast("nn.Sequential", layer), precision) for layer in encoder.feature_extractor.conv_layers
        )
        self.layer_norm = encoder.layer_norm.to(precision)
        self.project = encoder.post_extract_proj.to(precision)
        self.positions: nn.Module = (
            _Banded(encoder.conv_pos, precision) if positions == "banded" else encoder.conv_pos.to(precision)
        )
        self.layers = nn.ModuleList(
            _Layer(cast("TransformerLayer", layer), precision) for layer in encoder.encoder.layers
        )
        self.norm = encoder.encoder.layer_norm.to(precision)

    def forward(self, source: Tensor) -> Tensor:
        x = source.transpose(1, 2).to(self.precision).contiguous()  # (B, L, leads)
        for layer in self.features:
            x = layer(x)  # (B, frames, C)
        x = self.project(self.layer_norm(x))
        x = x + self.positions(x)
        if not self.pre_norm:
            x = self.norm(x)
        for layer in self.layers:
            x = layer(x)
        return pool((self.norm(x) if self.pre_norm else x).float())


class _Stem(nn.Module):
    """One strided convolution with its group norm, if it has one, and its GELU, on (B, frames, channels)."""

    def __init__(self, layer: nn.Sequential, precision: torch.dtype) -> None:
        super().__init__()
        conv = layer[0]
        assert isinstance(conv, nn.Conv1d)
        self.kernel, self.stride = conv.kernel_size[0], conv.stride[0]
        # (out, in, kernel) -> (out, kernel · in): frame after frame, as neighbouring frames lie in memory
        self.weight = _kept(conv.weight.permute(0, 2, 1).flatten(1), precision)
        self.bias = None if conv.bias is None else _kept(conv.bias, precision)
        self.norm = next((one for one in layer if isinstance(one, nn.GroupNorm)), None)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, channels = x.shape
        if self.kernel == self.stride:
            whole = frames // self.stride
            rows = x[:, : whole * self.stride].reshape(batch, whole, self.stride * channels)
        else:
            rows = x.unfold(1, self.kernel, self.stride).transpose(2, 3).flatten(2)
        x = F.linear(rows, self.weight, self.bias)
        return F.gelu(x if self.norm is None else _over_time(x, self.norm))


def _over_time(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Group norm of (B, frames, C) in float32; its groups are of C / num_groups neighbouring channels."""
    batch, frames, channels = x.shape
    grouped = x.float().view(batch, frames, norm.num_groups, -1)
    variance, mean = torch.var_mean(grouped, dim=(1, 3), keepdim=True, correction=0)
    normed = ((grouped - mean) * torch.rsqrt(variance + norm.eps)).view(batch, frames, channels)
    return (normed * norm.weight.float() + norm.bias.float()).to(x.dtype)


class _Banded(nn.Module):
    """The positional convolution as banded products, and its GELU."""

    def __init__(self, positions: PositionalConv, precision: torch.dtype) -> None:
        super().__init__()
        conv = positions.pos_conv[0]
        assert isinstance(conv, nn.Conv1d)
        assert conv.bias is not None
        self.kernel = conv.kernel_size[0]
        # Group by group: the whole band at once would need its 240 million elements twice.
        groups = conv.weight.detach().to(precision).chunk(conv.groups)
        self.band = _kept(torch.cat([banded(one, 1, BLOCK) for one in groups]), precision)
        self.bias = _kept(conv.bias, precision)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(convolve(x, self.band, self.kernel, BLOCK) + self.bias)


class _Layer(nn.Module):
    """A transformer layer with query, key and value as one product."""

    def __init__(self, layer: TransformerLayer, precision: torch.dtype) -> None:
        super().__init__()
        attention: SelfAttention = layer.self_attn
        joined = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.pre_norm, self.heads = layer.pre_norm, attention.heads
        self.qkv = _kept(torch.cat([one.weight for one in joined]), precision)
        self.qkv_bias = _kept(torch.cat([one.bias for one in joined]), precision)
        self.out = attention.out_proj.to(precision)
        self.first_norm = layer.self_attn_layer_norm.to(precision)
        self.fc1, self.fc2 = layer.fc1.to(precision), layer.fc2.to(precision)
        self.second_norm = layer.final_layer_norm.to(precision)

    def forward(self, x: Tensor) -> Tensor:
        if self.pre_norm:
            x = x + self._attend(self.first_norm(x))
            return x + self._feed_forward(self.second_norm(x))
        x = self.first_norm(x + self._attend(x))
        out: Tensor = self.second_norm(x + self._feed_forward(x))
        return out

    def _attend(self, x: Tensor) -> Tensor:
        batch, frames, width = x.shape
        joined = F.linear(x, self.qkv, self.qkv_bias).view(batch, frames, 3, self.heads, width // self.heads)
        q, k, v = joined.permute(2, 0, 3, 1, 4).unbind()  # each (B, H, T, D)
        attended = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out(attended.transpose(1, 2).reshape(batch, frames, width))
        return out

    def _feed_forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


def _kept(values: Tensor, precision: torch.dtype) -> nn.Parameter:
    return nn.Parameter(values.detach().to(precision).contiguous(), requires_grad=False)
