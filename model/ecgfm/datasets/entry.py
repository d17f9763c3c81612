"""What every data set says of its recordings, and what is known of a data set as a whole."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

#: Between a cart's statements in one field of a table.
STATEMENTS_PARTED = " | "
Split = Literal["train", "validation", "test", ""]
Unit = Literal["", "mV", "arbitrary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One recording as its data set lists it."""

    recording: str  #: path relative to the data set's folder, `#row` after a file that holds several recordings
    patient: str = field(repr=False)  #: as the data set names a patient; the recording itself where it has one each
    labels: Mapping[str, float | None] = field(default_factory=dict)  #: 0, 1, or None where the data set does not say
    split: Split = ""  #: the official one; empty where the data set has none
    fold: str = ""  #: the official fold by its own name
    age: float | None = None  #: years
    sex: Literal["M", "F", ""] = ""
    recorded_at: str = ""  #: ISO 8601, as shifted as the data set is
    device: str = ""
    site: str = ""
    statements: tuple[str, ...] = field(default=(), repr=False)  #: the cart's words
    codes: tuple[str, ...] = ()  #: `SNOMED:164889003`, `SCP:NORM`
    unit: Unit = ""  #: where the file does not state one; `arbitrary`: only the shape of the signal is known
    leads: tuple[str, ...] = ()  #: where the file does not name them, in its order
    samples: int | None = None  #: where counting them needs the whole file
    sampling_rate: float | None = None  #: Hz


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A measured result of a patient, from tables beside the recordings."""

    patient: str = field(repr=False)
    kind: str  #: `lvef`, `troponin`, or a kind that settings declare
    value: float
    unit: str
    observed_at: datetime  #: when the echo was made or the specimen drawn
    result_id: str
    comparator: Literal["", "<", ">"] = ""
    code: str = ""
    assay: str = ""
    upper_reference_limit: float | None = None  #: as the laboratory reports it, in `unit`


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A public data set: where it comes from, what may be done with it, and how its folder is read."""

    name: str  #: as on the command line
    title: str
    version: str  #: whose layout is read
    url: str
    access: str  #: what a person must do to get it
    licence: str
    citation: str
    folds: str  #: the official split in words
    layout: str  #: the files that are read
    notes: str = ""
    entries: Callable[[Path], Iterator[Entry]] = field(repr=False)
    #: whether the published ECG-FM weights saw it in pretraining (then a figure on it is no external evaluation)
    in_pretraining: bool = False
