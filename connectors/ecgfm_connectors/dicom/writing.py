"""Writes data sets in Explicit VR Little Endian (PS3.5 §7.1.2): the same elements always give the same bytes.

pydicom writes them too; it took thirty times as long for a report of nineteen labels, which is composed inside the
transaction that records the score.
"""

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache

from pydicom.datadict import dictionary_VR, tag_for_keyword

#: Manufacturer (0008,0070) of every object that this program makes, by which it knows its own.
MANUFACTURER = "ecgfm-clinical"

#: Text and numbers by their VR; a sequence as its items, each encoded already.
Value = str | bytes | int | float | Iterable[bytes]
Elements = dict[str, Value]  #: keyword -> value

_LONG = frozenset(("OB", "SQ", "UC", "UT"))
_IN_CHARACTER_SET = frozenset(("SH", "LO", "ST", "PN", "UC", "UT"))
_NUMBERS = {"FD": "<d", "UL": "<I", "US": "<H"}


def data_set(elements: Mapping[str, Value], codec: str) -> bytes:
    """The elements in the order of their tags; `codec` is Python's name of the Specific Character Set."""
    return b"".join(_element(tag, vr, elements[name], codec) for tag, vr, name in sorted(map(_known, elements)))


def item(elements: Mapping[str, Value], codec: str) -> bytes:
    """The elements as one item of a sequence, of defined length (PS3.5 §7.5)."""
    content = data_set(elements, codec)
    return b"\xfe\xff\x00\xe0" + len(content).to_bytes(4, "little") + content


def _element(tag: int, vr: str, value: Value, codec: str) -> bytes:
    content = _encoded(vr, value, codec)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in _LONG:
        return head + b"\0\0" + len(content).to_bytes(4, "little") + content
    return head + len(content).to_bytes(2, "little") + content


def _encoded(vr: str, value: Value, codec: str) -> bytes:
    """The value with its padding to an even length (PS3.5 §6.2)."""
    if isinstance(value, str):
        written = value.encode(codec if vr in _IN_CHARACTER_SET else "ascii")
        return written + (b"\0" if vr == "UI" else b" ") * (len(written) % 2)
    if isinstance(value, bytes):
        return value + b"\0" * (len(value) % 2)
    if isinstance(value, int | float):
        return struct.pack(_NUMBERS[vr], value) if vr in _NUMBERS else _encoded(vr, str(value), codec)
    return b"".join(value)


@lru_cache(maxsize=256)
def _known(keyword: str) -> tuple[int, str, str]:
    """Tag, VR and keyword. Raises KeyError for a keyword that the dictionary does not hold."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(f"{keyword} is no keyword of the DICOM dictionary")
    return tag, dictionary_VR(tag), keyword
