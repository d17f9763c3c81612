"""How well probabilities tell the labelled ECGs apart, and whether they can be believed, each with its uncertainty.

Every function takes `labels` (n,) of 0 and 1 and `scores` or `probabilities` (n,), and where it makes sense `weights`
(n,), so that a bootstrap replicate is nothing but another set of weights. Patients, not ECGs, are drawn: two ECGs of
one patient are not two independent observations.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], float]  #: weights (n,) -> one number; NaN where it is not defined for them

SMALLEST = 1e-6  #: probabilities are kept this far from 0 and 1 where their log-odds are needed
BOOTSTRAP_REPLICATES = 1000
BINS = 10  #: of the reliability diagram


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with its 95 % interval; all NaN where the data do not define it."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        return {name: finite(value) for name, value in (("value", self.value), ("low", self.low), ("high", self.high))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts (or weights) at one threshold, and the four rates clinicians ask for; NaN where a denominator is 0."""

    true_positive: float
    false_positive: float
    true_negative: float
    false_negative: float

    @property
    def sensitivity(self) -> float:
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> float:
        return _ratio(self.true_negative, self.true_negative + self.false_positive)

    @property
    def ppv(self) -> float:
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def npv(self) -> float:
        return _ratio(self.true_negative, self.true_negative + self.false_negative)

    def ppv_at(self, prevalence: float) -> float:
        """Positive predictive value where the outcome has another prevalence than here (Bayes)."""
        hit = self.sensitivity * prevalence
        return _ratio(hit, hit + (1 - self.specificity) * (1 - prevalence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bin of the reliability diagram."""

    count: int
    predicted: float  #: mean probability
    observed: float  #: share of positives
    low: float  #: 95 % Wilson interval of the share
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeLong:
    """Comparison of two AUROCs on the same ECGs (DeLong, DeLong and Clarke-Pearson 1988, doi:10.2307/2531595)."""

    difference: Interval  #: first minus second
    p_value: float  #: two-sided


def finite(value: float) -> float | None:
    """The number, or None where it is NaN or infinite: JSON knows neither."""
    return float(value) if np.isfinite(value) else None


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


# --- discrimination ---------------------------------------------------------------------------------------------------


def auroc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the receiver operating characteristic; ties count half; NaN with one class only.

    scikit-learn's number at a tenth of its time: a judgement asks for it some ten thousand times, once a bootstrap
    replicate.
    """
    truth, values = np.asarray(labels, float), np.asarray(scores, float)
    weight = np.ones_like(truth) if weights is None else np.asarray(weights, float)
    _, place = np.unique(values, return_inverse=True)
    positive = np.bincount(place, weight * truth)
    negative = np.bincount(place, weight * (1 - truth))
    below = np.cumsum(negative) - negative
    return _ratio(float((positive * (below + 0.5 * negative)).sum()), float(positive.sum() * negative.sum()))


def auprc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Average precision, the area under the precision-recall curve as a step function; NaN without a positive.

    scikit-learn's number, like `auroc`. The trapezoid that ECG-FM's linear probing uses joins the steps by straight
    lines and is a little larger.
    """
    truth, values = np.asarray(labels, float), np.asarray(scores, float)
    weight = np.ones_like(truth) if weights is None else np.asarray(weights, float)
    _, place = np.unique(-values, return_inverse=True)
    positive, both = np.bincount(place, weight * truth), np.bincount(place, weight)
    above = np.cumsum(both)
    precision = np.divide(np.cumsum(positive), above, out=np.zeros_like(above), where=above > 0)
    return _ratio(float((positive * precision).sum()), float(positive.sum()))


def delong(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> DeLong:
    """Compare two scores on the same ECGs, of which no two may be of one patient (Sun and Xu 2014's fast form).

    Raises ValueError where either class has fewer than two ECGs.
    """
    truth = np.asarray(labels, bool)
    scores = np.stack([np.asarray(first, float), np.asarray(second, float)])
    m, n = int(truth.sum()), int((~truth).sum())
    if min(m, n) < 2:
        raise ValueError("comparing two AUROCs needs at least two positive and two negative ECGs")
    positive, negative = scores[:, truth], scores[:, ~truth]
    ranks = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    of_positive = (ranks[:, :m] - rankdata(positive, axis=1)) / n  # (2, m): share of negatives below each positive
    of_negative = 1 - (ranks[:, m:] - rankdata(negative, axis=1)) / m  # (2, n)
    covariance = np.cov(of_positive) / m + np.cov(of_negative) / n
    difference = float(of_positive[0].mean() - of_positive[1].mean())
    deviation = sqrt(max(0.0, float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])))
    p_value = float(2 * norm.sf(abs(difference) / deviation)) if deviation else float(difference == 0)
    reach = float(norm.ppf(0.975)) * deviation
    return DeLong(
        difference=Interval(value=difference, low=difference - reach, high=difference + reach), p_value=p_value
    )


# --- operating point --------------------------------------------------------------------------------------------------


def confusion(
    labels: ArrayLike, probabilities: ArrayLike, threshold: ArrayLike, weights: ArrayLike | None = None
) -> Confusion:
    """Counts with a probability at or above `threshold` (one for all, or (n,)) called positive."""
    truth, called = np.asarray(labels, bool), np.asarray(probabilities, float) >= np.asarray(threshold, float)
    weight = np.ones(len(truth)) if weights is None else np.asarray(weights, float)
    return Confusion(
        true_positive=float(weight[truth & called].sum()),
        false_positive=float(weight[~truth & called].sum()),
        true_negative=float(weight[~truth & ~called].sum()),
        false_negative=float(weight[truth & ~called].sum()),
    )


# --- calibration ------------------------------------------------------------------------------------------------------


def log_odds(probabilities: ArrayLike) -> Floats:
    """Log-odds of probabilities, kept finite."""
    return np.asarray(logit(np.clip(np.asarray(probabilities, float), SMALLEST, 1 - SMALLEST)))


def fit_logistic(labels: Floats, predictor: Floats, weights: Floats, *, rounds: int = 50) -> tuple[float, float]:
    """(slope, intercept) of an unpenalised logistic regression on one predictor, by Newton's method.

    (NaN, NaN) where there is one class only, the predictor does not vary, or the classes are separated.
    """
    slope, intercept = 0.0, 0.0
    design = np.stack([predictor, np.ones_like(predictor)])
    for _ in range(rounds):
        p = expit(slope * predictor + intercept)
        spread = weights * p * (1 - p)
        hessian = (design * spread) @ design.T
        if not np.linalg.det(hessian) > 1e-12:
            return float("nan"), float("nan")
        step = np.linalg.solve(hessian, design @ (weights * (labels - p)))
        step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))
        slope, intercept = slope + float(step[0]), intercept + float(step[1])
        if np.abs(step).max() < 1e-9:
            return slope, intercept
    return float("nan"), float("nan")


def calibration_slope(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Slope of the labels regressed on the log-odds: 1 is right, below 1 the probabilities are too extreme.

    Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7. NaN where it is not defined.
    """
    truth = np.asarray(labels, float)
    weight = np.ones_like(truth) if weights is None else np.asarray(weights, float)
    return fit_logistic(truth, log_odds(probabilities), weight)[0]


def calibration_intercept(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Calibration in the large: what must be added to the log-odds so that their mean probability is the prevalence.

    0 is right, below 0 the probabilities are too high. NaN with one class only.
    """
    truth, odds = np.asarray(labels, float), log_odds(probabilities)
    weight = np.ones_like(truth) if weights is None else np.asarray(weights, float)
    if not 0 < (weight * truth).sum() < weight.sum():
        return float("nan")
    shift = 0.0
    for _ in range(50):
        p = expit(odds + shift)
        step = float((weight * (truth - p)).sum() / max(float((weight * p * (1 - p)).sum()), 1e-12))
        shift += float(np.clip(step, -5, 5))
        if abs(step) < 1e-10:
            break
    return shift


def equal_bins(probabilities: ArrayLike, bins: int = BINS) -> list[NDArray[np.intp]]:
    """Places of the ECGs in up to `bins` bins of equal count, ordered by probability."""
    order = np.argsort(np.asarray(probabilities, float), kind="stable")
    return [part for part in np.array_split(order, bins) if len(part)]


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> tuple[Bin, ...]:
    """Up to `bins` bins of equal count, ordered by probability."""
    truth, values = np.asarray(labels, float), np.asarray(probabilities, float)
    return tuple(_bin(truth[part], values[part]) for part in equal_bins(values, bins))


def _bin(truth: Floats, values: Floats) -> Bin:
    low, high = wilson(float(truth.sum()), len(truth))
    return Bin(count=len(truth), predicted=float(values.mean()), observed=float(truth.mean()), low=low, high=high)


def wilson(hits: float, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), sensible for small counts; (0, 1) for none."""
    if count == 0:
        return 0.0, 1.0
    z, share = float(norm.ppf(0.975)), hits / count
    centre = share + z * z / (2 * count)
    reach = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    return max(0.0, min(share, (centre - reach) / whole)), min(1.0, max(share, (centre + reach) / whole))


def ece(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None, bins: int = 10) -> float:
    """Expected calibration error over bins of equal count: mean gap between probability and share of positives.

    It is biased upwards in small samples: read it beside its interval and the slope.
    """
    truth, values = np.asarray(labels, float), np.asarray(probabilities, float)
    weight = np.ones_like(truth) if weights is None else np.asarray(weights, float)
    if not weight.sum() > 0:
        return float("nan")
    order = np.argsort(values, kind="stable")
    parts = np.minimum((np.cumsum(weight[order]) - weight[order]) / weight.sum() * bins, bins - 1).astype(int)
    gaps = np.bincount(parts, weight[order] * (truth - values)[order], minlength=bins)
    return float(np.abs(gaps).sum() / weight.sum())


def brier(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean squared error of the probabilities (Brier 1950), each weighted."""
    squared = (np.asarray(probabilities, float) - np.asarray(labels, float)) ** 2
    return float(np.average(squared, weights=None if weights is None else np.asarray(weights, float)))


# --- usefulness -------------------------------------------------------------------------------------------------------


def net_benefit(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> float:
    """True positives minus false positives at the exchange rate of `threshold`, per ECG.

    Vickers and Elkin 2006, doi:10.1177/0272989X06295361. Treating nobody has 0; treating all is
    `net_benefit(labels, 1, t)`.
    """
    found = confusion(labels, np.broadcast_to(np.asarray(probabilities, float), np.shape(labels)), threshold)
    count = np.size(labels)
    return float(found.true_positive / count - found.false_positive / count * threshold / (1 - threshold))


# --- uncertainty ------------------------------------------------------------------------------------------------------


def patient_weights(
    patients: Sequence[object], *, replicates: int = BOOTSTRAP_REPLICATES, seed: int = 0
) -> Iterator[Floats]:
    """Weights (n,) of bootstrap replicates that draw patients with replacement, each with all their ECGs."""
    _, place = np.unique(np.asarray(patients), return_inverse=True)
    count = int(place.max()) + 1 if len(place) else 0
    stream = np.random.default_rng(seed)
    for _ in range(replicates):
        drawn = np.bincount(stream.integers(0, count, count), minlength=count)
        yield drawn[place].astype(np.float64)


def bootstrap(
    statistics: Mapping[str, Statistic],
    patients: Sequence[object],
    *,
    replicates: int = BOOTSTRAP_REPLICATES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Each statistic with its 95 % percentile interval over the same replicates, so that differences stay paired.

    A replicate in which a statistic is not defined (no positive was drawn) is left out of that statistic's interval.
    """
    point = {name: statistic(np.ones(len(patients))) for name, statistic in statistics.items()}
    drawn: dict[str, list[float]] = {name: [] for name in statistics}
    for weights in patient_weights(patients, replicates=replicates, seed=seed):
        for name, statistic in statistics.items():
            value = statistic(weights)
            if np.isfinite(value):
                drawn[name].append(value)
    return {name: _percentiles(value, drawn[name]) for name, value in point.items()}


def _percentiles(value: float, drawn: list[float]) -> Interval:
    if not np.isfinite(value) or not drawn:
        return Interval(value=float("nan"), low=float("nan"), high=float("nan"))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))
