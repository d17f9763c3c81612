"""What drift looks at, and what it finds, as frozen values: samples and scores go in, months and findings come out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.learning.documents import Measured

Floats = NDArray[np.float64]

Number = Literal["amplitude", "noise", "rate"]
Mix = Literal["device", "site"]
Attribute = Literal["month", "device", "site"]

NUMBERS: Mapping[Number, str] = {
    "amplitude": "height of the leads, mV",
    "noise": "noise between the beats, mV",
    "rate": "heart rate, beats per minute",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One ECG as drift sees it."""

    month: str  #: 2031-05
    device: str
    site: str
    numbers: Mapping[Number, float]  #: NaN where not known
    embedding: Floats | None = field(default=None, repr=False)  #: (width,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One score of one label, with its outcome where it is known."""

    month: str
    device: str
    site: str
    patient: str = field(repr=False)
    probability: float
    outcome: float | None = None  #: 0 or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Monthly:
    """One figure of one month, with its 95 % interval; None where there is nothing to compute it from."""

    month: str
    ecgs: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None  #: that the reference is the same; None with too few ECGs


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifted(Monthly):
    """A figure whose distance from the reference is known."""

    shift: float | None = None  #: in standard deviations of the reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreMonth(Shifted):
    """Probabilities of one month."""

    psi: float | None = None  #: population stability index


@dataclass(frozen=True, slots=True, kw_only=True)
class MixMonth:
    """From which devices or sites the ECGs of one month come."""

    month: str
    counts: Mapping[str, int]
    distance: float | None = None  #: share of ECGs that would have to come from elsewhere to equal the reference
    p: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the ECGs themselves look like, month by month."""

    amplitude: tuple[Shifted, ...]
    noise: tuple[Shifted, ...]
    rate: tuple[Shifted, ...]
    device: tuple[MixMonth, ...]
    site: tuple[MixMonth, ...]
    embedding: tuple[Monthly, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Performance in one month, on one device or at one site; None with too few of either kind."""

    of: str
    ecgs: int
    positives: int
    auroc: Measured | None = None
    intercept: Measured | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Performance where outcomes are known."""

    month: tuple[Measure, ...]
    device: tuple[Measure, ...]
    site: tuple[Measure, ...]
