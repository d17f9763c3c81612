"""Documented rules that turn a clean sinus ECG into the ones a ward really sends: paced, infarcted, swapped, noisy.

Each rule is a function of (signal, sampling rate, random generator) and returns a new (leads, samples) array in mV.
The same generator state gives the same ECG. What changes a beat is worked out in the eight independent leads and
carried to III, aVR, aVL and aVF by Einthoven's and Goldberger's equations, so the altered ECG still obeys them.

They are drawings of textbook findings on generated signals: good to exercise a pipeline, no model of disease.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import signal as dsp

from ecgfm_clinical.ecg.beats import Signal, qt_interval, r_peaks
from ecgfm_clinical.shipped.recordings import STORED, twelve
from ecgfm_connectors.ecg import LEADS

Alteration = Callable[[Signal, float, Generator], Signal]

QRS_ONSET = 0.05  #: s from QRS onset to the R peak of a narrow complex

# Net height of the QRS complex in each independent lead, mV; the other leads follow.
LEFT_BUNDLE_BRANCH_BLOCK = dict(zip(STORED, (0.8, 0.35, -0.9, -1.7, -1.5, -0.5, 0.8, 1.0), strict=True))
RIGHT_VENTRICULAR_APEX = dict(zip(STORED, (0.6, -0.7, -0.9, -1.6, -1.8, -1.5, -1.0, -0.5), strict=True))

# ST shift at the J point, mV.
ANTERIOR = dict(zip(STORED, (0.06, -0.05, 0.12, 0.28, 0.34, 0.28, 0.14, 0.05), strict=True))
INFERIOR = dict(zip(STORED, (-0.08, 0.18, 0.02, -0.10, -0.10, -0.06, 0.02, 0.06), strict=True))


def wide_qrs(signal: Signal, sampling_rate: float, rng: Generator) -> Signal:
    """Left bundle branch block: each QRS-T is replaced, each P wave kept.

    QRS of 140 to 170 ms, negative in V1 to V3, broad and notched in I, aVL, V5 and V6 without a q, ST and T opposite
    to it (AHA/ACCF/HRS 2009 part III, doi:10.1161/CIRCULATIONAHA.108.191095).
    """
    duration = rng.uniform(0.14, 0.17)
    return _with_wide_beats(signal, sampling_rate, rng, LEFT_BUNDLE_BRANCH_BLOCK, duration)


def paced(signal: Signal, sampling_rate: float, rng: Generator, *, spike_height: float = 1.0) -> Signal:
    """Ventricular pacing from the right ventricular apex that follows the atrium (VDD, DDD).

    A unipolar spike of 2 to 4 ms and 0.3 to 1.2 mV, then a QRS of 160 to 180 ms with left bundle branch block form and
    superior axis, ST and T opposite to it (Barold, Stroobandt, Sinnaeve, Cardiac Pacemakers Step by Step, 2004).
    `spike_height` scales the spikes: those of bipolar leads are a quarter as high or less.
    """
    altered = _with_wide_beats(signal, sampling_rate, rng, RIGHT_VENTRICULAR_APEX, rng.uniform(0.16, 0.18))
    spikes = np.zeros((len(STORED), signal.shape[1]))
    heights = rng.uniform(0.3, 1.2) * np.array([0.5, 1.0, -0.6, 0.5, 0.8, 1.0, 1.0, 0.9])
    width = max(1, round(0.003 * sampling_rate))
    for peak in r_peaks(signal, sampling_rate):
        begin = int(peak) - round((QRS_ONSET + 0.012) * sampling_rate)
        if begin >= 0:
            spikes[:, begin : begin + width] = heights[:, None]
    return altered + spike_height * twelve(spikes)


def st_elevation(signal: Signal, sampling_rate: float, rng: Generator) -> Signal:
    """Acute anterior or inferior infarction: convex ST elevation that runs into the T wave, with reciprocal depression.

    At the J point 0.2 to 0.5 mV in V2 to V4, or 0.15 to 0.45 mV in II, III and aVF; above the limits of the Fourth
    Universal Definition of Myocardial Infarction (doi:10.1161/CIR.0000000000000617), which are 0.1 to 0.25 mV.
    """
    territory = ANTERIOR if rng.random() < 0.5 else INFERIOR
    heights = rng.uniform(0.9, 1.5) * np.array([territory[lead] for lead in STORED])
    shift = np.zeros(signal.shape[1])
    peaks = r_peaks(signal, sampling_rate)
    repolarised = qt_interval(_median_rr(peaks, sampling_rate)) - QRS_ONSET
    for peak in peaks:
        since = np.arange(signal.shape[1]) / sampling_rate - peak / sampling_rate
        rise = _ramp((since - 0.025) / 0.045)
        fall = 1 - _ramp((since - 0.6 * repolarised) / (0.4 * repolarised))
        shift = np.maximum(shift, rise * fall * (1 + 0.4 * np.clip(since / repolarised, 0, 1)))
    return signal + twelve(heights[:, None] * shift)


def atrial_fibrillation(signal: Signal, sampling_rate: float, rng: Generator) -> Signal:
    """Irregularly irregular ventricular rhythm without P waves, over fibrillatory waves of 5 to 8 Hz.

    The recording's own QRS-T complexes are set at random intervals (mean 75 to 130/min, coefficient of variation about
    0.25, none below 0.34 s), T moved to the QT that the interval allows; f waves are largest in V1 (0.05 to 0.12 mV)
    and II (2023 ACC/AHA/ACCP/HRS guideline on atrial fibrillation, doi:10.1161/CIR.0000000000001193).
    """
    peaks = r_peaks(signal, sampling_rate)
    shapes = _complexes(signal, peaks, sampling_rate)
    if not shapes:
        return signal.copy()
    rr_mean = 60.0 / rng.uniform(75, 130)
    altered = np.zeros_like(signal)
    when, turn = rng.uniform(0.1, 0.5), 0
    while when < signal.shape[1] / sampling_rate:
        interval = max(0.34, rr_mean * rng.lognormal(-0.03, 0.25))
        shape = _squeezed(shapes[turn % len(shapes)], sampling_rate, qt_interval(interval))
        _add(altered, shape, round((when - QRS_ONSET) * sampling_rate))
        when, turn = when + interval, turn + 1
    return altered + twelve(_fibrillatory_waves(signal.shape[1], sampling_rate, rng))


def arms_swapped(signal: Signal, sampling_rate: float, rng: Generator) -> Signal:
    """The two arm electrodes exchanged: I upside down, II and III exchanged, aVR and aVL exchanged, the rest as it was.

    The most frequent exchange of cables (Batchvarov, Malik, Camm, Europace 2007;9:1081).
    """
    source = {"II": "III", "III": "II", "aVR": "aVL", "aVL": "aVR"}
    altered = np.stack([signal[LEADS.index(source.get(lead, lead))] for lead in LEADS])
    altered[LEADS.index("I")] *= -1.0
    return altered


def lead_off(signal: Signal, sampling_rate: float, rng: Generator) -> Signal:
    """One chest electrode has come off: its lead is a flat line of zeros, which is what many carts then store."""
    altered = signal.copy()
    altered[LEADS.index(str(rng.choice(["V1", "V2", "V3", "V4", "V5", "V6"])))] = 0.0
    return altered


def lead_missing(signal: Signal, sampling_rate: float, rng: Generator) -> Signal:
    """One chest electrode was never on: its lead has no samples (NaN), which is what careful carts store."""
    altered = signal.copy()
    altered[LEADS.index(str(rng.choice(["V1", "V2", "V3", "V4", "V5", "V6"])))] = np.nan
    return altered


def noisy(signal: Signal, sampling_rate: float, rng: Generator) -> Signal:
    """A shivering, moving patient: muscle artefact, wandering baseline, mains hum and two jolts of an electrode.

    Muscle: Gaussian, 20 to 150 Hz, 0.08 to 0.2 mV RMS, each lead its own. Baseline: below 0.5 Hz, 0.3 to 0.8 mV. Mains:
    50 Hz, up to 0.08 mV. Jolts: steps of up to 2 mV that decay over 0.3 s. Kinds as in the MIT-BIH Noise Stress Test
    (Moody, Muldrow, Mark 1984: em, ma, bw); arms and chest move independently, so Einthoven's law still holds.
    """
    samples = signal.shape[1]
    seconds = np.arange(samples) / sampling_rate
    top = min(150.0, 0.45 * sampling_rate)
    band = dsp.butter(3, (20.0, top), "bandpass", fs=sampling_rate, output="sos")
    muscle = dsp.sosfilt(band, rng.normal(size=(len(STORED), samples)), axis=1)
    noise = muscle / muscle.std(axis=1, keepdims=True) * rng.uniform(0.08, 0.2, (len(STORED), 1))
    for row in noise:
        for frequency in rng.uniform(0.1, 0.5, 3):
            row += rng.uniform(0.1, 0.27) * np.sin(2 * np.pi * (frequency * seconds + rng.random()))
        row += rng.uniform(0, 0.08) * np.sin(2 * np.pi * (50.0 * seconds + rng.random()))
        for begin in rng.uniform(0, max(1.0, seconds[-1]), 2):
            since = seconds - begin
            row += rng.uniform(-2, 2) * np.where(since >= 0, np.exp(-np.clip(since, 0, None) / 0.3), 0.0)
    return signal + twelve(noise)


def too_short(signal: Signal, sampling_rate: float, rng: Generator) -> Signal:
    """The acquisition was broken off after four seconds."""
    return signal[:, : round(4.0 * sampling_rate)].copy()


RULES: Mapping[str, Alteration] = {
    "paced": paced,
    "wide QRS": wide_qrs,
    "ST elevation": st_elevation,
    "atrial fibrillation": atrial_fibrillation,
    "arm leads swapped": arms_swapped,
    "lead off": lead_off,
    "lead missing": lead_missing,
    "noise": noisy,
    "too short": too_short,
}


def _with_wide_beats(
    signal: Signal, sampling_rate: float, rng: Generator, heights: Mapping[str, float], duration: float
) -> Signal:
    """Every QRS-T replaced by a wide one with these net heights; baseline and P waves stay."""
    peaks = r_peaks(signal, sampling_rate)
    repolarised = qt_interval(_median_rr(peaks, sampling_rate)) + duration - 0.09
    scale = rng.uniform(0.8, 1.2) * rng.uniform(0.85, 1.15, len(STORED))
    gains = scale * np.array([heights[lead] for lead in STORED])
    beat = twelve(gains[:, None] * _wide_shapes(gains, duration, repolarised, sampling_rate))
    altered = _without_complexes(signal, peaks, sampling_rate)
    for peak in peaks:
        _add(altered, beat, int(peak) - round(QRS_ONSET * sampling_rate))
    return altered


def _wide_shapes(gains: NDArray[np.float64], duration: float, end: float, sampling_rate: float) -> NDArray[np.float64]:
    """One QRS-T of unit height for each lead: notched and slurred where upright, smooth where it points down."""
    t = np.arange(round((end + 0.04) * sampling_rate)) / sampling_rate
    width = duration / 2
    notched = 0.9 * _bell(t, 0.32 * duration, 0.145 * duration) + _bell(t, 0.69 * duration, 0.15 * duration)
    smooth = _bell(t, 0.52 * duration, 0.21 * duration) + 0.12 * _bell(t, 0.25 * duration, 0.1 * duration)
    st = 0.12 * _ramp((t - 0.75 * duration) / width) * (1 - _ramp((t - 0.8 * end) / (0.2 * end)))
    discordant = st + 0.24 * np.where(
        t < 0.78 * end, _bell(t, 0.78 * end, 0.19 * end), _bell(t, 0.78 * end, 0.09 * end)
    )
    ends = _ramp(t / 0.012) * (1 - _ramp((t - end) / 0.04))
    return np.stack([((notched if gain > 0 else smooth) - discordant) * ends for gain in gains])


def _complexes(signal: Signal, peaks: NDArray[np.intp], sampling_rate: float) -> list[Signal]:
    """The recording's own QRS-T complexes, each from its onset on, standing on zero at both ends."""
    before = round(QRS_ONSET * sampling_rate)
    length = round(qt_interval(_median_rr(peaks, sampling_rate)) * sampling_rate)
    whole = [int(p) - before for p in peaks if p >= before and p - before + length <= signal.shape[1]]
    return [
        piece - np.linspace(piece[:, 0], piece[:, -1], length, axis=1)
        for piece in (signal[:, b : b + length] for b in whole)
    ]


