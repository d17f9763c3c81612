"""The typical beat of a recording: the median over its beats, lead by lead, aligned at their QRS complexes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.ecg.beats import r_peaks
from ecgfm_clinical.ecg.layouts import View
from ecgfm_clinical.ecg.sheet import seconds_on, strips

BEFORE, AFTER = 0.35, 0.55  #: s around the QRS complex: P wave to T wave at a usual rate
MARGIN = 0.2  #: s from the beginning of a column to the beat's
FEWEST = 3
#: Least correlation of a beat with the median of all; ectopic beats are left out.
ALIKE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MedianBeat:
    """One beat of all leads."""

    signal: NDArray[np.float64]  #: (12, samples), mV, each lead's level before the P wave at 0
    sampling_rate: float  #: Hz
    beats: int  #: of which it is the median


def median_beat(signal: NDArray[np.floating], sampling_rate: float) -> MedianBeat | None:
    """None where fewer than three beats alike are found.

    signal: (12, samples) mV, rows as `LEADS`; NaN is no signal. sampling_rate: Hz.
    """
    values = np.asarray(signal, dtype=np.float64)
    before, after = round(BEFORE * sampling_rate), round(AFTER * sampling_rate)
    peaks = r_peaks(values, sampling_rate)
    whole = [one for one in peaks if before <= one < values.shape[1] - after]
    if len(whole) < FEWEST:
        return None
    beats = np.stack([values[:, one - before : one + after] for one in whole])
    alike = _alike(np.nan_to_num(beats))
    if alike.sum() < FEWEST:
        return None
    middle = _median(beats[alike], axis=0)
    level = _median(middle[:, : max(1, round(0.08 * sampling_rate))], axis=1)[:, None]
    return MedianBeat(signal=middle - np.nan_to_num(level), sampling_rate=sampling_rate, beats=int(alike.sum()))


def _median(values: NDArray[np.float64], *, axis: int) -> NDArray[np.float64]:
    """Of the finite values along this axis; NaN where there is none."""
    finite = np.isfinite(values)
    none = ~finite.any(axis=axis)
    filled = np.where(finite, values, np.where(np.expand_dims(none, axis), 0.0, np.nan))
    return np.where(none, np.nan, np.nanmedian(filled, axis=axis))


def _alike(beats: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(beats,): which of (beats, leads, samples) resemble the median of all."""
    flat = (beats - beats.mean(axis=2, keepdims=True)).reshape(len(beats), -1)
    typical = np.median(flat, axis=0)
    lengths = np.linalg.norm(flat, axis=1) * np.linalg.norm(typical)
    return np.asarray(flat @ typical >= ALIKE * np.where(lengths > 0, lengths, np.inf))


def laid_out(beat: MedianBeat, view: View) -> NDArray[np.float64]:
    """(12, samples): the beat once in each column of a sheet of this view, NaN elsewhere.

    The QRS complex lies on the same place of each column, so that two recordings laid out alike can be laid over each
    other.
    """
    rate = beat.sampling_rate
    found = np.full((len(beat.signal), round(seconds_on(view) * rate)), np.nan)
    for begin in sorted({strip.begin for strip in strips(view)}):
        first = round((begin + MARGIN) * rate)
        piece = beat.signal[:, : max(0, found.shape[1] - first)]
        found[:, first : first + piece.shape[1]] = piece
    return found
