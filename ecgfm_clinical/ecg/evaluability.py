"""Can this ECG be scored by this head? Coded reasons why not, from the signal, the patient and the device's statements.

Each threshold below stands with its reason. They were set between what clean recordings show (300 PTB-XL 500 Hz
records, CC-BY-4.0, none of which may be refused) and what damaged ones show; `tests/clinical/test_evaluability.py`
holds both ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, sosfiltfilt, sosfreqz

from ecgfm_clinical.ecg.pacing import pacing_spikes
from ecgfm_clinical.settings import HeadRules
from ecgfm_connectors import ages
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.statements.understanding import said_of, understood

#: Shortest record that gives one 5 s segment (ECG-FM input contract).
SHORTEST_SECONDS = 5.0
#: PS3.3 A.34.3 allows 200–1000 Hz, A.34.5 down to 50 Hz; below 100 Hz the QRS itself is lost (AHA/ACC 2007: 150 Hz
#: band).
LOWEST_RATE, HIGHEST_RATE = 100.0, 1000.0
#: A lead that keeps one exact value this long is not connected. Quantised clean leads hold a value for 0.33 s at most.
FLAT_SECONDS = 1.0
#: Noise between the beats, mV: median over 100 ms windows of the RMS above 40 Hz. Clean leads reach 0.030 at most.
NOISE_MV = 0.1
WINDOW_SECONDS = 0.1
#: Within this share of the limit the quick estimate of the noise is replaced by the exact value; it errs by 0.5 % at
#: most.
NOISE_DOUBT = 0.05
#: A converter at its rail: this share of a lead's samples at one extreme, in runs of 10 ms and more. Clean: 0.013 at
#: most.
CLIPPED_SHARE = 0.02
#: Every lead larger than this peak to peak means a wrong gain. Clean records have a lead below 1.94 mV.
LARGE_MV = 2.5
#: Any sample beyond this is no heart: ten times the largest QRS.
IMPOSSIBLE_MV = 50.0
#: No lead larger than this peak to peak means a wrong unit or gain. Low voltage is < 1 mV in every precordial lead;
#: clean records have a lead above 1.35 mV.
SMALL_MV = 0.5
#: Findings of the decoders that keep every head from scoring.
DECODER_REASONS = {
    "einthoven-violation": "leads I, II, III disagree with Einthoven's law: swapped or mislabelled leads",
    "arm-leads-suspected": "the right and left arm electrodes look exchanged, or the heart lies on the right",
    "not-simultaneous": "the leads were not recorded at the same time",
    "gain-implausible": "the stated gain does not fit the samples",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a head does not score an ECG: a stable code for machines, a sentence for people."""

    code: str
    text: str


def judge(ecg: Ecg, rules: HeadRules, *, of_signal: tuple[Reason, ...] | None = None) -> tuple[Reason, ...]:
    """All reasons why a head with these rules must not score `ecg`; empty where it may.

    `of_signal`: the result of `signal_reasons`, where several heads judge the same ECG.
    """
    of_signal = signal_reasons(ecg) if of_signal is None else of_signal
    reasons = (*of_signal, *_length_reasons(ecg, rules), *_patient_reasons(ecg, rules), *_device_reasons(ecg, rules))
    return tuple(reason for reason in reasons if reason.code not in rules.allow)


def signal_reasons(ecg: Ecg) -> tuple[Reason, ...]:
    """The reasons that lie in the recording itself, the same for every head."""
    return tuple(_signal_reasons(ecg))


