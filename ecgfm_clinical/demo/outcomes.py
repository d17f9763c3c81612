"""Invented echo and laboratory outcomes for invented patients, drawn by the rules written here.

They let the demo and its tests go through training, judging and reporting from end to end. The rules read the same ECG
that a model is then asked to judge, so what a model reaches on them is circular: it shows that the path works, and says
nothing about hearts.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ecgfm_clinical.ecg.beats import Signal, r_peaks, rate_of
from ecgfm_connectors.ecg import LEADS

REDUCED_LVEF = 40.0  #: %, inclusive
UPPER_REFERENCE_LIMIT = 14.0  #: ng/L, 99th percentile of the invented assay

# Log-odds of each finding. Directions are those of the literature, sizes are invented.
LVEF_BASE, LVEF_BY_FINDING = -3.2, {"wide QRS": 3.6, "paced": 3.0, "atrial fibrillation": 1.4, "ST elevation": 0.8}
TROPONIN_BASE, TROPONIN_BY_FINDING = -3.0, {"ST elevation": 5.5, "atrial fibrillation": 0.7, "wide QRS": 0.4}
#: Chronic injury: of 416 outpatients with heart failure and an LVEF below 45 %, 57 % had a high-sensitivity troponin T
#: above the 99th percentile (Egstrup et al., Am J Cardiol 2012;110:552); with the base above this gives 57 % at 60
#: years.
TROPONIN_BY_REDUCED_LVEF = 3.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What an echo laboratory and a clinical laboratory would have reported, and how likely that was."""

    lvef: float  #: %
    troponin: float  #: ng/L
    reduced_lvef_probability: float  #: by the rule; no model can do better than knowing it
    troponin_probability: float

    @property
    def reduced_lvef(self) -> bool:
        return self.lvef <= REDUCED_LVEF

    @property
    def troponin_above(self) -> bool:
        return self.troponin > UPPER_REFERENCE_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOdds:
    """What one ECG and age say before anything is drawn."""

    reduced_lvef: float
    troponin: float  #: of raised troponin where the LVEF is not reduced


def simulate(signal: Signal, sampling_rate: float, findings: Collection[str], age: float, rng: Generator) -> Simulated:
    """Draw both outcomes for one ECG: `draw` from its `log_odds`."""
    return draw(log_odds(signal, sampling_rate, findings, age), rng)


def log_odds(signal: Signal, sampling_rate: float, findings: Collection[str], age: float) -> LogOdds:
    """How likely both outcomes are for one ECG.

    Reduced LVEF (≤ 40 %) becomes likelier with a wide QRS, pacing, atrial fibrillation, a rate above 80/min, a small R
    in V3 and age; raised troponin with ST elevation, the LVEF that is drawn, atrial fibrillation and age. `findings`
    are names of alterations.
    """
    lvef = LVEF_BASE + sum(LVEF_BY_FINDING.get(name, 0.0) for name in findings)
    peaks = r_peaks(signal, sampling_rate)
    rate = rate_of(peaks, sampling_rate)
    lvef += 0.03 * max(0.0, rate - 80.0) if np.isfinite(rate) else 0.0
    lvef += 1.2 * (r_share(signal, sampling_rate, "V3", peaks) < 0.25) + 0.02 * (age - 60.0)
    troponin = TROPONIN_BASE + sum(TROPONIN_BY_FINDING.get(name, 0.0) for name in findings) + 0.02 * (age - 60.0)
    return LogOdds(reduced_lvef=lvef, troponin=troponin)


def draw(odds: LogOdds, rng: Generator) -> Simulated:
    """What the laboratories report of one patient with these log-odds."""
    reduced = _chance(odds.reduced_lvef)
    is_reduced = rng.random() < reduced
    percent = _lvef(is_reduced, rng)
    either, both = _chance(odds.troponin), _chance(odds.troponin + TROPONIN_BY_REDUCED_LVEF)
    return Simulated(
        lvef=percent,
        troponin=_troponin(rng.random() < (both if is_reduced else either), rng),
        reduced_lvef_probability=reduced,
        troponin_probability=reduced * both + (1 - reduced) * either,  # what is known before the LVEF is drawn
    )


def r_share(signal: Signal, sampling_rate: float, lead: str, peaks: NDArray[np.intp]) -> float:
    """Height of R over the whole height of QRS in one lead, 0 to 1, median of the beats at `peaks` (sample numbers);
    0.5 where there is no beat.
    """
    row = signal[LEADS.index(lead)]
    reach = round(0.06 * sampling_rate)
    shares = []
    for peak in peaks:
        qrs = row[max(0, peak - reach) : peak + reach + 1] - row[max(0, peak - reach)]
        height = float(qrs.max() - qrs.min())
        if height > 0:
            shares.append(max(0.0, float(qrs.max())) / height)
    return float(np.median(shares)) if shares else 0.5


def _chance(logit: float) -> float:
    return float(1.0 / (1.0 + np.exp(-logit)))


def _lvef(reduced: bool, rng: Generator) -> float:
    """Whole percent, as echo laboratories report it."""
    low, high, middle = (10.0, REDUCED_LVEF, 31.0) if reduced else (REDUCED_LVEF + 1, 75.0, 60.0)
    return float(np.clip(np.rint(rng.normal(middle, 6.0)), low, high))


def _troponin(above: bool, rng: Generator) -> float:
    value = rng.lognormal(np.log(180.0), 1.0) if above else rng.lognormal(np.log(6.0), 0.4)
    low, high = (UPPER_REFERENCE_LIMIT + 1, 10_000.0) if above else (3.0, UPPER_REFERENCE_LIMIT)
    return float(np.clip(np.rint(value), low, high))
