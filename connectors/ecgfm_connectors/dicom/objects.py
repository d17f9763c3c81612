"""Reads any DICOM object we take: an ECG waveform, a structured report with a measured ejection fraction, or what
another system says of an ECG.
"""

from dataclasses import replace

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom import ecg_document, echo_report, waveform
from ecgfm_connectors.dicom.elements import Elements
from ecgfm_connectors.dicom.part10 import open_object
from ecgfm_connectors.dicom.sop_classes import DOCUMENT_SOP_CLASSES, ENCAPSULATED_PDF, REPORT_SOP_CLASSES
from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Refused


def read(content: bytes, context: ReadingContext) -> Contents:
    """What one object holds. Raises Unreadable and Refused as `waveform.read` and `echo_report.read` do; `no-ecg` also
    where a text or a PDF says nothing of an ECG.
    """
    document = open_object(content)
    sop_class = document.text("SOPClassUID")
    if sop_class in REPORT_SOP_CLASSES:
        return _report(document, context)
    if sop_class == ENCAPSULATED_PDF and "EncapsulatedDocument" not in document:
        raise Refused("sop-class", "an Encapsulated PDF without a document in it")
    if sop_class in DOCUMENT_SOP_CLASSES:
        return _words(document, context)
    return waveform.decode(document, content, context)


def _report(document: Elements, context: ReadingContext) -> Contents:
    """A report may hold an ejection fraction, speak of an ECG, or both."""
    try:
        found = echo_report.read(document, context)
    except Refused as refusal:
        if refusal.code != "no-ecg":
            raise
        return _words(document, context)
    told = ecg_document.read(document, context)
    return found if told is None else replace(found, documents=(told,))


def _words(document: Elements, context: ReadingContext) -> Contents:
    told = ecg_document.read(document, context)
    if told is None:
        raise Refused("no-ecg", "the document holds no ejection fraction, and nothing in it is about an ECG")
    if not told.patient.identifiers:
        text = "the document names no patient: it belongs to no ECG for certain"
        return Contents(documents=(told,), findings=(Finding(code="document-without-patient", text=text),))
    return Contents(documents=(told,))
