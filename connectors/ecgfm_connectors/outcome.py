"""What an echo laboratory or a clinical laboratory measured: the labels a hospital's own heads learn from."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ecgfm_connectors.patient import Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One measured result from an inbound OBX."""

    source_id: str  #: sender + filler number + OBX-3 + OBX-4: a correction carries the same one
    patient: Patient
    kind: Literal["lvef", "troponin"]
    value: float  #: percent (lvef) or ng/L (troponin); 0 where a result is withdrawn without its value
    upper_value: float | None = None  #: the upper end where a range such as 35–40 % was reported
    comparator: Literal["", "<", "<=", ">", ">="] = ""
    unit: str  #: `%` or `ng/L`: whatever unit was sent is converted, `text` keeps the original
    code: str  #: OBX-3 as system|code
    assay: str = ""
    upper_reference_limit: float | None = None  #: 99th percentile from OBX-7, same unit
    observed_at: datetime
    status: Literal["final", "corrected", "withdrawn"]
    text: str = field(default="", repr=False)
