"""How much of where a model looked lies in each heartbeat, and in each lead of it.

A beat is what lies around a QRS complex that `beats.r_peaks` finds (Pan and Tompkins 1985): it ends, and the next
begins, at two thirds of the interval between two R peaks, behind T and before the next P. What lies before the first
beat or after the last belongs to none.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.ecg.beats import r_peaks
from ecgfm_clinical.ecg.overlays import LeadWeights

#: What shares of beats and leads do not show.
NOT_SHOWN = (
    "A share says where the number depends on the signal, not why: a beat or lead with large waves has a large one, "
    "every part of a beat counts, not its QRS alone, and a beat with a small share is not thereby normal."
)
_END = 2 / 3  #: of an interval between two R peaks, where the first beat ends


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatWeight:
    """One beat's part of a map of one recording."""

    at: float  #: its R peak, s from the start of the recording
    leads: tuple[float, ...]  #: of all weight in all leads, from 0 to 1; in the order of `LEADS`

    @property
    def share(self) -> float:
        """In all leads together."""
        return sum(self.leads)


def beat_weights(signal: NDArray[np.floating], sampling_rate: float, looked: LeadWeights) -> tuple[BeatWeight, ...]:
    """Those of a recording (12, samples) in mV, oldest first; none where fewer than two are found, or all weights are
    0.
    """
    weights = np.asarray(looked.weights, dtype=np.float64)
    total = weights.sum()
    peaks = r_peaks(np.asarray(signal, dtype=np.float64), sampling_rate) / sampling_rate
    if len(peaks) < 2 or not total > 0:
        return ()
    intervals = np.diff(peaks)
    inner = peaks[:-1] + _END * intervals
    edges = np.array([peaks[0] - (1 - _END) * intervals[0], *inner, peaks[-1] + _END * intervals[-1]])
    middles = (np.arange(weights.shape[1]) + 0.5) / looked.per_second
    beat = np.searchsorted(edges, middles, side="right") - 1
    return tuple(
        BeatWeight(at=float(at), leads=tuple((weights[:, beat == number].sum(axis=1) / total).tolist()))
        for number, at in enumerate(peaks.tolist())
    )


def lead_shares(looked: LeadWeights) -> tuple[float, ...]:
    """Each lead's part of all weight, from 0 to 1, in the order of `LEADS`; all 0 where there is none."""
    weights = np.asarray(looked.weights, dtype=np.float64)
    total = weights.sum()
    return tuple((weights.sum(axis=1) / total if total > 0 else np.zeros(len(weights))).tolist())
