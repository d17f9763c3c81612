"""Read an SCP-ECG record (EN 1064:2005+A1, ISO 11073-91064): the rhythm data of section 6.

Own code: `ecgdatakit` 2.0 rounds the sampling rate to whole Hz and refuses records whose byte counts overflow sixteen
bits, which a Contec converter writes; `biosig` (2.5 of Debian; 3.9 did not build from PyPI) opens paths only and makes
up the samples that a cut-off record does not hold. The tests compare with both. Declared lengths are believed only
where the data agree with them.
"""

import binascii
from dataclasses import replace
from datetime import timedelta, timezone, tzinfo
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors import ages
from ecgfm_connectors.assembly import Channel, assemble, signal_identity
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext, require_length
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Filters, Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.files.huffman import expand, parse_tables
from ecgfm_connectors.files.scp_sections import (
    LeadRange,
    Sections,
    lead_ranges,
    pacemaker_spikes,
    statements,
    subtraction_zones,
    tags,
)
from ecgfm_connectors.leads import from_number
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.skew import MOST_CORRECTED, complete
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.times import acquired_at, parse_date

_MANUFACTURERS = {
    6: "Hewlett-Packard",
    7: "Marquette",
    8: "Mortara",
    9: "Nihon Kohden",
    13: "Siemens",
    16: "Welch Allyn",
}
_PADDING_BITS = 16  #: a coded lead is filled up with zeros to a whole byte, or two
#: Huffman-coded samples of all leads: a minute of 12 leads at 1000 Hz has 720 000. More would take seconds to expand.
_MOST_CODED = 1 << 20


def read(content: bytes, context: ReadingContext) -> Contents:
    """The one recording of an SCP-ECG record.

    Raises Unreadable: `scp-structure`, `huffman`, `sampling-frequency`, `waveform-length`; Refused: `no-recording`,
    `no-sensitivity`, `scp-compression`, `too-large` and what `assemble` refuses.
    """
    sections = Sections(content)
    findings: list[Finding] = []
    if binascii.crc_hqx(content[2 : sections.length], 0xFFFF) != int.from_bytes(content[:2], "little"):
        findings.append(Finding(code="checksum-mismatch", text="the record's CRC does not agree with its content"))
    rate, channels = _rhythm(sections, findings)
    assembled = assemble(channels)
    about = tags(sections.body(1))
    acquired = _acquired(about, context)
    if acquired is None:
        findings.append(Finding(code="acquisition-time-missing", text="section 1 gives no possible date"))
    ecg = Ecg(
        source_id=signal_identity(assembled.signal, rate),
        format="scp",
        patient=_patient(about, context.default_authority),
        acquired=acquired,
        sampling_rate=rate,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        device=_device(about),
        filters=_filters(about),
        statements=statements(sections.body(8)),
        coded=_pacing(sections),
        measurements=_age(about),
        findings=(*findings, *assembled.findings),
    )
    return Contents(ecgs=(ecg,))


def _pacing(sections: Sections) -> tuple[Statement, ...]:
    spikes = pacemaker_spikes(sections.body(7))
    return (Statement(concept="paced", source="SCP-ECG", code="section 7 spikes"),) if spikes else ()


def _rhythm(sections: Sections, findings: list[Finding]) -> tuple[float, list[Channel]]:
    """Sampling rate in Hz and the leads of section 6 in mV, reference beats added back where they were subtracted."""
    ranges, subtracted = lead_ranges(sections.body(3))
    body = sections.body(6)
    if len(body) < 6 + 2 * len(ranges):
        raise Refused("no-recording", "the record has no rhythm data (section 6), at most a reference beat")
    if body[5]:
        raise Refused("scp-compression", "bimodal compression; ask for the rhythm without it")
    rhythm = _coded_leads(body, ranges, sections.body(2))
    if any(len(row) < area.samples - (area.start == 0) for row, area in zip(rhythm.rows, ranges, strict=True)):
        most = max(map(len, rhythm.rows))
        note = f"section 3 declares up to {max(area.samples for area in ranges)} samples a lead, the data hold {most}"
        findings.append(Finding(code="fewer-samples-than-declared", text=note))
    rows = [row.astype(np.float64) * rhythm.millivolts for row in rhythm.rows]
    if subtracted:
        _add_reference_beats(rows, ranges, rhythm, sections)
    channels = _channels(rows, ranges)
    starts = [area.start for area in ranges]
    if apart := max(starts) - min(starts):
        channels = _started_apart(channels, apart, findings)
    return 1e6 / rhythm.microseconds, channels


