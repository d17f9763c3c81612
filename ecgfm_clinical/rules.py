"""What a site may decide about learning, in its own types: the gate's rules and the limits of its troponin assays.

The settings hold these types, and learning goes by them; neither knows the other.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

BEST = "best"  #: of all rivals, in `must_beat`

Count = Annotated[int, Field(ge=1)]
Width = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """What a candidate must fulfil before it may be promoted, for each label:
    `[learning.gate]`, on its test patients.
    """

    min_positives: Count = field(
        default=20, metadata={"description": "fewer positive test patients: no verdict, no promotion"}
    )
    min_negatives: Count = field(default=20, metadata={"description": "fewer negative ones: the same"})
    margin: Width = field(
        default=0.05,
        metadata={"description": "AUROC may be this much below the live model's at most (lower end of the difference)"},
    )
    subgroup_positives: Count = field(
        default=10, metadata={"description": "subgroups with fewer positives are reported, not judged"}
    )
    subgroup_margin: Width = field(default=0.10, metadata={"description": "as margin, for each subgroup"})
    slope: tuple[float, float] = field(
        default=(0.8, 1.25),
        metadata={"description": "the interval of the calibration slope must reach into this range"},
    )
    intercept: Width = field(
        default=0.3, metadata={"description": "and that of the calibration intercept to within so much of 0"}
    )
    beat_baselines: bool = field(
        default=True, metadata={"description": "better than age and sex alone, and than an encoder with random weights"}
    )
    must_beat: tuple[str, ...] = field(
        default=(),
        metadata={
            "description": "further rivals to be above in AUROC, by their names in the report, or best: of them all",
            "example": ["random forest"],
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AssayLimit:
    """The 99th percentile of one troponin assay, for reports without one (OBX-7 empty):
    `[[learning.troponin.assays]]`.
    """

    assay: Annotated[str, Field(min_length=1)] = field(
        metadata={
            "description": "text of OBX-17 or code of OBX-3, as the laboratory sends it; case does not matter",
            "example": "hs-I",
        }
    )
    limit: Annotated[float, Field(gt=0)] = field(metadata={"description": "the 99th percentile", "example": 16})
    unit: Literal["ng/L", "pg/mL", "ng/mL", "ug/L"] = field(
        default="ng/L", metadata={"description": "ng/L, pg/mL, ng/mL or ug/L"}
    )
    sex: Literal["M", "F"] | None = field(
        default=None, metadata={"description": "F or M; for everyone where not set", "example": "F"}
    )
