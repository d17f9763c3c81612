"""The note by which stored objects are taken back (IHE Imaging Object Change Management, RAD-66): a Key Object
Selection Document (PS3.3 A.35.4, TID 2010) titled (113037, DCM, "Rejected for Patient Safety Reasons") of PS3.16
CID 7010.
"""

from collections.abc import Iterator, Sequence

from ecgfm_connectors.dicom.results import concepts as c
from ecgfm_connectors.dicom.results.document import Identity, common, encoded
from ecgfm_connectors.dicom.results.items import ItemWriter
from ecgfm_connectors.dicom.results.profile import KEY_OBJECT_SELECTION, ObjectProfile
from ecgfm_connectors.dicom.results.stored import SURE_SERIES, UNSURE_SERIES, StoredObject, evidence
from ecgfm_connectors.dicom.results.subject import Subject
from ecgfm_connectors.dicom.results.uids import uid
from ecgfm_connectors.result import Result

_WHY = {
    "W": "The result was taken back: it was filed by mistake, as with a wrong patient.",
    "D": "The result was deleted.",
    "C": "The result was replaced by a corrected one.",
    "F": "What may have been stored of the result before; the newest report holds it.",
}


def rejection_notes(
    result: Result, subject: Subject, profile: ObjectProfile, rejected: Sequence[StoredObject]
) -> Iterator[bytes]:
    """The Part 10 files: a note for each object that perhaps never came, then one over all that came.

    A PACS may refuse a note as a whole that names one object it does not have, as dcm4chee does (0xA772).
    """
    for one in rejected:
        if not one.is_sure:
            yield _note(result, subject, profile, (one,), role=f" of {one.sop_instance_uid}", series=UNSURE_SERIES)
    if sure := [one for one in rejected if one.is_sure]:
        yield _note(result, subject, profile, sure, role="", series=SURE_SERIES)


def _note(
    result: Result,
    subject: Subject,
    profile: ObjectProfile,
    rejected: Sequence[StoredObject],
    *,
    role: str,
    series: str,
) -> bytes:
    """`role`: which note of the message it is, "" for the one that every message of its kind has."""
    identity = Identity(
        sop_class_uid=KEY_OBJECT_SELECTION,
        sop_instance_uid=uid(result.control_id, f"rejection{role}"),
        series_uid=uid(result.control_id, f"rejection series{role}"),
        modality="KO",
        series_number=9003,
        series_description=series,
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
