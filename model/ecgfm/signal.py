"""From a 12-lead ECG in mV at any rate to the z-scored 5 s segments at 500 Hz that ECG-FM was trained on.

Every physical constant stands here once. The steps and their order are those of fairseq-signals' preprocessing
(commit 6b9e137), in float64 on the whole record: resample linearly, z-score each lead, cut into segments.
"""

from typing import Any  # Any: numpy arrays of any floating kind

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import SignalError

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SAMPLING_RATE = 500  #: Hz
SEGMENT_SECONDS = 5
SEGMENT_SAMPLES = SAMPLING_RATE * SEGMENT_SECONDS  #: 2500
#: Names of the preparations, which bundles carry; a name changes whenever its preparation gives other numbers.
#: The reference's own arithmetic, and the default everywhere in this module.
PREPROCESSING = "linear-500hz/zscore-record/segments-5s/1"
#: The same, but a record that is 10 s by its clock gives two segments: see `segment_starts`.
BY_CLOCK = "linear-500hz/zscore-record/segments-5s-by-clock/1"
PREPARATIONS = (PREPROCESSING, BY_CLOCK)
#: By so many seconds a record may fall short of its last segment with `BY_CLOCK`.
CLOCK_TOLERANCE = 0.25

Signal = NDArray[np.floating]


def prepare(signal: Signal, sampling_rate: float, preprocessing: str = PREPROCESSING) -> NDArray[np.float32]:
    """(12, samples) in mV, rows as in `LEADS` -> (segments, 12, 2500) float32 in units of each lead's deviation.

    A remainder shorter than 5 s is dropped, so a record shorter than 5 s gives no segment; with `BY_CLOCK`, see
    `segment_starts`. A lead with one NaN becomes NaN; a constant lead becomes zero. Raises `SignalError` on a wrong
    shape or rate, or an unknown preprocessing.
    """
    record = zscore(resample(checked(signal, sampling_rate), sampling_rate))
    return np.ascontiguousarray(segments(record, preprocessing), dtype=np.float32)


def segment_count(samples: int, sampling_rate: float, preprocessing: str = PREPROCESSING) -> int:
    """How many segments `prepare` makes of so many samples."""
    return len(segment_starts(int(samples * SAMPLING_RATE / sampling_rate), preprocessing))


def segment_starts(samples: int, preprocessing: str = PREPROCESSING) -> tuple[int, ...]:
    """Where the segments of a record of so many samples at 500 Hz begin. Raises SignalError: an unknown preprocessing.

    The reference cuts from sample 0 and drops the remainder. It also truncates the length, so that ten seconds at
    333.33 Hz, at 500.05 Hz, or with a few hundredths of a second of fill cut off, are one segment and the second half
    of the record is not looked at. `BY_CLOCK` departs from it there and nowhere else: a record at most
    `CLOCK_TOLERANCE` short of another segment gets that segment, and all of them are spread evenly from the first
    sample to the last, so that neighbours overlap by what is missing. Nothing is padded or stretched. Any other record
    gives the same bits.
    """
    if preprocessing not in PREPARATIONS:
        raise SignalError(f"no preparation of signals is called {preprocessing!r}; there are {', '.join(PREPARATIONS)}")
    whole = samples // SEGMENT_SAMPLES
    count = (samples + round(CLOCK_TOLERANCE * SAMPLING_RATE)) // SEGMENT_SAMPLES
    if preprocessing == PREPROCESSING or count == whole or whole == 0:
        return tuple(range(0, whole * SEGMENT_SAMPLES, SEGMENT_SAMPLES))
    return tuple(round(number * (samples - SEGMENT_SAMPLES) / (count - 1)) for number in range(count))


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


def segments(record: NDArray[np.float64], preprocessing: str = PREPROCESSING) -> NDArray[np.float64]:
    """(12, samples) at 500 Hz -> (segments, 12, 2500), beginning where `segment_starts` says."""
    starts = segment_starts(record.shape[1], preprocessing)
    cut = [record[:, start : start + SEGMENT_SAMPLES] for start in starts]
    return np.stack(cut) if cut else np.zeros((0, len(LEADS), SEGMENT_SAMPLES))


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
