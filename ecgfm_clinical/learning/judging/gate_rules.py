"""What a candidate must fulfil before it may be promoted: `[learning.gate]` of the settings."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Width = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """What must hold on the test patients, for each label."""

    min_positives: Count = 20  #: positive test patients; fewer cannot carry a decision
    min_negatives: Count = 20
    margin: Width = 0.05  #: the AUROC may be this much below the live model's at most (lower end of the difference)
    subgroup_positives: Count = 10  #: smaller subgroups are shown but not judged
    subgroup_margin: Width = 0.10  #: a subgroup's AUROC may be this much below the live model's at most
    slope: tuple[float, float] = (0.8, 1.25)  #: the calibration slope's interval must reach into this range
    intercept: Width = 0.3  #: and the intercept's into ± this
    beat_baselines: bool = True  #: the AUROC must be above that of each baseline
