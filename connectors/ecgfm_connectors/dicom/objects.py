"""Reads any DICOM object we take: an ECG waveform, or a structured report with a measured ejection fraction."""

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom import echo_report, waveform
from ecgfm_connectors.dicom.part10 import open_object
from ecgfm_connectors.dicom.sop_classes import REPORT_SOP_CLASSES


def read(content: bytes, context: ReadingContext) -> Contents:
    """What one object holds. Raises Unreadable and Refused as `waveform.read` and `echo_report.read` do."""
    document = open_object(content)
    if document.text("SOPClassUID") in REPORT_SOP_CLASSES:
        return echo_report.read(document, context)
    return waveform.decode(document, content, context)
