"""A PACS among the receivers: it drops, refuses, answers late and coerces, and shows in the end what stands."""

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from sqlalchemy import ColumnElement, select

from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.schema import attempt_error, message
from ecgfm_clinical.staging.story_records import EcgStory, MessageStory
from ecgfm_connectors.dicom import multipart
from ecgfm_connectors.dicom.results.profile import KEY_OBJECT_SELECTION, REPORT_CLASSES
from ecgfm_connectors.dicom.results.storing import STORED
from ecgfm_connectors.dicom.sop_classes import VERIFICATION
from tests.clinical.lifecycle.truth import Standing

NAME = "pacs"
LATE = 3.5  # s; the destination waits for three
#: A result that is not stored because its waveform object names another patient waits for a person, as it should.
HELD = "patient-differs: "


class Mood(Enum):
    """What the PACS does with one association, or with one object."""

    TAKES = "takes"
    NO_ASSOCIATION = "no association"  #: breaks off while it is asked for one
    NO_CLASS = "no class"  #: accepts none of the SOP classes
    DROPS = "drops"  #: breaks off before it has the object
    TAKES_AND_DROPS = "takes and drops"
    FULL = "full"  #: 0xA700
    NEVER = "never"  #: 0xA900
    UNSUPPORTED = "unsupported"  #: 0x0122
    LATE = "late"  #: takes it, and answers after the sender's patience


AT_ASSOCIATION = (Mood.NO_ASSOCIATION, Mood.NO_CLASS)
AT_OBJECT = (Mood.DROPS, Mood.TAKES_AND_DROPS, Mood.FULL, Mood.NEVER, Mood.UNSUPPORTED, Mood.LATE)


