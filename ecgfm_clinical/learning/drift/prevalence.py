"""Whether the share of a prior shift fits the outcomes that have come since the model was made."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ecgfm import metrics
from ecgfm.metrics import Interval
from ecgfm.prior_shift import PriorShift
from ecgfm_clinical.learning.documents import Measured
from ecgfm_clinical.learning.drift.samples import Floats, Scored
from ecgfm_clinical.staging.model_records import DriftFinding

#: ECGs of either kind that there must be before a stated share is checked.
LEAST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevalence:
    """A stated share beside the one that the outcomes ask for, with its 95 % interval."""

    ecgs: int
    positives: int
    stated: float
    fits: Measured

    @property
    def differs(self) -> bool:
        """By more than chance."""
        return not self.fits.low <= self.stated <= self.fits.high


def recheck(shift: PriorShift, scored: Sequence[Scored], *, replicates: int = 400) -> Prevalence | None:
    """The share with which the shifted probabilities would be right in the mean: None with too few ECGs of either kind.

    By calibration in the large and not by counting: who has an outcome is sicker than who has none, and as far as the
    ECG shows it the probability knows. Where something else decides who is measured, the share is off by as much.
    """
    known = [one for one in scored if one.outcome is not None]
    truth = np.array([one.outcome for one in known], dtype=np.float64)
    if min(truth.sum(), (1 - truth).sum()) < LEAST:
        return None
    p = np.array([one.probability for one in known])
    intercept = metrics.bootstrap(
        {"": partial(_intercept, truth, p)}, [one.patient for one in known], replicates=replicates
    )[""]
    value, low, high = (shift.corrected(one).stated for one in (intercept.value, intercept.low, intercept.high))
    return Prevalence(
        ecgs=len(known), positives=int(truth.sum()), stated=shift.stated, fits=Interval(value=value, low=low, high=high)
    )


def _intercept(truth: Floats, p: Floats, weights: Floats) -> float:
    return metrics.calibration_intercept(truth, p, weights)


def finding(label: str, found: Prevalence, proposed: str) -> DriftFinding:
    """`proposed`: the model_id of the candidate that has the share which fits."""
    text = (
        f"{label}: the stated prevalence of {found.stated:.4f} does not fit the outcomes of {found.ecgs} ECGs, "
        f"{found.positives} positive, since the model was made; {found.fits.value:.4f} does ({found.fits.low:.4f} to "
        f"{found.fits.high:.4f}). Candidate {proposed[:12]} has it: `ecgfm-clinical model promote {proposed[:12]}`"
    )
    return DriftFinding(code="prevalence", month="all", text=text)
