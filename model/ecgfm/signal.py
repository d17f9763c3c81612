"""From a 12-lead ECG in mV at any rate to the z-scored 5 s segments at 500 Hz that ECG-FM was trained on.

Every physical constant stands here once. The steps and their order are those of fairseq-signals' preprocessing
(commit 6b9e137), in float64 on the whole record: resample linearly, z-score each lead, cut into segments.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import SignalError

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SAMPLING_RATE = 500  #: Hz
SEGMENT_SECONDS = 5
SEGMENT_SAMPLES = SAMPLING_RATE * SEGMENT_SECONDS  #: 2500
PREPROCESSING = "linear-500hz/zscore-record/segments-5s/1"  #: changes whenever `prepare` gives other numbers

Signal = NDArray[np.floating]


def prepare(signal: Signal, sampling_rate: float) -> NDArray[np.float32]:
    """(12, samples) in mV, rows as in `LEADS` -> (segments, 12, 2500) float32 in units of each lead's deviation.

    A remainder shorter than 5 s is dropped, so a record shorter than 5 s gives no segment. A lead with one NaN becomes
    NaN; a constant lead becomes zero. Raises `SignalError` on a wrong shape or rate.
    """
    record = zscore(resample(checked(signal, sampling_rate), sampling_rate))
    return np.ascontiguousarray(segments(record), dtype=np.float32)


def checked(signal: Signal, sampling_rate: float) -> NDArray[np.float64]:
    """The signal as float64 (12, samples); raises `SignalError` on a wrong shape or rate."""
    array = np.asarray(signal, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != len(LEADS):
        raise SignalError(f"a signal is ({len(LEADS)}, samples) in mV, not {array.shape}")
    if not (np.isfinite(sampling_rate) and sampling_rate > 0):
        raise SignalError(f"a sampling rate is a positive number of Hz, not {sampling_rate}")
    return array


def resample(signal: NDArray[np.float64], sampling_rate: float) -> NDArray[np.float64]:
    """Linear interpolation to 500 Hz, end-points onto end-points, without an anti-alias filter, as in training.

    The length is truncated: 2934 samples at 400 Hz give 3667.
    """
    samples = signal.shape[1]
    target = int(samples * SAMPLING_RATE / sampling_rate)
    if sampling_rate == SAMPLING_RATE or target == 0:
        return signal[:, :target]
    positions = np.linspace(0, target - 1, samples)
    wanted = np.arange(target)
    return np.stack([np.interp(wanted, positions, lead) for lead in signal])


def zscore(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract each lead's mean and divide by its population deviation over the whole record; constant leads -> 0.

    Constant means max = min: the deviation of a constant that float64 cannot sum exactly is not exactly 0, and dividing
    by it would invent a signal.
    """
    if signal.shape[1] == 0:
        return signal
    mean = signal.mean(axis=1, keepdims=True)
    deviation = signal.std(axis=1, keepdims=True)
    constant = np.ptp(signal, axis=1, keepdims=True) == 0
    return np.where(constant, 0.0, (signal - mean) / np.where(constant | (deviation == 0), 1.0, deviation))


def segments(record: NDArray[np.float64]) -> NDArray[np.float64]:
    """(12, samples) at 500 Hz -> (segments, 12, 2500), from sample 0, without overlap, remainder dropped."""
    count = record.shape[1] // SEGMENT_SAMPLES
    whole = record[:, : count * SEGMENT_SAMPLES].reshape(len(LEADS), count, SEGMENT_SAMPLES)
    return whole.transpose(1, 0, 2)


def reasons_not_scored(signal: Signal, sampling_rate: float) -> tuple[str, ...]:
    """Why this signal cannot be scored, as stable codes: `too-short`, `nan-lead`, `constant-lead`; empty where it can.

    ECG-FM's training cohorts held no record with a missing sample or a constant lead, so neither is scored.
    """
    array = checked(signal, sampling_rate)
    found = []
    if int(array.shape[1] * SAMPLING_RATE / sampling_rate) < SEGMENT_SAMPLES:
        found.append("too-short")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        found.append("nan-lead")
    if array.shape[1] and (np.ptp(array[finite], axis=1) == 0).any():
        found.append("constant-lead")
    return tuple(found)


def derive_limb_leads(signal: NDArray[np.floating[Any]]) -> None:
    """Recompute III, aVR, aVL and aVF from I and II in place (Einthoven, Goldberger), rows in the order of `LEADS`."""
    lead_i, lead_ii = signal[0], signal[1]
    signal[2] = lead_ii - lead_i
    signal[3] = -(lead_ii + lead_i) / 2
    signal[4] = lead_i - lead_ii / 2
    signal[5] = lead_ii - lead_i / 2
