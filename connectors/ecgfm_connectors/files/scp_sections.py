"""The outer structure of an SCP-ECG record: pointers, tagged demographics, lead table, statements (EN 1064
§5.2–5.11).
"""

import struct
from typing import NamedTuple

from ecgfm_connectors.errors import Unreadable

_HEADER = 16  #: bytes before the body of each section
_POINTER = 10
_END = 255  #: closing tag of section 1
_PROTECTED_APART = 12  #: protocol 1.2, in tenths


class LeadRange(NamedTuple):
    """One lead of section 3: the first and last sample number it covers, and the standard's lead number."""

    start: int
    end: int
    lead: int

    @property
    def samples(self) -> int:
        return self.end - self.start + 1


class Sections:
    """Where each section lies, by the pointers of section 0. Raises Unreadable `scp-structure`."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = min(int.from_bytes(content[2:6], "little"), len(content))
        size = int.from_bytes(content[10:14], "little")
        if not _HEADER + _POINTER <= size <= len(content) - 6:
            raise Unreadable("scp-structure", "section 0 does not fit into the record")
        self._places: dict[int, tuple[int, int]] = {}
        for at in range(6 + _HEADER, 6 + size - _POINTER + 1, _POINTER):
            number = int.from_bytes(content[at : at + 2], "little")
            length = int.from_bytes(content[at + 2 : at + 6], "little")
            start = int.from_bytes(content[at + 6 : at + 10], "little") - 1  # counted from 1
            if length > _HEADER and start >= 0:
                self._places.setdefault(number, (start, length))

    def body(self, number: int) -> bytes:
        """The bytes after the header of a section; empty where the section is absent, cut off where the record ends
        first.
        """
        start, length = self._places.get(number, (0, 0))
        return self._content[start + _HEADER : start + length] if length else b""

    def protocol(self, number: int) -> int:
        """The protocol version of a section's header, in tenths: 13 is 1.3; 0 where the section is absent."""
        start, length = self._places.get(number, (0, 0))
        return int.from_bytes(self._content[start + 9 : start + 10], "little") if length else 0


def tags(body: bytes) -> dict[int, bytes]:
    """Section 1 as tag -> value; the first of repeated tags counts."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 3 <= len(body) and body[at] != _END:
        length = int.from_bytes(body[at + 1 : at + 3], "little")
        found.setdefault(body[at], body[at + 3 : at + 3 + length])
        at += 3 + length
    return found


def lead_ranges(body: bytes) -> tuple[list[LeadRange], bool]:
    """Section 3, and whether reference beats were subtracted. Raises Unreadable `scp-structure`."""
    if len(body) < 2:
        raise Unreadable("scp-structure", "the record has no lead definition (section 3)")
    count, flags = body[0], body[1]
    if count == 0 or len(body) < 2 + 9 * count:
        raise Unreadable("scp-structure", "the lead definition is shorter than its number of leads")
    ranges = []
    for at in range(2, 2 + 9 * count, 9):
        start, end = (int.from_bytes(body[at + n : at + n + 4], "little") for n in (0, 4))
        if end < start:
            raise Unreadable("scp-structure", "a lead ends before it starts")
        ranges.append(LeadRange(start, end, body[at + 8]))
    return ranges, bool(flags & 1)


class Zones(NamedTuple):
    """Section 4: the reference beat's length and fiducial sample, and the zones around the QRS complexes."""

    milliseconds: int
    fiducial: int  #: sample of the reference beat, counted from 1
    beats: list[tuple[int, int, int]]  #: first, fiducial and last sample of the rhythm for each QRS of type 0
    protected: list[tuple[int, int]]  #: first and last sample of each QRS that keeps its rate under bimodal compression


def zones_of(body: bytes, protocol: int) -> Zones | None:
    """Section 4; None where it is absent or cut off.

    Protocols before 1.2 hold no protected zones: the zones of subtraction are protected.
    """
    count = int.from_bytes(body[4:6], "little")
    if len(body) < 6 + 14 * count or count == 0:
        return None
    found = [struct.unpack_from("<HIII", body, 6 + 14 * n) for n in range(count)]
    at = 6 + 14 * count
    if protocol < _PROTECTED_APART:
        protected = [(start, end) for _, start, _, end in found]
    else:
        protected = [struct.unpack_from("<II", body, at + 8 * n) for n in range(min(count, (len(body) - at) // 8))]
    beats = [(start, fiducial, end) for kind, start, fiducial, end in found if kind == 0]
    return Zones(int.from_bytes(body[:2], "little"), int.from_bytes(body[2:4], "little"), beats, protected)


def pacemaker_spikes(body: bytes) -> int:
    """Section 7: how many pacemaker spikes the device measured (EN 1064 5.10, byte 2 of the section's data)."""
    return body[1] if len(body) > 6 else 0


def statements(body: bytes) -> tuple[str, ...]:
    """Section 8: the full text interpretation."""
    return tuple(filter(None, (_text(part.split(b"\0")[0]) for part in _numbered(body))))


def universal_statements(body: bytes) -> tuple[tuple[str, bool], ...]:
    """Section 11: each coded statement's acronym, and whether modifiers or further statements follow it.

    A statement is its type (1: acronyms, separated by NUL, space or underscore; others are text of section 8) and its
    fields (EN 1064 5.14). Which modifiers mean what is in the annex alone, so that there are some is all that is told.
    """
    found = []
    for part in _numbered(body):
        fields = [field for field in part[1:].split(b"\0") if field.strip()]
        if part[:1] == b"\1" and fields:
            words = _text(fields[0]).split()
            found.append((words[0] if words else "", len(fields) > 1 or len(words) > 1))
    return tuple((acronym, more) for acronym, more in found if acronym)


def _numbered(body: bytes) -> list[bytes]:
    """The numbered pieces of section 8 or 11."""
    found = []
    at = 9
    for _ in range(body[8] if len(body) > 8 else 0):
        length = int.from_bytes(body[at + 1 : at + 3], "little")
        found.append(body[at + 3 : at + 3 + length])
        at += 3 + length
    return found


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip()
