"""From logits to probabilities that can be believed, and from probabilities to an operating point chosen by a rule.

Both are fitted on ECGs that the scores were not learnt from, never on the ones that judge. A calibration is applied per
segment and the calibrated probabilities are aggregated, as the predictor does, so it is also fitted through that
aggregation.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from ecgfm.heads import Aggregation, Beta, Calibration, Isotonic, Platt, aggregate
from ecgfm.metrics import SMALLEST, confusion
from ecgfm.operating_rule import OperatingRule

Floats = NDArray[np.float64]
CalibrationMethod = Literal["auto", "platt", "beta", "isotonic", "none"]

#: Standard deviation of the normal prior, centred on 1, of a slope that is shrunk: a slope of 1 is what a head without
#: pos_weight would have, and few positives cannot say much against it.
SLOPE_DEVIATION = 0.5
#: `auto` fits a beta calibration from so many ECGs of the rarer kind on, and a shrunk Platt scaling below.
BETA_FROM = 200


class NoOperatingPoint(ValueError):
    """No threshold fulfils the rule on these ECGs."""


def fit(labels: Floats, logits: Sequence[Floats], how: Aggregation, method: CalibrationMethod) -> Calibration | None:
    """One label's calibration by this method; None for `none`. Raises ValueError with one class only.

    `auto` goes by how many ECGs of the rarer kind there are, a rule that was fixed before any result of it was seen.
    """
    if method == "none":
        return None
    if method == "isotonic":
        return fit_isotonic(labels, logits)
    if method == "platt":
        return fit_platt(labels, logits, how)
    if method == "beta" or min(_both_classes(labels)) >= BETA_FROM:
        return fit_beta(labels, logits, how)
    return fit_platt(labels, logits, how, slope_deviation=SLOPE_DEVIATION)


def fit_platt(
    labels: Floats, logits: Sequence[Floats], how: Aggregation, *, slope_deviation: float | None = None
) -> Platt:
    """Slope and intercept that make the aggregated probabilities of these ECGs most likely (Platt 1999).

    labels (n,), with Platt's smoothed targets so that a separable sample stays finite; `logits` one array of segment
    logits an ECG; `slope_deviation`: of a normal prior that draws the slope towards 1. Raises ValueError with one class
    only.
    """
    positives, negatives = _both_classes(labels)
    target = _smoothed(labels, positives, negatives)
    flat, owner, counts = _flattened(logits)

    def loss(parameters: Floats) -> float:
        p = _aggregated(expit(parameters[0] * flat + parameters[1]), owner, counts, how)
        return (_surprise(target, p) + _prior(parameters[:1], slope_deviation)) / len(target)

    start = np.array([1.0, 0.0])
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 4000})
    slope, intercept = (float(value) for value in found.x)
    if slope <= 0:  # the logits say nothing or the opposite: keep their order and say the prevalence
        slope, intercept = 1e-3, float(np.log((positives + 1) / (negatives + 1)))
    return Platt(slope=slope, intercept=intercept)


def fit_beta(
    labels: Floats, logits: Sequence[Floats], how: Aggregation, *, slope_deviation: float = SLOPE_DEVIATION
) -> Beta:
    """The beta calibration (Kull, Silva Filho and Flach 2017) that makes the aggregated probabilities most likely.

    a and b are drawn towards 1 as the slope of `fit_platt` is. It bends where Platt scaling is straight, so that low
    and high probabilities may be off by different factors. Raises ValueError with one class only.
    """
    target = _smoothed(labels, *_both_classes(labels))
    flat, owner, counts = _flattened(logits)
    low, high = log_expit(flat), log_expit(-flat)

    def loss(parameters: Floats) -> float:
        p = _aggregated(expit(parameters[0] * low - parameters[1] * high + parameters[2]), owner, counts, how)
        return (_surprise(target, p) + _prior(parameters[:2], slope_deviation)) / len(target)

    bounds = [(1e-3, None), (1e-3, None), (None, None)]
    found = minimize(loss, np.array([1.0, 1.0, 0.0]), method="L-BFGS-B", bounds=bounds)
    a, b, c = (float(value) for value in found.x)
    return Beta(a=a, b=b, c=c)


def _smoothed(labels: Floats, positives: int, negatives: int) -> Floats:
    return np.where(labels > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _surprise(target: Floats, probabilities: Floats) -> float:
    p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return float(-(target * np.log(p) + (1 - target) * np.log(1 - p)).sum())


def _prior(slopes: Floats, deviation: float | None) -> float:
    """Minus the logarithm of the prior's density, without its constant."""
    return 0.0 if deviation is None else float(((slopes - 1) ** 2).sum() / (2 * deviation**2))


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
        raise ValueError(f"{positives} positive and {negatives} negative ECGs to calibrate on: both kinds are needed")
    return positives, negatives


def _flattened(logits: Sequence[Floats]) -> tuple[Floats, NDArray[np.intp], Floats]:
    """All segment logits, the ECG each belongs to, and each ECG's number of segments."""
    counts = np.array([len(own) for own in logits])
    return np.concatenate(list(logits)).astype(float), np.repeat(np.arange(len(logits)), counts), counts.astype(float)


def _aggregated(values: Floats, owner: NDArray[np.intp], counts: Floats, how: Aggregation) -> Floats:
    if how == "mean":
        return np.bincount(owner, values) / counts
    return np.array([aggregate(part, how) for part in np.split(values, np.cumsum(counts)[:-1].astype(int))])
