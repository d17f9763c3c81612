"""What a model predicted of each recording, beside what was true: `predictions.csv`, a line a recording and label.

Recordings and patients are named by the opaque keys of their source; for an archive a key ends in the recording's path.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.learning.documents import write_text


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predicted:
    """One label of some recordings."""

    label: str
    keys: Sequence[str]
    patients: Sequence[str]
    truth: NDArray[np.float64]  #: (n,) 0 or 1
    scores: Mapping[str, NDArray[np.float64]]  #: `model` and whatever it is compared with -> (n,)


def write_predictions(path: Path, parts: Iterable[Predicted]) -> None:
    """Raises LearningError where the disk refuses."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_lines(list(parts)))
    write_text(path, text.getvalue())


def _lines(parts: Sequence[Predicted]) -> Iterator[Sequence[str]]:
    names = list(dict.fromkeys(name for part in parts for name in part.scores))
    yield ["label", "recording", "patient", "true", *names]
    for part in parts:
        for row, key in enumerate(part.keys):
            scores = [f"{part.scores[name][row]:.6f}" if name in part.scores else "" for name in names]
            yield [part.label, key, part.patients[row], f"{part.truth[row]:g}", *scores]
