"""Read a 12-lead ECG in MFER (Medical waveform Format Encoding Rules, ISO 22077-1 and -2), as Nihon Kohden, Fukuda and
other Japanese makers write it.

A file is a chain of definitions (tag, length, value) that hold until the next one; MWF_WAV is a frame of samples that
is laid out as sequences × channels × block. Read is what a resting ECG needs: one frame of recorded leads in plain
integers. Whatever else a file may define of its samples (compression, offsets, several frames) is refused by name.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors import ages
from ecgfm_connectors.assembly import Channel, Signal, assemble, signal_identity
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.leads import Lead, from_number
from ecgfm_connectors.patient import Identifier, Patient, Sex
from ecgfm_connectors.times import acquired_at

_ORDER, _BLOCK, _CHANNELS, _SEQUENCES, _FORM, _LEAD, _TYPE = 0x01, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0A
_INTERVAL, _SENSITIVITY, _OFFSET, _COMPRESSION, _NULL, _MAKER, _WAVE = 0x0B, 0x0C, 0x0D, 0x0E, 0x12, 0x17, 0x1E
_OF_CHANNEL, _GROUP, _END, _NAME, _ID, _AGE, _SEX, _TIME = 0x3F, 0x67, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85
_TYPES = {0: "i2", 1: "u2", 2: "i4", 3: "u1", 5: "i1", 6: "u4"}
_DOMINANT_BEAT = 9
_VOLT, _HERTZ, _SECOND = 0, 0, 1
_MOST_CHANNELS, _MOST_DEFINITIONS = 64, 10_000

Attributes = dict[int, bytes]  #: tag -> value as written


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """One MWF_WAV with the definitions in force at its place."""

    little_endian: bool
    channels: int
    common: Attributes = field(repr=False)
    own: dict[int, Attributes] = field(repr=False)  #: channel -> what is defined for it alone
    data: bytes = field(repr=False)

    def number(self, tag: int, channel: int, usual: int = 0) -> int:
        """An unsigned definition of a channel; `usual` where there is none."""
        value = self.own.get(channel, {}).get(tag) or self.common.get(tag)
        return self.whole(value) if value else usual

    def raw(self, tag: int, channel: int) -> bytes:
        return self.own.get(channel, {}).get(tag) or self.common.get(tag, b"")

    def whole(self, value: bytes, *, signed: bool = False) -> int:
        return int.from_bytes(value, "little" if self.little_endian else "big", signed=signed)

    def scaled(self, tag: int, channel: int) -> tuple[int, float] | None:
        """Unit code and value of MWF_IVL or MWF_SEN: unit, exponent of ten, mantissa."""
        value = self.raw(tag, channel)
        if len(value) < 3:
            return None
        exponent = int.from_bytes(value[1:2], "big", signed=True)
        return value[0], self.whole(value[2:], signed=True) * math.pow(10.0, exponent)


def read(content: bytes, context: ReadingContext) -> Contents:
    """The one recording of an MFER file; dominant beats beside it are left out.

    Raises Unreadable: `mfer-structure`, `sampling-frequency`, `waveform-length`; Refused: `no-recording`,
    `no-sensitivity`, `unknown-unit`, `sample-interpretation`, `mixed-rates` and what `assemble` refuses.
    """
    frames, about = _walk(content)
    rhythm = [frame for frame in frames if frame.number(_FORM, 0) != _DOMINANT_BEAT]
    if not rhythm:
        raise Refused("no-recording", "the file holds no waveform, at most a dominant beat")
    if len(rhythm) > 1:
        raise Refused("sample-interpretation", f"{len(rhythm)} waveform frames; one is read")
    frame = rhythm[0]
    leads = {channel: lead for channel in range(frame.channels) if (lead := _lead(frame, channel))}
    rates = {_rate(frame, channel) for channel in leads} or {0.0}
    if len(rates) != 1:
        raise Refused("mixed-rates", "the leads have different sampling intervals")
    rows = _rows(frame)
    channels = [
        Channel(lead=lead, samples=_millivolts(frame, channel, rows[channel], lead)) for channel, lead in leads.items()
    ]
    assembled, rate = assemble(channels), rates.pop()
    acquired = _acquired(about, frame, context)
    missing = () if acquired else (Finding(code="acquisition-time-missing", text="the file gives no usable time"),)
    ecg = Ecg(
        source_id=signal_identity(assembled.signal, rate),
        format="mfer",
        patient=_patient(about, frame, context.default_authority),
        acquired=acquired,
        sampling_rate=rate,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        device=_device(about),
        measurements=_age(about),
        findings=(*missing, *assembled.findings),
    )
    return Contents(ecgs=(ecg,))


def _definitions(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Tag, channel (-1: all), value. Raises Unreadable `mfer-structure`."""
    at, count = 0, 0
    while at < len(data) and data[at] != _END:
        tag, channel = data[at], -1
        at, count = at + 1, count + 1
        if tag == 0:  # a filling byte
            continue
        if tag == _OF_CHANNEL:
            channel, at = (data[at] if at < len(data) else 0x80), at + 1
        length, at = _length(data, at)
        if channel > 0x7F or count > _MOST_DEFINITIONS or at + length > len(data):
            raise Unreadable("mfer-structure", "a definition is longer than the file, or there are far too many")
        yield tag, channel, data[at : at + length]
        at += length


