"""How good one label's probabilities are on patients nobody trained on: figures, intervals, subgroups, comparisons.

Everything is a pure function of arrays, and everything has an interval that draws patients, not ECGs. `report` draws
the result, `gate` decides on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ecgfm import metrics
from ecgfm.metrics import Interval, Statistic, finite
from ecgfm_clinical.learning.judging.judgement import (
    CHAMPION,
    Benefit,
    DrawnComparison,
    Histogram,
    LabelJudgement,
    Metric,
    Point,
    Subgroup,
)

Floats = NDArray[np.float64]

#: Threshold probabilities of the decision curve.
DECISIONS = tuple(round(0.02 * step, 2) for step in range(1, 40))
#: Figures of the probabilities themselves, and of the decisions at a threshold.
PROBABILISTIC: tuple[Metric, ...] = ("auroc", "auprc", "brier", "calibration_slope", "calibration_intercept", "ece")
RATES: tuple[Metric, ...] = ("sensitivity", "specificity", "ppv", "npv")
#: A subgroup's AUROC is only computed from so many ECGs of each kind on; its counts are always shown.
SMALLEST_SUBGROUP = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TestSet:
    """One label on the test patients: what was true, what was predicted, and who they are."""

    __test__ = False  # pytest: this is no test

    labels: Floats  #: (n,) 0 or 1
    probabilities: Floats  #: (n,) of the candidate
    patients: Sequence[str] = field(repr=False)
    keys: Sequence[str] = field(default=(), repr=False)  #: of the recordings, where somebody will ask for them
    threshold: float | None  #: the candidate's operating point
    thresholds: Floats | None = None  #: (n,) each ECG's own, where sites have operating points of their own
    champion: Floats | None = None  #: (n,) of the live model; None where it lacks the head
    baselines: Mapping[str, Floats] = field(default_factory=dict)  #: name -> (n,)
    subgroups: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: attribute -> value of each ECG

    @property
    def called_from(self) -> float | Floats:
        """The probability from which an ECG is called positive: one for all, or each its own."""
        assert self.threshold is not None
        return self.threshold if self.thresholds is None else self.thresholds


def judge(test: TestSet, *, replicates: int = metrics.BOOTSTRAP_REPLICATES, seed: int = 0) -> LabelJudgement:
    """Everything about one label. Raises ValueError with one class only."""
    positives = int(test.labels.sum())
    if not 0 < positives < len(test.labels):
        raise ValueError(f"{positives} of {len(test.labels)} test ECGs are positive: both kinds are needed")
    others = {**test.baselines, **({} if test.champion is None else {CHAMPION: test.champion})}
    found = metrics.bootstrap(_statistics(test, others), test.patients, replicates=replicates, seed=seed)
    curves = _curves(test, replicates, seed)
    return LabelJudgement(
        ecgs=len(test.labels),
        patients=len(set(test.patients)),
        positives=positives,
        negatives=len(test.labels) - positives,
        positive_patients=len({p for p, y in zip(test.patients, test.labels, strict=True) if y}),
        prevalence=positives / len(test.labels),
        replicates=replicates,
        threshold=test.threshold,
        metrics={name: _at_least_wilson(test, name, found[name]) for name in _own_names(test)},
        compared={name: _compared(test, name, other, found) for name, other in others.items()},
        reliability=_reliability(test, curves),
        decision_curve=_decision_curve(test, curves),
        roc=_roc(test.labels, test.probabilities),
        histogram=_histogram(test),
        subgroups=tuple(
            _subgroup(test, attribute, value, replicates, seed)
            for attribute, values in test.subgroups.items()
            for value in sorted(set(values))
        ),
    )


def _own_names(test: TestSet) -> tuple[Metric, ...]:
    return PROBABILISTIC if test.threshold is None else (*PROBABILISTIC, *RATES)


def _at_least_wilson(test: TestSet, name: Metric, drawn: Interval) -> Interval:
    """A rate's interval is at least Wilson's: where all of few positives are called, samples of them have no spread."""
    if name not in RATES or not np.isfinite(drawn.value):
        return drawn
    counts = metrics.confusion(test.labels, test.probabilities, test.called_from)
    called, positive = counts.true_positive + counts.false_positive, test.labels.sum()
    of = {"sensitivity": positive, "specificity": len(test.labels) - positive, "ppv": called}
    count = round(float(of.get(name, len(test.labels) - called)))
    low, high = metrics.wilson(drawn.value * count, count)
    return replace(drawn, low=min(low, drawn.low), high=max(high, drawn.high))


def _statistics(test: TestSet, others: Mapping[str, Floats]) -> dict[str, Statistic]:
    y, p = test.labels, test.probabilities
    found: dict[str, Statistic] = {
        "auroc": lambda w: metrics.auroc(y, p, w),
        "auprc": lambda w: metrics.auprc(y, p, w),
        "brier": lambda w: metrics.brier(y, p, w),
        "calibration_slope": lambda w: metrics.calibration_slope(y, p, w),
        "calibration_intercept": lambda w: metrics.calibration_intercept(y, p, w),
        "ece": lambda w: metrics.ece(y, p, w),
    }
    if test.threshold is not None:
        for rate in RATES:
            found[rate] = partial(_rate, y, p, test.called_from, rate)
    for name, other in others.items():
        found[f"auroc {name}"] = partial(_auroc, y, other)
        found[f"difference {name}"] = partial(_difference, y, p, other)
    return found


def _rate(y: Floats, p: Floats, threshold: float | Floats, rate: str, weights: Floats) -> float:
    return float(getattr(metrics.confusion(y, p, threshold, weights), rate))


def _auroc(y: Floats, p: Floats, weights: Floats) -> float:
    return metrics.auroc(y, p, weights)


def _difference(y: Floats, p: Floats, other: Floats, weights: Floats) -> float:
    return metrics.auroc(y, p, weights) - metrics.auroc(y, other, weights)


def _compared(test: TestSet, name: str, other: Floats, found: Mapping[str, Interval]) -> DrawnComparison:
    """Beside another score: its AUROC and the paired difference; DeLong's test where no patient has two ECGs."""
    counts = min(test.labels.sum(), (1 - test.labels).sum())
    comparable = len(set(test.patients)) == len(test.patients) and counts >= 2
    return DrawnComparison(
        auroc=found[f"auroc {name}"],
        difference=found[f"difference {name}"],
        delong_p=finite(metrics.delong(test.labels, test.probabilities, other).p_value) if comparable else None,
        roc=_roc(test.labels, other),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Curves:
    """95 % intervals of whole curves over the same samples of patients: (2, points), lower ends first."""

    observed: Floats  #: share of positives in each bin of the reliability diagram
    net_benefit: Floats  #: at each of `DECISIONS`


def _curves(test: TestSet, replicates: int, seed: int) -> _Curves:
    y, p, at = test.labels, test.probabilities, np.array(DECISIONS)
    bins = np.zeros((min(metrics.BINS, len(y)), len(y)))
    for number, part in enumerate(metrics.equal_bins(p)):
        bins[number, part] = 1.0
    called = (p[None, :] >= at[:, None]).astype(np.float64)
    shares, benefits = [], []
    for weights in metrics.patient_weights(test.patients, replicates=replicates, seed=seed):
        inside = bins @ weights
        shares.append(np.divide(bins @ (weights * y), inside, out=np.full(len(bins), np.nan), where=inside > 0))
        hits, alarms = called @ (weights * y), called @ (weights * (1 - y))
        benefits.append((hits - alarms * at / (1 - at)) / weights.sum())
    return _Curves(
        observed=np.nanpercentile(shares, [2.5, 97.5], axis=0),
        net_benefit=np.percentile(benefits, [2.5, 97.5], axis=0),
    )


def _reliability(test: TestSet, curves: _Curves) -> tuple[metrics.Bin, ...]:
    """The bins; each interval is at least Wilson's, because a bin without a positive has nothing to draw from."""
    return tuple(
        replace(one, low=min(one.low, float(low)), high=max(one.high, float(high)))
        for one, low, high in zip(metrics.reliability(test.labels, test.probabilities), *curves.observed, strict=True)
    )


def _decision_curve(test: TestSet, curves: _Curves) -> tuple[Benefit, ...]:
    return tuple(
        Benefit(
            threshold=t,
            model=metrics.net_benefit(test.labels, test.probabilities, t),
            low=float(low),
            high=float(high),
            all=metrics.net_benefit(test.labels, 1.0, t),
        )
        for t, low, high in zip(DECISIONS, *curves.net_benefit, strict=True)
    )


def _roc(labels: Floats, scores: Floats, points: int = 100) -> tuple[Point, ...]:
    """From (0, 0) to (1, 1), thinned for drawing."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(labels[order])[ends] / labels.sum()
    alarms = np.cumsum(1 - labels[order])[ends] / (1 - labels).sum()
    kept = np.unique(np.linspace(0, len(ends) - 1, min(points, len(ends))).astype(int))
    return ((0.0, 0.0), *((float(alarms[i]), float(hits[i])) for i in kept))


def _histogram(test: TestSet) -> Histogram:
    edges = np.linspace(0, 1, 21)
    negative, positive = (np.histogram(test.probabilities[test.labels == value], edges)[0] for value in (0, 1))
    return Histogram(negative=tuple(negative.tolist()), positive=tuple(positive.tolist()))


def _subgroup(test: TestSet, attribute: str, value: str, replicates: int, seed: int) -> Subgroup:
    inside = np.array([one == value for one in test.subgroups[attribute]])
    y, p = test.labels[inside], test.probabilities[inside]
    patients = [patient for patient, is_in in zip(test.patients, inside, strict=True) if is_in]
    called = None
    if test.threshold is not None:
        own = test.called_from
        called = metrics.confusion(y, p, own[inside] if isinstance(own, np.ndarray) else own)
    statistics: dict[str, Statistic] = {}
    if min(y.sum(), (1 - y).sum()) >= SMALLEST_SUBGROUP:
        statistics["auroc"] = partial(_auroc, y, p)
        if test.champion is not None:
            statistics["difference"] = partial(_difference, y, p, test.champion[inside])
    found = metrics.bootstrap(statistics, patients, replicates=min(replicates, 400), seed=seed) if statistics else {}
    return Subgroup(
        attribute=attribute,
        value=value,
        ecgs=len(y),
        patients=len(set(patients)),
        positives=int(y.sum()),
        auroc=found.get("auroc"),
        difference_champion=found.get("difference"),
        sensitivity=finite(called.sensitivity) if called else None,
        specificity=finite(called.specificity) if called else None,
    )
