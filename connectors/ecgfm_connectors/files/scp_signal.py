"""The rhythm data of an SCP-ECG record in mV: section 6, decoded by what sections 2 to 5 say (EN 1064 5.5–5.9)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.assembly import Channel
from ecgfm_connectors.context import require_length
from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.files import scp_bimodal
from ecgfm_connectors.files.huffman import expand, parse_tables
from ecgfm_connectors.files.scp_sections import LeadRange, Sections, Zones, lead_ranges, zones_of
from ecgfm_connectors.leads import from_number
from ecgfm_connectors.skew import MOST_CORRECTED, complete

_PADDING_BITS = 16  #: a coded lead is filled up with zeros to a whole byte, or two
#: Huffman-coded samples of all leads: a minute of 12 leads at 1000 Hz has 720 000. More would take seconds to expand.
_MOST_CODED = 1 << 20
_NO_BIMODAL = 30  #: protocol 3.0 took the flag of bimodal compression back


def rhythm(sections: Sections, findings: list[Finding]) -> tuple[float, list[Channel]]:
    """Sampling rate in Hz and the leads of section 6 in mV, reference beats added back where they were subtracted.

    Raises Unreadable: `scp-structure`, `huffman`, `sampling-frequency`, `waveform-length`; Refused: `no-recording`,
    `no-sensitivity`, `scp-compression`, `too-large`.
    """
    ranges, subtracted = lead_ranges(sections.body(3))
    body, tables = sections.body(6), sections.body(2)
    if len(body) < 6 + 2 * len(ranges):
        raise Refused("no-recording", "the record has no rhythm data (section 6), at most a reference beat")
    bimodal = sections.protocol(6) < _NO_BIMODAL and body[5] != 0
    beats = _reference_beats(sections, ranges) if bimodal or subtracted else None
    if bimodal:
        rows, microseconds = _expanded(body, ranges, tables, beats, findings)
    else:
        coded = _coded_leads(body, ranges, tables)
        _note_missing(coded.rows, ranges, findings)
        rows = [row.astype(np.float64) * coded.millivolts for row in coded.rows]
        microseconds = coded.microseconds
    if subtracted:
        _add_reference_beats(rows, ranges, microseconds, beats)
    channels = _channels(rows, ranges)
    starts = [area.start for area in ranges]
    if apart := max(starts) - min(starts):
        channels = _started_apart(channels, apart, findings)
    return 1e6 / microseconds, channels


def _note_missing(rows: list[NDArray[np.int64]], ranges: list[LeadRange], findings: list[Finding]) -> None:
    if any(len(row) < area.samples - (area.start == 0) for row, area in zip(rows, ranges, strict=True)):
        most = max(map(len, rows))
        note = f"section 3 declares up to {max(area.samples for area in ranges)} samples a lead, the data hold {most}"
        findings.append(Finding(code="fewer-samples-than-declared", text=note))


def _expanded(
    body: bytes, ranges: list[LeadRange], tables: bytes, beats: _Beats | None, findings: list[Finding]
) -> tuple[list[NDArray[np.float64]], int]:
    """Leads (mV) that are coded bimodally, at the rate of the reference beat; µs between samples."""
    if beats is None:
        raise Refused("scp-compression", "bimodal, but sections 4 and 5 do not say where and at what rate")
    own = int.from_bytes(body[2:4], "little")
    factor, rest = divmod(own, beats.coded.microseconds)
    if rest or factor not in scp_bimodal.FACTORS:
        raise Refused(
            "scp-compression", f"bimodal, {own} µs beside {beats.coded.microseconds} µs of the reference beat"
        )
    layouts = [scp_bimodal.stretches(area, beats.zones.protected) for area in ranges]
    stored = [
        LeadRange(1, scp_bimodal.stored(layout, factor), area.lead)
        for layout, area in zip(layouts, ranges, strict=True)
    ]
    coded = _coded_leads(body, stored, tables)
    if any(len(row) < area.samples for row, area in zip(coded.rows, stored, strict=True)):
        raise Unreadable("waveform-length", "the bimodally coded samples end early")
    note = f"between the QRS complexes one stored sample stands for {factor}; the others are interpolated"
    findings.append(Finding(code="decimated", text=note))
    rows = [
        scp_bimodal.expanded(row, layout, factor) * coded.millivolts
        for row, layout in zip(coded.rows, layouts, strict=True)
    ]
    return rows, beats.coded.microseconds


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


class _Beats(NamedTuple):
    """Sections 4 and 5."""

    zones: Zones
    coded: _Coded


def _reference_beats(sections: Sections, ranges: list[LeadRange]) -> _Beats | None:
    """The reference beat of each lead, and where it lies; None where the record holds none."""
    zones = zones_of(sections.body(4), sections.protocol(4))
    body = sections.body(5)
    if zones is None or len(body) < 6 + 2 * len(ranges):
        return None
    length = round(zones.milliseconds * 1000 / (int.from_bytes(body[2:4], "little") or 1))
    of_beat = [LeadRange(1, max(1, length), area.lead) for area in ranges]
    return _Beats(zones, _coded_leads(body, of_beat, sections.body(2)))


def _add_reference_beats(
    rows: list[NDArray[np.float64]], ranges: list[LeadRange], microseconds: int, beats: _Beats | None
) -> None:
    """Put the reference beat back under each QRS of type 0 it was subtracted from (§5.7.5); `rows` are mV, changed in
    place.
    """
    if beats is None:
        raise Unreadable("scp-structure", "reference beats were subtracted, but sections 4 and 5 do not hold them")
    zones, coded = beats
    if coded.microseconds != microseconds:
        raise Refused("scp-compression", "reference beats of another sampling rate than the rhythm")
    for row, area, beat in zip(rows, ranges, coded.rows, strict=True):
        for start, fiducial, end in zones.beats:
            # Sample n of the rhythm lies under sample n - shift of the beat; all are counted from 1.
            shift = fiducial - zones.fiducial
            first = max(start, area.start, shift + 1)
            last = min(end, area.start + len(row) - 1, shift + len(beat))
            if first <= last:
                row[first - area.start : last - area.start + 1] += (
                    beat[first - shift - 1 : last - shift] * coded.millivolts
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
