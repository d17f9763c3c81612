"""What a site may decide about learning, in its own types: the gate's rules and the limits of its troponin assays.

The settings hold these types, and learning goes by them; neither knows the other.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Width = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """What a candidate must fulfil before it may be promoted, for each label:
    `[learning.gate]`, on its test patients.
    """

    min_positives: Count = 20  #: positive test patients; fewer cannot carry a decision
    min_negatives: Count = 20
    margin: Width = 0.05  #: the AUROC may be this much below the live model's at most (lower end of the difference)
    subgroup_positives: Count = 10  #: smaller subgroups are shown but not judged
    subgroup_margin: Width = 0.10  #: a subgroup's AUROC may be this much below the live model's at most
    slope: tuple[float, float] = (0.8, 1.25)  #: the calibration slope's interval must reach into this range
    intercept: Width = 0.3  #: and the intercept's into ± this
    beat_baselines: bool = True  #: the AUROC must be above that of each baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class AssayLimit:
    """The 99th percentile of one troponin assay, for reports without one (OBX-7 empty):
    `[[learning.troponin.assays]]`.
    """

    assay: Annotated[str, Field(min_length=1)]  #: text of OBX-17 or code of OBX-3, compared without regard to case
    limit: Annotated[float, Field(gt=0)]
    unit: Literal["ng/L", "pg/mL", "ng/mL", "ug/L"] = "ng/L"
    sex: Literal["M", "F"] | None = None  #: for this sex only; for everyone where not set
