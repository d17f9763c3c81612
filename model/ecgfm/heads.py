"""The heads on the pooled embedding: what each label means, and how its segments become one probability per ECG.

A head is one linear layer; heads on the same encoder share its pass. The 17 interpretation labels and their order are
those of the published `mimic_iv_ecg_finetuned.pt`. No reduced-LVEF or troponin weights were ever published: those two
heads are trained by their users.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self  # Any: JSON of a bundle

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from ecgfm.errors import BundleError
from ecgfm.prior_shift import PriorShift

Aggregation = Literal["mean", "max"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Platt:
    """Platt scaling of one label: probability = sigmoid(slope * logit + intercept) (Platt 1999)."""

    slope: float
    intercept: float

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(expit(self.slope * logits + self.intercept))


@dataclass(frozen=True, slots=True, kw_only=True)
class Isotonic:
    """Isotonic calibration of one label: straight lines between knots, flat beyond the outermost.

    Raises `ValueError` where the knots do not rise.
    """

    logits: tuple[float, ...]  #: rising
    probabilities_at: tuple[float, ...]  #: at each knot, never falling

    def __post_init__(self) -> None:
        if not self.logits or len(self.logits) != len(self.probabilities_at):
            raise ValueError("an isotonic calibration needs as many probabilities as logits, at least one")
        if np.any(np.diff(self.logits) <= 0) or np.any(np.diff(self.probabilities_at) < 0):
            raise ValueError("the knots of an isotonic calibration must rise")

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.interp(logits, self.logits, self.probabilities_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Beta:
    """Beta calibration of one label: log-odds = a log p - b log(1 - p) + c of the raw sigmoid p (Kull, Silva Filho and
    Flach 2017); with a = b it is Platt scaling.

    Raises `ValueError` where a or b is negative: the order of the ECGs would turn.
    """

    a: float
    b: float
    c: float

    def __post_init__(self) -> None:
        if self.a < 0 or self.b < 0:
            raise ValueError("a beta calibration needs a and b of at least 0")

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(expit(self.a * log_expit(logits) - self.b * log_expit(-logits) + self.c))


Calibration = Platt | Beta | Isotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSpec:
    """One head: its labels in logit order, and how each is aggregated, calibrated and thresholded.

    Raises `ValueError` where a mapping names a label that the head does not have, or an aggregation is missing.
    """

    name: str  #: `reduced_lvef`, `troponin`, `interpretation` …
    labels: tuple[str, ...]  #: in logit order
    target: str  #: one sentence: what a positive label means
    aggregation: Mapping[str, Aggregation]  #: per label, over the segments of one ECG, on probabilities
    calibration: Mapping[str, Calibration] | None = None  #: None = raw sigmoid
    #: label -> threshold, of probabilities before a prior shift; >= is positive
    operating_points: Mapping[str, float] = field(default_factory=dict)
    #: site -> label -> threshold, for sites that have points of their own; all others take `operating_points`
    site_operating_points: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    prior_shifts: Mapping[str, PriorShift] = field(default_factory=dict)  #: label -> its shift, where it has one
    encoder: int = 0  #: which encoder of its bundle it stands on, the first one being 0

    def __post_init__(self) -> None:
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"head {self.name!r} needs labels, each once: {self.labels}")
        if set(self.aggregation) != set(self.labels) or not set(self.aggregation.values()) <= {"mean", "max"}:
            raise ValueError(f"head {self.name!r} needs one aggregation, mean or max, for each of {self.labels}")
        if self.calibration is not None and set(self.calibration) != set(self.labels):
            raise ValueError(f"head {self.name!r} is calibrated for other labels than {self.labels}")
        points = (self.operating_points, *self.site_operating_points.values())
        if not all(set(own) <= set(self.labels) for own in points):
            raise ValueError(f"head {self.name!r} has operating points for labels it does not have")
        if not set(self.prior_shifts) <= set(self.labels):
            raise ValueError(f"head {self.name!r} has prior shifts for labels it does not have")

    def operating_point(self, label: str, site: str = "") -> float | None:
        """From which probability before any prior shift on this label is positive at this site; None where it has no
        operating point.
        """
        own = self.site_operating_points.get(site, {})
        return own.get(label, self.operating_points.get(label))

    def threshold(self, label: str, site: str = "") -> float | None:
        """The operating point among the people who are scored: after the label's prior shift, if it has one."""
        point = self.operating_point(label, site)
        return None if point is None else self.shifted(label, point)

    def shifted(self, label: str, probability: float) -> float:
        """A probability of this label, of an ECG or a threshold, among the people who are scored."""
        shift = self.prior_shifts.get(label)
        return probability if shift is None else shift.probability(probability)

    def segment_probabilities(self, label: str, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logits of this label, one a segment, -> calibrated probabilities."""
        if self.calibration is None:
            return np.asarray(expit(logits))
        return self.calibration[label].probabilities(logits)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `bundle.json`."""
        calibration = self.calibration
        sites = {site: dict(own) for site, own in self.site_operating_points.items()}
        shifts = {label: {"learnt": own.learnt, "stated": own.stated} for label, own in self.prior_shifts.items()}
        return {
            "name": self.name,
            "labels": list(self.labels),
            "target": self.target,
            "aggregation": dict(self.aggregation),
            "calibration": calibration and {label: _calibration_json(own) for label, own in calibration.items()},
            "operating_points": dict(self.operating_points),
            **({"site_operating_points": sites} if sites else {}),  # absent where there are none, as in older bundles
            **({"prior_shifts": shifts} if shifts else {}),
            **({"encoder": self.encoder} if self.encoder else {}),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; raises `BundleError`."""
        try:
            calibration = values["calibration"]
            return cls(
                name=values["name"],
                labels=tuple(values["labels"]),
                target=values["target"],
                aggregation=dict(values["aggregation"]),
                calibration=calibration and {label: _calibration(own) for label, own in calibration.items()},
                operating_points=_points(values["operating_points"]),
                site_operating_points={
                    site: _points(own) for site, own in values.get("site_operating_points", {}).items()
                },
                prior_shifts={label: PriorShift(**own) for label, own in values.get("prior_shifts", {}).items()},
                encoder=int(values.get("encoder", 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"a head in bundle.json cannot be read: {error!r}") from error


def _points(values: Mapping[str, Any]) -> dict[str, float]:
    return {label: float(value) for label, value in values.items()}


def _calibration_json(own: Calibration) -> dict[str, Any]:
    if isinstance(own, Platt):
        return {"slope": own.slope, "intercept": own.intercept}
    if isinstance(own, Beta):
        return {"a": own.a, "b": own.b, "c": own.c}
    return {"logits": list(own.logits), "probabilities": list(own.probabilities_at)}


def _calibration(values: Mapping[str, Any]) -> Calibration:
    if "logits" in values:
        return Isotonic(logits=tuple(values["logits"]), probabilities_at=tuple(values["probabilities"]))
    return Beta(**values) if "a" in values else Platt(**values)


def aggregate(values: NDArray[np.float64], how: Aggregation) -> float:
    """Segment probabilities of one label -> the ECG's."""
    return float(values.max() if how == "max" else values.mean())


def aggregate_logit(logits: NDArray[np.float64], how: Aggregation) -> float:
    """Log-odds of the aggregated raw probability; for one segment, or max, it is the network's own logit."""
    if how == "max" or len(logits) == 1:
        return float(logits.max())
    return _log_of_sum(log_expit(logits)) - _log_of_sum(log_expit(-logits))


def _log_of_sum(logarithms: NDArray[np.float64]) -> float:
    """`scipy.special.logsumexp` of a few numbers, to the last bit, in a fifteenth of its time: a prediction asks for it
    twice a label.
    """
    largest = logarithms.max()
    top = logarithms == largest
    others, count = np.where(top, 0.0, np.exp(logarithms - largest)), np.count_nonzero(top)
    return float(np.log1p(others.sum() / count) + np.log(count) + largest)


def mean_of(labels: tuple[str, ...]) -> dict[str, Aggregation]:
    """Every label averaged over the segments."""
    return dict.fromkeys(labels, "mean")


INTERPRETATION_LABELS = (
    "Poor data quality",
    "Sinus rhythm",
    "Premature ventricular contraction",
    "Tachycardia",
    "Ventricular tachycardia",
    "Supraventricular tachycardia with aberrancy",
    "Atrial fibrillation",
    "Atrial flutter",
    "Bradycardia",
    "Accessory pathway conduction",
    "Atrioventricular block",
    "1st degree atrioventricular block",
    "Bifascicular block",
    "Right bundle branch block",
    "Left bundle branch block",
    "Infarction",
    "Electronic pacemaker",
)

#: Findings that may stand in one segment only: one sighting counts. By name, because the published notebook lists the
#: same labels in another order than the logits.
_SEEN_ONCE = {
    "Poor data quality",
    "Premature ventricular contraction",
    "Ventricular tachycardia",
    "Supraventricular tachycardia with aberrancy",
    "Electronic pacemaker",
}

INTERPRETATION = HeadSpec(
    name="interpretation",
    labels=INTERPRETATION_LABELS,
    target="The statement stands in the machine-read report of the cart, by text patterns (MIMIC-IV-ECG).",
    aggregation={label: "max" if label in _SEEN_ONCE else "mean" for label in INTERPRETATION_LABELS},
)

REDUCED_LVEF = HeadSpec(
    name="reduced_lvef",
    labels=("reduced_lvef",),
    target="A left ventricular ejection fraction of 40 % or less by echocardiography within 7 days of the ECG.",
    aggregation={"reduced_lvef": "mean"},
)

TROPONIN = HeadSpec(
    name="troponin",
    labels=("troponin",),
    target="A cardiac troponin above the assay's own upper reference limit, drawn near the time of the ECG.",
    aggregation={"troponin": "mean"},
)
