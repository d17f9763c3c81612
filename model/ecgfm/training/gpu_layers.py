"""Layers that train faster on a GPU, with the same parameters and, up to rounding, the same numbers.

Positional convolution: banded products, forward and backward (`ecgfm.banded_convolution`); cuDNN has no tensor-core
kernel for 48 channels a group and 128 taps, and spent half of a pretraining step there. Attention: query, key and
value are one product of their weights laid side by side.

They compute in the type that autocast chooses, else in the type of what they are given, and run anywhere: on a CPU they
are tested against torch's own layers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgfm.banded_convolution import BLOCK, banded, convolve
from ecgfm.encoder import PositionalConv, SelfAttention


def speed_up_gpu(module: nn.Module) -> None:
    """Let the layers inside compute as described above."""
    fast = {PositionalConv: _BandedConv, SelfAttention: _JoinedAttention}
    for child in module.modules():
        child.__class__ = fast.get(type(child), type(child))


class _BandedConv(PositionalConv):
    def forward(self, x: Tensor) -> Tensor:
        conv = self.pos_conv[0]
        assert isinstance(conv, nn.Conv1d)
        assert conv.bias is not None
        kind = _working_type(x)
        band = banded(conv.weight.to(kind), conv.groups, BLOCK)
        # torch.bmm would cast again under autocast; both are in its type already.
        correlated = convolve(x.to(kind), band, conv.kernel_size[0], BLOCK)
        return F.gelu(correlated + conv.bias.to(kind))


class _JoinedAttention(SelfAttention):
    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        projections = (self.q_proj, self.k_proj, self.v_proj)
        weight, bias = (torch.cat([getattr(one, name) for one in projections]) for name in ("weight", "bias"))
        batch, frames, width = x.shape
        joined = F.linear(x, weight, bias).view(batch, frames, 3, self.heads, width // self.heads)
        q, k, v = joined.permute(2, 0, 3, 1, 4).unbind()  # each (B, H, T, D)
        attendable = None if padding is None else ~padding[:, None, None, :]
        dropout = self.attention_dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=attendable, dropout_p=dropout)
        attended: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return attended


def _working_type(x: Tensor) -> torch.dtype:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
