"""One store with the invented hospital around it, and the truth beside it: each act is done to both.

Recordings are called R1, R2 …, people by their numbers. Every act ends with what must hold after every step; `settle`
lets everything come to rest and compares what stands at the receivers with the truth.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging import merging
from ecgfm_clinical.staging.holds import Hold, Question
from ecgfm_clinical.staging.records import (
    AttemptError,
    Draft,
    EcgState,
    OutboundMessage,
    Retry,
    Score,
    Scoring,
    Telling,
    Trust,
)
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received, Verdict
from ecgfm_connectors.contents import Addition, Contents, IdentityEvent, Link, Merge, Withdrawal
from ecgfm_connectors.ecg import LEADS, AcquiredAt, Device, Ecg, Order
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Ack
from tests.clinical.lifecycle import archive
from tests.clinical.lifecycle.archive import Archive
from tests.clinical.lifecycle.truth import People, Receiver, Recording

DESTINATIONS = ("ehr", "archive", archive.NAME)
#: Number that the archive's character set cannot write.
UNWRITABLE = "Ж"
LEASE = timedelta(minutes=5)
START = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
FOLLOW = Trust(corrected_patient="follow", sender_withdrawal="follow")
HOLD = Trust(corrected_patient="hold", sender_withdrawal="hold")

Fate = Literal[
    "acknowledged", "lost acknowledgement", "lost on the way", "never connected", "refused", "refused, spent",
    "half taken", "sender died after", "sender died before",
]  # fmt: skip
FATES: tuple[Fate, ...] = (
    "acknowledged", "lost acknowledgement", "lost on the way", "never connected", "refused", "refused, spent",
    "half taken", "sender died after", "sender died before",
)  # fmt: skip


def identifier(number: str, authority: str = "TESTHOSP") -> Identifier:
    return Identifier(authority=authority, type="MR", value=number)


def patient(number: str, *, further: bool = False, family: str = "Testperson") -> Patient:
    """`further`: with a number of another authority, and with a visit number that every patient here is given."""
    visit = Identifier(authority="TESTHOSP", type="VN", value="VISIT")
    numbers = (identifier(number), *((identifier(f"card {number}", "CARDIOLOGY"), visit) if further else ()))
    return Patient(identifiers=numbers, family_name=family, given_name=f"of {number}")


def compose(draft: Draft) -> bytes:
    """A message in which everything shows that a receiver, or the truth, may ask for; to the PACS, real objects."""
    if draft.destination == archive.NAME:
        return archive.write(draft)
    who = draft.ecg.patient
    if draft.destination == "archive" and UNWRITABLE in who.identifiers[0].value:
        raise Refused("unwritable", "a number cannot be written")
    assert draft.ecg.acquired is not None
    told = {
        "control_id": draft.control_id,
        "filler": draft.filler,
        "recording": draft.ecg.acquired.original,
        "number": who.identifiers[0].value,
        "status": draft.kind,
        "says": "" if draft.kind in ("W", "D") else str(draft.scoring.scores[0].probability),
    }
    return json.dumps(told).encode()


class Hospital:
    """Acts on one store and on the truth alike."""

    def __init__(self, open_store: Callable[[Telling], Store], *, control_ids: "itertools.count[int]") -> None:
        self._open = open_store
        self._control_ids = control_ids
        self._numbers = itertools.count(1)
        self._clock = itertools.count(1)
        self.now = START
        self.people = People()
        self.recordings: dict[str, Recording] = {}
        self.receivers = {name: Receiver() for name in DESTINATIONS if name != archive.NAME}
        self.pacs = Archive()
        self._told: dict[str, tuple[str, str]] = {}  #: control id -> (recording, what it says)
        self.newest: dict[str, Ecg] = {}  #: recording -> as it came last
        self.says: dict[str, float] = {}  #: recording -> what the model makes of it
        self.ids: dict[int, str] = {}  #: number of a version in the store -> recording
        self.scored: dict[str, str] = {}  #: recording -> what its newest score says
        self._fixed: dict[str, int] = {}  #: control id -> `people.undone` when its bytes may first have left
        self.restored = False
        self.early: dict[str, int] = {}  #: recording that was taken back before it came -> its sender's number
        #: recording -> (control id, what it says) of the newest result that was composed of it, sent or not
        self.composed: dict[str, tuple[str, str]] = {}
        self.once_aside: set[tuple[str, str]] = (
            set()
        )  #: where a message was once set aside: what follows may overtake it
        self.store = self._opened()
        self.store.home.look(None, now=self.now, actor="reporter")

    def _opened(self) -> Store:
        telling = Telling(
            destinations=DESTINATIONS, compose=self._compose, control_ids=lambda: f"CTRL{next(self._control_ids):06d}"
        )
        return self._open(telling)

    def _compose(self, draft: Draft) -> bytes:
        assert draft.ecg.acquired is not None
        says = str(draft.scoring.scores[0].probability)
        self._told[draft.control_id] = (draft.ecg.acquired.original, says)
        if draft.kind not in ("W", "D"):
            name = draft.ecg.acquired.original
            self.composed[name] = max(self.composed.get(name, ("", "")), (draft.control_id, says))
        return compose(draft)

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    # --- arrivals ---------------------------------------------------------------------------------------------------

    def arrives(self, name: str, number: str, *, further: bool = False) -> None:
        """A new recording, of this number."""
        early = self.early.pop(name, None)
        count = next(self._numbers) if early is None else early
        rng = np.random.default_rng(count)
        one = Ecg(
            source_id=f"1.2.3.{count}",
            format="dicom",
            patient=patient(number, further=further),
            acquired=AcquiredAt(at=START + timedelta(minutes=count), zone_source="offset", original=name),
            sampling_rate=500.0,
            signal=rng.normal(size=(12, 100)).astype(np.float32),
            stored_leads=LEADS,
            device=Device(serial=f"CART{count % 3}"),
            order=Order(placer=f"P{count}"),
            order_id=f"CARTS|{count}",
            document_ids=(f"CARTS|D{count}",),
            waveform_object=archive.waveform_of(number, count) if int(name[1:]) % 2 == 0 else None,
        )
        self.recordings[name] = Recording(number=number, named=[number])
        self.says[name] = 0.5
        self._take(one)
        held = [self.ids[one.ecg_id] for one in self.open_questions()]
        assert early is None or name in held, f"{name} was taken back before it came: nobody is asked"

    def comes_again(
        self,
        name: str,
        number: str | None = None,
        *,
        further: bool | None = None,
        stat: bool | None = None,
        family: str | None = None,
        other_object: bool = False,
        corrects: bool = False,
        final: bool = False,
        source: str = "carts",
        follow: bool = False,
    ) -> None:
        """The recording again in other bytes, with what is given changed."""
        before = self.newest[name]
        number = before.patient.identifiers[0].value if number is None else number
        further = len(before.patient.identifiers) > 1 if further is None else further
        who = patient(number, further=further, family=before.patient.family_name if family is None else family)
        one = replace(
            before,
            corrects=False,
            final=final,
            also_named=None,
            patient=who,
            order=replace(before.order, stat=before.order.stat if stat is None else stat),
            waveform_object=before.waveform_object and archive.renamed(before.waveform_object, number),
        )
        if other_object:
            one = replace(one, source_id=f"other.{next(self._numbers)}", format="muse-xml")
        if corrects:
            count = next(self._numbers)
            changed = (before.signal * np.float32(1.01)).astype(np.float32)
            one = replace(one, source_id=f"correction.{count}", corrects=True, signal=changed)
        alike = (before.patient, before.order, before.format) == (one.patient, one.order, one.format)
        if not alike or corrects:
            anew = (final or corrects) and source == "carts"
            self.recordings[name].comes_again(number, self.people, follow=follow and not other_object, anew=anew)
        self._take(one, FOLLOW if follow else HOLD, source)

    def two_people(self, name: str, number: str, other: str) -> None:
        """The recording again, or for the first time, in a payload that speaks of two people."""
        if name not in self.newest:
            raise AssertionError("not yet")
        one = replace(
            self.newest[name],
            corrects=False,
            final=False,
            patient=patient(number, family="Outer"),
            also_named=patient(other, family="Inner"),
        )
        one = replace(one, waveform_object=one.waveform_object and archive.renamed(one.waveform_object, number))
        if (self.newest[name].patient, self.newest[name].also_named) != (one.patient, one.also_named):
            self.recordings[name].named.append(number)
        self._take(one)

    def _take(self, one: Ecg, trust: Trust = HOLD, source: str = "carts") -> None:
        assert one.acquired is not None
        self.newest[one.acquired.original] = one
        verdict = self._receive(Contents(ecgs=(one,)), trust, source)
        self.ids |= dict.fromkeys(verdict.ecg_ids, one.acquired.original)
        self.check()

    def _receive(self, contents: Contents, trust: Trust = HOLD, source: str = "carts") -> Verdict:
        now = self._tick()
        content = f"payload {next(self._numbers)}".encode()
        received = Received(transport="dicom", source=source, content=content, received_at=now)
        return self.store.intake.record(received, contents, now=now, actor=source, trust=trust)

    def sender_withdraws(
        self,
        name: str,
        *,
        follow: bool,
        by_order: bool = False,
        by_document: bool = False,
        speaking_of: str | None = None,
    ) -> None:
        """OBX-11 W of its sender; OBR-25 X on its order; MDM^T11 on its document."""
        one, recording = self.newest[name], self.recordings[name]
        who = Patient() if speaking_of is None else patient(speaking_of)
        certain = speaking_of is None or any(
            self.people.same(speaking_of, known) for known in (recording.number, recording.named[-1])
        )
        if certain and follow:
            recording.is_withdrawn("by-sender")
        event = Withdrawal(
            source_ids=() if by_document else ("nobody's",) if by_order else (one.source_id,),
            order_id="" if by_document else one.order_id,
            document_ids=one.document_ids if by_document else (),
            patient=who,
            status="W",
        )
        self._receive(Contents(withdrawals=(event,)), FOLLOW if follow else HOLD)
        self.check()

    def sender_withdraws_early(self, name: str, *, by_order: bool = False, by_document: bool = False) -> None:
        """The same of a recording that has not come yet."""
        count = self.early.setdefault(name, next(self._numbers))
        event = Withdrawal(
            source_ids=() if by_document else ("nobody's",) if by_order else (f"1.2.3.{count}",),
            order_id="" if by_document else f"CARTS|{count}",
            document_ids=(f"CARTS|D{count}",) if by_document else (),
            patient=Patient(),
            status="W",
        )
        self._receive(Contents(withdrawals=(event,)))
        self.check()

    # --- identities -------------------------------------------------------------------------------------------------

    def merge(self, retired: str, surviving: str) -> None:
        """A40."""
        self.people.merge(retired, surviving)
        self._identity(Merge(retired=identifier(retired), surviving=identifier(surviving), event="A40"))

    def unlink(self, first: str, second: str) -> None:
        """A37."""
        self.people.unlink(first, second)
        self._identity(Link(first=identifier(first), second=identifier(second), linked=False, event="A37"))

    def link(self, first: str, second: str) -> None:
        """A24."""
        self._identity(Link(first=identifier(first), second=identifier(second), linked=True, event="A24"))

    def add_person(self, number: str) -> None:
        """A28."""
        self.people.unmerge(number)
        self._identity(Addition(identifier=identifier(number), event="A28"))

    def _identity(self, event: IdentityEvent) -> None:
        self._receive(Contents(identity_events=(event,)))
        self.check()

    def operator_merges(self, retired: str, surviving: str) -> None:
        """`patient merge`."""
        self.people.merge(retired, surviving)
        self._by_hand(Merge(retired=identifier(retired), surviving=identifier(surviving), event=merging.OPERATOR))

    def operator_unmerges(self, number: str) -> None:
        """`patient unmerge`."""
        self.people.unmerge(number)
        self._by_hand(Addition(identifier=identifier(number), event=merging.OPERATOR))

    def _by_hand(self, event: IdentityEvent) -> None:
        with self.store.database.writing(self._tick(), "operator") as tx:
            merging.record(tx, None, event)
        self.check()

    # --- an operator ------------------------------------------------------------------------------------------------

    def _versions(self, name: str) -> list[int]:
        return sorted(ecg_id for ecg_id, known in self.ids.items() if known == name)

    def withdraws(self, name: str, *, delete: bool = False) -> None:
        """`withdraw`."""
        self.store.results.withdraw(
            self._versions(name)[-1], reason="wrong", delete=delete, now=self._tick(), actor="operator"
        )
        if name in self.composed:
            self.recordings[name].taken_back = self.composed[name][1]
        self.check()

    def corrects(self, name: str) -> None:
        """`correct`."""
        try:
            self.store.results.correct(self._versions(name)[-1], reason="codes", now=self._tick(), actor="operator")
        except StoreError:
            return
        self.recordings[name].taken_back = None
        self.recordings[name].withdrawn = None
        self.check()

    def names_patient(self, name: str, number: str) -> None:
        """`correct --wrong-patient`."""
        self.store.results.correct(
            self._versions(name)[0], patient=patient(number), reason="wrong", now=self._tick(), actor="operator"
        )
        recording = self.recordings[name]
        recording.belongs_to(number)
        recording.withdrawn = None
        self.check()

    def open_questions(self) -> list[Hold]:
        return self.store.results.holds()

    def releases(self, held: Hold, number: str | None = None) -> None:
        """`held release`."""
        name = self.ids[held.ecg_id]
        named = None if number is None else patient(number)
        self.store.results.release(held.hold_id, patient=named, reason="seen", now=self._tick(), actor="operator")
        recording = self.recordings[name]
        whose = {
            Question.TWO_PEOPLE: 0,
            Question.CORRECTED_PATIENT: -1,
            Question.SAME_SIGNAL: -1,
        }.get(held.question)
        if number is not None:
            recording.belongs_to(number)
        elif whose is not None:
            recording.belongs_to(held.patients[whose].identifiers[0].value)
        elif held.question is Question.SENDER_WITHDRAWAL and recording.withdrawn == "by-sender":
            recording.withdrawn = None
        self.check()

    def rejects(self, held: Hold) -> None:
        """`held reject`."""
        name = self.ids[held.ecg_id]
        self.store.results.reject(held.hold_id, reason="seen", now=self._tick(), actor="operator")
        recording = self.recordings[name]
        match held.question:
            case Question.TWO_PEOPLE | Question.SENDER_WITHDRAWAL:
                recording.withdrawn = "by-person"
            case Question.UNMERGED:
                recording.number, recording.assigned = held.patients[-1].identifiers[0].value, True
        self.check()

    def sends_dead_letters_again(self, *, recompose: bool) -> bool:
        """`resend`; whether there was any."""
        done = self.store.results.resend(recompose=recompose, now=self._tick(), actor="operator")
        self.check()
        return bool(done.created or done.cancelled)

    # --- work -------------------------------------------------------------------------------------------------------

    def scores(self, limit: int = 100) -> int:
        """A worker scores what is due; how many."""
        jobs = self.store.jobs.claim(worker="scorer", limit=limit, now=self._tick(), lease=LEASE)
        if not jobs:
            return 0
        done = [(job, self._scoring(job.ecg_id)) for job in jobs]
        self.store.jobs.finish(done, now=self._tick(), worker="scorer")
        for job in jobs:
            self._is_scored(job.ecg_id)
        self.check()
        return len(jobs)

    def _is_scored(self, ecg_id: int) -> None:
        """What a person took back is past once the newest version says something else, and may say so."""
        name = self.ids[ecg_id]
        self.scored[name] = str(self.says[name])
        held = any(self.ids[one.ecg_id] == name for one in self.open_questions())
        if held or self.recordings[name].withdrawn or ecg_id != self._versions(name)[-1]:
            return
        if self.recordings[name].taken_back != self.scored[name]:
            self.recordings[name].taken_back = None

    def _scoring(self, ecg_id: int) -> Scoring:
        name = self.ids[ecg_id]
        return Scoring(
            ecg_id=ecg_id,
            model_id="a" * 64,
            model_name="test",
            model_version="1",
            preprocessing="1",
            runtime="null",
            input_digest="b" * 64,
            scored_at=self.now,
            scores=(Score(head="reduced_lvef", label="yes", probability=self.says[name], logit=-1.0),),
        )

    def worker_dies(self) -> None:
        """A scorer claims everything, and is never seen again."""
        self.store.jobs.claim(worker="scorer", limit=100, now=self._tick(), lease=LEASE)
        self.store.leases.reap(now=self._tick(), max_attempts=10_000, worker="scorer")
        self.check()

    def says_otherwise(self, name: str, probability: float) -> None:
        """Another model: the recording is scored again."""
        self.says[name] = probability
        self.store.jobs.rescore([self._versions(name)[-1]], now=self._tick(), actor="operator")
        self.check()

    def sends(self, destination: str, fate: Fate = "acknowledged", limit: int = 1) -> int:
        """A sender tries what is due; how many it got hold of."""
        messages = self.store.outbox.claim(
            worker="sender", destination=destination, limit=limit, now=self._tick(), lease=LEASE
        )
        for one in messages:
            self._try(one, fate)
            if fate == "sender died after":  # what else it claimed went back to the queue with it
                break
        if messages:
            self.check()
        return len(messages)

    def _try(self, one: OutboundMessage, fate: Fate) -> None:
        outbox = self.store.outbox
        if fate == "sender died before":
            self.store.leases.reap(now=self._tick(), worker="sender")
            return
        try:
            body = outbox.begin(one, now=self._tick(), worker="sender")
        except Refused:  # nothing can be composed still
            outbox.fail(one, self._retry(one, again=False), now=self._tick(), worker="sender", undelivered=True)
            return
        self._fixed.setdefault(one.control_id, self.people.undone)
        if fate in ("acknowledged", "lost acknowledgement", "sender died after"):
            self._arrives_at(one.destination, body)
        match fate:
            case "acknowledged":
                outbox.finish(one, Ack(code="AA", control_id=one.control_id), now=self._tick(), worker="sender")
            case "lost acknowledgement" | "lost on the way":
                outbox.fail(one, self._retry(one), now=self._tick(), worker="sender")
            case "never connected":
                outbox.fail(one, self._retry(one), now=self._tick(), worker="sender", undelivered=True)
            case "refused":
                ack = Ack(code="AE", control_id=one.control_id)
                outbox.fail(one, self._retry(one, again=False), now=self._tick(), worker="sender", ack=ack)
            case "refused, spent":
                outbox.fail(one, self._retry(one, again=False), now=self._tick(), worker="sender")
            case "half taken":  # of several objects all but the last one; what is one message is refused
                half = archive.first_half(body) if one.destination == archive.NAME else b""
                if half:
                    self._arrives_at(one.destination, half)
                ack = Ack(code="AE", control_id=one.control_id, in_doubt=bool(half))
                outbox.fail(one, self._retry(one, again=False), now=self._tick(), worker="sender", ack=ack)
            case "sender died after":
                self.store.leases.reap(now=self._tick(), worker="sender")

    def _retry(self, one: OutboundMessage, *, again: bool = True) -> Retry:
        error = AttemptError(at=self.now, attempt=one.attempts, kind="Unreachable", text="no answer")
        return Retry(due_at=self.now if again else None, error=error)

    def _arrives_at(self, destination: str, body: bytes) -> None:
        if destination == archive.NAME:
            recording, says = self._told[archive.control_id_of(body)]
            self.pacs.take(body, recording=recording, says=says)
            return
        told = json.loads(body)
        current = self._fixed[told["control_id"]] == self.people.undone and not self.restored
        self.receivers[destination].take(body=body, people=self.people if current else None, **told)

    def heard(self, destination: str) -> list[str]:
        """The kinds of message that the receiver got, in order, repeats left out."""
        return [str(json.loads(body)["status"]) for body in self.receivers[destination].control_ids.values()]

    # --- the machine room ---------------------------------------------------------------------------------------------

    def reopens(self) -> None:
        """The program stops and starts."""
        self.store.close()
        self.store = self._opened()
        self.check()

    def is_restored(self, put_back: Callable[[], None], earlier: "Truth") -> None:
        """An earlier copy of the database takes the place of this one, as the runbook says."""
        self.store.close()
        put_back()
        self.restored = True
        self.recordings, self.newest, self.people, self.says, self.ids, self.scored, self.early = earlier
        self.store = self._opened()
        assert self.store.home.look(None, now=self._tick(), actor="reporter"), "it does not see that it lies elsewhere"
        self.store.home.adopt("restored", (), now=self._tick(), actor="operator")
        self.check()

    def truth(self) -> "Truth":
        """What is true now, to be put back with a copy of the database."""
        known = (self.recordings, self.newest, self.people, self.says, self.ids, self.scored, self.early)
        return deepcopy(known)

    # --- what must hold ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """What holds after every step."""
        counts = self.store.questions.counts()
        assert counts.received == counts.scored + counts.not_evaluable + counts.failed + counts.waiting
        if self.restored:
            return
        for destination, receiver in self._standing_at().items():
            for name in self.recordings:
                if len(receiver.of(name)) > 1 and (name, destination) not in self.once_aside:
                    self.once_aside |= self._set_aside()
                    assert (name, destination) in self.once_aside, f"two results of {name} stand at one receiver"

    def _standing_at(self) -> Mapping[str, Receiver | Archive]:
        return {**self.receivers, archive.NAME: self.pacs}

    def _set_aside(self) -> set[tuple[str, str]]:
        """Where a message waits for a person: recordings with destinations."""
        return {(self.ids[one.ecg_id], one.destination) for one in self.store.questions.dead_letters()}

    def settle(self, *, resend: bool = False) -> None:
        """Everything is scored and sent; then what stands is compared with the truth."""
        self._come_to_rest()
        if resend:
            self._send_once_more()
        self._compare(resent=resend)

    def ends(self) -> None:
        """It settles, and once more after what was set aside was sent again."""
        self.settle()
        self._send_once_more()
        self._compare(resent=True)

    def _come_to_rest(self) -> None:
        for _ in range(1000):
            if not self.scores() + sum(self.sends(name, limit=100) for name in DESTINATIONS):
                break
        else:
            raise AssertionError("it never comes to rest")
        self.check()

    def _send_once_more(self) -> None:
        """What was set aside; where there was nothing, all is at rest still."""
        if self.sends_dead_letters_again(recompose=False):
            self._come_to_rest()

    def _is_held_at_pacs(self, name: str) -> bool:
        """Whether its newest result is not stored because its waveform object names another patient."""
        waveform, whose = self.newest[name].waveform_object, self.recordings[name].number
        return waveform is not None and waveform.patient_id != self.people.survivor(whose)

    def _compare(self, *, resent: bool) -> None:
        if self.restored:
            return
        asked = {self.ids[held.ecg_id] for held in self.open_questions()}
        waiting = self._waiting()
        assert not waiting - asked, f"versions of {waiting - asked} wait for a score, and nobody is asked"
        aside = self._set_aside()
        for name, recording in self.recordings.items():
            for destination, receiver in self._standing_at().items():
                stands = receiver.of(name)
                if name in asked:
                    continue
                may_be_aside = not resent or destination != archive.NAME or self._is_held_at_pacs(name)
                if (name, destination) in aside and may_be_aside:
                    continue
                where = f"{name} at {destination}: {stands}, but {recording}, {self.people.into}"
                if recording.withdrawn or recording.taken_back is not None:
                    assert not stands, f"nothing may stand of what was withdrawn: {where}"
                    continue
                assert len(stands) == 1, f"exactly one result should stand: {where}"
                assert self.people.same(stands[0].number, recording.number), f"a wrong patient: {where}"
                assert stands[0].says == str(self.says[name]), f"an old result: {where}"

    def _waiting(self) -> set[str]:
        """Recordings of which a version has neither a score nor failed."""
        return {self.ids[one.ecg_id] for one in self.store.ecgs.newest(limit=1000) if one.state is EcgState.WAITING}


Truth = tuple[
    dict[str, Recording], dict[str, Ecg], People, dict[str, float], dict[int, str], dict[str, str], dict[str, int]
]
