"""184 plain numbers of one ECG (rate, heights, ST, T, widths of the median beat): what a forest can learn from.

A network that does not beat them has learnt nothing that a ruler does not see.
"""

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.ecg.beats import r_peaks

BEFORE, AFTER = 0.30, 0.45  #: s of the median beat around R


def features(signal: NDArray[np.float32], sampling_rate: float) -> NDArray[np.float64]:
    """(n,) numbers of a (12, samples) signal in mV; zeros where no beat is found."""
    clean = np.nan_to_num(signal.astype(np.float64))
    peaks = r_peaks(clean, sampling_rate)
    beat = _median_beat(clean, peaks, sampling_rate)
    intervals = np.diff(peaks) / sampling_rate
    rhythm = [intervals.mean(), intervals.std(), np.ptp(intervals)] if len(intervals) else [0.0, 0.0, 0.0]
    spread = np.concatenate([clean.std(axis=1), np.ptp(clean, axis=1)])
    return np.concatenate([rhythm, [len(peaks)], spread, _beat_features(beat, sampling_rate)])


def _median_beat(signal: NDArray[np.float64], peaks: NDArray[np.intp], rate: float) -> NDArray[np.float64]:
    before, after = round(BEFORE * rate), round(AFTER * rate)
    whole = [signal[:, p - before : p + after] for p in peaks if p >= before and p + after <= signal.shape[1]]
    beat = np.median(np.stack(whole), axis=0) if whole else np.zeros((len(signal), before + after))
    baseline = np.median(beat[:, : round(0.1 * rate)], axis=1, keepdims=True)
    return np.asarray(beat - baseline)


def _beat_features(beat: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Per lead: R and S height, their ratio, Q depth, J point, ST at 60 and 80 ms, T extremes and mean, P height,
    width.
    """
    at = round(BEFORE * rate)

    def window(begin: float, end: float) -> NDArray[np.float64]:
        return beat[:, at + round(begin * rate) : at + round(end * rate)]

    qrs, st, t, p = window(-0.06, 0.08), window(0.06, 0.10), window(0.12, 0.40), window(-0.28, -0.08)
    high, low = qrs.max(axis=1), qrs.min(axis=1)
    steep = np.abs(np.diff(window(-0.10, 0.12), axis=1))
    wide = (steep > 0.15 * np.maximum(steep.max(axis=1, keepdims=True), 1e-9)).sum(axis=1) / rate
    parts = [
        *(high, low, high / np.maximum(high - low, 1e-6), window(-0.06, 0.0).min(axis=1)),
        *(window(0.045, 0.055).mean(axis=1), st.mean(axis=1), window(0.08, 0.09).mean(axis=1)),
        *(t.max(axis=1), t.min(axis=1), t.mean(axis=1), p.max(axis=1), p.min(axis=1), wide),
    ]
    return np.concatenate(parts)
