"""The outer structure of an SCP-ECG record: pointers, tagged demographics, lead table, statements (EN 1064
§5.2–5.11).
"""

from typing import NamedTuple

from ecgfm_connectors.errors import Unreadable

_HEADER = 16  #: bytes before the body of each section
_POINTER = 10
_END = 255  #: closing tag of section 1


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
    """Section 4: the reference beat's length and fiducial sample, and the zones it was subtracted from."""

    milliseconds: int
    fiducial: int  #: sample of the reference beat, counted from 1
    beats: list[tuple[int, int, int]]  #: first, fiducial and last sample of the rhythm for each QRS of type 0


def subtraction_zones(body: bytes) -> Zones | None:
    """Section 4; None where it is absent or cut off."""
    count = int.from_bytes(body[4:6], "little")
    if len(body) < 6 + 14 * count or count == 0:
        return None
    beats = []
    for at in range(6, 6 + 14 * count, 14):
        kind, *positions = (
            int.from_bytes(body[at + n : at + m], "little") for n, m in ((0, 2), (2, 6), (6, 10), (10, 14))
        )
        if kind == 0:
            beats.append((positions[0], positions[1], positions[2]))
    return Zones(int.from_bytes(body[:2], "little"), int.from_bytes(body[2:4], "little"), beats)


def pacemaker_spikes(body: bytes) -> int:
    """Section 7: how many pacemaker spikes the device measured (EN 1064 5.10, byte 2 of the section's data)."""
    return body[1] if len(body) > 6 else 0


def statements(body: bytes) -> tuple[str, ...]:
    """Section 8: the full text interpretation."""
    found = []
    at = 9
    for _ in range(body[8] if len(body) > 8 else 0):
        length = int.from_bytes(body[at + 1 : at + 3], "little")
        found.append(body[at + 3 : at + 3 + length].split(b"\0")[0].decode("latin-1").strip())
        at += 3 + length
    return tuple(filter(None, found))