def _started_apart(channels: list[Channel], apart: int, findings: list[Finding]) -> list[Channel]:
    """Leads whose ranges begin at different samples lie right already; the rule for a skew holds for what they lack."""
    if apart > MOST_CORRECTED:
        text = f"the leads start up to {apart} samples apart; {MOST_CORRECTED} are put right"
        findings.append(Finding(code="not-simultaneous", text=text))
        return channels
    rows, noticed = complete([one.lead.name for one in channels], [one.samples for one in channels])
    findings.extend(noticed)
    return [replace(one, samples=row) for one, row in zip(channels, rows, strict=True)]


class _Coded(NamedTuple):
    """The leads of section 5 or 6 in units of their multiplier."""

    rows: list[NDArray[np.int64]]
    millivolts: float  #: for one unit
    microseconds: int  #: between samples


def _coded_leads(body: bytes, ranges: list[LeadRange], tables: bytes) -> _Coded:
    """Sections 5 and 6 are laid out alike (§5.8, §5.9)."""
    nanovolts, microseconds = int.from_bytes(body[:2], "little"), int.from_bytes(body[2:4], "little")
    if nanovolts == 0:
        raise Refused("no-sensitivity", "the amplitude value multiplier is 0")
    if microseconds == 0:
        raise Unreadable("sampling-frequency", "the sample time interval is 0")
    if body[4] > 2:
        raise Unreadable("scp-structure", "differences of an order that does not exist")
    sizes = [int.from_bytes(body[6 + 2 * n : 8 + 2 * n], "little") for n in range(len(ranges))]
    blocks = _blocks(body[6 + 2 * len(ranges) :], sizes)
    if (
        tables
        and sum(min(area.samples, 8 * len(block)) for block, area in zip(blocks, ranges, strict=True)) > _MOST_CODED
    ):
        raise Refused("too-large", f"more than {_MOST_CODED} coded samples; a resting ECG has a tenth of them")
    rows = [_decode(block, area, tables, body[4]) for block, area in zip(blocks, ranges, strict=True)]
    return _Coded(rows, nanovolts * 1e-6, microseconds)


def _add_reference_beats(
    rows: list[NDArray[np.float64]], ranges: list[LeadRange], rhythm: _Coded, sections: Sections
) -> None:
    """Put the reference beat back under each QRS of type 0 it was subtracted from (§5.7.5); `rows` are mV, changed in
    place.
    """
    zones = subtraction_zones(sections.body(4))
    body = sections.body(5)
    if zones is None or len(body) < 6 + 2 * len(ranges):
        raise Unreadable("scp-structure", "reference beats were subtracted, but sections 4 and 5 do not hold them")
    length = round(zones.milliseconds * 1000 / (int.from_bytes(body[2:4], "little") or 1))
    beats = _coded_leads(body, [LeadRange(1, max(1, length), area.lead) for area in ranges], sections.body(2))
    if beats.microseconds != rhythm.microseconds:
        raise Refused("scp-compression", "reference beats of another sampling rate than the rhythm")
    for row, area, beat in zip(rows, ranges, beats.rows, strict=True):
        for start, fiducial, end in zones.beats:
            # Sample n of the rhythm lies under sample n - shift of the beat; all are counted from 1.
            shift = fiducial - zones.fiducial
            first = max(start, area.start, shift + 1)
            last = min(end, area.start + len(row) - 1, shift + len(beat))
            if first <= last:
                row[first - area.start : last - area.start + 1] += (
                    beat[first - shift - 1 : last - shift] * beats.millivolts
                )


def _blocks(data: bytes, sizes: list[int]) -> list[bytes]:
    """The bytes of each lead. Raises Unreadable where they are not there."""
    if sum(sizes) > len(data):
        raise Unreadable("waveform-length", f"section 6 holds {len(data)} bytes where its leads need {sum(sizes)}")
    edges = [0, *np.cumsum(sizes).tolist()]
    return [data[start:end] for start, end in pairwise(edges)]