def _length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at] if at < len(data) else 0x80
    if first < 0x80:
        return first, at + 1
    if not 0x81 <= first <= 0x84:
        raise Unreadable("mfer-structure", "a definition without a length of its own")
    more = first & 0x7F
    return int.from_bytes(data[at + 1 : at + 1 + more], "big"), at + 1 + more


def _walk(content: bytes) -> tuple[list[_Frame], Attributes]:
    """The frames, and the definitions that are of the whole file."""
    frame = _Frame(little_endian=False, channels=1, common={}, own={}, data=b"")
    frames: list[_Frame] = []
    about: Attributes = {}
    for tag, channel, value in _definitions(content):
        if tag == _OF_CHANNEL:
            own = dict(frame.own.get(channel, {})) | {inner: text for inner, _, text in _definitions(value)}
            frame = replace(frame, own=frame.own | {channel: own})
        elif tag == _ORDER:
            frame = replace(frame, little_endian=value == b"\x01")
        elif tag == _CHANNELS:
            frame = replace(frame, channels=frame.whole(value), own={})
        elif tag == _GROUP or (tag == _COMPRESSION and frame.whole(value[:2])):
            raise Refused("sample-interpretation", "compressed or grouped waveforms; plain samples are read")
        elif tag == _WAVE:
            frames.append(replace(frame, data=value))
        else:
            frame = replace(frame, common=frame.common | {tag: value})
            about[tag] = value
    return frames, about


def _lead(frame: _Frame, channel: int) -> Lead | None:
    """By code, which is that of SCP-ECG and DICOM; a name for all channels is none of one."""
    value = frame.own.get(channel, {}).get(_LEAD, b"")
    lead = from_number(value[0] if len(value) == 1 else frame.whole(value[:2])) if value else None
    return lead if lead and lead.canonical and not lead.reconstructed else None


def _rate(frame: _Frame, channel: int) -> float:
    """Hz, from a frequency or an interval; 1000 Hz where the file does not say."""
    found = frame.scaled(_INTERVAL, channel)
    if found is None:
        return 1000.0
    unit, value = found
    if unit not in (_HERTZ, _SECOND) or value <= 0:
        raise Unreadable("sampling-frequency", "the sampling interval is neither a frequency nor a time")
    return value if unit == _HERTZ else 1.0 / value


