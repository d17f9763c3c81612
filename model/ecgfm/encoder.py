"""The whole ECG-FM encoder: convolution stack, convolutional positions and transformer, in the order they are used.

The architecture is wav2vec 2.0 (Baevski et al. 2020, arXiv:2006.11477) on 12 ECG leads, as in fairseq-signals; module
names follow its tensor names, so a published state_dict fits without renaming. Shapes in comments use
B batch, L samples, C convolution channels, T frames, W width, H attention heads, D = W / H.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from ecgfm.config import EncoderConfig


class FeatureExtractor(nn.Module):
    """Strided convolutions, each followed by an exact GELU; group norm (one group a channel) after the first only.

    The norm's statistics run over all L // 2 positions, so samples that reach no token still change it a little.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList()
        channels = config.leads
        for index, (out, kernel, stride) in enumerate(config.conv_layers):
            conv = nn.Conv1d(channels, out, kernel, stride, bias=config.conv_bias)
            nn.init.kaiming_normal_(conv.weight)
            # Index 1 was a dropout of probability 0 in fairseq; the place is kept so that the names agree.
            norm = [nn.GroupNorm(out, out)] if index == 0 else []
            self.conv_layers.append(nn.Sequential(conv, nn.Identity(), *norm, nn.GELU()))
            channels = out

    def forward(self, source: Tensor) -> Tensor:
        x = source  # (B, leads, L)
        for layer in self.conv_layers:
            x = layer(x)  # (B, C, floor(length / 2)) for kernel = stride = 2
        return x  # (B, C, T)


#: Channels a group below which oneDNN, on processors with AMX, gives a bfloat16 convolution an error as large as its
#: result (seen with 4 and 8 channels in torch 2.13; 16 and more are right): there float32 is used.
_NARROW = 16


class PositionalConv(nn.Module):
    """Relative positions from one wide grouped convolution over time; its weight is normalised per kernel tap."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        kernel, width = config.conv_pos_kernel, config.width
        conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=config.conv_pos_groups)
        nn.init.normal_(conv.weight, std=math.sqrt(4 / (kernel * width)))
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # a Conv1d built with a bias has one
        self.pos_conv = nn.Sequential(
            parametrizations.weight_norm(conv, dim=2)
        )  # g (1, 1, kernel), v (W, W/groups, kernel)
        self._narrow = width // config.conv_pos_groups < _NARROW
        self.drop_last = kernel % 2 == 0  # an even kernel padded by kernel // 2 gives T + 1 positions

    def forward(self, x: Tensor) -> Tensor:
        positions = self._convolved(x.transpose(1, 2))  # (B, T, W) -> (B, W, T + 1)
        if self.drop_last:
            positions = positions[..., :-1]
        return F.gelu(positions).transpose(1, 2)  # (B, T, W)

    def _convolved(self, x: Tensor) -> Tensor:
        if self._narrow and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                exact: Tensor = self.pos_conv(x.float())
            return exact.to(x.dtype)
        found: Tensor = self.pos_conv(x)
        return found

    def fold(self) -> None:
        """Replace g and v by the weight they stand for: same output, no more training of them apart."""
        if parametrize.is_parametrized(self.pos_conv[0]):
            parametrize.remove_parametrizations(self.pos_conv[0], "weight")


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product self-attention with biases on all four projections."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.attention_dropout = config.attention_dropout
        self.k_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        self.q_proj = nn.Linear(config.width, config.width)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        q, k, v = (self._split(proj(x)) for proj in (self.q_proj, self.k_proj, self.v_proj))  # each (B, H, T, D)
        attendable = None if padding is None else ~padding[:, None, None, :]  # (B, 1, 1, T): padded keys get -inf
        dropout = self.attention_dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=attendable, dropout_p=dropout)
        joined: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))  # (B, H, T, D) -> (B, T, W)
        return joined

    def weights(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Attention probabilities (B, H, T queries, T keys) of the same input, for saliency."""
        q, k = self._split(self.q_proj(x)), self._split(self.k_proj(x))
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
        if padding is not None:
            scores = scores.masked_fill(padding[:, None, None, :], -math.inf)
        return scores.softmax(dim=-1)

    def _split(self, x: Tensor) -> Tensor:
        batch, frames, width = x.shape
        return x.view(batch, frames, self.heads, width // self.heads).transpose(1, 2)  # (B, T, W) -> (B, H, T, D)


class TransformerLayer(nn.Module):
    """Attention and feed-forward, each with a residual; the norms stand after (published) or before each block."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.self_attn = SelfAttention(config)
        self.self_attn_layer_norm = nn.LayerNorm(config.width)
        self.fc1 = nn.Linear(config.width, config.ffn_width)
        self.fc2 = nn.Linear(config.ffn_width, config.width)
        self.final_layer_norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.activation_dropout = nn.Dropout(config.activation_dropout)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:  # (B, T, W) -> (B, T, W)
        if self.pre_norm:
            x = x + self.dropout(self.self_attn(self.self_attn_layer_norm(x), padding))
            return x + self._feed_forward(self.final_layer_norm(x))
        x = self.self_attn_layer_norm(x + self.dropout(self.self_attn(x, padding)))
        x = self.final_layer_norm(x + self._feed_forward(x))
        return x

    def _feed_forward(self, x: Tensor) -> Tensor:
        hidden = self.activation_dropout(F.gelu(self.fc1(x)))  # (B, T, FFN)
        out: Tensor = self.dropout(self.fc2(hidden))
        return out


class TransformerEncoder(nn.Module):
    """The stack of layers. Its one `layer_norm` stands at the ENTRANCE when post-norm, at the END when pre-norm."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:  # (B, T, W) -> (B, T, W)
        if not self.pre_norm:
            x = self.layer_norm(x)
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, padding)
        return self.layer_norm(x) if self.pre_norm else x


