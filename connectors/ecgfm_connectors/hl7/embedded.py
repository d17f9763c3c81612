"""Takes whole files out of an OBX: encapsulated data (ED, HL7 2.5.1 §2.A.24) and reference pointers (RP, §2.A.65)."""

import binascii
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pybase64

from ecgfm_connectors.errors import PayloadError, Refused, Unreadable
from ecgfm_connectors.hl7.escapes import unescape
from ecgfm_connectors.hl7.message import Segment

MAX_POINTED = 64 * 2**20  #: bytes of a file that an RP names

_ENCODINGS = {"base64": "base64", "b64": "base64", "hex": "hex", "a": "text", "text": "text"}  # table 0299
#: First bytes of files that are no recording -> reason code and sentence.
REFUSALS = {
    b"%PDF": ("pdf", "the OBX holds a PDF, which is a picture of an ECG and not its samples"),
    b"\xff\xd8\xff": ("picture", "the OBX holds a JPEG picture, not samples"),
    b"\x89PNG": ("picture", "the OBX holds a PNG picture, not samples"),
    b"GIF8": ("picture", "the OBX holds a GIF picture, not samples"),
    b"II*\x00": ("picture", "the OBX holds a TIFF picture, not samples"),
    b"MM\x00*": ("picture", "the OBX holds a TIFF picture, not samples"),
    b"BM": ("picture", "the OBX holds a bitmap picture, not samples"),
    b"{\\rtf": ("document", "the OBX holds a text document, not samples"),
    b"MSH": ("nested-message", "the OBX holds another HL7 message"),
}
#: Reason codes of reports for people.
REPORTS = frozenset({"pdf", "picture", "document", "unknown-xml"})
#: Types of data (RP-3, RP-4; tables 0191 and 0291) that hold no samples.
_FOR_PEOPLE = frozenset({"HTML", "PDF", "RTF"})
_XML_ENCODING = re.compile(rb"""(<\?xml[^>]{0,100}?)\s+encoding\s*=\s*["'][^"']{1,40}["']""")
_HEAD, _SMALLEST_DOCUMENT = 2048, 100  # characters: looked at; of an XML file with a recording there are thousands
_ROOT = re.compile(
    r"<(?:[\w.-]{1,40}:)?(AnnotatedECG|RestingECG|CardiologyXML|restingecgdata|ClinicalDocument|svg)\b", re.IGNORECASE
)
_DOCUMENT = re.compile(rb"<(?:[\w.-]+:)?(ClinicalDocument|html|svg)\b", re.IGNORECASE)


def carries_file(obx: Segment) -> bool:
    """Whether OBX-5 is a file rather than a value: ED, RP, or an XML document put into a text type."""
    kind = obx.value(2).upper()
    return kind in ("ED", "RP") or (kind in ("", "ST", "TX", "FT") and _is_document(obx))


def _is_document(obx: Segment) -> bool:
    """A declaration or a root element we know, and the size of a document: `<5`, `<0.01` and `<p>…` are text."""
    raw = obx.raw(5)
    head = raw[:_HEAD].lstrip()
    if len(raw) < _SMALLEST_DOCUMENT or not head.startswith("<"):
        return False
    head = unescape(head, obx.delimiters, obx.codec)
    return head.startswith("<?xml") or _ROOT.search(head) is not None


def carries_pdf(obx: Segment) -> bool:
    """Whether OBX-5 is a PDF by its own first bytes, as base64 writes them, or by its type (tables 0191, 0291)."""
    if obx.value(2).upper() != "ED":
        return False
    head = obx.raw(5)[:_HEAD]
    return "JVBERi" in head or "PDF" in head.upper().split(obx.delimiters.component)[:4]


def pdf_of(obx: Segment) -> bytes:
    """The PDF in OBX-5, whatever its bytes turn out to be. Raises Unreadable (cut off on the way, empty)."""
    return _encapsulated(obx)


