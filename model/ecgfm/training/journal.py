"""A training run's figures as one CSV line a report, and as TensorBoard curves where wanted;
a resumed run goes on in the same file.
"""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ecgfm.errors import TrainingError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Journal:
    """The CSV file of one run, written by its first process as it goes.

    After a kill the file may hold updates that the checkpoint does not: those later than `updates` are cut off, then it
    is continued.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], *, updates: int, curves: bool = False, write: bool = True
    ) -> None:
        """`curves` draws them beside the file too, for TensorBoard;
        without `write` nothing is written (processes but the first).
        """
        self._write, self._board = write, None
        if not write:
            return
        if curves:
            self._board = _tensorboard(path.parent / "tensorboard", updates=updates)
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut(path, columns, updates)
        self._file = path.open("a", newline="", encoding="utf-8")
        self._csv = csv.DictWriter(self._file, columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._write:
            return
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, update: int, epoch: int, figures: Mapping[str, float], *, split: str | None = None) -> None:
        """One line.

        `split` is training or validation, in a journal that has the column; its curves are named after it.
        """
        if not self._write:
            return
        named = {} if split is None else {"split": split}
        self._csv.writerow({"update": update, "epoch": epoch, **named, **figures})
        self._file.flush()
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name if split is None else f"{split}/{name}", value, update)

    def sync(self) -> None:
        """What was written is on disk when this returns."""
        if not self._write:
            return
        os.fsync(self._file.fileno())
        if self._board is not None:
            self._board.flush()


def _cut(path: Path, columns: Sequence[str], updates: int) -> None:
    """Leave the header and the lines of updates up to `updates`; a file that is not there begins with its header."""
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    scratch = path.with_suffix(".part")
    with scratch.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row for row in rows if _whole(row) and int(row["update"]) <= updates)
    scratch.replace(path)


def _whole(row: Mapping[str, str | None]) -> bool:
    """False for a line that a kill has cut short within its number."""
    return (row.get("update") or "").isdigit()


def _tensorboard(folder: Path, *, updates: int) -> "SummaryWriter":
    """Curves in `folder`, those of updates later than `updates` purged. Raises TrainingError without the library."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrainingError("TensorBoard curves need tensorboard: pip install 'ecgfm-clinical[train]'") from error
    return SummaryWriter(str(folder), purge_step=updates + 1)


def has_tensorboard() -> bool:
    """True where the library is installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        return False
    return True
