"""Open the bytes of a DICOM object (PS3.10 file, or a bare data set) within bounds, and wrap received data sets as
files.
"""

import logging
import zlib

from pydicom import config as pydicom_config
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ecgfm_connectors.context import MAX_INFLATED
from ecgfm_connectors.dicom.elements import Elements, Syntax, parse
from ecgfm_connectors.errors import Refused, Unreadable

# Peers break value rules (double dots in UIDs, over-long SH) and are read all the same; pydicom's warnings about it
# quote the values, so they must not reach a log.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
logging.getLogger("pydicom").setLevel(logging.ERROR)

#: A deflated ECG shrinks to a half or a fifth; an object that expands by more than this factor is a zip bomb.
MAX_INFLATION = 16


def open_object(content: bytes) -> Elements:
    """The data set of a Part 10 file in any uncompressed or deflated transfer syntax, or of a bare data set.

    Raises Unreadable: `not-dicom`, `truncated`; Refused: `too-large`.
    """
    if content[128:132] != b"DICM":
        return parse(content, 0, _observed(content, 0, Syntax(True, True)))[0]
    meta, start = parse(content, 132, Syntax(False, True), only_group=2)
    syntax = meta.text("TransferSyntaxUID") or ExplicitVRLittleEndian
    if syntax == DeflatedExplicitVRLittleEndian:
        return parse(_inflate(content[start:]), 0, Syntax(False, True))[0]
    declared = Syntax(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    return parse(content, start, _observed(content, start, declared))[0]


def _observed(content: bytes, start: int, declared: Syntax) -> Syntax:
    """Whether value representations are written, as the first element shows; some files declare the other way."""
    vr = content[start + 4 : start + 6]
    return Syntax(not (vr.isalpha() and vr.isupper()), declared.little_endian)


def _inflate(deflated: bytes) -> bytes:
    """PS3.5 A.5: raw deflate without a header; bounded, so that a small object cannot fill the memory."""
    limit = min(MAX_INFLATION * len(deflated) + 2**20, MAX_INFLATED)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(deflated, limit)
    except zlib.error as error:
        raise Unreadable("not-dicom", "the deflated data set does not inflate") from error
    if len(inflated) >= limit:
        raise Refused(
            "too-large", f"the deflated data set grows more than {MAX_INFLATION}-fold, or beyond {limit} bytes"
        )
    return inflated


#: Implementation Class UID of this program, in each file made of a received data set; from a random UUID (PS3.5 B.2).
IMPLEMENTATION_CLASS_UID = "2.25.305828488182831875890203105390285383139"


def wrap(data_set: bytes, *, sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """The Part 10 file of an encoded data set, untouched behind a file meta header (PS3.10 §7.1).

    The header says nothing of the association, so an object sent twice gives the same bytes.
    """
    meta = b"".join(
        (
            _meta_element(0x0001, b"OB", b"\0\1"),
            _meta_element(0x0002, b"UI", _uid(sop_class)),
            _meta_element(0x0003, b"UI", _uid(sop_instance)),
            _meta_element(0x0010, b"UI", _uid(transfer_syntax)),
            _meta_element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
        )
    )
    length = _meta_element(0x0000, b"UL", len(meta).to_bytes(4, "little"))
    return b"".join((bytes(128), b"DICM", length, meta, data_set))


def _uid(uid: str) -> bytes:
    value = uid.encode("ascii", errors="replace")
    return value + b"\0" * (len(value) % 2)


def _meta_element(element: int, vr: bytes, value: bytes) -> bytes:
    """One element of group 0002 in Explicit VR Little Endian."""
    length = b"\0\0" + len(value).to_bytes(4, "little") if vr == b"OB" else len(value).to_bytes(2, "little")
    return b"\x02\0" + element.to_bytes(2, "little") + vr + length + value
