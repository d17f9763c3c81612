"""Reads what other systems say of an ECG in a DICOM object: structured reports (TID 3700 of carts and reading stations,
TID 1500 of other AIs, plain text) and Encapsulated PDF (PS3.3 A.35, A.45.1; PS3.16).

An archive may forward every report of the hospital, so an object counts only where it says itself that it is about an
ECG: it refers to an ECG waveform object, or its title is that of an ECG report. An earlier ECG with which a report
compares is not the one that it speaks of. What this program wrote itself is passed over.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom import header, outline
from ecgfm_connectors.dicom.content_tree import code
from ecgfm_connectors.dicom.elements import Elements
from ecgfm_connectors.dicom.sop_classes import ECG_SOP_CLASSES, ENCAPSULATED_PDF
from ecgfm_connectors.dicom.writing import MANUFACTURER
from ecgfm_connectors.document import MAX_TEXT, Document, References
from ecgfm_connectors.times import acquired_at, parse_offset

#: Titles of ECG reports and studies (LOINC; root of TID 3700, CID 7000).
_TITLES = frozenset(("11524-0", "11524-6", "28010-7", "34534-8"))
_WORDS = re.compile(r"\b(ECG|EKG)|electrocardio|elektrokardio", re.IGNORECASE)
#: Sections of what was before: prior procedures, previous findings, comparison (TID 3702, 2006).
_PRIOR = frozenset(("55114-3", "18834-2", "121068", "121069", "122140"))
_PRIOR_WORDS = re.compile(r"\b(prior|previous|comparison|earlier)", re.IGNORECASE)
_MOST_REFERENCES = 50
_DEEPEST = 16
_LONGEST_NAME = 200  # characters of titles and makers


@dataclass(slots=True)
class _Named:
    """The ECG objects that a document names."""

    here: dict[str, None] = field(default_factory=dict)
    before: dict[str, None] = field(default_factory=dict)


def read(document: Elements, context: ReadingContext) -> Document | None:
    """What one object says of an ECG; None where it says nothing of one, or is our own."""
    if document.text("Manufacturer") == MANUFACTURER:
        return None
    instances, is_pdf = _instances(document), document.text("SOPClassUID") == ENCAPSULATED_PDF
    if not (instances or _is_about_ecg(document)):
        return None
    order = header.order(document)
    return Document(
        source_id=document.text("SOPInstanceUID"),
        kind="pdf" if is_pdf else "report",
        title=_title(document)[:_LONGEST_NAME],
        text=_of_page(document) if is_pdf else _of_report(document),
        patient=header.patient(document, context.default_authority),
        maker=_joined(document, "Manufacturer", "ManufacturerModelName"),
        made_at=_made_at(document, context),
        status=_joined(document, "CompletionFlag", "VerificationFlag", "PreliminaryFlag"),
        refers=References(
            instances=instances,
            study_uid=document.text("StudyInstanceUID"),
            numbers=tuple(dict.fromkeys(filter(None, (order.accession, order.placer, order.filler)))),
        ),
        replaces=tuple(uid for _, uid in _listed(document, "PredecessorDocumentsSequence"))[:_MOST_REFERENCES],
        pages=(bytes(document.raw("EncapsulatedDocument") or b""),) if is_pdf else (),
    )


def _is_about_ecg(document: Elements) -> bool:
    """By its title, or by the modality that a page inherits from its series."""
    concept = code(document.first("ConceptNameCodeSequence"))
    titles = (concept.meaning, document.text("DocumentTitle"))
    return (
        concept.value in _TITLES
        or any(_WORDS.search(one) for one in titles)
        or document.text("Modality").upper() == "ECG"
    )


def _joined(document: Elements, *keywords: str) -> str:
    """The values that are there, each once."""
    return " ".join(dict.fromkeys(filter(None, map(document.text, keywords))))[:_LONGEST_NAME]


def _title(document: Elements) -> str:
    return document.text("DocumentTitle") or code(document.first("ConceptNameCodeSequence")).meaning


def _instances(document: Elements) -> tuple[str, ...]:
    """The ECG objects that the document speaks of: in its content, as evidence, and as what a page was made from."""
    named = _Named()
    _gather(document, named, prior=False, depth=0)
    beside = [*_listed(document, "CurrentRequestedProcedureEvidenceSequence")]
    beside += [_reference(one) for name in _SOURCES for one in document.items(name)]
    for sop_class, uid in beside:
        if sop_class in ECG_SOP_CLASSES and uid not in named.before:
            named.here[uid] = None
    return tuple(named.here)[:_MOST_REFERENCES]


#: Sequences of an encapsulated document, and of any object, that name what it was made from or belongs to.
_SOURCES = ("SourceInstanceSequence", "ReferencedInstanceSequence")


def _gather(item: Elements, named: _Named, *, prior: bool, depth: int) -> None:
    for child in item.items("ContentSequence"):
        concept = code(child.first("ConceptNameCodeSequence"))
        old = prior or concept.value in _PRIOR or _PRIOR_WORDS.search(concept.meaning) is not None
        for sop_class, uid in map(_reference, child.items("ReferencedSOPSequence")):
            if uid and sop_class in ECG_SOP_CLASSES:
                (named.before if old else named.here)[uid] = None
        if depth < _DEEPEST:
            _gather(child, named, prior=old, depth=depth + 1)


def _listed(document: Elements, keyword: str) -> Iterator[tuple[str, str]]:
    """The instances of a hierarchical reference (PS3.3 C.17.2.1)."""
    for study in document.items(keyword):
        for series in study.items("ReferencedSeriesSequence"):
            yield from map(_reference, series.items("ReferencedSOPSequence"))


def _reference(item: Elements) -> tuple[str, str]:
    return item.text("ReferencedSOPClassUID"), item.text("ReferencedSOPInstanceUID")


def _made_at(document: Elements, context: ReadingContext) -> datetime | None:
    """Content Date and Time, with the object's zone or the site's."""
    zone = parse_offset(document.text("TimezoneOffsetFromUTC"))
    written = document.text("ContentDate") + document.text("ContentTime")
    moment = acquired_at(written, site=context.zone, message=zone)
    return None if moment is None else moment.at


def _of_report(document: Elements) -> str:
    return _cut("\n".join(outline.lines(document)))


def _of_page(document: Elements) -> str:
    told = (document.text("SeriesDescription"), document.text("StudyDescription"))
    return _cut("\n".join(dict.fromkeys(filter(None, told))))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
