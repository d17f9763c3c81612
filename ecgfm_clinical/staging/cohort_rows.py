"""What cohorts are made of: frozen rows of staged ECGs and measured outcomes, without names or numbers of people."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ecgfm_connectors.patient import Sex

#: `lvef`, `troponin`, or a kind that the site declares.
OutcomeKind = str
OutcomeStatus = Literal["final", "corrected", "withdrawn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgRow:
    """One staged ECG, its signal left where it lies."""

    key: str  #: names the signal for the reader; never the sender's number
    patient: str = field(repr=False)  #: opaque key of the surviving identity
    patient_keys: tuple[str, ...] = field(
        repr=False
    )  #: of every number this person was ever known by: who splits by them
    identified: bool  #: False where the sender named nobody: nothing can be joined to it
    acquired_at: datetime | None  #: aware
    sampling_rate: float  #: Hz
    samples: int
    age: float | None = None  #: years at acquisition
    sex: Sex = "U"
    device: str = ""
    site: str = ""
    statements: tuple[str, ...] = field(default=(), repr=False)
    test_data: bool = False
    superseded: bool = False  #: a newer version of the same recording exists
    doubtful: bool = False  #: a person has still to say whose it is, or it was taken back
    objected: bool = False  #: the patient is kept out of learning
    kept: bool = True  #: False where retention has removed the signal
    recording: str = ""  #: of whom, when, how long: equal where one recording came in twice; samples are not compared
    codes: tuple[str, ...] = ()  #: coded statements, `SCP:NORM` or `SNOMED:164889003`, where the source has them
    split: Literal["train", "validation", "test", ""] = ""  #: where the source prescribes one; else the patient's hash


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """One measured result in its newest version."""

    key: str
    patient: str = field(repr=False)  #: opaque key of the surviving identity
    kind: OutcomeKind
    status: OutcomeStatus
    value: float
    upper_value: float | None = None
    comparator: str = ""  #: "", "<", "<=", ">", ">="
    unit: str
    code: str = ""
    assay: str = ""
    upper_reference_limit: float | None = None
    observed_at: datetime
    observed_precision: Literal["second", "minute", "day"] = "second"