def _without_complexes(signal: Signal, peaks: NDArray[np.intp], sampling_rate: float) -> Signal:
    """Each QRS-T replaced by a straight line between what surrounds it."""
    altered = signal.copy()
    before = round(QRS_ONSET * sampling_rate)
    length = round(qt_interval(_median_rr(peaks, sampling_rate)) * sampling_rate)
    near = max(1, round(0.01 * sampling_rate))
    last = signal.shape[1] - 1
    for peak in peaks:
        begin, end = max(0, int(peak) - before), min(last, int(peak) - before + length)
        left = signal[:, max(0, begin - near) : begin + 1].mean(axis=1)
        right = signal[:, end : end + near + 1].mean(axis=1) if end < last else left
        altered[:, begin : end + 1] = np.linspace(left, right, end - begin + 1, axis=1)
    return altered


def _squeezed(shape: Signal, sampling_rate: float, qt: float) -> Signal:
    """The same complex with its ST-T part stretched or squeezed so that it lasts `qt` seconds; QRS untouched."""
    qrs = round(2 * QRS_ONSET * sampling_rate)
    rest = max(2, round(qt * sampling_rate) - qrs)
    places = np.linspace(qrs, shape.shape[1] - 1, rest)
    tail = np.stack([np.interp(places, np.arange(shape.shape[1]), row) for row in shape])
    return np.concatenate([shape[:, :qrs], tail], axis=1)


