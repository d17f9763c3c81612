"""Write an Ecg as SCP-ECG, in every coding of the standard: for tests and golden files, never for a hospital."""

import binascii
import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.files.huffman import DEFAULT_TABLE
from ecgfm_connectors.leads import LEAD_NUMBERS
from tests.helpers.vendor_files import STEP, counts

_Counts = NDArray[np.int64]


Coding = Literal["plain", "default", "custom", "switching"]


def write_scp(
    ecg: Ecg,
    *,
    coding: Coding = "default",
    order: int = 2,
    zero_based: bool = False,
    subtracted: bool = False,
    bimodal: int = 1,
    starts: Mapping[str, int] = MappingProxyType({}),
    spikes: int = 0,
    universal: Sequence[str] = (),
) -> bytes:
    """SCP-ECG with sections 0–3, 6 and 8: differences of the given order by the standard's Huffman table, by one or two
    tables of the record's own, or plain 16-bit samples.

    `subtracted` takes a reference beat out of the rhythm (sections 4 and 5), at places that need not be heart beats.
    `bimodal` keeps, outside the protected zones of the same places, one sample of so many. `starts`: the first sample
    of leads that begin later than the others and end with them. `spikes`: how many pacemaker spikes section 7 counts.
    `universal`: coded statements of section 11.
    """
    rows = counts(ecg)
    beats, zones = _reference_beats(rows)
    if subtracted:
        rows = {lead: _without_beats(row, beats[lead], zones) for lead, row in rows.items()}
    if bimodal > 1:
        rows = {lead: decimated(row, protected(zones), bimodal) for lead, row in rows.items()}
    samples = ecg.signal.shape[1]
    first, last = (0, samples) if zero_based else (1, samples)
    kept = {lead: row[starts.get(lead, 1) - 1 :] for lead, row in rows.items()}
    leads = b"".join(struct.pack("<IIB", starts.get(lead, first), last, LEAD_NUMBERS[lead]) for lead in rows)
    interval, plain = round(1e6 / ecg.sampling_rate), coding == "plain"
    parameters = struct.pack("<HHBB", round(STEP * 1e6), interval * bimodal, 0 if plain else order, bimodal > 1)
    flags = 12 << 3 | 4 | subtracted
    bodies = {1: _scp_tags(ecg), 3: bytes((len(rows), flags)) + leads, 8: _scp_statements(ecg)}
    bodies[6] = parameters + _scp_blocks([_coded(row, coding, order) for row in kept.values()])
    if subtracted or bimodal > 1:
        length = round(_BEAT / ecg.sampling_rate * 1000)
        bodies[4] = struct.pack("<HHH", length, _FIDUCIAL, len(zones))
        bodies[4] += b"".join(struct.pack("<HIII", 0, *zone) for zone in zones)
        bodies[4] += b"".join(struct.pack("<II", *zone) for zone in protected(zones))
        of_beat = struct.pack("<HHBB", round(STEP * 1e6), interval, 0 if plain else order, 0)
        bodies[5] = of_beat + _scp_blocks([_coded(beat, coding, order) for beat in beats.values()])
    if spikes:
        bodies[7] = bytes((1, spikes)) + bytes(40)
    if universal:
        bodies[11] = _scp_numbered([b"\1" + one.encode("latin-1") + b"\0" for one in universal])
    if not plain:
        bodies[2] = TABLES[coding]
    return _scp_record(bodies)


