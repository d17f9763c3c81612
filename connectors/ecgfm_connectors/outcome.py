"""What an echo laboratory or a clinical laboratory measured: the labels a hospital's own heads learn from."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ecgfm_connectors.decision import Decision, Kind
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.times import Precision

Comparator = Literal["", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One measured result from an inbound OBX, one finding (1 or 0), or a death."""

    source_id: str  #: sender + filler number + OBX-3 + OBX-4: a correction carries the same one
    patient: Patient
    kind: Kind
    value: float  #: percent, ng/L or the declared unit; 0 where a result is withdrawn without its value
    upper_value: float | None = None  #: the upper end where a range such as 35–40 % was reported
    comparator: Comparator = ""
    unit: str  #: `%`, `ng/L` or the declared one: whatever unit was sent is converted, `text` keeps the original
    code: str  #: OBX-3 as system|code
    assay: str = ""  #: troponin: hs-I, hs-T, I, T, with ` POC` at the bedside; LVEF: how it was measured
    upper_reference_limit: float | None = None  #: 99th percentile from OBX-7 for the patient's sex, same unit
    observed_at: datetime
    precision: Precision = "second"  #: a day alone is midnight, and no window of hours may take it for a time
    status: Literal["final", "corrected", "withdrawn"]
    text: str = field(default="", repr=False)
    decision: Decision | None = None  #: by which rule it was read, and from where; None where a table states it
