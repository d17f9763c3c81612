"""Encoder, pooling and heads as one torch module: z-scored segments in, logits or an embedding out."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ecgfm.config import EncoderConfig
from ecgfm.encoder import Encoder
from ecgfm.errors import NoHead
from ecgfm.float32 import exact_float32
from ecgfm.heads import HeadSpec
from ecgfm.signal import PREPROCESSING


def pool(x: Tensor, padding: Tensor | None = None) -> Tensor:
    """Frame embeddings (B, T, W) -> (B, W): per channel,
    the sum over time divided by the count of values that are not 0.

    Padded frames are zeroed first, so without padding this is the mean. A channel that is 0 everywhere gives NaN, as in
    the reference.
    """
    if padding is not None:
        x = x.masked_fill(padding[..., None], 0.0)
    return x.sum(dim=1) / (x != 0).sum(dim=1)


class EcgFm(nn.Module):
    """ECG-FM with none, one or several heads; each head is one linear layer on the same pooled embedding."""

    def __init__(
        self, config: EncoderConfig, specs: Sequence[HeadSpec] = (), preprocessing: str = PREPROCESSING
    ) -> None:
        """`preprocessing`: how signals are prepared for this network, one of `ecgfm.signal.PREPARATIONS`."""
        super().__init__()
        self.preprocessing = preprocessing
        self.encoder = Encoder(config)
        self.specs = tuple(specs)
        self.heads = nn.ModuleDict({spec.name: nn.Linear(config.width, len(spec.labels)) for spec in self.specs})
        for head in self.heads.values():
            assert isinstance(head, nn.Linear)
            nn.init.xavier_uniform_(head.weight)
            nn.init.zeros_(head.bias)

    @property
    def config(self) -> EncoderConfig:
        return self.encoder.config

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all heads in the order of `forward`'s columns."""
        return tuple(label for spec in self.specs for label in spec.labels)

    def embed(self, source: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """source (B, 12, L) float32, `padding_mask` (B, L) or (B, 12, L) True = padded -> pooled embedding (B, W)."""
        padding = self.encoder.frame_padding(padding_mask)
        # Only on a GPU is there anything to switch, and an export of the network must not meet switches.
        with exact_float32() if source.is_cuda else nullcontext():
            return pool(self.encoder(source, padding), padding)

    def logits(self, embedding: Tensor) -> dict[str, Tensor]:
        """Pooled embedding (B, W) -> per head (B, labels)."""
        return {name: head(embedding) for name, head in self.heads.items()}

    def forward(self, source: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """source (B, 12, L) -> logits (B, labels) of all heads side by side; raises `NoHead` where there is none."""
        if not self.specs:
            raise NoHead(
                "this model has no head: it gives embeddings (module.embed); train a head or load a finetuned file"
            )
        return torch.cat(list(self.logits(self.embed(source, padding_mask)).values()), dim=1)

    def fold(self) -> "EcgFm":
        """Fold what only training needs apart; outputs stay, up to rounding. Returns itself."""
        self.encoder.fold()
        return self
