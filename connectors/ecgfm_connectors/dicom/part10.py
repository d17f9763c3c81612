"""Parse the bytes of a DICOM object (PS3.10 file, or a bare data set) into a data set, within bounds."""

import logging
import zlib
from io import BytesIO
from typing import NamedTuple

import pydicom
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from ecgfm_connectors.errors import Refused, Unreadable

# Senders break value rules (double dots in UIDs, over-long SH) and are read all the same; pydicom's warnings about it
# quote the values, so they must not reach a log.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
logging.getLogger("pydicom").setLevel(logging.ERROR)

#: A deflated ECG shrinks to a half or a fifth; more than this is a bomb.
MAX_INFLATION = 16


class Parsed(NamedTuple):
    """A data set, and the byte order its waveform bytes are in."""

    dataset: Dataset
    little_endian: bool


def parse(content: bytes) -> Parsed:
    """The data set of a Part 10 file in any uncompressed or deflated transfer syntax, or of a bare data set.

    Raises Unreadable: `not-dicom`, `truncated`; Refused: `too-large`.
    """
    try:
        return _parse_part10(content) if content[128:132] == b"DICM" else _parse_bare(content)
    except (InvalidDicomError, zlib.error) as error:
        raise Unreadable("not-dicom", "the bytes do not parse as a DICOM object") from error
    except EOFError as error:
        raise Unreadable("truncated", "the DICOM object ends before its data set does") from error


def _parse_part10(content: bytes) -> Parsed:
    stream = BytesIO(content)
    stream.seek(132)
    meta = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=_beyond_meta)
    syntax = str(meta.get("TransferSyntaxUID", ""))
    if syntax == DeflatedExplicitVRLittleEndian:
        inflated = _inflate(content[stream.tell() :])
        return Parsed(read_dataset(BytesIO(inflated), is_implicit_VR=False, is_little_endian=True), True)
    return Parsed(pydicom.dcmread(BytesIO(content), force=True), syntax != ExplicitVRBigEndian)


def _parse_bare(content: bytes) -> Parsed:
    """A data set without preamble and file meta information, as it travels in a C-STORE; pydicom guesses its syntax."""
    dataset = pydicom.dcmread(BytesIO(content), force=True)
    return Parsed(dataset, dataset.original_encoding[1] is not False)


def _beyond_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != 2


def _inflate(deflated: bytes) -> bytes:
    """PS3.5 A.5: raw deflate without a header; bounded, so that a small object cannot fill the memory."""
    limit = MAX_INFLATION * len(deflated) + 2**20
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(deflated, limit)
    if len(inflated) >= limit:
        raise Refused("too-large", f"the deflated data set grows more than {MAX_INFLATION}-fold")
    return inflated


#: Ours, in every file we make of a received data set; from a random UUID (PS3.5 B.2).
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
