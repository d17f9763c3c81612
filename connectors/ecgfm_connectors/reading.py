"""Read any payload a hospital sends: tell its format from its first bytes and hand it to the reader of that format."""

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import MAX_PAYLOAD, NO_SITE, ReadingContext
from ecgfm_connectors.errors import PayloadError, Refused, Unreadable
from ecgfm_connectors.files.makers import refuse_maker, refuse_own_file
from ecgfm_connectors.files.outcome_table import is_table


def read(content: bytes | str | Path, context: ReadingContext = NO_SITE) -> Contents:
    """The ECGs, outcomes and identity events of one payload, given as its bytes or as the path of a file that holds it.

    A WFDB record may be named by its header, by a signal file, or by the record's name without a suffix, as PhysioNet's
    tables do. Raises Unreadable (damaged, no such file, or no format we read) and Refused (understood, but no 12-lead
    ECG we may take); nothing else, whatever the bytes are.
    """
    if not isinstance(content, bytes):
        from ecgfm_connectors.files.payload import load_record

        content = load_record(Path(content))
    if len(content) > MAX_PAYLOAD:
        raise Unreadable("too-large", f"{len(content)} bytes; the limit is {MAX_PAYLOAD}")
    kind = sniff(content)
    try:
        return _read_as(kind, content, context)
    except PayloadError:
        raise
    except Exception as error:
        # The outermost edge of decoding: libraries underneath raise whatever their parsing met. The text of such an
        # error may quote the payload, so only its class is passed on.
        raise Unreadable("damaged", f"the {kind} reader stopped at {type(error).__name__}; look at the file") from error


Reader = Callable[[bytes, ReadingContext], Contents]

#: Format -> module with a `read(content, context)`. Imported on first use, because each loads libraries of its own.
READERS = {
    "dicom": "ecgfm_connectors.dicom.objects",
    "aecg": "ecgfm_connectors.files.aecg",
    "muse-xml": "ecgfm_connectors.files.muse_xml",
    "mortara-xml": "ecgfm_connectors.files.mortara_xml",
    "schiller-xml": "ecgfm_connectors.files.schiller_xml",
    "cardiosoft-xml": "ecgfm_connectors.files.cardiosoft_xml",
    "philips-xml": "ecgfm_connectors.files.philips_xml",
    "scp": "ecgfm_connectors.files.scp",
    "edf": "ecgfm_connectors.files.edf",
    "mfer": "ecgfm_connectors.files.mfer",
    "wfdb": "ecgfm_connectors.files.wfdb",
    "outcome-table": "ecgfm_connectors.files.outcome_table",
}

_XML_ROOTS = {
    "annotatedecg": "aecg",
    "restingecg": "muse-xml",
    "cardiologyxml": "cardiosoft-xml",
    "restingecgdata": "philips-xml",
    "ecg": "mortara-xml",
    "com.xiriuz.sema.xml.schilleredi.schilleredi": "schiller-xml",
}
_XML_ROOT = re.compile(rb"<(?![?!])(?:[\w.-]+:)?([\w.-]+)")
_NOT_ECG = {
    b"%PDF": "a PDF is a picture of an ECG, not its samples",
    b"\x89PNG": "an image is a picture of an ECG, not its samples",
    b"\xff\xd8\xff": "an image is a picture of an ECG, not its samples",
    b"{\\rtf": "a text report holds no samples",
    b"MATLAB 5.0 MAT-file": "a MATLAB file names neither its leads nor their unit; hand over a WFDB record or DICOM",
    b"{": "JSON is no ECG format of any standard; hand over a WFDB record or DICOM",
}


def sniff(content: bytes) -> str:
    """The format of a payload by its content alone. Raises Refused (a document, not a recording) and Unreadable."""
    if not content:
        raise Unreadable("empty", "the payload has no bytes")
    if content[128:132] == b"DICM" or content[:2] == b"\x08\x00":
        return "dicom"
    head = content[:1024].lstrip(b"\xef\xbb\xbf\x0b \t\r\n")
    if head[:3] in (b"MSH", b"FHS", b"BHS"):
        return "hl7"
    if content[:4] == b"PK\x03\x04":
        return "wfdb"
    if content[:8].rstrip(b"\0 ") == b"0" and content[184:192].strip(b"\0 ").isdigit():
        return "edf"
    if content[:1] == b"@" and content[2:6] == b"MFR ":  # MWF_PRE, the preamble
        return "mfer"
    refuse_own_file(content)
    if _is_scp(content):
        return "scp"
    if is_table(content[:4096]):
        return "outcome-table"
    for magic, reason in _NOT_ECG.items():
        if head.startswith(magic):
            raise Refused("not-a-recording", reason)
    if head.startswith((b"<", b"\0<")) or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _sniff_xml(content[:65536])
    refuse_maker(content)
    raise Unreadable("unknown-format", "the first bytes belong to no format we read")


def _is_scp(content: bytes) -> bool:
    """EN 1064 5.2: a record starts with its CRC and length, and section 0 follows, which is marked `SCPECG` or holds
    pointers.
    """
    length = int.from_bytes(content[2:6], "little")
    section, size = int.from_bytes(content[8:10], "little"), int.from_bytes(content[10:14], "little")
    named = content[16:22] == b"SCPECG"
    return len(content) > 136 and section == 0 and (named or (size >= 136 and 0 < length <= 2 * len(content)))


def _sniff_xml(head: bytes) -> str:
    head = head.replace(b"\0", b"")  # UTF-16; what an element is called is plain ASCII
    head = re.sub(rb"<!--.*?-->", b"", head, flags=re.DOTALL)
    match = _XML_ROOT.search(head)
    if match is None:
        raise Unreadable("unknown-format", "text that begins like XML but has no element")
    name = match[1].decode("ascii", errors="replace")
    kind = _XML_ROOTS.get(name.lower())
    if kind == "mortara-xml" and b"<CHANNEL" not in head and b"<TYPICAL_CYCLE" not in head and b"SUBJECT" not in head:
        kind = None  # another program's element of the same name
    if kind is None:
        refuse_maker(head)
        raise Refused("unknown-xml", f"XML with the root element {name[:40]} is no ECG format we read")
    return kind


def _read_as(kind: str, content: bytes, context: ReadingContext) -> Contents:
    if kind == "hl7":
        from ecgfm_connectors.hl7.inbound import read_message

        return read_message(content, context, read)
    return cast("Reader", import_module(READERS[kind]).read)(content, context)