def _signal_reasons(ecg: Ecg) -> Iterator[Reason]:
    signal, rate = ecg.signal, ecg.sampling_rate
    if ecg.duration < SHORTEST_SECONDS:
        yield Reason(code="too-short", text=f"{ecg.duration:.1f} s recorded, {SHORTEST_SECONDS:.0f} s needed")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        yield Reason(code="rate-out-of-range", text=f"{rate:g} Hz, {LOWEST_RATE:g}–{HIGHEST_RATE:g} Hz needed")
    for finding in ecg.findings:
        if finding.code in DECODER_REASONS:
            yield Reason(code=finding.code, text=DECODER_REASONS[finding.code])
    absent = np.isnan(signal)
    missing = np.asarray(absent.all(axis=1))
    complete = ~np.asarray(absent.any(axis=1))
    yield from _of_leads("missing-lead", missing, "not recorded")
    yield from _of_leads("nan-sample", ~complete & ~missing, "samples missing inside the recording")
    whole = signal[complete]
    if whole.size == 0 or signal.shape[1] < rate / 2:
        return
    flat = np.zeros(len(LEADS), bool)
    flat[complete] = _holds_still(whole, FLAT_SECONDS * rate)
    yield from _of_leads("flat-lead", flat, f"no change for {FLAT_SECONDS:g} s or more")
    yield from _amplitude_reasons(whole, rate, complete=not flat.any())
    if rate >= LOWEST_RATE:
        noisy = np.zeros(len(LEADS), bool)
        noisy[complete] = _is_noisy(whole, rate)
        yield from _of_leads("noise", noisy, f"more than {NOISE_MV:g} mV of noise between the beats")
    clipped = np.zeros(len(LEADS), bool)
    clipped[complete] = _is_clipped(whole, rate)
    yield from _of_leads("clipped-lead", clipped & ~flat, "samples held at the converter's limit")


def _of_leads(code: str, hit: NDArray[np.bool_], text: str) -> Iterator[Reason]:
    if hit.any():
        names = ", ".join(lead for lead, is_hit in zip(LEADS, hit, strict=True) if is_hit)
        yield Reason(code=code, text=f"{names}: {text}")


def _amplitude_reasons(signal: NDArray[np.float32], rate: float, *, complete: bool) -> Iterator[Reason]:
    height = np.ptp(signal, axis=1)
    if np.abs(signal).max() > IMPOSSIBLE_MV or (complete and height.min() > LARGE_MV):
        yield Reason(
            code="amplitude-implausible",
            text=f"leads of {height.min():.1f}–{height.max():.1f} mV: gain or unit too large",
        )
    elif complete and height.max() < SMALL_MV:
        yield Reason(code="amplitude-implausible", text=f"no lead above {height.max():.3f} mV: gain or unit too small")


def _length_reasons(ecg: Ecg, rules: HeadRules) -> Iterator[Reason]:
    if ecg.duration > rules.max_seconds:
        text = f"{ecg.duration:.0f} s recorded, the head is for {rules.max_seconds:g} s and less"
        yield Reason(code="too-long", text=text)


def _patient_reasons(ecg: Ecg, rules: HeadRules) -> Iterator[Reason]:
    """Where birth date and stated age disagree, one age outside the range is enough: a child must not be scored."""
    age = ages.of(ecg)
    possible, doubts = age.candidates, "".join(f"; {doubt}" for doubt in age.doubts)
    if not possible and rules.unknown_age == "refuse":
        yield Reason(code="age-unknown", text=f"the head has an age range and the age is not known{doubts}")
    if any(rules.min_age is not None and age < rules.min_age for age in possible):
        yield Reason(code="age-below-range", text=f"the head is for {rules.min_age:g} years and older{doubts}")
    elif any(rules.max_age is not None and age > rules.max_age for age in possible):
        yield Reason(code="age-above-range", text=f"the head is for {rules.max_age:g} years and younger{doubts}")


def _device_reasons(ecg: Ecg, rules: HeadRules) -> Iterator[Reason]:
    if ecg.test_data or said_of("test-data", understood(ecg)) == "stated":
        yield Reason(code="test-data", text="the sender marks this recording as test data")
    if rules.paced == "refuse":
        yield from _pacing_reasons(ecg)


def _pacing_reasons(ecg: Ecg) -> Iterator[Reason]:
    """What the device says of pacing decides; the signal is asked where the device says nothing. Filters often remove
    spikes, so a signal without spikes says nothing.
    """
    said = said_of("paced", understood(ecg))
    if said in ("stated", "possible"):
        yield Reason(code="paced-rhythm", text="the device reports a paced rhythm, for which the head was not made")
    elif said is None and len(pacing_spikes(ecg.signal, ecg.sampling_rate)):
        yield Reason(code="pacing-spikes", text="the signal holds pacing spikes, and the head was not made for pacing")


