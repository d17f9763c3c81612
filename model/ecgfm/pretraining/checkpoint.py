"""The checkpoints of a pretraining run: what one holds, where they lie, and the model of one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from ecgfm.pretraining.objective import Pretraining
from ecgfm.pretraining.recipe import Recipe
from ecgfm.training.checkpoints import read_checkpoint, write_checkpoint

CHECKPOINTS = "checkpoints"
BEST = "best.pt"

_NAMES = frozenset({"recipe", "data", "update", "best", "sums", "since", "model", "optimiser"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A run after `update` optimiser steps, whole: whatever number of processes goes on from it."""

    recipe: Recipe
    data: str  #: digest of the shard set
    update: int
    best: float  #: the lowest validation loss so far, in bits per masked frame
    sums: Tensor  #: summed losses of the updates since the last report
    since: int  #: the number of those updates
    model: dict[str, Tensor]
    optimiser: dict[str, Any]  #: as `torch.optim.Optimizer.state_dict` gives it

    def write(self, path: Path) -> None:
        """Whole and on disk, or the file before stays; raises TrainingError where the disk does not take it."""
        state = {name: getattr(self, name) for name in _NAMES}
        write_checkpoint(path, {**state, "recipe": self.recipe.to_json()})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises TrainingError."""
        remedy = "remove it to go on from the one before, or name another folder"
        state = read_checkpoint(path, names=_NAMES, remedy=remedy)
        recipe = Recipe.from_json(state["recipe"])
        return cls(**{**{name: state[name] for name in _NAMES}, "recipe": recipe})


def checkpoint_path(folder: Path, update: int) -> Path:
    """Where the state after `update` steps is kept."""
    return folder / CHECKPOINTS / f"update-{update:08d}.pt"


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most updates, or None."""
    return max((folder / CHECKPOINTS).glob("update-*.pt"), default=None)


def load_pretraining(path: Path) -> tuple[Pretraining, Checkpoint]:
    """The model of a training checkpoint, and the checkpoint. Raises TrainingError."""
    checkpoint = Checkpoint.read(path)
    model = Pretraining(checkpoint.recipe.encoder, checkpoint.recipe.objective)
    model.load_state_dict(checkpoint.model)
    return model, checkpoint
