"""One object that was stored, as another refers to it (hierarchical SOP instance reference, PS3.3 C.17.2.1)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ecgfm_connectors.dicom import multipart
from ecgfm_connectors.dicom.elements import Elements
from ecgfm_connectors.dicom.part10 import open_object
from ecgfm_connectors.dicom.results.items import reference
from ecgfm_connectors.dicom.results.profile import KEY_OBJECT_SELECTION
from ecgfm_connectors.dicom.writing import item
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.result import Former

#: Series Description of the notes over objects that came, and of those over objects that perhaps never came.
SURE_SERIES, UNSURE_SERIES = "AI-ECG result rejected", "AI-ECG result rejected, if it came"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """Where it lies, and what it is."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    is_sure: bool  #: that it came; False where nobody knows


def stored_by(former: Former | None) -> tuple[StoredObject, ...]:
    """The objects of the former message that stand for the result; of one in doubt also what its note was to reject,
    which perhaps never came. Raises Refused `former-unknown`.
    """
    if former is None or former.body is None or not multipart.is_objects(former.body):
        text = (
            "the objects to reject are not known now: their message is past its retention, or was made for another "
            "kind of destination; reject them in the archive by hand"
        )
        raise Refused("former-unknown", text)
    found: dict[str, StoredObject] = {}
    for part in multipart.split(former.body):
        document = open_object(part)
        one = _named(document, is_sure=not former.in_doubt)
        rejected = _listed(document) if one.sop_class_uid == KEY_OBJECT_SELECTION else (one,)
        if former.in_doubt or one.sop_class_uid != KEY_OBJECT_SELECTION:
            found |= {each.sop_instance_uid: each for each in rejected}
    return tuple(found.values())


def unsure_notes(body: bytes) -> frozenset[str]:
    """SOP Instance UIDs of those notes of a message that reject what perhaps never came."""
    found = (open_object(one) for one in multipart.split(body))
    return frozenset(one.text("SOPInstanceUID") for one in found if is_of_unsure(one))


def is_of_unsure(note: Elements) -> bool:
    """Whether an object of ours is a note that rejects what perhaps never came."""
    return note.text("SeriesDescription") == UNSURE_SERIES


def evidence(objects: Iterable[StoredObject]) -> list[bytes]:
    """Items of a Current Requested Procedure Evidence or Predecessor Documents Sequence: study, series, instances."""
    studies: dict[str, dict[str, list[bytes]]] = {}
    for one in objects:
        series = studies.setdefault(one.study_uid, {})
        series.setdefault(one.series_uid, []).append(reference(one.sop_class_uid, one.sop_instance_uid))
    return [_study(uid, series) for uid, series in studies.items()]


def _study(uid: str, series: dict[str, list[bytes]]) -> bytes:
    listed = [
        item({"ReferencedSOPSequence": references, "SeriesInstanceUID": one}, "ascii")
        for one, references in series.items()
    ]
    return item({"ReferencedSeriesSequence": listed, "StudyInstanceUID": uid}, "ascii")


def _listed(note: Elements) -> Iterator[StoredObject]:
    """What a rejection note of ours rejects."""
    is_sure = not is_of_unsure(note)
    for study in note.items("CurrentRequestedProcedureEvidenceSequence"):
        for series in study.items("ReferencedSeriesSequence"):
            for one in series.items("ReferencedSOPSequence"):
                yield StoredObject(
                    study_uid=study.text("StudyInstanceUID"),
                    series_uid=series.text("SeriesInstanceUID"),
                    sop_class_uid=one.text("ReferencedSOPClassUID"),
                    sop_instance_uid=one.text("ReferencedSOPInstanceUID"),
                    is_sure=is_sure,
                )


def _named(document: Elements, *, is_sure: bool) -> StoredObject:
    return StoredObject(
        study_uid=document.text("StudyInstanceUID"),
        series_uid=document.text("SeriesInstanceUID"),
        sop_class_uid=document.text("SOPClassUID"),
        sop_instance_uid=document.text("SOPInstanceUID"),
        is_sure=is_sure,
    )
