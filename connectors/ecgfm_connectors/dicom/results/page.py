"""The result page as an Encapsulated PDF object (PS3.3 A.45.1, C.24)."""

from ecgfm_connectors.dicom.results import values
from ecgfm_connectors.dicom.results.document import Identity, common, encoded
from ecgfm_connectors.dicom.results.items import reference
from ecgfm_connectors.dicom.results.measurement_report import DEMO_TITLE
from ecgfm_connectors.dicom.results.profile import ObjectProfile
from ecgfm_connectors.dicom.results.subject import Subject
from ecgfm_connectors.dicom.results.uids import uid
from ecgfm_connectors.dicom.sop_classes import ENCAPSULATED_PDF
from ecgfm_connectors.result import Result


def encapsulated_page(result: Result, subject: Subject, profile: ObjectProfile, page: bytes) -> bytes:
    """The Part 10 file.

    It has a series of its own: a series holds objects of one modality, and that of a report is SR (PS3.3 C.17.1).
    """
    title = f"{DEMO_TITLE if result.demo else ''}AI-ECG result"
    identity = Identity(
        sop_class_uid=ENCAPSULATED_PDF,
        sop_instance_uid=uid(result.control_id, "page"),
        series_uid=uid(result.control_id, "page series"),
        modality="DOC",
        series_number=9002,
        series_description=f"{title}, page",
    )
    at = result.acquired_at
    elements = common(identity, subject, profile, result.composed_at) | {
        "ConversionType": "WSD",
        "AcquisitionDateTime": f"{at:%Y%m%d%H%M%S%z}" if at else "",
        "BurnedInAnnotation": "YES",  # identity stands on the page
        "DocumentTitle": values.writable(title, profile.character_set),
        "ConceptNameCodeSequence": (),
        "MIMETypeOfEncapsulatedDocument": "application/pdf",
        "EncapsulatedDocument": page,
        "EncapsulatedDocumentLength": len(page),
    }
    if (waveform := subject.waveform) is not None:
        elements["SourceInstanceSequence"] = [reference(waveform.sop_class_uid, waveform.sop_instance_uid)]
    return encoded(identity, elements, profile)
