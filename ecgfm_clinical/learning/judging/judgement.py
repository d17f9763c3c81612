"""How one label did, as frozen values: what `judging.label` finds, `judging.gate` decides on,
reports and bundles keep.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ecgfm.metrics import Bin, Interval
from ecgfm_clinical.learning.documents import Measured

Metric = Literal[
    "auroc",
    "auprc",
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "ece",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
]
Point = tuple[float, float]  #: (false positive rate, true positive rate)
CHAMPION = "champion"  #: name of the live model among the scores that a candidate is compared with


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Another score on the same ECGs."""

    auroc: Measured
    difference: Measured  #: AUROC of the candidate minus the other's, paired
    delong_p: float | None  #: two-sided; None where a patient has two ECGs


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnComparison(Compared):
    """The same with its curve."""

    roc: tuple[Point, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroup:
    """The test ECGs that share one value of one attribute."""

    attribute: str
    value: str
    ecgs: int
    patients: int
    positives: int
    auroc: Measured | None  #: None where there are too few of one kind
    difference_champion: Measured | None
    sensitivity: float | None
    specificity: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Benefit:
    """Net benefit at one threshold probability (Vickers and Elkin 2006, doi:10.1177/0272989X06295361)."""

    threshold: float
    model: float
    low: float
    high: float
    all: float  #: where everyone is called positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """ECGs in each of 20 equal bins of probability."""

    negative: tuple[int, ...]
    positive: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One label in numbers, without the curves, which are large and only drawn:
    what a bundle carries of its judgement.
    """

    ecgs: int
    patients: int
    positives: int
    negatives: int
    prevalence: float
    threshold: float | None
    metrics: Mapping[Metric, Measured]  #: rates only where there is a threshold
    replicates: int
    compared: Mapping[str, Compared]
    subgroups: tuple[Subgroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelJudgement(Figures):
    """One label judged in full: what a report shows and the gate decides on."""

    positive_patients: int
    compared: Mapping[str, DrawnComparison]
    reliability: tuple[Bin, ...] = field(repr=False)
    decision_curve: tuple[Benefit, ...] = field(repr=False)
    roc: tuple[Point, ...] = field(repr=False)
    histogram: Histogram = field(repr=False)


def shown(name: str) -> str:
    """What a candidate is compared with, as pages call it."""
    return "live model" if name == CHAMPION else name


def interval_text(interval: Interval) -> str:
    """The value with its interval, for people."""
    if not math.isfinite(interval.value):
        return "not defined"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
