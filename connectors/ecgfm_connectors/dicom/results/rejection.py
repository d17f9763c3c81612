"""The note by which stored objects are taken back (IHE Imaging Object Change Management, RAD-66): a Key Object
Selection Document (PS3.3 A.35.4, TID 2010) titled (113037, DCM, "Rejected for Patient Safety Reasons") of PS3.16
CID 7010.
"""

from collections.abc import Sequence

from ecgfm_connectors.dicom.results import concepts as c
from ecgfm_connectors.dicom.results.document import Identity, common, encoded
from ecgfm_connectors.dicom.results.items import ItemWriter
from ecgfm_connectors.dicom.results.profile import KEY_OBJECT_SELECTION, ObjectProfile
from ecgfm_connectors.dicom.results.stored import StoredObject, evidence
from ecgfm_connectors.dicom.results.subject import Subject
from ecgfm_connectors.dicom.results.uids import uid
from ecgfm_connectors.result import Result

_WHY = {
    "W": "The result was taken back: it was filed by mistake, as with a wrong patient.",
    "D": "The result was deleted.",
    "C": "The result was replaced by a corrected one.",
    "F": "What may have been stored of the result before; the newest report holds it.",
}


def rejection_note(result: Result, subject: Subject, profile: ObjectProfile, rejected: Sequence[StoredObject]) -> bytes:
    """The Part 10 file."""
    identity = Identity(
        sop_class_uid=KEY_OBJECT_SELECTION,
        sop_instance_uid=uid(result.control_id, "rejection"),
        series_uid=uid(result.control_id, "rejection series"),
        modality="KO",
        series_number=9003,
        series_description="AI-ECG result rejected",
    )
    write = ItemWriter(profile.character_set)
    children = [
        write.text("CONTAINS", c.KEY_OBJECT_DESCRIPTION, _WHY.get(result.status, _WHY["W"])),
        *(write.object("CONTAINS", one.sop_class_uid, one.sop_instance_uid) for one in rejected),
    ]
    note = common(identity, subject, profile, result.composed_at) | {
        "ReferencedPerformedProcedureStepSequence": (),
        "CurrentRequestedProcedureEvidenceSequence": evidence(rejected),
    }
    return encoded(identity, note | write.root(c.REJECTED_FOR_SAFETY, "2010", children), profile)
