"""The figures of a pretraining run: which losses are summed over processes, and what `metrics.csv` tells of their sums.

Losses are in bits per masked frame, as the reference logs them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ecgfm.pretraining.objective import Losses
from ecgfm.pretraining.recipe import Recipe

METRICS = "metrics.csv"

#: Fields of `Losses` that are added up over micro-batches and processes; the first four are parts of the loss.
SUMMED = (
    "contrastive",
    "diversity",
    "feature_penalty",
    "cmsc",
    "frames",
    "correct",
    "prob_perplexity",
    "code_perplexity",
)
FRAMES = SUMMED.index("frames")
#: Of `metrics.csv`.
COLUMNS = (
    *("update", "epoch", "split", "loss", *SUMMED[:4], "accuracy", "masked_frames"),
    *("prob_perplexity", "code_perplexity", "gumbel_temperature", "learning_rate", "pairs_per_second"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One line of news: `metrics` are means since the last one,
    losses in bits per masked frame as the reference logs them.
    """

    update: int
    updates: int
    epoch: int
    split: str  #: training or validation
    metrics: dict[str, float]
    device: str  #: where it trains, in words


def no_sums(device: torch.device) -> Tensor:
    """A zero for every name of `SUMMED`, float64 (8,)."""
    return torch.zeros(len(SUMMED), dtype=torch.float64, device=device)


def summed(losses: Losses) -> Tensor:
    """One micro-batch's addends, float64 (8,), where they were computed."""
    return torch.stack([getattr(losses, name).detach().double() for name in SUMMED])


def metrics_of(
    recipe: Recipe, sums: Tensor, *, update: int, epoch: int, micro_batches: int, seconds: float
) -> dict[str, float]:
    """The columns of `metrics.csv` beside update, epoch and split, of the `sums` of so many micro-batches."""
    values = dict(zip(SUMMED, sums.tolist(), strict=True))
    frames = values["frames"]
    bits = {name: values[name] / frames / math.log(2) for name in SUMMED[:4]}
    return {
        "loss": sum(bits.values()),
        **bits,
        "accuracy": values["correct"] / frames,
        "masked_frames": frames,
        "prob_perplexity": values["prob_perplexity"] / micro_batches,
        "code_perplexity": values["code_perplexity"] / micro_batches,
        "gumbel_temperature": recipe.objective.gumbel_temperature(update - 1),
        "learning_rate": recipe.learning_rate(update - 1, epoch),
        "pairs_per_second": micro_batches * recipe.training.pairs_per_micro_batch / seconds,
    }
