"""The scores that a head was calibrated on, each by a training that saw nothing of the patient, kept beside its run.

They let a head be calibrated anew without training. ECGs are named by the opaque keys of their source, as in
`predictions.csv` beside them; what of the patients is true today is asked of the source.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from glob import escape
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import TrainingError
from ecgfm_clinical.errors import LearningError

FILE = "out-of-fold.npz"
Logits = NDArray[np.float64]  #: (segments, labels) of one ECG


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFold:
    """One training's ECGs, all that it learnt from, with their logits."""

    head: str
    model_id: str  #: of the bundle that the training made
    as_of: datetime  #: of the training
    keys: Sequence[str] = field(repr=False)
    logits: Sequence[Logits] = field(repr=False)

    def keep(self, folder: Path) -> None:
        """In the folder of the run. Raises TrainingError where the disk does not take it."""
        told = {"head": self.head, "model_id": self.model_id, "as_of": self.as_of.isoformat(), "keys": [*self.keys]}
        write_logits(folder / FILE, self.logits, json.dumps(told))


def kept(runs: Path, head: str, models: Collection[str], as_of: datetime) -> OutOfFold | None:
    """Of the training of this head as of that moment that made one of these models (by model_id); None where it was
    calibrated otherwise, at another place, or by a program that kept nothing. Raises LearningError.
    """
    for path in sorted(runs.glob(f"{escape(head)}-*/{FILE}")):
        logits, told = read_logits(path)
        found = json.loads(told)
        if found["head"] == head and found["model_id"] in models and found["as_of"] == as_of.isoformat():
            return OutOfFold(head=head, model_id=found["model_id"], as_of=as_of, keys=found["keys"], logits=logits)
    return None


def write_logits(path: Path, logits: Sequence[Logits], told: str = "") -> None:
    """Whole or not at all. Raises TrainingError where the disk does not take it."""
    scratch = path.with_suffix(".part")
    try:
        with scratch.open("wb") as file:
            rows, counts = np.concatenate(logits), np.array([len(own) for own in logits])
            np.savez(file, rows=rows, counts=counts, told=np.array(told))
        scratch.replace(path)
    except OSError as error:
        raise TrainingError(f"{path} cannot be written ({error.strerror}); free disk space and start again") from error


def read_logits(path: Path) -> tuple[list[Logits], str]:
    """The logits of each ECG, and what was told of them. Raises LearningError where the file is damaged."""
    try:
        with path.open("rb") as file, np.load(file) as held:
            told = str(held["told"]) if "told" in held else ""
            return np.split(held["rows"], np.cumsum(held["counts"])[:-1]), told
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise LearningError(f"{path} cannot be read; remove it, and what needs it goes on without it") from error
