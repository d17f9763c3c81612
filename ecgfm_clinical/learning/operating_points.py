"""A head's calibration and thresholds, chosen on ECGs that its scores were not learnt from,
when it is trained and when it is recalibrated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgfm.calibration import CalibrationMethod
from ecgfm.finetuning.candidate import (
    Model,
    Place,
    calibrated,
    segment_logits,
    with_operating_points,
    with_site_operating_points,
)
from ecgfm.finetuning.dataset import Example
from ecgfm.heads import HeadSpec
from ecgfm.operating_rule import OperatingRule
from ecgfm_clinical.learning.cohort.members import LEAST, Cohort
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """ECGs of one cohort, none of them a test patient's, with logits of a head that was not trained on them.
    Its methods raise NoOperatingPoint, and ValueError with one class only.
    """

    examples: Sequence[Example] = field(repr=False)
    sites: Sequence[str]  #: of each example
    logits: Sequence[NDArray[np.float64]] = field(repr=False)  #: (segments, labels) of each
    whose: str  #: for people: which ECGs, and by which trainings

    @classmethod
    def validation(cls, model: Model, head: str, cohort: Cohort, source: EcgSource, place: Place) -> "HeldOut":
        """The validation ECGs. Raises NoHead, TrainingError."""
        examples = cohort.examples("validation")
        return cls(
            examples=examples,
            sites=[member.row.site for member in cohort.of("validation")],
            logits=segment_logits(model, head, examples, Signals(source=source), place),
            whose="validation ECGs",
        )

    def calibrate(self, spec: HeadSpec, method: CalibrationMethod, rule: OperatingRule) -> HeadSpec:
        """With a calibration of its own and the threshold that the rule then gives."""
        spec = calibrated(spec, self.examples, self.logits, method)
        return with_operating_points(spec, self.examples, self.logits, rule)

    def at_sites(self, spec: HeadSpec, rules: Mapping[str, OperatingRule]) -> tuple[HeadSpec, dict[str, str]]:
        """With the thresholds of sites that have a rule, and on which ECGs each was chosen; other sites' stay."""
        found, chosen_on = with_site_operating_points(
            spec, self.examples, self.logits, self.sites, rules, least=LEAST["validation"], whose=self.whose
        )
        every = {**spec.site_operating_points, **found.site_operating_points}
        return replace(found, site_operating_points=every), chosen_on
