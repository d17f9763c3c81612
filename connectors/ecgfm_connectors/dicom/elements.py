"""Find the elements of a DICOM data set in its bytes, and take single values out of them (PS3.5 §7).

Own code, because an ECG names each of its channels by nested sequences, and pydicom converts every element on the way:
reading one took five times as long. Only what is asked for is decoded here; a data set of absurdly many elements is
refused early. The tests compare with pydicom, which remains what writes objects and decodes characters.
"""

import math
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from ecgfm_connectors.errors import Refused, Unreadable

_LONG = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"))
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_IN_CHARACTER_SET = frozenset(("SH", "LO", "ST", "LT", "UC", "UT", "PN"))
_CHARACTER_SET = 0x00080005
#: Little endian? -> how to take a tag, a short length, a long length, and an item's tag and length.
_UNPACK = {
    little: tuple(struct.Struct(order + code).unpack_from for code in ("HH", "H", "I", "HHI"))
    for little, order in ((True, "<"), (False, ">"))
}
MAX_ELEMENTS = 100_000
MAX_DEPTH = 32


class Syntax(NamedTuple):
    """How elements are encoded."""

    implicit: bool
    little_endian: bool


class _Place(NamedTuple):
    """Where the value of one element lies; a sequence of undefined length is already split into its items."""

    start: int
    length: int
    items: "tuple[Elements, ...] | None" = None


class Elements:
    """One data set or sequence item. Values are looked up by keyword; a missing or broken one counts as absent."""

    __slots__ = ("_buffer", "_encodings", "_places", "syntax")

    def __init__(self, buffer: bytes, places: dict[int, _Place], syntax: Syntax, encodings: list[str]) -> None:
        self._buffer = buffer
        self._places = places
        self._encodings = encodings
        self.syntax = syntax

    def __contains__(self, keyword: str) -> bool:
        return _tag(keyword) in self._places

    def raw(self, keyword: str) -> memoryview | None:
        """The bytes of the value, not copied; None where the element is absent or a sequence."""
        place = self._places.get(_tag(keyword))
        if place is None or place.items is not None:
            return None
        return memoryview(self._buffer)[place.start : place.start + place.length]

    def text(self, keyword: str) -> str:
        """The value as stripped text, several values with backslashes between them; empty where absent."""
        raw = self.raw(keyword)
        if not raw:
            return ""
        vr, value = _vr(keyword), bytes(raw)
        if vr not in _IN_CHARACTER_SET or (value.isascii() and b"\x1b" not in value):
            return value.decode("latin-1").replace("\0", "").strip()
        delimiters = PN_DELIMS | {ord("=")} if vr == "PN" else TEXT_VR_DELIMS
        return decode_bytes(value, self._encodings, delimiters).replace("\0", "").strip()

    def number(self, keyword: str) -> float | None:
        """The value as a finite number; None where absent, empty, broken or multi-valued."""
        raw = self.raw(keyword)
        if not raw:
            return None
        code = _BINARY.get(_vr(keyword))
        if code is None:
            return _finite(bytes(raw))
        form = ("<" if self.syntax.little_endian else ">") + code
        return _finite(struct.unpack(form, raw)[0]) if len(raw) == struct.calcsize(form) else None

    def items(self, keyword: str) -> Iterator["Elements"]:
        """The items of a sequence; none where it is absent. Raises Unreadable `truncated`, Refused `too-large`."""
        place = self._places.get(_tag(keyword))
        if place is None:
            return
        if place.items is not None:
            yield from place.items
            return
        walk = _Walk(self._buffer, self._encodings)
        yield from walk.items(place.start, place.start + place.length, self.syntax, 0, delimited=False)[0]

    def first(self, keyword: str) -> "Elements":
        """The first item of a sequence; an empty one where there is none."""
        return next(self.items(keyword), Elements(b"", {}, self.syntax, self._encodings))


def parse(buffer: bytes, start: int, syntax: Syntax, *, only_group: int | None = None) -> tuple[Elements, int]:
    """The data set from `start` to the end (or while its group is `only_group`), and where it ends.

    Raises Unreadable `truncated`, Refused `too-large`.
    """
    return _Walk(buffer, ["iso8859"]).data_set(start, len(buffer), syntax, 0, delimited=False, only_group=only_group)


