"""Where the heartbeats of a clean ECG lie: enough to alter a recording beat by beat, no diagnostic delineator."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal as dsp

Signal = NDArray[np.float64]  #: (12, samples), mV


def r_peaks(signal: Signal, sampling_rate: float) -> NDArray[np.intp]:
    """Sample numbers of the QRS complexes, found in all leads together.

    Band-pass, square, integrate, threshold, as Pan and Tompkins 1985 (doi:10.1109/TBME.1985.325532), but once over
    the whole recording; then moved to where the complex is tallest. Empty where nothing stands out.
    """
    finite = np.nan_to_num(signal)
    energy = np.square(dsp.sosfiltfilt(_of_qrs(sampling_rate), finite, axis=1)).sum(axis=0)
    energy = np.convolve(energy, np.full(_samples(0.08, sampling_rate), 1.0), "same")
    if not energy.max() > 0:
        return np.array([], dtype=np.intp)
    height = 0.25 * float(np.percentile(energy, 97))
    rough, _ = dsp.find_peaks(energy, height=height, distance=_samples(0.25, sampling_rate))
    return _aligned(finite, rough, _samples(0.06, sampling_rate))


@lru_cache(maxsize=16)
def _of_qrs(sampling_rate: float) -> NDArray[np.float64]:
    """Second-order sections of the band pass; hospitals have a handful of rates."""
    return np.asarray(dsp.butter(2, (5.0, 25.0), "bandpass", fs=sampling_rate, output="sos"))


def _aligned(signal: Signal, rough: NDArray[np.intp], reach: int) -> NDArray[np.intp]:
    """Each estimated position moved to where the beat fits the median beat best, so that R and S are never confused."""
    padded = np.pad(signal - np.median(signal, axis=1, keepdims=True), ((0, 0), (2 * reach, 2 * reach)))
    places = rough
    for _ in range(2):
        windows = [padded[:, place : place + 4 * reach + 1] for place in places]
        template = np.median(np.stack(windows), axis=0)[:, reach : 3 * reach + 1]
        moves = np.array([_lag(window, template) - reach for window in windows], dtype=np.intp)
        places = np.unique(np.clip(places + moves, 0, signal.shape[1] - 1))
    tallest = int(np.argmax(np.abs(template).sum(axis=0))) - reach
    return np.unique(np.clip(places + tallest, 0, signal.shape[1] - 1))


def _lag(window: Signal, template: Signal) -> int:
    fits = [np.correlate(row, shape, "valid") for row, shape in zip(window, template, strict=True)]
    return int(np.argmax(np.sum(fits, axis=0)))


def heart_rate(signal: Signal, sampling_rate: float) -> float:
    """Beats per minute from the median RR interval; NaN with fewer than two beats."""
    return rate_of(r_peaks(signal, sampling_rate), sampling_rate)


def rate_of(peaks: NDArray[np.intp], sampling_rate: float) -> float:
    """The same of beats that were found already, as sample numbers."""
    return 60.0 * sampling_rate / float(np.median(np.diff(peaks))) if len(peaks) > 1 else float("nan")


def qt_interval(rr: float) -> float:
    """How long QRS and T last, s, at an RR interval in s: Hodges 1983, QT = 0.40 s at 60/min, 1.75 ms less per
    beat/min.
    """
    return max(0.25, 0.40 - 0.00175 * (60.0 / rr - 60.0))


def _samples(seconds: float, sampling_rate: float) -> int:
    return round(seconds * sampling_rate)