def protected(zones: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """First and last sample, counted from 1, of the stretches that bimodal compression leaves whole."""
    return [(fiducial - 40, fiducial + 57) for _, fiducial, _ in zones]


def decimated(row: _Counts, whole: list[tuple[int, int]], factor: int) -> _Counts:
    """Sample by sample as the standard words it: a mean for each `factor` samples, what is left over as it is."""
    stored: list[int] = []
    waiting: list[int] = []
    inside = {sample for first, last in whole for sample in range(first, last + 1)}
    for sample, value in enumerate(row.tolist(), 1):
        if sample in inside:
            stored += [*waiting, value]
            waiting = []
            continue
        waiting.append(value)
        if len(waiting) == factor:
            stored.append(round(sum(waiting) / factor))
            waiting = []
    return np.array(stored + waiting, dtype=np.int64)


def rebuilt(row: _Counts, kept: list[tuple[int, int]], factor: int) -> list[float]:
    """Sample by sample, from the whole recording: means stand in the middle of what they stand for."""
    inside = {sample for first, last in kept for sample in range(first, last + 1)}
    found: list[float] = []
    waiting: list[int] = []
    means: list[int] = []

    def close() -> None:
        for place in range(len(means) * factor):
            after, part = divmod(place - factor // 2, factor)
            left, right = means[max(after, 0)], means[min(max(after, 0) + (after >= 0), len(means) - 1)]
            found.append(left + part / factor * (right - left) if after >= 0 else means[0])
        found.extend(waiting)
        waiting.clear()
        means.clear()

    for sample, value in enumerate(row.tolist(), 1):
        if sample in inside:
            close()
            found.append(value)
            continue
        waiting.append(value)
        if len(waiting) == factor:
            means.append(round(sum(waiting) / factor))
            waiting.clear()
    close()
    return found


def bimodal_signal(ecg: Ecg, factor: int) -> NDArray[np.float32]:
    """(12, samples) in mV, as it comes back from `write_scp(ecg, bimodal=factor)`."""
    rows = counts(ecg)
    kept = protected(_reference_beats(rows)[1])
    return np.array([rebuilt(row, kept, factor) for row in rows.values()], dtype=np.float32) * np.float32(STEP)


def _coded(row: _Counts, coding: Coding, order: int) -> bytes:
    if coding == "plain":
        return row.astype("<i2").tobytes()
    values = _differenced(row, order)
    if coding == "default":
        return _huffman(values)
    return _packed(_own_bits(values) if coding == "custom" else _switching_bits(values))


#: One table: 0, ±1 and ±2 by codes of their own, all else as a literal of 8 or 16 bits.
_OWN = {0: "10", 1: "110", -1: "01", 2: "1110", -2: "001"}
_OWN_LITERALS = {8: "1111", 16: "000"}
#: Two tables: the first is for small steps, `11` changes to the second, whose values are literals of 16 bits behind a 1
#: and whose 0 changes back.
_SMALL = {0: "0", 1: "100", -1: "101"}


def _own_bits(values: _Counts) -> str:
    return "".join(_OWN.get(value) or _literal(value) for value in values.tolist())


def _literal(value: int) -> str:
    bits = 8 if -128 <= value < 128 else 16
    return _OWN_LITERALS[bits] + f"{value & (1 << bits) - 1:0{bits}b}"


def _switching_bits(values: _Counts) -> str:
    bits, second = [], False
    for value in values.tolist():
        small = value in _SMALL
        if small == second:
            bits.append("0" if second else "11")
            second = not second
        bits.append(f"1{value & 0xFFFF:016b}" if second else _SMALL[value])
    return "".join(bits)


def _entry(code: str, *, literal: int = 0, value: int = 0, switch: bool = False) -> bytes:
    """Bits of the code, bits with its literal, 0 for a change of table, the value or the table's number, the code with
    its first bit lowest.
    """
    return struct.pack("<BBBhI", len(code), len(code) + literal, not switch, value, int(code[::-1], 2))


def _table(entries: list[bytes]) -> bytes:
    return struct.pack("<H", len(entries)) + b"".join(entries)


TABLES: Mapping[Coding, bytes] = {
    "default": struct.pack("<H", DEFAULT_TABLE),
    "custom": struct.pack("<H", 1)
    + _table(
        [_entry(code, value=value) for value, code in _OWN.items()]
        + [_entry(code, literal=bits) for bits, code in _OWN_LITERALS.items()]
    ),
    "switching": struct.pack("<H", 2)
    + _table([*(_entry(code, value=value) for value, code in _SMALL.items()), _entry("11", value=2, switch=True)])
    + _table([_entry("1", literal=16), _entry("0", value=1, switch=True)]),
}


_BEAT, _FIDUCIAL = 300, 120  #: samples of the reference beat, and its fiducial sample counted from 1


def _scp_blocks(blocks: list[bytes]) -> bytes:
    return b"".join(struct.pack("<H", min(len(block), 65534)) for block in blocks) + b"".join(blocks)


def _reference_beats(rows: dict[str, _Counts]) -> tuple[dict[str, _Counts], list[tuple[int, int, int]]]:
    """A stretch of each lead as its beat, and zones (first, fiducial, last sample) that reach over the beat's ends."""
    beats = {lead: row[:_BEAT] for lead, row in rows.items()}
    samples = len(next(iter(rows.values())))
    return beats, [(at - 150, at, at + 200) for at in range(160, samples - 210, 425)]


def _without_beats(row: _Counts, beat: _Counts, zones: list[tuple[int, int, int]]) -> _Counts:
    """The rhythm with the beat subtracted, sample by sample as the standard words it."""
    rest = row.copy()
    for start, fiducial, end in zones:
        for sample in range(start, end + 1):
            place = sample - fiducial + _FIDUCIAL
            if 1 <= place <= len(beat):
                rest[sample - 1] -= beat[place - 1]
    return rest


def _scp_record(bodies: dict[int, bytes]) -> bytes:
    """Sections behind their pointers, each and the whole with its CRC."""
    size0 = 16 + 12 * 10
    pointers, sections, at = {0: (size0, 7)}, b"", 7 + size0
    for number in sorted(bodies):
        section = _scp_section(number, bodies[number])
        pointers[number] = (len(section), at)
        sections += section
        at += len(section)
    table = b"".join(struct.pack("<HII", n, *pointers.get(n, (0, 0))) for n in range(12))
    record = struct.pack("<I", 6 + size0 + len(sections)) + _scp_section(0, table, b"SCPECG") + sections
    return struct.pack("<H", binascii.crc_hqx(record, 0xFFFF)) + record


def _scp_section(number: int, body: bytes, reserved: bytes = bytes(6)) -> bytes:
    body += b"\0" * (len(body) % 2)
    rest = struct.pack("<HIBB", number, 16 + len(body), 20, 20) + reserved + body
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def _scp_tags(ecg: Ecg) -> bytes:
    at, patient = ecg.acquired.at if ecg.acquired else None, ecg.patient
    values = {0: patient.family_name.encode("latin-1", "replace") + b"\0"}
    if patient.identifiers:
        values[2] = patient.identifiers[0].value.encode() + b"\0"
    if patient.birth_date:
        values[5] = struct.pack("<HBB", patient.birth_date.year, patient.birth_date.month, patient.birth_date.day)
    values[8] = {"M": b"\1", "F": b"\2"}.get(patient.sex, b"\0")
    if at:
        offset = at.utcoffset()
        values[25] = struct.pack("<HBB", at.year, at.month, at.day)
        values[26] = bytes((at.hour, at.minute, at.second))
        values[34] = struct.pack("<hH", int(offset.total_seconds() // 60) if offset else 0, 0) + b"\0"
    values[255] = b""
    return b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in sorted(values.items()))


def _scp_statements(ecg: Ecg) -> bytes:
    return _scp_numbered([statement.encode("latin-1", "replace") + b"\0" for statement in ecg.statements])


def _scp_numbered(rows: list[bytes]) -> bytes:
    """Sections 8 and 11: each piece with its number and length."""
    body = bytes(8) + bytes((len(rows),))
    return body + b"".join(struct.pack("<BH", n, len(row)) + row for n, row in enumerate(rows, 1))


def _differenced(row: _Counts, order: int) -> _Counts:
    """Differences that `_integrated` of the reader undoes: the first values stay as they are."""
    if order == 0:
        return row
    if order == 1:
        return np.diff(row, prepend=0)
    return np.concatenate((row[:2], np.diff(row, n=2)))


def _huffman(values: _Counts) -> bytes:
    """The standard's own table."""
    bits = []
    for value in values.tolist():
        if value == 0:
            bits.append("0")
        elif abs(value) <= 8:
            bits.append("1" * abs(value) + ("00" if value > 0 else "01"))
        elif -128 <= value < 128:
            bits.append("1111111110" + f"{value & 0xFF:08b}")
        else:
            bits.append("1111111111" + f"{value & 0xFFFF:016b}")
    return _packed("".join(bits))


def _packed(joined: str) -> bytes:
    """Bits as bytes, filled up with zeros to a whole word."""
    joined += "0" * (-len(joined) % 16)
    return int(joined, 2).to_bytes(len(joined) // 8, "big")