class _Walk:
    """One pass over a buffer, with the bounds that keep it short."""

    def __init__(self, buffer: bytes, encodings: list[str]) -> None:
        self._buffer = buffer
        self._encodings = encodings
        self._left = MAX_ELEMENTS

    def data_set(
        self, at: int, end: int, syntax: Syntax, depth: int, *, delimited: bool, only_group: int | None = None
    ) -> tuple[Elements, int]:
        """Elements from `at` to `end`, or to an item's delimiter."""
        tag_at, short_at, long_at, _ = _UNPACK[syntax.little_endian]
        buffer, places = self._buffer, dict[int, _Place]()
        while at + 8 <= end:
            group, element = tag_at(buffer, at)
            if only_group is not None and group != only_group:
                break
            tag = group << 16 | element
            if tag in (_ITEM_END, _SEQUENCE_END):
                return self._elements(places, syntax), at + 8
            vr = buffer[at + 4 : at + 6]
            if syntax.implicit or not (vr.isalpha() and vr.isupper()):
                length, at, vr = long_at(buffer, at + 4)[0], at + 8, b""
            elif vr in _LONG:
                if at + 12 > end:
                    break
                length, at = long_at(buffer, at + 8)[0], at + 12
            else:
                length, at = short_at(buffer, at + 6)[0], at + 8
            self._count(depth)
            if length == _UNDEFINED:
                inner = Syntax(True, True) if vr == b"UN" else syntax
                items, past = self.items(at, end, inner, depth + 1, delimited=True)
                places[tag], at = _Place(at, 0, tuple(items)), past
                continue
            if at + length > end:
                raise Unreadable("truncated", "the DICOM object ends before its data set does")
            places[tag] = _Place(at, length)
            at += length
        if delimited:
            raise Unreadable("truncated", "the DICOM object ends inside a sequence")
        return self._elements(places, syntax), at

    def items(self, at: int, end: int, syntax: Syntax, depth: int, *, delimited: bool) -> tuple[list[Elements], int]:
        """Sequence items from `at` to `end`, or to the sequence's delimiter."""
        header = _UNPACK[syntax.little_endian][3]
        found: list[Elements] = []
        while at + 8 <= end:
            group, element, length = header(self._buffer, at)
            tag, at = group << 16 | element, at + 8
            self._count(depth)
            if tag == _SEQUENCE_END:
                return found, at
            if tag != _ITEM or (length != _UNDEFINED and at + length > end):
                raise Unreadable("truncated", "a sequence of the DICOM object is broken or ends early")
            if length == _UNDEFINED:
                item, at = self.data_set(at, end, syntax, depth + 1, delimited=True)
            else:
                item, _ = self.data_set(at, at + length, syntax, depth + 1, delimited=False)
                at += length
            found.append(item)
        if delimited:
            raise Unreadable("truncated", "the DICOM object ends inside a sequence")
        return found, at

    def _count(self, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise Refused("too-large", "more, or deeper, elements than any recording has")

    def _elements(self, places: dict[int, _Place], syntax: Syntax) -> Elements:
        """Items inherit the character set of the data set around them, PS3.3 C.12.1.1.2."""
        place = places.get(_CHARACTER_SET)
        if place is not None and place.items is None:
            value = self._buffer[place.start : place.start + place.length].decode("latin-1")
            self._encodings = _encodings(value)
        return Elements(self._buffer, places, syntax, self._encodings)


@lru_cache(maxsize=64)
def _encodings(value: str) -> list[str]:
    """Python's names of Specific Character Set; an unknown one reads as Latin-1."""
    try:
        return convert_encodings([part.strip(" \0") for part in value.split("\\")])
    except (LookupError, ValueError):
        return ["iso8859"]


@lru_cache(maxsize=512)
def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(f"{keyword} is no keyword of the DICOM dictionary")
    return tag


@lru_cache(maxsize=512)
def _vr(keyword: str) -> str:
    return dictionary_VR(_tag(keyword))


def _finite(value: bytes | float) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
