"""The header of a payload as it came, line by line for people: everything but the samples, nothing interpreted."""

import io
from collections.abc import Iterator

from ecgfm_connectors.errors import Unreadable

LONGEST_VALUE = 200  #: characters of one value; what is longer is a signal or a document
MOST_LINES = 2000
_SAMPLES = ("WaveformSequence", "PixelData", "EncapsulatedDocument")


def lines(content: bytes) -> list[str]:
    """DICOM elements, HL7 segments, or lines of text. Raises Unreadable where it is none of them."""
    found: list[str] = []
    for line in _lines(content):
        found.append(line)
        if len(found) >= MOST_LINES:
            return [*found, f"… and more: the first {MOST_LINES} lines are shown"]
    return found


def _lines(content: bytes) -> Iterator[str]:
    start = content.lstrip(b"\x0b\r\n\t \xef\xbb\xbf")
    if start[:3] in (b"MSH", b"FHS", b"BHS"):
        yield from (_shortened(line, "|") for line in _text(content).replace("\n", "\r").split("\r") if line.strip())
    elif start[:1] == b"<":
        yield from (_cut(line.rstrip()) for line in _text(content).replace(">", ">\n").splitlines() if line.strip())
    else:
        yield from _dicom(content)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _shortened(line: str, separator: str) -> str:
    return separator.join(_cut(field) for field in line.split(separator))


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else f"{value[:60]}… ({len(value)} characters)"


def _dicom(content: bytes) -> Iterator[str]:
    import pydicom

    from ecgfm_connectors.dicom.part10 import open_object

    open_object(content)  # within our own bounds
    try:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        for element in (*getattr(dataset, "file_meta", ()), *dataset):
            if element.keyword in _SAMPLES:
                yield f"{element.tag} {element.name}: not shown"
            else:
                yield from (_cut(line) for line in str(element).splitlines())
    except Exception as error:  # pydicom raises whatever a damaged value makes it stumble over
        raise Unreadable("not-dicom", "the header cannot be listed") from error
