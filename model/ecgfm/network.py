"""Encoders, pooling and heads as one torch module: z-scored segments in, logits or an embedding out."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Self, cast

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
    """ECG-FM with none, one or several heads; each head is one linear layer on the pooled embedding of its encoder.

    Most networks have one encoder. Where heads were fine-tuned apart from each other there are several, all of which
    take the same prepared segments; `parts` takes such a network apart.
    """

    def __init__(
        self,
        config: EncoderConfig,
        specs: Sequence[HeadSpec] = (),
        preprocessing: str = PREPROCESSING,
        *,
        further: Sequence[EncoderConfig] = (),
    ) -> None:
        """`preprocessing`: how signals are prepared for this network, one of `ecgfm.signal.PREPARATIONS`. `further`:
        the sizes of the encoders after the first; `HeadSpec.encoder` counts them from 1.
        """
        super().__init__()
        widths = [one.width for one in (config, *further)]
        self._hold(
            Encoder(config),
            {spec.name: nn.Linear(widths[spec.encoder], len(spec.labels)) for spec in specs},
            specs,
            preprocessing,
            {str(number): Encoder(one) for number, one in enumerate(further, start=1)},
        )
        for head in self.heads.values():
            assert isinstance(head, nn.Linear)
            nn.init.xavier_uniform_(head.weight)
            nn.init.zeros_(head.bias)

    def _hold(
        self,
        encoder: Encoder,
        heads: Mapping[str, nn.Module],
        specs: Sequence[HeadSpec],
        preprocessing: str,
        further: Mapping[str, Encoder],
    ) -> None:
        self.preprocessing = preprocessing
        self.encoder = encoder
        self.specs = tuple(specs)
        self.heads = nn.ModuleDict(heads)
        self.further_encoders = nn.ModuleDict(further)

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """All of them, the first one first."""
        return self.encoder, *(cast("Encoder", one) for one in self.further_encoders.values())

    @property
    def parts(self) -> tuple[Self, ...]:
        """A network for each encoder, with the heads on it, which shares its weights; itself where it has one."""
        if not self.further_encoders:
            return (self,)
        return tuple(self._part(number, encoder) for number, encoder in enumerate(self.encoders))

    def _part(self, number: int, encoder: Encoder) -> Self:
        own = [spec for spec in self.specs if spec.encoder == number]
        part = type(self).__new__(type(self))
        nn.Module.__init__(part)
        part._hold(
            encoder,
            {spec.name: self.heads[spec.name] for spec in own},
            [replace(spec, encoder=0) for spec in own],
            self.preprocessing,
            {},
        )
        part.training = self.training
        return part

    def part(self, head: str) -> Self:
        """The part with this head. Raises NoHead."""
        for part in self.parts:
            if head in part.heads:
                return part
        raise NoHead(f"this model has no head {head!r}; it has {', '.join(self.heads) or 'none'}")

    @property
    def config(self) -> EncoderConfig:
        """Of the first encoder."""
        return self.encoder.config

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all heads in the order of `forward`'s columns."""
        return tuple(label for spec in self.specs for label in spec.labels)

    def embed(self, source: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """source (B, 12, L) float32, `padding_mask` (B, L) or (B, 12, L) True = padded -> pooled embedding (B, W) of
        the first encoder, which is the one that new heads are trained on.
        """
        padding = self.encoder.frame_padding(padding_mask)
        # Only on a GPU is there anything to switch, and an export of the network must not meet switches.
        with exact_float32() if source.is_cuda else nullcontext():
            return pool(self.encoder(source, padding), padding)

    def logits(self, embedding: Tensor) -> dict[str, Tensor]:
        """Pooled embedding (B, W) of the first encoder -> per head on it (B, labels)."""
        return {spec.name: self.heads[spec.name](embedding) for spec in self.specs if spec.encoder == 0}

    def forward(self, source: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """source (B, 12, L) -> logits (B, labels) of all heads side by side; raises `NoHead` where there is none."""
        if not self.specs:
            raise NoHead(
                "this model has no head: it gives embeddings (module.embed); train a head or load a finetuned file"
            )
        found: dict[str, Tensor] = {}
        for part in self.parts:  # each encoder runs once
            found |= part.logits(part.embed(source, padding_mask))
        return torch.cat([found[spec.name] for spec in self.specs], dim=1)

    def fold(self) -> "EcgFm":
        """Fold what only training needs apart; outputs stay, up to rounding. Returns itself."""
        for encoder in self.encoders:
            encoder.fold()
        return self