def _fibrillatory_waves(samples: int, sampling_rate: float, rng: Generator) -> NDArray[np.float64]:
    seconds = np.arange(samples) / sampling_rate
    drift = np.cumsum(rng.normal(0, 2.5 / np.sqrt(sampling_rate), samples))  # rad: no two waves alike, unlike flutter
    phase = 2 * np.pi * rng.uniform(5, 8) * seconds + drift
    strength = 1 + 0.35 * np.sin(2 * np.pi * (rng.uniform(0.3, 0.8) * seconds + rng.random()))
    wave = strength * (np.sin(phase) + 0.35 * np.sin(2 * phase + rng.uniform(0, 2)))
    share = np.array([0.25, 0.6, 1.0, 0.6, 0.3, 0.2, 0.2, 0.2]) * rng.uniform(0.8, 1.2, len(STORED))
    return rng.uniform(0.05, 0.12) * share[:, None] * wave + rng.normal(0, 0.004, (len(STORED), samples))


def _add(signal: Signal, shape: Signal, begin: int) -> None:
    """Add `shape` to `signal` from sample `begin` on, cut where it leaves the recording."""
    first, last = max(0, begin), min(signal.shape[1], begin + shape.shape[1])
    if first < last:
        signal[:, first:last] += shape[:, first - begin : last - begin]


def _median_rr(peaks: NDArray[np.intp], sampling_rate: float) -> float:
    return float(np.median(np.diff(peaks))) / sampling_rate if len(peaks) > 1 else 1.0


def _bell(t: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * np.square((t - centre) / width)))


def _ramp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 below 0, 1 above 1, a smooth half cosine between."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(x, 0.0, 1.0)))
