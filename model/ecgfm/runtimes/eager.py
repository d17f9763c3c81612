"""The network as fairseq-signals arranges it, in plain eager torch:
what benchmarks compare with, and nothing else uses.

Time-first layout, torch's own multi-head attention with separate projections (it takes scaled_dot_product_attention),
weight normalisation computed in each pass; nothing is folded, fused or packed. Post-norm or pre-norm as the network
says.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ecgfm.encoder import SelfAttention, TransformerLayer
from ecgfm.network import EcgFm, pool


def eager_embedding(network: EcgFm, source: Tensor) -> Tensor:
    """(B, 12, L) -> pooled embeddings (B, W) of a network in trainable form,
    equal to `network.embed` up to rounding.
    """
    encoder = network.encoder
    x = encoder.project(encoder.normalise(encoder.features(source)))
    x = x + encoder.conv_pos(x)  # (B, T, W)
    stack = encoder.encoder
    if not stack.pre_norm:
        x = stack.layer_norm(x)
    x = x.transpose(0, 1)  # (T, B, W)
    for layer in stack.layers:
        assert isinstance(layer, TransformerLayer)
        x = _layer(layer, x)
    x = x.transpose(0, 1)
    return pool(stack.layer_norm(x) if stack.pre_norm else x)


def _layer(layer: TransformerLayer, x: Tensor) -> Tensor:
    if layer.pre_norm:
        x = x + _attend(layer.self_attn, layer.self_attn_layer_norm(x))
        return x + _feed_forward(layer, layer.final_layer_norm(x))
    x = layer.self_attn_layer_norm(x + _attend(layer.self_attn, x))
    out: Tensor = layer.final_layer_norm(x + _feed_forward(layer, x))
    return out


def _feed_forward(layer: TransformerLayer, x: Tensor) -> Tensor:
    out: Tensor = layer.fc2(F.gelu(layer.fc1(x)))
    return out


def _attend(attention: SelfAttention, x: Tensor) -> Tensor:
    q, k, v, out = attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj
    attended, _ = F.multi_head_attention_forward(
        x,
        x,
        x,
        embed_dim_to_check=x.shape[-1],
        num_heads=attention.heads,
        in_proj_weight=torch.empty(0),
        in_proj_bias=torch.cat([q.bias, k.bias, v.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=out.weight,
        out_proj_bias=out.bias,
        training=False,
        need_weights=False,
        use_separate_proj_weight=True,
        q_proj_weight=q.weight,
        k_proj_weight=k.weight,
        v_proj_weight=v.weight,
    )
    return attended
