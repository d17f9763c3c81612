"""The pretraining objective of ECG-FM: wav2vec 2.0 with CMSC on lead-masked segment pairs,
term for term as in fairseq-signals.

wav2vec 2.0 is Baevski et al. 2020 (arXiv 2006.11477), CMSC is Kiyasseh et al. 2021 (CLOCS, arXiv 2005.13249), their
union with random lead masking is Oh et al. 2022 (arXiv 2203.06889). Shapes in comments use P pairs, B = 2P segments, C
convolution channels, T frames, M masked frames of a row, N negatives, D code width, W encoder width.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self  # Any: JSON of a recipe

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgfm.config import EncoderConfig
from ecgfm.encoder import Encoder
from ecgfm.errors import UnknownArchitecture
from ecgfm.network import pool
from ecgfm.pretraining.masking import SpanMasking, draw_negatives


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """Sizes and weights of the objective; the defaults are the published ones.

    Raises:
        ValueError: sizes that cannot be built.
    """

    masking: SpanMasking = field(default_factory=SpanMasking)
    codes: int = 320  #: entries of each codebook (latent_vars)
    groups: int = 2  #: codebooks (latent_groups)
    code_width: int = 256  #: width of targets and predictions (final_dim)
    negatives: int = 100
    temperature: float = 0.1  #: of the contrastive logits
    gumbel_start: float = 2.0
    gumbel_end: float = 0.5
    gumbel_decay: float = 0.999995  #: per update; 0.5 is reached after about 277 000
    dropout_features: float = 0.1  #: on the quantiser's input
    diversity_weight: float = 0.1
    feature_penalty_weight: float = 10.0
    cmsc_weight: float = 1.0
    cmsc_temperature: float = 0.1

    def __post_init__(self) -> None:
        if self.code_width % self.groups:
            raise ValueError(f"code width {self.code_width} is not divisible by {self.groups} codebooks")
        if min(self.codes, self.groups, self.negatives) < 1:
            raise ValueError("codes, groups and negatives must be at least 1")

    def gumbel_temperature(self, updates: int) -> float:
        """Softmax temperature of the quantiser after `updates` optimiser steps."""
        return max(self.gumbel_start * self.gumbel_decay**updates, self.gumbel_end)

    def to_json(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**{**values, "masking": SpanMasking(**values["masking"])})


class Batch(NamedTuple):
    """One micro-batch with every integer draw already made,
    so that a step needs no random stream but dropout's and Gumbel's.

    Rows 0 … P-1 are the first segments of the pairs, rows P … 2P-1 the second segments of the same pairs.
    """

    source: Tensor  #: (B, 12, L) float32, z-scored and augmented
    identities: Tensor  #: (B,) int64; equal numbers are the same patient (or record)
    mask: Tensor  #: (B, T) bool, True = hidden from the transformer
    frames: Tensor  #: (B, M) int64, the masked frames of each row, ascending; rows with fewer are filled with 0
    counts: Tensor  #: (B,) int64, masked frames of each row
    negatives: Tensor  #: (B, M, N) int64, positions among the row's own masked frames
    padding: Tensor | None = None  #: (B, T) bool, True = frame without signal

    @classmethod
    def build(
        cls,
        source: Tensor,
        identities: Tensor,
        mask: NDArray[np.bool_],
        negatives: int,
        generator: torch.Generator | None = None,
        padding: Tensor | None = None,
    ) -> Self:
        """Complete a batch from its signals and its span mask, drawing `negatives` for each masked frame."""
        counts = torch.from_numpy(mask.sum(axis=1))
        frames = torch.zeros((len(mask), int(counts.max())), dtype=torch.int64)
        for row, hidden in enumerate(mask):
            found = np.flatnonzero(hidden)
            frames[row, : len(found)] = torch.from_numpy(found)
        drawn = draw_negatives(counts, negatives, generator)
        return cls(source, identities, torch.from_numpy(mask), frames, counts, drawn, padding)


class Losses(NamedTuple):
    """The sums of one micro-batch; divide by `frames` for the mean per masked frame,
    and by ln 2 for the reference's logs.
    """

    total: Tensor  #: what is minimised: the sum of the next four
    contrastive: Tensor
    diversity: Tensor
    feature_penalty: Tensor
    cmsc: Tensor
    frames: Tensor  #: masked frames S of this micro-batch, int64
    correct: Tensor  #: masked frames whose own target scored highest, int64
    prob_perplexity: Tensor
    code_perplexity: Tensor


class Quantised(NamedTuple):
    """Discrete targets and how widely the codebooks are used."""

    codes: Tensor  #: (rows, D)
    prob_perplexity: Tensor  #: of the mean soft assignment, summed over codebooks
    code_perplexity: Tensor  #: of the counts of chosen codes, summed over codebooks


class GumbelQuantiser(nn.Module):
    """Product quantiser with a straight-through Gumbel softmax in training and arg-max in evaluation (arXiv
    2006.11477, §2).
    """

    def __init__(self, width: int, config: ObjectiveConfig) -> None:
        super().__init__()
        self.groups, self.codes = config.groups, config.codes
        entries = config.groups * config.codes
        self.vars = nn.Parameter(torch.empty(1, entries, config.code_width // config.groups).uniform_())
        self.weight_proj = nn.Linear(width, entries)
        nn.init.normal_(self.weight_proj.weight, mean=0, std=1)
        nn.init.zeros_(self.weight_proj.bias)

    def forward(self, x: Tensor, weights: Tensor, temperature: float, noise: Tensor | None = None) -> Quantised:
        """x (rows, C); `weights` (rows,) is 1 for a frame that counts and 0 for filling; `noise` (rows·groups, codes).

        Without `noise` a training pass draws its own.
        """
        logits = self.weight_proj(x).float().view(-1, self.groups, self.codes)
        # Not F.one_hot, which looks at the values on the host.
        hard = torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
        code_perplexity = _perplexity(_weighted_mean(hard, weights))
        prob_perplexity = _perplexity(_weighted_mean(logits.softmax(-1), weights))
        chosen = self._straight_through(logits, temperature, noise) if self.training else hard
        table = self.vars.view(self.groups, self.codes, -1)
        codes = torch.einsum("rgv,gvd->rgd", chosen, table).flatten(1)
        return Quantised(codes, prob_perplexity, code_perplexity)

    def _straight_through(self, logits: Tensor, temperature: float, noise: Tensor | None) -> Tensor:
        gumbel = -torch.empty_like(logits).exponential_().log() if noise is None else noise.view_as(logits)
        soft = ((logits + gumbel) / temperature).softmax(-1)
        hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
        # (hard - soft) + soft in this order: its 1 is off by an ulp that differs from frame to frame, which decides
        # whether two frames of one code count as equal below. The reference has the same order.
        return hard - soft.detach() + soft


class Pretraining(nn.Module):
    """Encoder plus everything that only pretraining needs,
    with fairseq-signals' tensor names (`reference_state_dict`).
    """

    def __init__(self, encoder: EncoderConfig, objective: ObjectiveConfig) -> None:
        super().__init__()
        self.objective = objective
        self.encoder = Encoder(encoder)
        self.mask_emb = nn.Parameter(torch.empty(encoder.width).uniform_())
        self.dropout_features = nn.Dropout(objective.dropout_features)
        self.quantizer = GumbelQuantiser(encoder.conv_width, objective)
        self.project_q = nn.Linear(objective.code_width, objective.code_width)
        self.final_proj = nn.Linear(encoder.width, objective.code_width)

    def forward(self, batch: Batch, gumbel_temperature: float, gumbel_noise: Tensor | None = None) -> Losses:
        """The losses of one micro-batch. `gumbel_noise` (B·M·groups, codes) replaces the quantiser's own draw."""
        features = self.encoder.features(batch.source)  # (B, C, T)
        normalised = self.encoder.normalise(features)  # (B, T, C)
        projected = self.encoder.project(normalised)
        hidden = torch.where(batch.mask[..., None], self.mask_emb.to(projected.dtype), projected)
        context = self.encoder.contextualise(hidden, batch.padding)  # (B, T, W)

        valid = torch.arange(batch.frames.shape[1], device=batch.frames.device) < batch.counts[:, None]  # (B, M)
        targets = _gather_frames(self.dropout_features(normalised), batch.frames)  # (B, M, C)
        rows = targets.shape[:2]
        quantised = self.quantizer(targets.flatten(0, 1), valid.flatten(), gumbel_temperature, gumbel_noise)
        codes = self.project_q(quantised.codes).unflatten(0, rows)  # (B, M, D)
        predicted = self.final_proj(_gather_frames(context, batch.frames))  # (B, M, D)

        # Logits, soft-max and norms in float32 whatever autocast does elsewhere: bf16 would blur the ranking of
        # negatives.
        with torch.autocast(features.device.type, enabled=False):
            logits = contrastive_logits(predicted.float(), codes.float(), batch.negatives, self.objective.temperature)
            pooled = pool(context.float(), batch.padding)
            return self._losses(batch, features.float(), logits, valid, pooled, quantised)

    def reference_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """(fairseq-signals tensor name, parameter) pairs:
        there the encoder is the model itself, here it is a part of it.
        """
        for name, parameter in self.named_parameters():
            yield name.removeprefix("encoder."), parameter

    def reference_state_dict(self) -> dict[str, Tensor]:
        """Weights under fairseq-signals' names, detached, on the CPU."""
        return {name.removeprefix("encoder."): tensor.detach().cpu() for name, tensor in self.state_dict().items()}

    def load_reference_state_dict(self, weights: Mapping[str, Tensor]) -> None:
        """Load weights named as in fairseq-signals, either spelling of weight normalisation.

        Raises:
            UnknownArchitecture: tensors are missing, left over, or of another shape.
        """
        own = {name.removeprefix("encoder."): name for name in self.state_dict()}
        try:
            self.load_state_dict({own.get(name, f"encoder.{name}"): tensor for name, tensor in weights.items()})
        except RuntimeError as error:
            raise UnknownArchitecture(f"the weights do not fit the configured network: {error}") from error

    def _losses(
        self, batch: Batch, features: Tensor, logits: Tensor, valid: Tensor, pooled: Tensor, quantised: Quantised
    ) -> Losses:
        config = self.objective
        frames = batch.counts.sum()
        wrong = logits.logsumexp(-1) - logits[..., 0]  # cross-entropy of class 0, (B, M)
        contrastive = torch.where(valid, wrong, 0.0).sum()
        entries = config.groups * config.codes
        diversity = config.diversity_weight * ((entries - quantised.prob_perplexity) / entries) * frames
        penalty = config.feature_penalty_weight * features.pow(2).mean() * frames
        pairs = len(pooled) // 2
        cmsc = (
            config.cmsc_weight
            * frames
            * cmsc_loss(
                pooled[:pairs],
                pooled[pairs:],
                batch.identities[:pairs, None] == batch.identities[None, pairs:],
                config.cmsc_temperature,
            )
        )
        own, others = logits[..., 0], logits[..., 1:]
        # A row whose values are all equal is no success, as in the reference's accuracy.
        correct = (valid & (own >= others.amax(-1)) & (own > others.amin(-1))).sum()
        total = contrastive + diversity + penalty + cmsc
        return Losses(
            total,
            contrastive.detach(),
            diversity.detach(),
            penalty.detach(),
            cmsc.detach(),
            frames,
            correct,
            quantised.prob_perplexity.detach(),
            quantised.code_perplexity.detach(),
        )


