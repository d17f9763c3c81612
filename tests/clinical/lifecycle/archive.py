"""A PACS among the receivers of the explored lives: it gets the objects that the program writes, and what stands there
is what no rejection note names.
"""

from dataclasses import dataclass, field, replace

from ecgfm_clinical.pipeline.composing import result_of
from ecgfm_clinical.staging.records import Draft
from ecgfm_connectors.dicom import multipart
from ecgfm_connectors.dicom.elements import Elements
from ecgfm_connectors.dicom.part10 import open_object
from ecgfm_connectors.dicom.results.composing import compose
from ecgfm_connectors.dicom.results.profile import KEY_OBJECT_SELECTION, ObjectProfile
from ecgfm_connectors.dicom.results.stored import is_of_unsure
from ecgfm_connectors.waveform_object import WaveformObject
from tests.clinical.lifecycle.truth import Standing

NAME = "pacs"
_PROFILE = ObjectProfile(without_waveform="own-study")


def write(draft: Draft) -> bytes:
    """The message as it is sent."""
    return compose(result_of(draft, device_id="ECGFM", abnormal=lambda head, label: False), _PROFILE)


def waveform_of(number: str, count: int) -> WaveformObject:
    """The object that a recording came as."""
    uid = f"2.25.{count}"
    return WaveformObject(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.9.1.1",
        sop_instance_uid=f"{uid}.1",
        series_uid=f"{uid}.2",
        study_uid=f"{uid}.3",
        patient_id=number,
        authority="TESTHOSP",
    )


def renamed(waveform: WaveformObject, number: str) -> WaveformObject:
    """The same recording in another object, of this number."""
    return replace(waveform, patient_id=number)


def control_id_of(body: bytes) -> str:
    """Of the message whose objects these are."""
    return body.split(b"\r\n", 1)[0].removeprefix(b"--ecgfm-objects-").decode()


def first_half(body: bytes) -> bytes:
    """The message without the last of its objects; nothing where it has one."""
    before = multipart.split(body)[:-1]
    return multipart.join(before, control_id=control_id_of(body)) if before else b""


@dataclass
class Archive:
    """Keeps objects by SOP Instance UID, and remembers what it was told to reject."""

    kept: dict[str, bytes] = field(default_factory=dict)
    stored: dict[str, Standing] = field(default_factory=dict)  #: reports by SOP Instance UID
    rejected: set[str] = field(default_factory=set)

    def take(self, body: bytes, *, recording: str, says: str) -> None:
        """The objects of one message arrive; a repeat changes nothing."""
        for content in multipart.split(body):
            one = open_object(content)
            uid = one.text("SOPInstanceUID")
            assert self.kept.get(uid, content) == content, "one SOP Instance UID was used for two different objects"
            if uid in self.kept:
                continue
            assert uid not in self.rejected, "a result is stored after the note that rejects it"
            self.kept[uid] = content
            if one.text("SOPClassUID") == KEY_OBJECT_SELECTION:
                assert is_of_unsure(one) or _listed(one) <= self.kept.keys(), "a note over all that came names more"
                self.rejected |= _listed(one)
            else:
                self.stored[uid] = Standing(recording=recording, number=one.text("PatientID"), says=says)

    def of(self, recording: str) -> list[Standing]:
        """What stands of one recording."""
        return [one for uid, one in self.stored.items() if uid not in self.rejected and one.recording == recording]


def _listed(note: Elements) -> set[str]:
    return {
        one.text("ReferencedSOPInstanceUID")
        for study in note.items("CurrentRequestedProcedureEvidenceSequence")
        for series in study.items("ReferencedSeriesSequence")
        for one in series.items("ReferencedSOPSequence")
    }
