"""From logits to probabilities that can be believed, and from probabilities to an operating point chosen by a rule.

Both are fitted on validation ECGs, never on the ones that judge. A calibration is applied per segment and the
calibrated probabilities are aggregated, as the predictor does, so it is also fitted through that aggregation.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from ecgfm.heads import Aggregation, Isotonic, Platt, aggregate
from ecgfm.metrics import SMALLEST, confusion
from ecgfm.operating_rule import OperatingRule

Floats = NDArray[np.float64]


class NoOperatingPoint(ValueError):
    """No threshold fulfils the rule on these ECGs."""


def fit_platt(labels: Floats, logits: Sequence[Floats], how: Aggregation) -> Platt:
    """Slope and intercept that make the aggregated probabilities of these ECGs most likely (Platt 1999).

    labels (n,), with Platt's smoothed targets so that a separable sample stays finite; `logits` one array of segment
    logits an ECG. Raises ValueError with one class only.
    """
    positives, negatives = _both_classes(labels)
    target = np.where(labels > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    flat, owner, counts = _flattened(logits)

    def loss(parameters: Floats) -> float:
        p = _aggregated(expit(parameters[0] * flat + parameters[1]), owner, counts, how)
        p = np.clip(p, SMALLEST, 1 - SMALLEST)
        return float(-(target * np.log(p) + (1 - target) * np.log(1 - p)).mean())

    start = np.array([1.0, 0.0])
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 4000})
    slope, intercept = (float(value) for value in found.x)
    if slope <= 0:  # the logits say nothing or the opposite: keep their order and say the prevalence
        slope, intercept = 1e-3, float(np.log((positives + 1) / (negatives + 1)))
    return Platt(slope=slope, intercept=intercept)


def fit_isotonic(labels: Floats, logits: Sequence[Floats]) -> Isotonic:
    """The monotone step-free curve through pooled segments (Zadrozny and Elkan 2002), each ECG weighing one.

    Needs more validation data than Platt scaling (hundreds of positives) to be trusted. Raises ValueError with one
    class.
    """
    from sklearn.isotonic import IsotonicRegression  # the extra `train`: a machine that only scores goes without

    positives, negatives = _both_classes(labels)
    flat, owner, counts = _flattened(logits)
    floor = 1 / (positives + negatives + 2)
    curve = IsotonicRegression(y_min=floor, y_max=1 - floor, out_of_bounds="clip")
    curve.fit(flat, labels[owner], sample_weight=1 / counts[owner])
    return Isotonic(
        logits=tuple(float(x) for x in curve.X_thresholds_),
        probabilities_at=tuple(float(y) for y in curve.y_thresholds_),
    )


def choose_threshold(labels: Floats, probabilities: Floats, rule: OperatingRule) -> float:
    """The threshold that fulfils `rule` and gives away least of the rest.

    For a sensitivity the highest such threshold; for a specificity or a positive predictive value the lowest. It lies
    halfway between two probabilities that occur. Raises NoOperatingPoint, or ValueError with one class only.
    """
    _both_classes(labels)
    seen = np.unique(probabilities)
    candidates = np.concatenate([[seen[0] / 2], (seen[:-1] + seen[1:]) / 2, [(seen[-1] + 1) / 2]])
    good = [t for t in candidates if _achieved(labels, probabilities, float(t), rule) >= rule.at_least]
    if not good:
        best = max(_achieved(labels, probabilities, float(t), rule) for t in candidates[:-1])
        raise NoOperatingPoint(f"no threshold gives {rule}; the best on these ECGs is {best:.3f}")
    return float(max(good) if rule.what == "sensitivity" else min(good))


def _achieved(labels: Floats, probabilities: Floats, threshold: float, rule: OperatingRule) -> float:
    found = confusion(labels, probabilities, threshold)
    if rule.what == "ppv":
        assert rule.prevalence is not None
        value = found.ppv_at(rule.prevalence)
    else:
        value = found.sensitivity if rule.what == "sensitivity" else found.specificity
    return value if np.isfinite(value) else -1.0


def _both_classes(labels: Floats) -> tuple[int, int]:
    positives = int((labels > 0).sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        raise ValueError(f"{positives} positive and {negatives} negative validation ECGs: both kinds are needed")
    return positives, negatives


def _flattened(logits: Sequence[Floats]) -> tuple[Floats, NDArray[np.intp], Floats]:
    """All segment logits, the ECG each belongs to, and each ECG's number of segments."""
    counts = np.array([len(own) for own in logits])
    return np.concatenate(list(logits)).astype(float), np.repeat(np.arange(len(logits)), counts), counts.astype(float)


def _aggregated(values: Floats, owner: NDArray[np.intp], counts: Floats, how: Aggregation) -> Floats:
    if how == "mean":
        return np.bincount(owner, values) / counts
    return np.array([aggregate(part, how) for part in np.split(values, np.cumsum(counts)[:-1].astype(int))])