def contrastive_logits(predicted: Tensor, codes: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Cosine similarity of each prediction with its own target and its negatives: (B, M, 1 + N), own target first.

    A negative bitwise equal to the positive gets -inf. The similarities of a row are one M × M product, gathered
    afterwards; the reference copies N + 1 targets for each frame instead, 101 times the memory.
    """
    similarity = F.normalize(predicted, dim=-1, eps=1e-8) @ F.normalize(codes, dim=-1, eps=1e-8).transpose(1, 2)
    keys = _bit_keys(codes)
    same = keys[:, :, None] == keys[:, None]  # (B, M, M)
    own = similarity.diagonal(dim1=1, dim2=2)[..., None]
    others = similarity.masked_fill(same, -math.inf).gather(2, negatives)
    return torch.cat([own, others], dim=-1) / temperature


def _bit_keys(codes: Tensor) -> Tensor:
    """One int64 for each vector (…, D) float32, equal where the vectors are bitwise equal,
    else different but for a chance of 2^-63.

    A multilinear hash modulo 2^64 with odd factors: vectors that differ in one place never collide.
    """
    bits = codes.detach().contiguous().view(torch.int32).long()
    places = torch.arange(1, codes.shape[-1] + 1, device=codes.device)
    factors = (places * 0x1E3779B97F4A7C15) ^ (places * 0x3F58476D1CE4E5B9 >> 29) | 1
    return (bits * factors).sum(-1)


def cmsc_loss(first: Tensor, second: Tensor, same: Tensor, temperature: float) -> Tensor:
    """Contrastive loss between the two segments of each pair, mean over positives, both directions.

    first, second (P, W); same (P, P) True where row and column belong to one patient. Norms are detached: no gradient
    passes through the normaliser, as in the reference.
    """
    unit = [rows / rows.detach().norm(dim=1, keepdim=True).clamp(min=1e-8) for rows in (first, second)]
    logits = unit[0] @ unit[1].T / temperature
    positives = same.sum()
    by_row = -torch.where(same, logits.log_softmax(1), 0.0).sum() / positives
    by_column = -torch.where(same, logits.log_softmax(0), 0.0).sum() / positives
    loss: Tensor = (by_row + by_column) / 2
    return loss


def _gather_frames(x: Tensor, frames: Tensor) -> Tensor:
    """(B, T, C) at (B, M) -> (B, M, C)."""
    return x.gather(1, frames[..., None].expand(-1, -1, x.shape[-1]))


def _weighted_mean(x: Tensor, weights: Tensor) -> Tensor:
    """Mean of (rows, groups, codes) over the rows that count."""
    return torch.einsum("r,rgv->gv", weights.to(x.dtype), x) / weights.sum()


def _perplexity(probabilities: Tensor) -> Tensor:
    """Sum over codebooks of exp(entropy), (groups, codes) -> scalar."""
    return torch.exp(-(probabilities * (probabilities + 1e-7).log()).sum(-1)).sum()
