"""Decode a DICOM waveform object of any ECG class into one canonical ECG (PS3.3 C.10.9).

pydicom's `waveform_array` was not taken for the samples: it scales the padding value as if it were signal, converts no
units, and swaps no bytes in Explicit VR Big Endian objects (checked with pydicom 3.0).
"""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.assembly import IMPLAUSIBLE, Channel, Signal, assemble
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext, require_length
from ecgfm_connectors.dicom import header
from ecgfm_connectors.dicom.elements import Elements
from ecgfm_connectors.dicom.groups import Group, choose
from ecgfm_connectors.dicom.part10 import open_object
from ecgfm_connectors.dicom.sop_classes import ECG_SOP_CLASSES, class_name
from ecgfm_connectors.ecg import Ecg, Filters, Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.leads import Lead
from ecgfm_connectors.units import millivolts

#: (Waveform Sample Interpretation, bits allocated) -> numpy type
_SAMPLE_TYPES = {("SB", 8): "i1", ("SS", 16): "i2", ("SL", 32): "i4"}

#: A padding value that is also an ordinary amplitude is believed only for runs at least this long, s.
PADDING_RUN = 0.1

_STATUS_CODES = {
    "TEST DATA": "test-data",
    "DISCONNECTED": "channel-disconnected",
    "INVALID": "channel-invalid",
    "QUESTIONABLE": "channel-questionable",
    "UNCALIBRATED": "channel-uncalibrated",
    "UNZEROED": "channel-unzeroed",
}
#: Finding code -> its sentence; the leads concerned fill the gap.
_NOTED = {code: f"{{}}: Channel Status is {status}" for status, code in _STATUS_CODES.items()} | {
    "padding-masked": "{}: padding, taken as no sample",
    "padding-ambiguous": "{}: the padding value is also an ordinary amplitude; only long runs of it are taken as "
    "padding",
    "padding-undeclared": "{}: the lowest number stands for missing samples without being declared as padding",
}


def read(content: bytes, context: ReadingContext) -> Contents:
    """The one ECG of a DICOM object.

    Raises Unreadable and Refused with the codes named in `open_object`, `choose`, `assemble` and, here: `sop-class`,
    `no-sensitivity`, `unknown-unit`, `sample-interpretation`, `waveform-length`, `channel-count`.
    """
    return decode(open_object(content), content, context)


def decode(dataset: Elements, content: bytes, context: ReadingContext) -> Contents:
    """As `read`, of an object that is open already."""
    _require_ecg_class(dataset)
    groups, findings = choose(dataset)
    channels: list[Channel] = []
    for group in groups:
        decoded, noticed = _decode(group)
        channels += decoded
        findings += noticed
    assembled = assemble(channels)
    acquired, about_time = header.acquired(dataset, context.zone)
    statements, measurements = header.annotations(dataset)
    ecg = Ecg(
        source_id=dataset.text("SOPInstanceUID") or f"sha256:{hashlib.sha256(content).hexdigest()}",
        format="dicom",
        patient=header.patient(dataset, context.default_authority),
        acquired=acquired,
        sampling_rate=groups[0].sampling_rate,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        device=header.device(dataset),
        waveform_object=header.waveform_object(dataset, context.default_authority),
        filters=_filters(groups),
        order=header.order(dataset),
        statements=statements,
        coded=header.coded(dataset),
        measurements=measurements,
        findings=(*findings, *assembled.findings, *about_time),
        test_data=any(finding.code == "test-data" for finding in findings),
    )
    return Contents(ecgs=(ecg,))


def _require_ecg_class(dataset: Elements) -> None:
    uid = dataset.text("SOPClassUID")
    if uid in ECG_SOP_CLASSES:
        return
    if not uid and "WaveformSequence" not in dataset:
        raise Unreadable("not-dicom", "no SOP Class UID and no waveform: not a DICOM object, or its beginning only")
    raise Refused("sop-class", f"{class_name(uid) or 'an object without SOP Class UID'} is not an ECG waveform class")


