"""What a training run leaves on disk: one checkpoint that is whole or the one before, and a journal of losses."""

import csv
import os
from pathlib import Path
from pickle import UnpicklingError
from types import TracebackType
from typing import Any, Self

import torch

from ecgfm.errors import TrainingError

CHECKPOINT = "checkpoint.pt"
JOURNAL = "training.csv"
COLUMNS = ("epoch", "update", "loss", "validation_auprc", "validation_auroc")


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in one step. Raises TrainingError where the disk does not take it; the older one stays."""
    scratch = folder / f"{CHECKPOINT}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(folder / CHECKPOINT)
    except (OSError, RuntimeError) as error:  # torch's zip writer reports a full disk as a RuntimeError
        scratch.unlink(missing_ok=True)
        cause = error.strerror if isinstance(error, OSError) else "the file could not be written"
        raise TrainingError(
            f"the checkpoint cannot be written to {folder} ({cause}); free disk space and start the same run again: "
            "it goes on from the checkpoint before"
        ) from error


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The last whole checkpoint, or None. Raises TrainingError where it is damaged."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        raise TrainingError(f"{path} cannot be read; remove it to start this run from the beginning") from error
    return state


class Journal:
    """Losses and validation figures as CSV, and for TensorBoard where that is installed.

    After a kill the file may hold updates that the checkpoint does not: they are cut off, then it is continued.
    """

    def __init__(self, folder: Path, updates: int, *, write: bool = True) -> None:
        self._write = write
        if not write:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / JOURNAL
        kept = [row for row in _rows(path) if int(row["update"]) <= updates]
        self._file = path.open("w", newline="", encoding="utf-8")
        self._csv = csv.DictWriter(self._file, COLUMNS)
        self._csv.writeheader()
        self._csv.writerows(kept)
        self._board = _tensorboard(folder, updates)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._write:
            self._file.close()
            if self._board:
                self._board.close()

    def update(self, *, epoch: int, update: int, loss: float) -> None:
        """One optimiser step."""
        self._line({"epoch": epoch, "update": update, "loss": loss})

    def epoch(self, *, epoch: int, update: int, validation_auprc: float, validation_auroc: float) -> None:
        """The end of an epoch."""
        figures = {"validation_auprc": validation_auprc, "validation_auroc": validation_auroc}
        self._line({"epoch": epoch, "update": update, **figures})

    def _line(self, row: dict[str, float]) -> None:
        if not self._write:
            return
        self._csv.writerow(row)
        self._file.flush()
        for name in COLUMNS[2:]:
            if self._board and name in row:
                self._board.add_scalar(name, row[name], row["update"])


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if (row["update"] or "").isdigit()]  # a kill may have cut the last line short


def _tensorboard(folder: Path, updates: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=updates + 1)
