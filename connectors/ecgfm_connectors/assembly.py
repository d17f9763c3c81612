"""Put a sender's channels into the canonical 12 × N signal: order, sign, derived leads, and findings on the signal.

Every reader ends here, so that all formats give the same rows, the same NaN rule and the same findings.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.context import require_length
from ecgfm_connectors.ecg import LEADS, Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.leads import Lead
from ecgfm_connectors.skew import align

Signal = NDArray[np.float32]

#: I, II and V1–V6 give all twelve leads; a recording of fewer than eight leads is a monitor or rhythm strip.
MINIMUM_LEADS = 8
#: Einthoven's law holds to the sender's rounding (≤ 10 µV; per-lead filters add little). For a violation the residual
#: must exceed both this (mV) and a share of the lead's own amplitude in more than one sample of twenty: single damaged
#: samples are met in published recordings and mean no swapped lead.
EINTHOVEN_RESIDUAL = 0.03
EINTHOVEN_SHARE = 0.15
#: Arm electrodes exchanged obey Einthoven's law: I is inverted, II and III, aVR and aVL change places. But I and V6
#: both look at the left side, and aVR from the opposite one (Batchvarov, Malik and Camm, Europace 2007;9:1081). Where
#: the correlations of V6 with I and with aVR lie beyond this, the other way round, the arms are exchanged, or the heart
#: lies on the right. Of 368 recordings as published none does; with the arms exchanged by computation 166 do, so
#: silence proves nothing.
ARMS_CORRELATION = 0.5
#: Leads that differ by no more than this (mV) carry the same number: fill.
FILL_SPREAD = 1e-6
#: In a calibration pulse, a step of at least `PULSE_HEIGHT`, converters leave leads different by up to this (mV).
PULSE_SPREAD, PULSE_HEIGHT = 0.025, 0.5
#: Samples of fill at an end that are worth cutting.
SHORTEST_FILL = 25
#: A resting ECG never reaches this, mV; an undeclared int16 sentinel always does.
IMPLAUSIBLE = 20.0

#: lead -> (weight of I, weight of II), AHA/ACC/HRS 2007 recommendations, part I.
_LIMB = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Channel:
    """One channel as the sender stored it: mV, float32, NaN where no sample exists."""

    lead: Lead
    samples: Signal = field(repr=False)  #: (samples,)
    skew: float = 0.0  #: samples by which the first sample was taken later than nominal, as the sender states it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assembled:
    """The canonical signal and the findings on it; fields as those of `Ecg` with the same names."""

    signal: Signal = field(repr=False)  #: (12, samples)
    stored_leads: tuple[str, ...]
    derived_leads: tuple[str, ...]
    findings: tuple[Finding, ...]


def assemble(channels: Sequence[Channel]) -> Assembled:
    """The 12 × N signal of `channels`, all of one length; leads outside the twelve are left out.

    III, aVR, aVL and aVF are computed from I and II where the sender has none; where it has, Einthoven's law is
    checked and a violation becomes a finding; so do arm electrodes that look exchanged. Leads that do not start
    together are moved, and called `not-simultaneous` where that is too far (`skew.align`). Raises Refused:
    `not-12-lead`, `not-simultaneous`, `lead-doubtful`, `too-large`; Unreadable: `no-samples`, `length-mismatch`,
    `sample-range`.
    """
    require_length(sum(len(channel.samples) for channel in channels))
    placed, of_skew = _aligned([channel for channel in channels if channel.lead.canonical])
    stored, findings = _unique(placed)
    lengths = {len(samples) for samples in stored.values()}
    if len(lengths) > 1:
        raise Unreadable("length-mismatch", f"leads of one recording differ in length: {sorted(lengths)} samples")
    if lengths == {0} or (stored and all(np.isnan(samples).all() for samples in stored.values())):
        raise Unreadable("no-samples", "every lead is empty")
    signal = np.full((len(LEADS), lengths.pop() if lengths else 0), np.nan, dtype=np.float32)
    for name, samples in stored.items():
        signal[LEADS.index(name)] = samples
    if np.isinf(signal).any():
        raise Unreadable("sample-range", "samples and scale multiply to more than a number can hold")
    derived = _derive(signal, stored)
    if len(stored) + len(derived) < MINIMUM_LEADS:
        raise Refused("not-12-lead", f"{len(stored)} of the 12 standard leads; at least I, II and V1–V6 are needed")
    _require_simultaneous(signal, list(stored))
    findings += _einthoven(signal, stored) or _arm_leads(signal)
    start, end = _recorded_span(stored)
    if end - start < signal.shape[1]:
        text = f"{start} samples at the start and {signal.shape[1] - end} at the end are fill or a calibration pulse"
        findings.append(Finding(code="fill-cut", text=text))
        signal = np.ascontiguousarray(signal[:, start:end])
    return Assembled(
        signal=signal,
        stored_leads=tuple(lead for lead in LEADS if lead in stored),
        derived_leads=tuple(derived),
        findings=(*of_skew, *findings),
    )


def leads_given(names: frozenset[str]) -> int:
    """How many of the twelve leads recorded leads give once III, aVR, aVL and aVF are computed."""
    limb = set(_LIMB) if {"I", "II"} <= names else set()
    return len((names | limb) & set(LEADS))


def _aligned(channels: Sequence[Channel]) -> tuple[list[Channel], tuple[Finding, ...]]:
    rows, findings = align(
        [channel.lead.name for channel in channels],
        [channel.samples for channel in channels],
        [channel.skew for channel in channels],
    )
    return [replace(channel, samples=row) for channel, row in zip(channels, rows, strict=True)], findings


def _unique(channels: Sequence[Channel]) -> tuple[dict[str, Signal], list[Finding]]:
    """One channel a lead. A recorded lead is preferred to one the device reconstructed from other electrodes."""
    stored: dict[str, Signal] = {}
    for channel in channels:
        if channel.lead.reconstructed and any(
            other.lead.name == channel.lead.name and not other.lead.reconstructed for other in channels
        ):
            continue
        samples = channel.samples if channel.lead.sign > 0 else -channel.samples
        name = channel.lead.name
        if name in stored and not np.array_equal(stored[name], samples, equal_nan=True):
            raise Refused("lead-doubtful", f"two different channels both say they are lead {name}")
        stored[name] = samples
    reconstructed = [channel.lead.name for channel in channels if channel.lead.reconstructed]
    if not reconstructed:
        return stored, []
    text = f"computed by the device from other electrodes: {', '.join(reconstructed)}"
    return stored, [Finding(code="reconstructed-leads", text=text)]


def _derive(signal: Signal, stored: dict[str, Signal]) -> list[str]:
    if "I" not in stored or "II" not in stored:
        return []
    missing = [lead for lead in _LIMB if lead not in stored]
    for lead in missing:
        signal[LEADS.index(lead)] = _from_limb(lead, stored["I"], stored["II"])
    return missing


def _from_limb(lead: str, one: Signal, two: Signal) -> Signal:
    of_one, of_two = _LIMB[lead]
    return np.float32(of_one) * one + np.float32(of_two) * two


def _einthoven(signal: Signal, stored: dict[str, Signal]) -> list[Finding]:
    """One finding for each stored limb lead that is not what I and II make of it (swapped, mislabelled, inverted)."""
    if "I" not in stored or "II" not in stored:
        return []
    one, two = stored["I"], stored["II"]
    findings = []
    for lead in _LIMB:
        if lead not in stored:
            continue
        expected = _from_limb(lead, one, two)
        residual = np.abs(stored[lead] - expected)
        if np.fmax.reduce(residual) <= EINTHOVEN_RESIDUAL:  # the ordinary case; NaN counts as none
            continue
        finite = np.isfinite(residual)
        if not finite.any():
            continue
        have, want = _centred(stored[lead][finite]), _centred(expected[finite])
        remains = _amplitude(have - want)
        if remains > EINTHOVEN_RESIDUAL and remains > EINTHOVEN_SHARE * max(_amplitude(have), _amplitude(want)):
            inverted = _amplitude(have + want) < 0.2 * remains
            hint = "; it looks inverted" if inverted else "; leads may be swapped or mislabelled"
            text = f"lead {lead} differs from what I and II give by {remains:.2f} mV (95th percentile){hint}"
            findings.append(Finding(code="einthoven-violation", text=text))
    return findings


def _arm_leads(signal: Signal) -> list[Finding]:
    """A finding where the arm electrodes look exchanged. Lead I, aVR and V6 must be there."""
    rows = signal[[LEADS.index(lead) for lead in ("I", "aVR", "V6")]]
    whole = np.isfinite(rows).all(axis=0)
    if not whole.all():
        rows = rows[:, whole]
    if rows.shape[1] == 0:
        return []
    one, avr, v6 = rows - rows.mean(axis=1, keepdims=True)
    with_one, with_avr = _correlation(one, v6), _correlation(avr, v6)
    if with_one > -ARMS_CORRELATION or with_avr < ARMS_CORRELATION:
        return []
    text = "lead I runs against V6 and aVR with it: right and left arm electrodes look exchanged (or dextrocardia)"
    return [Finding(code="arm-leads-suspected", text=text)]


def _correlation(one: Signal, other: Signal) -> float:
    """The correlation of two rows without offset; 0 where one of the rows is flat."""
    scale = math.sqrt(float(np.dot(one, one)) * float(np.dot(other, other)))
    return float(np.dot(one, other)) / scale if scale > 0 else 0.0


def _centred(samples: Signal) -> Signal:
    return samples - np.float32(np.median(samples))


def _amplitude(samples: Signal) -> float:
    """95th percentile of the absolute value, mV."""
    index = int(0.95 * (len(samples) - 1))
    return float(np.partition(np.abs(samples), index)[index])


def _require_simultaneous(signal: Signal, stored: list[str]) -> None:
    """Refuse a printed-strip layout (4 × 3 leads × 2.5 s): each lead lives in its own window, the rest is fill.

    Fill is NaN or a constant. A lead counts where it fills less than three quarters of the recording; the layout is
    recognised when at least half the leads are such windows and no instant is common to all of these.
    """
    samples = signal.shape[1]
    windows = []
    for lead in stored:
        window = _active_window(signal[LEADS.index(lead)])
        if window is not None and window[1] - window[0] < 0.75 * samples:
            windows.append(window)
    if 2 * len(windows) < len(stored):
        return
    common = min(end for _, end in windows) - max(start for start, _ in windows)
    if common < 0.5 * min(end - start for start, end in windows):
        text = "the leads were recorded one after another (as on a printed strip), not together"
        raise Refused("not-simultaneous", text)


def _recorded_span(stored: dict[str, Signal]) -> tuple[int, int]:
    """First and past-the-last sample of what can be an ECG: where the independent leads are not all the same.

    At the ends of a recording, equal values in all leads are zero fill, padding, or a calibration pulse (Philips ends
    each recording with such a pulse). Stretches shorter than `SHORTEST_FILL` stay. A recording that is flat throughout
    stays whole: the quality rules of the scoring side judge it.
    """
    rows = np.stack([samples for lead, samples in stored.items() if lead not in _LIMB])
    samples = rows.shape[1]
    if len(rows) < MINIMUM_LEADS - 2:
        return 0, samples
    highest, lowest = np.fmax.reduce(rows), np.fmin.reduce(rows)
    start, end = _edges(highest - lowest > FILL_SPREAD)
    _, pulse = _edges(highest - lowest > PULSE_SPREAD)
    if 0 < pulse < end and np.nanmax(np.abs(lowest[pulse:])) >= PULSE_HEIGHT:
        end = pulse
    if start >= end:
        return 0, samples
    return start if start >= SHORTEST_FILL else 0, end if samples - end >= SHORTEST_FILL else samples


def _edges(recorded: NDArray[np.bool_]) -> tuple[int, int]:
    """First and past-the-last True; (0, 0) where there is none. NaN in all leads compares as False: fill."""
    found = np.flatnonzero(recorded)
    return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)


def _active_window(samples: Signal) -> tuple[int, int] | None:
    """First and past-the-last sample of what is neither NaN nor zero fill; None for a lead without any."""
    if len(samples) and all(math.isfinite(end) and end != 0 for end in (samples[0], samples[-1])):
        return 0, len(samples)  # the ordinary case
    active = np.flatnonzero(np.isfinite(samples) & (samples != 0))
    return (int(active[0]), int(active[-1]) + 1) if len(active) else None


def signal_identity(signal: Signal, sampling_rate: float) -> str:
    """A source id for recordings whose format has none: the same signal, exported again, gives the same one."""
    digest = hashlib.sha256(f"{sampling_rate:.6g}:{signal.shape}".encode())
    digest.update(np.ascontiguousarray(signal, dtype="<f4").tobytes())
    return f"signal:{digest.hexdigest()}"