def _decode(group: Group) -> tuple[list[Channel], list[Finding]]:
    """The group's channels that carry one of the twelve leads, in mV, with the warnings in their definitions as
    findings.
    """
    raw = _raw_samples(group)
    padding = _padding(group.item, raw.dtype)
    rows = np.ascontiguousarray(raw.T)
    noted: dict[str, list[str]] = {}  # finding code -> leads
    channels = []
    for index, lead in group.leads.items():
        definition = group.definitions[index]
        codes: list[str] = []
        samples = _scale(rows[index], definition, lead, padding, group.sampling_rate, codes)
        if _without_signal(definition, codes):
            samples = np.full_like(samples, np.nan)
        channels.append(Channel(lead=lead, samples=samples, skew=_skew(definition, group)))
        for code in codes:
            noted.setdefault(code, []).append(lead.name)
    return channels, [Finding(code=code, text=_NOTED[code].format(", ".join(noted[code]))) for code in noted]


def _raw_samples(group: Group) -> NDArray[np.signedinteger]:
    """(samples, channels) as stored. Raises Refused or Unreadable where the declared layout does not fit the bytes,
    or is longer than any resting ECG.
    """
    interpretation = group.item.text("WaveformSampleInterpretation").upper()
    bits = int(group.item.number("WaveformBitsAllocated") or 0)
    code = _SAMPLE_TYPES.get((interpretation, bits))
    if code is None:
        what = f"Waveform Sample Interpretation {interpretation or '(absent)'} with {bits} bits"
        raise Refused("sample-interpretation", f"{what}; an ECG is SB with 8, SS with 16 or SL with 32 bits")
    channels = int(group.item.number("NumberOfWaveformChannels") or 0)
    if channels != len(group.definitions):
        text_ = f"{channels} channels declared, {len(group.definitions)} defined"
        raise Unreadable("channel-count", text_)
    require_length(channels * group.samples)
    data = group.item.raw("WaveformData")
    expected = channels * group.samples * bits // 8
    length = len(data) if data is not None else 0
    if data is None or length not in (expected, expected + expected % 2):
        raise Unreadable("waveform-length", f"{length} bytes of samples where {expected} are declared")
    dtype = np.dtype(code).newbyteorder("<" if group.item.syntax.little_endian else ">")
    raw = np.frombuffer(data, dtype=dtype, count=channels * group.samples).reshape(group.samples, channels)
    return raw if raw.dtype.isnative else raw.astype(raw.dtype.newbyteorder("="))


def _padding(item: Elements, dtype: np.dtype[np.signedinteger]) -> int | None:
    """Waveform Padding Value (5400,100A), in the samples' own encoding."""
    value = item.raw("WaveformPaddingValue")
    if value is None or len(value) < dtype.itemsize:
        return None
    return int.from_bytes(value[: dtype.itemsize], "little" if item.syntax.little_endian else "big", signed=True)


def _scale(
    raw: NDArray[np.signedinteger],
    definition: Elements,
    lead: Lead,
    padding: int | None,
    rate: float,
    codes: list[str],
) -> Signal:
    """mV = (raw × Sensitivity × Correction Factor + Baseline) × unit, C.10.9.1.4.2; NaN where raw is padding."""
    gain, offset = _gain_and_offset(definition, lead)
    missing = _missing(raw, padding, gain, rate, codes)
    stored = int(definition.number("WaveformBitsStored") or 0)
    allocated = 8 * raw.dtype.itemsize
    if 0 < stored < allocated:  # C.10.9.1.7: sign-extended; enforced, as some leave the upper bits clear
        raw = (raw << (allocated - stored)) >> (allocated - stored)
    if allocated == 32:  # float32 alone would round the integers before they are scaled
        samples = (raw.astype(np.float64) * gain + offset).astype(np.float32)
    else:
        samples = raw.astype(np.float32) * np.float32(gain) + np.float32(offset)
    if missing.any():
        samples[missing] = np.nan
    return samples


