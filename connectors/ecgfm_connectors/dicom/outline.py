"""A structured report as lines for people: each content item with its name and value, indented as it is nested."""

from collections.abc import Iterator

from ecgfm_connectors.dicom.content_tree import code
from ecgfm_connectors.dicom.elements import Elements
from ecgfm_connectors.dicom.part10 import open_object
from ecgfm_connectors.dicom.sop_classes import class_name

MOST_LINES = 500
_DEEPEST = 16
#: Value Type -> the element that holds the value (PS3.3 Table C.17-5).
_VALUES = {
    "TEXT": "TextValue",
    "UIDREF": "UID",
    "PNAME": "PersonName",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
}


def lines(document: Elements) -> Iterator[str]:
    """Title and content of a report, at most `MOST_LINES`; nothing for an object without a content tree."""
    for number, line in enumerate(_lines(document, 0), start=1):
        if number > MOST_LINES:
            yield "…"
            return
        yield line


def described(part10: bytes) -> Iterator[str]:
    """One object of ours: what it is, where it lies, then its content."""
    document = open_object(part10)
    yield f"{class_name(document.text('SOPClassUID'))} {document.text('SOPInstanceUID')}"
    yield f"  study {document.text('StudyInstanceUID')}, series {document.text('SeriesInstanceUID')}"
    yield f"  patient {document.text('PatientID')} {document.text('PatientName')}".rstrip()
    yield f"  {document.text('SeriesDescription')}"
    yield from (f"  {line}" for line in lines(document))


def _lines(item: Elements, depth: int) -> Iterator[str]:
    name = code(item.first("ConceptNameCodeSequence"))
    kind = item.text("ValueType").upper()
    if kind:
        label = name.meaning or name.value or kind.capitalize()
        value = _value(item, kind)
        yield "  " * depth + (f"{label}: {value}" if value else label)
    if depth < _DEEPEST:
        for child in item.items("ContentSequence"):
            yield from _lines(child, depth + 1)


def _value(item: Elements, kind: str) -> str:
    if kind == "CODE":
        coded = code(item.first("ConceptCodeSequence"))
        return coded.meaning or coded.value
    if kind == "NUM":
        measured = item.first("MeasuredValueSequence")
        unit = code(measured.first("MeasurementUnitsCodeSequence"))
        why = code(item.first("NumericValueQualifierCodeSequence"))
        return f"{measured.text('NumericValue')} {unit.value}".strip() or why.meaning or "no value"
    if kind in ("WAVEFORM", "IMAGE", "COMPOSITE"):
        return item.first("ReferencedSOPSequence").text("ReferencedSOPInstanceUID")
    return " ".join(item.text(_VALUES[kind]).split()) if kind in _VALUES else ""