def _rows(frame: _Frame) -> list[NDArray[np.integer]]:
    """The samples of each channel as stored."""
    if not 0 < frame.channels <= _MOST_CHANNELS:
        raise Unreadable("mfer-structure", f"{frame.channels} channels")
    kinds = {frame.number(_TYPE, channel) for channel in range(frame.channels)}
    blocks = {frame.number(_BLOCK, channel, 1) for channel in range(frame.channels)}
    sequences = {frame.number(_SEQUENCES, channel) for channel in range(frame.channels)}
    if len(kinds) != 1 or len(blocks) != 1 or len(sequences) != 1 or (kind := kinds.pop()) not in _TYPES:
        raise Refused("sample-interpretation", "channels of different layout, or samples that are no plain integers")
    dtype = np.dtype(_TYPES[kind]).newbyteorder("<" if frame.little_endian else ">")
    block = blocks.pop()
    size = block * frame.channels * dtype.itemsize
    number = sequences.pop() or (len(frame.data) // size if size else 0)
    if number <= 0 or block <= 0 or number * size > len(frame.data):
        raise Unreadable("waveform-length", "the frame holds fewer samples than its layout declares")
    table = np.frombuffer(frame.data, dtype=dtype, count=number * block * frame.channels)
    cube = table.reshape(number, frame.channels, block)
    native = dtype.newbyteorder("=")
    return [cube[:, channel, :].reshape(-1).astype(native) for channel in range(frame.channels)]


def _millivolts(frame: _Frame, channel: int, raw: NDArray[np.integer], lead: Lead) -> Signal:
    found = frame.scaled(_SENSITIVITY, channel)
    if found is None or found[1] == 0:
        raise Refused("no-sensitivity", f"lead {lead.name} has no sensitivity")
    if found[0] != _VOLT:
        raise Refused("unknown-unit", f"lead {lead.name} is not in volts")
    if any(frame.raw(_OFFSET, channel)):
        raise Refused("sample-interpretation", f"lead {lead.name} has an offset")
    samples = (raw * (found[1] * 1000.0)).astype(np.float32)
    if null := frame.raw(_NULL, channel):
        samples[raw == frame.whole(null, signed=frame.number(_TYPE, channel) in (0, 2, 5))] = np.nan
    return samples


def _acquired(about: Attributes, frame: _Frame, context: ReadingContext) -> AcquiredAt | None:
    """MWF_TIM: year, month, day, hour, minute, second; local time of the site."""
    value = about.get(_TIME, b"")
    if len(value) < 7:
        return None
    month, day, hour, minute, second = value[2:7]
    text = f"{frame.whole(value[:2]):04d}{month:02d}{day:02d}{hour:02d}{minute:02d}{second:02d}"
    return acquired_at(text, site=context.zone)


def _patient(about: Attributes, frame: _Frame, default_authority: str) -> Patient:
    number = _text(about.get(_ID, b"")).split("^")[0].strip()
    names = [part.strip() for part in _text(about.get(_NAME, b"")).split("^")] + [""] * 3
    sexes: dict[bytes, Sex] = {b"\x01": "M", b"\x02": "F"}
    return Patient(
        identifiers=(Identifier(authority=default_authority, value=number),) if number else (),
        birth_date=_birth_date(about.get(_AGE, b""), frame),
        sex=sexes.get(about.get(_SEX, b"")[:1], "U"),
        family_name=names[0],
        given_name=names[2],
    )


def _birth_date(value: bytes, frame: _Frame) -> date | None:
    """MWF_AGE: years, days, then year, month and day of birth."""
    if len(value) < 7:
        return None
    try:
        return date(frame.whole(value[3:5]), value[5], value[6])
    except ValueError:
        return None


def _age(about: Attributes) -> tuple[tuple[str, str], ...]:
    """Whole years; 0 stands for not stated as well as for an infant, whose birth date says more."""
    value = about.get(_AGE, b"")
    return ages.measurement(str(value[0]), "a") if value and value[0] else ()


def _device(about: Attributes) -> Device:
    maker, model, software, serial = ([*_text(about.get(_MAKER, b"")).split("^"), "", "", "", ""])[:4]
    return Device(manufacturer=maker.strip(), model=model.strip(), software=software.strip(), serial=serial.strip())


def _text(value: bytes) -> str:
    """Japanese files are in Shift-JIS where they are not ASCII or UTF-8."""
    for encoding in ("utf-8", "shift-jis"):
        try:
            return value.decode(encoding).replace("\0", "").strip()
        except UnicodeDecodeError:
            continue
    return value.decode("latin-1").replace("\0", "").strip()
