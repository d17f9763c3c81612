"""Training metrics as one CSV line a report, and as TensorBoard curves where wanted; a resumed run goes on in the same file."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecgfm.errors import TrainingError


class MetricsLog:
    """Append-only CSV of one run. `after` cuts off what a run wrote beyond the checkpoint that it now goes on from."""

    def __init__(self, path: Path, *, after: int, tensorboard: bool, active: bool) -> None:
        self.path, self.active = path, active
        self._board: Any = None
        if not active:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut(path, after)
        if tensorboard:
            self._board = _summary_writer(path.parent / "tensorboard", after)

    def write(self, update: int, epoch: int, split: str, metrics: Mapping[str, float]) -> None:
        """One line; the columns are those of the first line ever written."""
        if not self.active:
            return
        row = {"update": update, "epoch": epoch, "split": split, **metrics}
        new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        if self._board is not None:
            for name, value in metrics.items():
                self._board.add_scalar(f"{split}/{name}", value, update)

    def flush(self) -> None:
        """What was written is on disk when this returns."""
        if self._board is not None:
            self._board.flush()


def _cut(path: Path, after: int) -> None:
    """Drop lines of updates later than `after`; the file is removed where nothing stays."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    kept = [row for row in rows[1:] if row and row[0].isdigit() and int(row[0]) <= after]
    if not kept:
        path.unlink()
        return
    scratch = path.with_suffix(".part")
    with scratch.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([rows[0], *kept])
    scratch.replace(path)


def _summary_writer(folder: Path, after: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrainingError("TensorBoard curves need tensorboard: pip install 'ecgfm-clinical[train]'") from error
    return SummaryWriter(str(folder), purge_step=after + 1)