def _missing(
    raw: NDArray[np.signedinteger], padding: int | None, gain: float, rate: float, codes: list[str]
) -> NDArray[np.bool_]:
    """Where `raw` holds no sample.

    A padding value that no heart can reach marks every sample that equals it. One that is also an ordinary amplitude
    (0 is met in the wild) marks only runs of `PADDING_RUN` and longer. The lowest number of the type counts as padding
    even where it is not declared, if no heart can reach it.
    """
    lowest = -(1 << (8 * raw.dtype.itemsize - 1))
    declared = lowest if padding is None else padding
    missing: NDArray[np.bool_] = np.equal(raw, declared)
    if padding is None or not missing.any():
        if abs(lowest * gain) <= IMPLAUSIBLE or raw.min(initial=0) > lowest:
            return np.zeros_like(missing)
        codes.append("padding-undeclared")
        undeclared: NDArray[np.bool_] = np.equal(raw, lowest)
        return undeclared
    if abs(declared * gain) <= IMPLAUSIBLE:
        gaps = _runs(missing, math.ceil(PADDING_RUN * rate))
        if not np.array_equal(gaps, missing):
            codes.append("padding-ambiguous")
        missing = gaps
    if missing.any():
        codes.append("padding-masked")
    return missing


def _runs(mask: NDArray[np.bool_], shortest: int) -> NDArray[np.bool_]:
    """`mask` without its runs of True that are shorter than `shortest` samples."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    kept = np.zeros_like(mask)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= shortest:
            kept[start:end] = True
    return kept


def _gain_and_offset(definition: Elements, lead: Lead) -> tuple[float, float]:
    """mV per unit of the samples, and mV at zero."""
    sensitivity = definition.number("ChannelSensitivity")
    if not sensitivity:
        raise Refused("no-sensitivity", f"lead {lead.name} is in arbitrary units: it has no Channel Sensitivity")
    units = definition.first("ChannelSensitivityUnitsSequence")
    factor = millivolts(units.text("CodeValue") or units.text("CodeMeaning"))
    if factor is None:
        raise Refused("unknown-unit", f"lead {lead.name} is not in a unit of voltage, or does not say which")
    correction = definition.number("ChannelSensitivityCorrectionFactor")
    if correction == 0:
        raise Refused("no-sensitivity", f"lead {lead.name} has a Channel Sensitivity Correction Factor of 0")
    baseline = definition.number("ChannelBaseline") or 0.0
    return sensitivity * (1.0 if correction is None else correction) * factor, baseline * factor


def _without_signal(definition: Elements, codes: list[str]) -> bool:
    """Whether Channel Status (003A,0205) says that this channel has no signal; each status becomes a finding."""
    statuses = [status.strip().upper() for status in definition.text("ChannelStatus").split("\\")]
    codes += [_STATUS_CODES[status] for status in statuses if status in _STATUS_CODES]
    return "DISCONNECTED" in statuses or "INVALID" in statuses


def _skew(definition: Elements, group: Group) -> float:
    """How much later than the object's clock a channel starts, in samples: Channel Sample Skew, or Channel Time Skew in
    s, and Multiplex Group Time Offset.
    """
    skew = definition.number("ChannelSampleSkew")
    if skew is None:
        skew = (definition.number("ChannelTimeSkew") or 0.0) * group.sampling_rate
    return skew + (group.offset or 0.0) / 1000 * group.sampling_rate


def _filters(groups: list[Group]) -> Filters:
    """The filters on which all channels agree; a filter that differs between leads is left out."""
    definitions = [group.definitions[index] for group in groups for index in group.leads]

    def common(keyword: str) -> float | None:
        values = {definition.number(keyword) for definition in definitions}
        return values.pop() if len(values) == 1 else None

    return Filters(
        high_pass=common("FilterLowFrequency"),
        low_pass=common("FilterHighFrequency"),
        notch=common("NotchFilterFrequency"),
    )
