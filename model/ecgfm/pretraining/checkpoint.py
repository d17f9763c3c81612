"""The checkpoints of a pretraining run: what one holds, where they lie, and the model of one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self  # Any: torch's states

from torch import Tensor

from ecgfm.errors import TrainingError
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


def forget_older(folder: Path, *, keep: int) -> None:
    """Remove all numbered checkpoints but the `keep` newest."""
    for old in sorted((folder / CHECKPOINTS).glob("update-*.pt"))[:-keep]:
        old.unlink()


def checkpoint_to_go_on_from(folder: Path, recipe: Recipe, data: str) -> Checkpoint | None:
    """The newest checkpoint of the folder; None where there is none.

    Raises TrainingError where it cannot be read, or was trained by another recipe or on other `data` (their digest).
    """
    newest = newest_checkpoint(folder)
    if newest is None:
        return None
    found = Checkpoint.read(newest)
    changed = _differences(found.recipe.identity(), recipe.identity())
    if changed:
        raise TrainingError(
            f"{newest} was trained with another recipe ({', '.join(changed)} differ); name another folder, or go "
            "on with the recipe it was begun with"
        )
    if found.data != data:
        raise TrainingError(
            f"{newest} was trained on another shard set; name another folder or the set it was begun with"
        )
    return found


def load_pretraining(path: Path) -> tuple[Pretraining, Checkpoint]:
    """The model of a training checkpoint, and the checkpoint. Raises TrainingError."""
    checkpoint = Checkpoint.read(path)
    model = Pretraining(checkpoint.recipe.encoder, checkpoint.recipe.objective)
    model.load_state_dict(checkpoint.model)
    return model, checkpoint


def _differences(theirs: dict[str, object], ours: dict[str, object], prefix: str = "") -> list[str]:
    """Dotted names of the settings that differ."""
    found = []
    for name in sorted(set(theirs) | set(ours)):
        a, b = theirs.get(name), ours.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, f"{prefix}{name}.")
        elif a != b:
            found.append(f"{prefix}{name}")
    return found