def _decode(block: bytes, area: LeadRange, tables: bytes, differences: int) -> NDArray[np.int64]:
    """One lead in units of the multiplier; as many samples as both the range and the data allow."""
    if not tables:
        raw = np.frombuffer(block[: len(block) // 2 * 2], dtype="<i2").astype(np.int64)[: area.samples]
        return _integrated(raw, differences)
    coded = parse_tables(tables)
    if area.start == 0:  # counted from zero; whether the end is the last sample or one past it, the data tell
        raw, rest = expand(block, coded, count=area.samples - 1)
        if len(rest) < _PADDING_BITS and "1" not in rest:
            return _integrated(raw, differences)
    raw, _ = expand(block, coded, count=area.samples)
    return _integrated(raw, differences)


def _integrated(values: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """Undo first or second differences (§5.9.3); the arithmetic of the devices has sixteen bits and wraps."""
    if order == 1:
        values = np.cumsum(values)
    elif order == 2 and len(values) > 2:
        slopes = np.cumsum(np.concatenate(([values[1] - values[0]], values[2:])))
        values = np.concatenate(([values[0]], values[0] + np.cumsum(slopes)))
    return values.astype(np.int16).astype(np.int64)


def _channels(rows: list[NDArray[np.float64]], ranges: list[LeadRange]) -> list[Channel]:
    """Rows (mV) put where their ranges say, NaN elsewhere."""
    first = min(area.start for area in ranges)
    length = max(area.start - first + len(row) for row, area in zip(rows, ranges, strict=True))
    require_length(length * len(rows))
    if length > 4 * max(map(len, rows), default=0):
        raise Unreadable("scp-structure", "the leads' sample ranges lie impossibly far apart")
    channels = []
    for row, area in zip(rows, ranges, strict=True):
        lead = from_number(area.lead)
        if lead is None or not lead.canonical:
            continue
        samples = np.full(length, np.nan, dtype=np.float32)
        samples[area.start - first : area.start - first + len(row)] = row
        channels.append(Channel(lead=lead, samples=samples))
    return channels


def _acquired(about: dict[int, bytes], context: ReadingContext) -> AcquiredAt | None:
    """Tags 25 and 26, in the zone of tag 34 where it is there."""
    day, clock = _day(about.get(25, b"")), about.get(26, b"")
    if not day or len(clock) < 3:
        return None
    return acquired_at(f"{day}{clock[0]:02d}{clock[1]:02d}{clock[2]:02d}", site=context.zone, message=_zone(about))


def _zone(about: dict[int, bytes]) -> tzinfo | None:
    """Tag 34: minutes east of UTC; 0x7FFF is unknown."""
    minutes = int.from_bytes(about.get(34, b"\xff\x7f")[:2], "little", signed=True)
    return timezone(timedelta(minutes=minutes)) if abs(minutes) <= 14 * 60 else None


def _day(value: bytes) -> str:
    """A four-byte date as YYYYMMDD; empty where it is none."""
    if len(value) < 4:
        return ""
    written = f"{int.from_bytes(value[:2], 'little'):04d}{value[2]:02d}{value[3]:02d}"
    return written if len(written) == 8 else ""


def _text(value: bytes) -> str:
    return value.split(b"\0")[0].decode("latin-1").strip()


def _patient(about: dict[int, bytes], default_authority: str) -> Patient:
    number = _text(about.get(2, b""))
    sex = about.get(8, b"\0")[:1]
    return Patient(
        identifiers=(Identifier(authority=default_authority, value=number),) if number else (),
        birth_date=parse_date(_day(about.get(5, b""))),
        sex="M" if sex == b"\x01" else "F" if sex == b"\x02" else "U",
        family_name=_text(about.get(0, b"")),
        given_name=_text(about.get(1, b"")),
    )


def _age(about: dict[int, bytes]) -> tuple[tuple[str, str], ...]:
    """Tag 4: a number, and 1 years, 2 months, 3 weeks, 4 days, 5 hours."""
    value = about.get(4, b"")
    if len(value) < 3 or not 1 <= value[2] <= 5:
        return ()
    return ages.measurement(str(int.from_bytes(value[:2], "little")), "YMWDH"[value[2] - 1])


def _device(about: dict[int, bytes]) -> Device:
    """Tag 14, the acquiring device: its fixed part, and the strings after it where they are whole."""
    machine = about.get(14, b"")
    if len(machine) < 14:
        return Device()
    strings = [part.decode("latin-1").strip() for part in machine[36:].split(b"\0")]
    return Device(
        manufacturer=_MANUFACTURERS.get(machine[7], "") or (strings[4] if len(strings) > 4 else ""),
        model=_text(machine[8:14]),
        serial=strings[1] if len(strings) > 1 else "",
    )


def _filters(about: dict[int, bytes]) -> Filters:
    """Tags 27 (hundredths of Hz), 28 (Hz) and 29 (notch bits); 0 is what is written where nothing is known."""
    high_pass, low_pass = (int.from_bytes(about.get(tag, b"")[:2], "little") for tag in (27, 28))
    notch = about.get(29, b"\0")[:1] or b"\0"
    return Filters(
        high_pass=high_pass / 100.0 if high_pass else None,
        low_pass=float(low_pass) if low_pass else None,
        notch=60.0 if notch[0] & 1 else 50.0 if notch[0] & 2 else None,
    )