def file_of(obx: Segment, allowed_roots: Sequence[Path]) -> bytes:
    """The file in, or named by, OBX-5. Raises Unreadable (damaged) and Refused (a picture, a pointer not followed)."""
    kind = obx.value(2).upper()
    if kind == "RP":
        if {obx.value(5, 3).upper(), obx.value(5, 4).upper()} & _FOR_PEOPLE:
            raise Refused("document", "RP names a document for people, not samples")
        content = _pointed(obx.value(5), allowed_roots)
    elif kind == "ED":
        content = _encapsulated(obx)
    else:
        content = _as_bytes(obx.text(5))
    for magic, (code, text) in REFUSALS.items():
        if content.startswith(magic):
            raise Refused(code, text)
    if _DOCUMENT.search(content[:2048]):
        raise Refused("document", "the OBX holds a document for people, not samples")
    return content


def _encapsulated(obx: Segment) -> bytes:
    """source^type^subtype^encoding^data; senders shift the components, so the encoding's name is looked for."""
    parts = obx.components(5)
    named = [index for index, part in enumerate(parts[:-1]) if part.strip().lower() in _ENCODINGS]
    if not any(parts):
        raise Unreadable("empty", "OBX-5 is empty")
    position = named[-1] if named else max(index for index, part in enumerate(parts) if part) - 1
    encoding = _ENCODINGS[parts[position].strip().lower()] if named else "base64"
    data = obx.delimiters.component.join(parts[position + 1 :])
    if encoding == "text":
        return _as_bytes(unescape(data, obx.delimiters, obx.codec))
    if obx.delimiters.escape in data:  # base64 and hex need no escapes; a wrapped line may come as \.br\ or \X0D0A\
        data = unescape(data, obx.delimiters, obx.codec)
    return _hex(data) if encoding == "hex" else _base64(data)


def _base64(data: str) -> bytes:
    try:
        try:
            return pybase64.b64decode(data, validate=True)
        except binascii.Error:  # wrapped into lines, or without its padding
            compact = b"".join(data.encode("ascii").split())
            return pybase64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except ValueError as error:  # UnicodeEncodeError and binascii.Error among them
        raise Unreadable("base64", "OBX-5 is not base64, or it was cut off on the way") from error


def _hex(data: str) -> bytes:
    try:
        return bytes.fromhex(data)
    except ValueError as error:
        raise Unreadable("hex", "OBX-5 is not hexadecimal, or it was cut off on the way") from error


def _as_bytes(text: str) -> bytes:
    """Text as UTF-8; an XML declaration may name the encoding it had before the message carried it."""
    return _XML_ENCODING.sub(rb"\1", text.encode("utf-8", "replace"), count=1)


def _pointed(pointer: str, allowed_roots: Sequence[Path]) -> bytes:
    path = _path_within(pointer, allowed_roots)
    try:
        if path.stat().st_size > MAX_POINTED:
            raise Refused("too-large", f"the file that RP names is larger than {MAX_POINTED} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Unreadable("pointer-missing", "the file that RP names cannot be read; is the folder mounted?") from error


def _path_within(pointer: str, allowed_roots: Sequence[Path]) -> Path:
    """The file an RP names, if it lies inside an allowed root once every link and `..` is resolved."""
    refusal: PayloadError = Refused("pointer-outside", "RP names a file outside the folders this port may read")
    if not allowed_roots:
        raise Refused("pointer-not-followed", "RP names a file elsewhere; set allowed_roots to the folder it lies in")
    if "://" in pointer:
        parts = urlsplit(pointer)
        if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost"):
            raise Refused("pointer-scheme", "RP names a file on another host; only files in allowed_roots are read")
        pointer = unquote(parts.path)
    if "\x00" in pointer or pointer.startswith("\\\\"):
        raise refusal
    for root in allowed_roots:
        try:
            path = (root / pointer).resolve()
            if path.is_relative_to(root.resolve()) and path.is_file():
                return path
        except (OSError, RuntimeError):  # a name too long, or links in a circle
            continue
    raise refusal