class MoodyPacs:
    """A storage SCP that misbehaves at every sixth object or so, until it is told to behave. It keeps every eighth one
    under another UID, which follows from the one it came with, so that its repeats have it too.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lock = threading.Lock()
        self._got: list[bytes] = []
        self.behaves = False
        self.port = 0
        self.kept: dict[str, bytes] = {}  #: SOP Instance UID as it was sent -> data set, in the order of arrival
        self.coerced: dict[str, str] = {}  #: the same -> the UID it is kept under
        self.times = dict[str, int]()  #: how often each was taken
        self.broken: list[str] = []

    @property
    def messages(self) -> tuple[bytes, ...]:
        """Every data set received so far, refused ones included, in order."""
        with self._lock:
            return tuple(self._got)

    def start(self) -> None:
        entity = AE(ae_title="PACS")
        for uid in (VERIFICATION, *STORED):
            entity.add_supported_context(uid, ExplicitVRLittleEndian)
        handlers: list[Any] = [(evt.EVT_REQUESTED, self._associate), (evt.EVT_C_STORE, self._store)]
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert server is not None
        self.port, self._server = server.server_address[1], server

    def stop(self) -> None:
        self._server.shutdown()

    def _mood(self, moods: Sequence[Mood], often: float) -> Mood:
        with self._lock:
            misbehaves = not self.behaves and self._chance.random() < often
            return self._chance.choice(moods) if misbehaves else Mood.TAKES

    def _associate(self, event: Any) -> None:
        mood = self._mood(AT_ASSOCIATION, 0.04)
        if mood is Mood.NO_ASSOCIATION:
            event.assoc.abort()
        if mood is Mood.NO_CLASS:
            event.assoc.acceptor.supported_contexts = [
                one for one in event.assoc.acceptor.supported_contexts if one.abstract_syntax == VERIFICATION
            ]

    def _store(self, event: Any) -> int | Dataset:
        content: bytes = event.request.DataSet.getvalue()
        uid = str(event.request.AffectedSOPInstanceUID)
        mood = self._mood(AT_OBJECT, 0.12)
        with self._lock:
            self._got.append(content)
        if mood in (Mood.TAKES, Mood.TAKES_AND_DROPS, Mood.LATE):
            self._keep(uid, content)
        if mood in (Mood.DROPS, Mood.TAKES_AND_DROPS):
            event.assoc.abort()
        if mood is Mood.LATE:
            threading.Event().wait(LATE)
        refused = {Mood.FULL: 0xA700, Mood.NEVER: 0xA900, Mood.UNSUPPORTED: 0x0122}
        return refused[mood] if mood in refused else self._taken(uid)

    def _keep(self, uid: str, content: bytes) -> None:
        with self._lock:
            if self.kept.setdefault(uid, content) != content:
                self.broken.append(f"pacs got two different objects under the UID {uid}")
            self.times[uid] = self.times.get(uid, 0) + 1
            if int(uid.rpartition(".")[2]) % 8 == 0:
                self.coerced[uid] = f"{uid}.1"

    def _taken(self, uid: str) -> Dataset:
        answer = Dataset()
        answer.Status = 0xB000 if uid in self.coerced else 0x0000
        answer.AffectedSOPInstanceUID = self.coerced.get(uid, uid)
        return answer


@dataclass(frozen=True, slots=True)
class _Sent:
    """One object of a message as the store holds it."""

    story: EcgStory
    message: MessageStory
    content: bytes  #: a DICOM file
    object: Dataset


def judge(pacs: MoodyPacs, stories: Sequence[EcgStory]) -> Iterator[str]:
    """What was lost, doubled, changed or stored in another order than it was made."""
    yield from pacs.broken
    sent = _sent(stories)
    places = {uid: place for place, uid in enumerate(pacs.kept)}
    yield from (f"pacs holds {uid}, which no message of the store stores" for uid in pacs.kept.keys() - sent.keys())
    by_patient: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for uid, one in sent.items():
        acknowledged = one.message.state is MessageState.ACKNOWLEDGED
        if acknowledged and uid not in pacs.kept:
            yield f"pacs never got {uid}, which the store says it acknowledged"
        if uid not in pacs.kept:
            continue
        if not one.content.endswith(pacs.kept[uid]):  # what is sent is the file without its head
            yield f"pacs holds other bytes under {uid} than the store"
        told = one.message.acknowledgement.text if one.message.acknowledgement else ""
        if acknowledged and uid in pacs.coerced and pacs.coerced[uid] not in told:
            yield f"nothing says that pacs keeps {uid} under another UID"
        who = (str(one.object.PatientID), str(one.object.StudyInstanceUID))
        by_patient.setdefault(who, []).append((one.message.message_id, places[uid]))
        yield from _rejected_too_early(uid, one, sent, places)
    for made in by_patient.values():
        if [place for _, place in sorted(made)] != sorted(place for _, place in made):
            yield "pacs got the objects of one study in another order than they were made"


def _rejected_too_early(uid: str, note: _Sent, sent: Mapping[str, _Sent], places: Mapping[str, int]) -> Iterator[str]:
    """What a note rejects comes before it, or never: a result of which nobody knows whether it arrived is rejected with
    certainty, and so is one that waited as the note was written and was refused.
    """
    for other in sorted(_rejected(note.object)):
        if other not in sent:
            yield f"pacs was told to reject {other}, which no message of the store stores"
        elif sent[other].message.message_id >= note.message.message_id:
            yield f"pacs was told to reject {other} by a message made before it"
        elif places.get(other, -1) > places[uid]:
            yield f"pacs was told to reject {other} before it had it"


def standing(pacs: MoodyPacs, stories: Sequence[EcgStory]) -> dict[str, list[Standing]]:
    """The reports that no note rejects, by the order of the recording they tell of."""
    sent = _sent(stories)
    gone = {uid for content in pacs.kept.values() for uid in _rejected(dcmread(BytesIO(content), force=True))}
    found: dict[str, list[Standing]] = {}
    for uid, content in pacs.kept.items():
        report = dcmread(BytesIO(content), force=True)
        if report.SOPClassUID not in REPORT_CLASSES.values() or uid in gone or uid not in sent:
            continue
        order = sent[uid].story.ecg.ecg.order.placer
        says = " ".join(_probabilities(report))
        found.setdefault(order, []).append(Standing(recording=order, number=report.PatientID, says=says))
    return found


def is_held(stories: Sequence[EcgStory]) -> bool:
    """Whether the newest result of a recording, by its versions, waits because the archive knows another patient."""
    told = [one for story in stories for one in story.messages if one.destination == NAME and one.kind in ("F", "C")]
    newest = max(told, key=lambda one: one.message_id, default=None)
    return newest is not None and newest.state is MessageState.DEAD and _says(newest).startswith(HELD)


def told(stories: Sequence[EcgStory]) -> str:
    """The messages of a recording in their order, without what they say."""
    mine = [one for story in stories for one in story.messages if one.destination == NAME]
    listed = sorted(mine, key=lambda one: one.message_id)
    return ", ".join(f"{one.message_id} {one.kind} {one.state.value} {_says(one).partition(':')[0]}" for one in listed)


def waits_for_a_person() -> ColumnElement[bool]:
    """Which messages are set aside because the archive knows another patient."""
    said = select(attempt_error.c.message_id).where(attempt_error.c.text.startswith(HELD))
    return (message.c.destination == NAME) & (message.c.state == "dead") & message.c.message_id.in_(said)


def _says(one: MessageStory) -> str:
    return one.errors[-1].text if one.errors else ""


def _sent(stories: Sequence[EcgStory]) -> Mapping[str, _Sent]:
    """By SOP Instance UID; what was composed and never sent too."""
    found: dict[str, _Sent] = {}
    told = ((story, one) for story in stories for one in story.messages if one.destination == NAME and one.body)
    for story, one in told:
        for part in multipart.split(one.body or b""):
            held = dcmread(BytesIO(part))
            found[str(held.SOPInstanceUID)] = _Sent(story, one, part, held)
    return found


def _rejected(one: Dataset) -> set[str]:
    if one.SOPClassUID != KEY_OBJECT_SELECTION:
        return set()
    composite = [item for item in one.ContentSequence if item.ValueType == "COMPOSITE"]
    return {str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in composite}


def _probabilities(item: Dataset) -> Iterator[str]:
    """Of the groups of a report, in its order; not the operating points within them."""
    for one in item.get("ContentSequence", ()):
        if one.ValueType == "NUM" and one.MeasuredValueSequence:
            yield str(one.MeasuredValueSequence[0].NumericValue)
        elif one.ValueType == "CONTAINER":
            yield from _probabilities(one)
