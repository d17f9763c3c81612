"""Which frames pretraining hides, and which frames serve as wrong answers (wav2vec 2.0, arXiv 2006.11477, §3.2 and
§4.2).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanMasking:
    """How spans are drawn. `equalise` says what happens to rows that got different numbers of masked frames.

    `batch-minimum` is the reference: every row is cut to the smallest count in its batch by un-masking random frames,
    so the masked share falls from 50 % at batch 1 to about 36 % at batch 128 (T = 156). `keep` leaves each row as
    drawn, about 49 % at any batch size, which is what the paper states.
    """

    probability: float = 0.65
    length: int = 10  #: frames
    minimum_spans: int = 2
    equalise: Literal["batch-minimum", "keep"] = "batch-minimum"

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1 or self.length < 1 or self.minimum_spans < 0:
            raise ValueError("masking: need 0 < probability <= 1, length >= 1 and minimum_spans >= 0")
        if self.equalise not in ("batch-minimum", "keep"):
            raise ValueError(f"masking: equalise must be batch-minimum or keep, not {self.equalise!r}")

    def _spans(self, frames: int, stream: RandomState) -> int:
        """The rounding is random, so that the expected number is exact."""
        drawn = int(self.probability * frames / self.length + stream.rand())
        return max(self.minimum_spans, drawn)


def draw_span_mask(
    masking: SpanMasking,
    rows: int,
    frames: int,
    stream: RandomState,
    padding: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Boolean (rows, frames), True where a frame is masked; numpy's draws come in the reference's order.

    `padding` (rows, frames) is True at frames that hold no signal; they are never masked.

    Raises:
        ValueError: a row is shorter than one span.
    """
    spans = masking._spans(frames, stream)
    chosen: list[NDArray[np.int64]] = []
    for row in range(rows):
        length = frames
        if padding is not None:
            length = frames - int(padding[row].sum())
            spans = masking._spans(length, stream)
        if length - masking.length < spans:
            raise ValueError(f"{length} frames are too few for {spans} masked spans of {masking.length}")
        starts = stream.choice(length - masking.length, spans, replace=False)
        covered = np.unique((starts[:, None] + np.arange(masking.length)).ravel())
        chosen.append(covered[covered < length])
    if masking.equalise == "batch-minimum":
        smallest = min(len(covered) for covered in chosen)
        chosen = [
            stream.choice(covered, smallest, replace=False) if len(covered) > smallest else covered
            for covered in chosen
        ]
    mask = np.zeros((rows, frames), dtype=bool)
    for row, covered in enumerate(chosen):
        mask[row, covered] = True
    return mask


def draw_negatives(counts: torch.Tensor, negatives: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """For each masked frame `negatives` other masked frames of the same row, with replacement.

    `counts` (rows,) int64 is the number of masked frames of each row, M its maximum. Returns (rows, M, negatives) int64
    positions among the row's own masked frames; entries of frames beyond a row's count are 0 and mean nothing. Where
    all counts are equal the draw is the reference's, torch seed for torch seed.

    Raises:
        ValueError: a row has fewer than two masked frames, so it holds no wrong answer.
    """
    widest, narrowest = int(counts.max()), int(counts.min())
    if narrowest < 2:
        raise ValueError("a segment with fewer than two masked frames has no negatives")
    rows, device = len(counts), counts.device
    if widest == narrowest:
        drawn = torch.randint(0, widest - 1, (rows, widest * negatives), generator=generator, device=device)
        drawn = drawn.view(rows, widest, negatives)
    else:
        uniform = torch.rand((rows, widest, negatives), generator=generator, device=device, dtype=torch.float64)
        drawn = (uniform * (counts - 1)[:, None, None]).long()
    own = torch.arange(widest, device=device)[None, :, None]
    drawn = drawn + (drawn >= own)
    return drawn.where(own < counts[:, None, None], 0)