class Encoder(nn.Module):
    """Z-scored ECG (B, 12, L) at 500 Hz -> frame embeddings (B, T, W); one frame is 16 samples, 32 ms.

    `forward` is `features` -> `normalise` -> `project` -> `contextualise`; pretraining calls the four itself, because
    it masks frames between `project` and `contextualise` and quantises the output of `normalise`.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.feature_extractor = FeatureExtractor(config)
        self.layer_norm = nn.LayerNorm(config.conv_width)
        # fairseq has this projection only where it is needed to change the width.
        same_width = config.conv_width == config.width
        self.post_extract_proj = nn.Identity() if same_width else nn.Linear(config.conv_width, config.width)
        self.dropout_input = nn.Dropout(config.dropout_input)
        self.conv_pos = PositionalConv(config)
        self.encoder = TransformerEncoder(config)

    def features(self, source: Tensor) -> Tensor:
        """Raw convolution features (B, C, T); their gradient is scaled by `feature_grad_mult`, 0 freezes the stack."""
        scale = self.config.feature_grad_mult
        features: Tensor
        with torch.set_grad_enabled(torch.is_grad_enabled() and not (self.training and scale == 0)):
            features = self.feature_extractor(source)
        if self.training and scale not in (0, 1):
            features = _ScaleGradient.apply(features, scale)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return features

    def normalise(self, features: Tensor) -> Tensor:
        """(B, C, T) -> layer-normalised (B, T, C): what the pretraining quantiser sees."""
        normalised: Tensor = self.layer_norm(features.transpose(1, 2))
        return normalised

    def project(self, normalised: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, W), with the input dropout; masked frames are replaced in this output."""
        projected: Tensor = self.dropout_input(self.post_extract_proj(normalised))
        return projected

    def contextualise(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Positions and transformer: (B, T, W) -> (B, T, W). `padding` (B, T) is True on frames that do not exist.

        As in the reference, padded frames still reach their neighbours through the positional convolution and are
        zeroed only afterwards; attention then ignores them as keys.
        """
        x = x + self.conv_pos(x)
        if padding is not None:
            x = x.masked_fill(padding[..., None], 0.0)
        out: Tensor = self.encoder(x, padding)
        return out

    def frame_padding(self, padding_mask: Tensor | None) -> Tensor | None:
        """Sample padding (B, L) or (B, leads, L), True = padded -> frame padding (B, T);
        None where nothing is padded.
        """
        if padding_mask is None or not bool(padding_mask.any()):
            return None
        if padding_mask.ndim == 3:  # the same for all leads
            padding_mask = padding_mask[:, 0]
        lengths = [self.config.frames(int(samples)) for samples in (~padding_mask).sum(-1)]
        frames = torch.arange(self.config.frames(padding_mask.shape[-1]), device=padding_mask.device)
        return frames >= torch.tensor(lengths, device=padding_mask.device)[:, None]

    def forward(self, source: Tensor, padding: Tensor | None = None) -> Tensor:
        """source (B, leads, L) float32; `padding` (B, T) from `frame_padding`. Returns (B, T, W)."""
        return self.contextualise(self.project(self.normalise(self.features(source))), padding)

    def fold(self) -> None:
        """Fold weight normalisation into plain weights, for inference."""
        self.conv_pos.fold()


class _ScaleGradient(torch.autograd.Function):
    """Identity forward; multiplies the gradient by a constant backward."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale  # type: ignore[attr-defined]  # contexts carry whatever backward needs
        return x.view_as(x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.scale, None  # type: ignore[attr-defined]  # set in forward