def _runs(hit: NDArray[np.bool_]) -> NDArray[np.int_]:
    """Lengths of the runs of True in a 1-D array."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], hit.view(np.int8), [0]))))
    return edges[1::2] - edges[::2]


def _holds_still(signal: NDArray[np.float32], samples: float) -> NDArray[np.bool_]:
    """Per lead, whether it keeps one value for so many samples."""
    still = signal[:, 1:] == signal[:, :-1]
    held = still.sum(axis=1) >= samples - 1  # fewer equal neighbours in all: no run can be that long
    for lead in np.flatnonzero(held):
        held[lead] = 1 + _runs(still[lead]).max() >= samples
    return np.asarray(held)


def _is_clipped(signal: NDArray[np.float32], rate: float) -> NDArray[np.bool_]:
    """Per lead, whether too many samples lie in runs of at least 10 ms at the lead's own extreme."""
    shortest = max(3, round(0.01 * rate))
    extreme = (signal == signal.max(axis=1, keepdims=True)) | (signal == signal.min(axis=1, keepdims=True))
    clipped = extreme.mean(axis=1) > CLIPPED_SHARE  # fewer there in all: no need to look at runs
    for lead in np.flatnonzero(clipped):
        runs = _runs(extreme[lead])
        clipped[lead] = runs[runs >= shortest].sum() / signal.shape[1] > CLIPPED_SHARE
    return np.asarray(clipped)


def _is_noisy(signal: NDArray[np.float32], rate: float) -> NDArray[np.bool_]:
    """Per lead, whether `between_beats` exceeds the limit: estimated first, computed where the estimate leaves
    a doubt.
    """
    estimate = _quick_between_beats(signal, rate)
    noisy = estimate > NOISE_MV
    doubtful = np.abs(estimate / NOISE_MV - 1) <= NOISE_DOUBT
    if doubtful.any():
        noisy[doubtful] = between_beats(signal[doubtful], rate) > NOISE_MV
    return np.asarray(noisy)


@lru_cache(maxsize=16)
def _above_40_hz(rate: float) -> NDArray[np.float64]:
    """Second-order sections of the high pass; hospitals have a handful of rates."""
    return np.asarray(butter(4, min(40.0, 0.45 * rate), "highpass", fs=rate, output="sos"))


def between_beats(signal: NDArray[np.float32], rate: float) -> NDArray[np.float64]:
    """Per lead, the median over 100 ms windows of the RMS above 40 Hz, mV: beats are a minority of the windows.

    signal: (leads, samples) mV without NaN; rate ≥ 100 Hz.
    """
    return np.asarray(np.median(noise_by_window(signal, rate), axis=1))


def noise_by_window(signal: NDArray[np.float32], rate: float) -> NDArray[np.float64]:
    """(leads, windows): the RMS above 40 Hz in each window of 100 ms, mV; arguments as above."""
    return _by_window(sosfiltfilt(_above_40_hz(rate), signal.astype(np.float64), axis=1), rate)


def _quick_between_beats(signal: NDArray[np.float32], rate: float) -> NDArray[np.float64]:
    """The same by one Fourier transform of the signal and its mirrored ends, four times as fast."""
    samples, pad = signal.shape[1], min(signal.shape[1] - 1, round(0.25 * rate))
    first, last = signal[:, :1], signal[:, -1:]
    mirrored = [2 * first - signal[:, pad:0:-1], signal, 2 * last - signal[:, -2 : -pad - 2 : -1]]
    period = next_fast_len(samples + 3 * pad, real=True)
    spectrum = rfft(np.concatenate(mirrored, axis=1), period, axis=1)
    filtered = irfft(spectrum * _zero_phase_gain(rate, period), period, axis=1)[:, pad : pad + samples]
    return np.asarray(np.median(_by_window(filtered, rate), axis=1))


def _by_window(filtered: NDArray[np.floating], rate: float) -> NDArray[np.float64]:
    width = max(2, round(WINDOW_SECONDS * rate))
    count = filtered.shape[1] // width
    windows = filtered[:, : count * width].reshape(len(filtered), count, width)
    return np.asarray(windows.std(axis=2))


@lru_cache(maxsize=16)
def _zero_phase_gain(rate: float, period: int) -> NDArray[np.float32]:
    """Gain at each frequency of a transform of that length when the filter runs forwards and backwards."""
    _, response = sosfreqz(_above_40_hz(rate), np.arange(period // 2 + 1) * rate / period, fs=rate)
    return np.asarray(np.abs(response) ** 2, np.float32)
