"""Recordings on disk as a `torch.utils.data.Dataset` of prepared segments; what cannot be used is listed with its
reason, never dropped without a word.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ecgfm.errors import DataError, RecordingError, SignalError
from ecgfm.feeding import segments_of
from ecgfm.recording_files import RecordingFolder, Source
from ecgfm.signal import PREPROCESSING


class Segment(NamedTuple):
    """One 5 s segment; a batch of a `DataLoader` is one of these with a first axis more."""

    source: torch.Tensor  #: (12, 2500) float32, prepared: what the network takes
    labels: torch.Tensor  #: (labels,) float32, NaN where not known
    recording: int  #: its place in `RecordingDataset.keys`


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A recording that gives no segment, and why."""

    key: str
    reason: str


class RecordingDataset(Dataset[Segment]):
    """Every segment of every recording that can be used, recording after recording.

    Each recording is read once when the set is made, so that `left_out` is whole before an epoch begins, and again when
    its segments are asked for: signals are not held in memory, and worker processes read for themselves.
    """

    def __init__(
        self,
        source: Source,
        *,
        keys: Sequence[str] | None = None,
        labels: Mapping[str, Sequence[float]] | None = None,
        label_names: Sequence[str] = (),
        preprocessing: str = PREPROCESSING,
    ) -> None:
        """`keys`: of the source, all where None; `labels`: key -> one value a name. Raises DataError where none can be
        used."""
        self.label_names = tuple(label_names)
        self.left_out: tuple[LeftOut, ...] = ()
        self._source, self._preprocessing = source, preprocessing
        self._last: tuple[int, NDArray[np.float32]] | None = None
        used: list[str] = []
        self._segments: list[tuple[int, int]] = []
        for key in source.keys() if keys is None else keys:
            found = self._count(key)
            if isinstance(found, LeftOut):
                self.left_out += (found,)
                continue
            self._segments += [(len(used), number) for number in range(found)]
            used.append(key)
        if not used:
            first = f": {self.left_out[0].key}: {self.left_out[0].reason}" if self.left_out else ""
            raise DataError(f"none of {len(self.left_out)} recordings can be used{first}")
        self.keys = tuple(used)
        unknown = (float("nan"),) * len(self.label_names)
        self._labels = np.array([(labels or {}).get(key, unknown) for key in used], np.float32).reshape(len(used), -1)

    @classmethod
    def folder(cls, root: str | Path, *, preprocessing: str = PREPROCESSING) -> "RecordingDataset":
        """Everything in a folder and its sub-folders that `ecgfm.recording_files` reads, without labels."""
        return cls(RecordingFolder(root=Path(root)), preprocessing=preprocessing)

    @classmethod
    def manifest(
        cls, path: str | Path, root: str | Path, labels: Sequence[str], *, preprocessing: str = PREPROCESSING
    ) -> "RecordingDataset":
        """The recordings that a CSV file names in its column `recording` (relative to `root`, with `#row` in a file of
        several), with the labels of its columns `labels`: 0, 1 or empty. Raises DataError."""
        told = _manifest(Path(path), labels)
        source = RecordingFolder(root=Path(root))
        return cls(source, keys=tuple(told), labels=told, label_names=labels, preprocessing=preprocessing)

    def __len__(self) -> int:
        return len(self._segments)

    def __getitem__(self, index: int) -> Segment:
        recording, number = self._segments[index]
        if self._last is None or self._last[0] != recording:  # segments of one recording stand beside each other
            found, _ = segments_of(self._source.read(self.keys[recording]), self._preprocessing)
            self._last = (recording, found)
        segments = self._last[1]
        return Segment(torch.from_numpy(segments[number].copy()), torch.from_numpy(self._labels[recording]), recording)

    def _count(self, key: str) -> int | LeftOut:
        """How many segments a recording has."""
        try:
            recording = self._source.read(key)
            segments, reasons = segments_of(recording, self._preprocessing)
        except (RecordingError, SignalError) as error:
            return LeftOut(key=key, reason=str(error))
        return LeftOut(key=key, reason=", ".join(reasons)) if reasons else len(segments)


def _manifest(path: Path, labels: Sequence[str]) -> dict[str, tuple[float, ...]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    absent = [name for name in ("recording", *labels) if not lines or name not in lines[0]]
    if absent:
        raise DataError(f"{path} has no column {', '.join(absent)}")
    found: dict[str, tuple[float, ...]] = {}
    for line in lines:
        if line["recording"] in found:
            raise DataError(f"{path} names a recording twice: {line['recording']}")
        found[line["recording"]] = tuple(_label(path, name, line[name]) for name in labels)
    return found


def _label(path: Path, name: str, text: str) -> float:
    if text.strip() in ("", "0", "1"):
        return float(text.strip() or "nan")
    raise DataError(f"{path}: column {name} holds {text[:20]!r}; labels are 1, 0 or empty")
