"""A training run's checkpoint on disk: written whole and safely, or the one before stays."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # Any: torch's states

import torch

from ecgfm.errors import TrainingError

FORMAT = 1  #: what stands under "format"; fine-tuning checkpoints made before it was written are of format 1


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Replace `path` in one step, on disk when this returns.
    `state` is tensors and plain values, as `torch.save` takes them.

    Raises TrainingError where the disk does not take it; the older checkpoint stays.
    """
    scratch = path.with_suffix(f"{path.suffix}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch's zip writer reports a full disk as a RuntimeError
        scratch.unlink(missing_ok=True)
        cause = error.strerror if isinstance(error, OSError) else "the file could not be written"
        raise TrainingError(
            f"the checkpoint cannot be written to {path.parent} ({cause}); free disk space and start the same run "
            "again: it goes on from the checkpoint before"
        ) from error


def read_checkpoint(path: Path, *, names: frozenset[str], remedy: str) -> dict[str, Any]:
    """The state as `write_checkpoint` was given it, on the CPU; nothing in the file is executed.

    `names` must be in it. Raises TrainingError with the `remedy` where the file is damaged, and where it is no
    checkpoint of this kind.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged zip or pickle provokes
        raise TrainingError(f"{path} cannot be read; {remedy}") from error
    if not isinstance(state, dict) or state.get("format", FORMAT) != FORMAT or not names <= state.keys():
        raise TrainingError(f"{path} is not a training checkpoint of this program (format {FORMAT})")
    return state


def _sync_folder(folder: Path) -> None:
    """The new name in the folder is on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
