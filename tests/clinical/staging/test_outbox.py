"""Results go out in each patient's order, byte for byte the same on every repeat, to whoever the patient is by then."""

from typing import Any

import pytest

from ecgfm_clinical.errors import LeaseLost
from ecgfm_clinical.staging.records import MessageState, Score
from ecgfm_clinical.staging.retry import after_failure, refused
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Order
from ecgfm_connectors.errors import Refused, Unreachable
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack

pytestmark = pytest.mark.slow(25)


def _scored(ward: Any, *patients: str, **changes: Any) -> list[int]:
    ids = [ward.take(patient=ward.patient(one)).ecg_ids[0] for one in patients]
    ward.score_all(**changes)
    return ids


def _postpone(ward: Any, message: Any, *, seconds: float = 10, **more: Any) -> None:
    now = ward.later(seconds=seconds)
    retry = after_failure(Unreachable("no answer"), attempts=message.attempts, limit=None, now=now)
    ward.store.outbox.fail(message, retry, now=now, worker="sender", **more)


def test_one_patients_results_go_one_after_the_other_others_go_beside(ward: Any) -> None:
    first, second, other = _scored(ward, "A", "A", "B")
    batch = ward.claim_messages()
    assert [message.ecg_id for message in batch] == [first, other]
    assert ward.claim_messages(worker="second sender") == []
    ward.acknowledge(ward.on_the_wire(batch[0]))
    assert [message.ecg_id for message in ward.claim_messages()] == [second]


def test_an_unanswered_result_holds_up_its_patient_but_nobody_else(ward: Any) -> None:
    first, _, other = _scored(ward, "A", "A", "B")
    for message in ward.claim_messages():
        if message.ecg_id == first:
            _postpone(ward, ward.on_the_wire(message))
        else:
            ward.acknowledge(ward.on_the_wire(message))
    assert ward.claim_messages(now=ward.later(seconds=10)) == []
    (again,) = ward.claim_messages(now=ward.later(minutes=10))
    assert again.ecg_id == first
    assert other


def test_a_dead_letter_does_not_hold_up_what_follows(ward: Any) -> None:
    first, second = _scored(ward, "A", "A")
    (message,) = ward.claim_messages()
    ack = Ack(code="AE", control_id=message.control_id, text="unknown patient", error_code="204")
    retry = refused(ack, attempts=message.attempts, now=ward.now)
    ward.store.outbox.fail(ward.on_the_wire(message), retry, now=ward.now, worker="sender", ack=ack)
    assert [message.ecg_id for message in ward.claim_messages()] == [second]
    (dead,) = ward.store.ecgs.story(first).messages
    assert (dead.state, dead.acknowledgement) == (MessageState.DEAD, ack)
    assert ward.store.questions.backlog().destinations["ehr"].dead == 1


def test_destinations_do_not_wait_for_each_other(ward: Any) -> None:
    _scored(ward, "A", "A", destinations=("ehr", "archive"))
    assert len(ward.claim_messages(destination="ehr")) == 1
    assert len(ward.claim_messages(destination="archive")) == 1
    assert ward.claim_messages(destination="nobody") == []


def test_every_repeat_carries_the_same_bytes_and_number(ward: Any) -> None:
    _scored(ward, "A")
    (message,) = ward.claim_messages()
    body = ward.begin(message)
    _postpone(ward, message)
    (again,) = ward.claim_messages(now=ward.later(minutes=10))
    assert (ward.begin(again), again.control_id) == (body, message.control_id)
    assert ward.store.leases.reap(now=ward.later(minutes=16)) == 1  # this sender dies, too
    with pytest.raises(LeaseLost):
        ward.begin(again)
    (third,) = ward.claim_messages(now=ward.later(minutes=17))
    assert (ward.begin(third), third.control_id, third.attempts) == (body, message.control_id, 3)
    with pytest.raises(LeaseLost):
        ward.acknowledge(again)
    ward.acknowledge(third)
    assert ward.claim_messages(now=ward.later(hours=9)) == []


def test_number_and_bytes_are_fixed_with_the_score(ward: Any) -> None:
    (ecg_id,) = _scored(ward, "A", destinations=("ehr", "archive"))
    before = {one.destination: (one.control_id, one.body) for one in ward.store.ecgs.story(ecg_id).messages}
    assert all(body is not None and control_id.encode() in body for control_id, body in before.values())
    assert ward.store.ecgs.story(ecg_id).messages[0].sent_at is None
    (message,) = ward.claim_messages()
    assert ward.begin(message) == before["ehr"][1]
    assert ward.store.ecgs.story(ecg_id).messages[0].sent_at == ward.later(seconds=4)


def test_a_score_whose_message_fails_is_not_kept_without_it(ward: Any) -> None:
    ward.take()
    (job,) = ward.claim()

    def broken(_draft: Any) -> bytes:
        raise ZeroDivisionError

    whole, ward.store = ward.store, ward.with_telling(compose=broken)
    with pytest.raises(ZeroDivisionError):
        ward.finish(job)
    ward.store = whole
    story = ward.store.ecgs.story(job.ecg_id)
    assert (story.scorings, story.messages, story.state.value) == ((), (), "waiting")
    ward.finish(job)
    assert len(ward.store.ecgs.story(job.ecg_id).messages) == 1


def test_what_cannot_be_composed_is_a_dead_letter_with_its_reason_and_comes_back(ward: Any) -> None:
    def refuse(_draft: Any) -> bytes:
        raise Refused("no-identifier", "the ECG names no patient")

    whole, ward.store = ward.store, ward.with_telling(compose=refuse)
    (ecg_id,) = _scored(ward, "A")
    (message,) = ward.store.ecgs.story(ecg_id).messages
    assert (message.state, message.body, [error.kind for error in message.errors]) == (
        MessageState.DEAD,
        None,
        ["Refused"],
    )
    assert ward.claim_messages() == []
    ward.store.results.resend(now=ward.now, actor="operator")
    assert ward.claim_messages() == []
    first, second = ward.store.ecgs.story(ecg_id).messages
    assert (first.state, second.state) == (MessageState.CANCELLED, MessageState.DEAD)
    assert [error.kind for error in second.errors] == ["Refused"]
    ward.store = whole
    ward.store.results.resend(now=ward.now, actor="operator")
    (held,) = ward.claim_messages()
    assert ward.begin(held)
    ward.acknowledge(held)


def test_many_senders_keep_every_patients_order(ward: Any) -> None:
    patients = [f"P{n % 4}" for n in range(24)]
    ids = _scored(ward, *patients)
    sent: list[int] = []

    def send(worker: str) -> None:
        idle = 0
        while idle < 50:
            messages = ward.claim_messages(worker=worker, limit=3)
            idle = 0 if messages else idle + 1
            for message in messages:
                ward.begin(message, worker=worker)
                sent.append(message.ecg_id)
                ward.acknowledge(message, worker=worker)

    ward.at_once([lambda w=f"s{n}": send(w) for n in range(3)])
    assert sorted(sent) == ids
    for patient in set(patients):
        theirs = [one for one, whose in zip(ids, patients, strict=True) if whose == patient]
        assert [one for one in sent if one in theirs] == theirs


class TestRescoring:
    """A second scoring of the same ECG."""

    def _rescore(self, ward: Any, ecg_id: int, **changes: Any) -> None:
        ward.store.jobs.rescore([ecg_id], now=ward.now, actor="operator")
        ward.score_all(**changes)

    def test_the_same_output_sends_nothing(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "A")
        ward.send_all()
        self._rescore(ward, ecg_id)
        assert len(ward.store.ecgs.story(ecg_id).scorings) == 2
        assert ward.claim_messages() == []

    def test_another_output_is_a_correction_with_a_number_of_its_own(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "A")
        ward.send_all()
        self._rescore(ward, ecg_id, probability=0.75)
        ward.send_all()
        first, second = ward.store.ecgs.story(ecg_id).messages
        assert (first.kind, second.kind) == ("F", "C")
        assert first.control_id != second.control_id
        counts = ward.store.questions.count_table()
        assert (counts.total.received, counts.total.scored) == (1, 1)
        assert counts.by_head["reduced_lvef"].scored == 1

    def test_a_result_nobody_took_is_followed_by_a_first_result(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "A")
        (message,) = ward.claim_messages()
        ack = Ack(code="AE", control_id=message.control_id)
        retry = refused(ack, attempts=1, now=ward.now)
        ward.store.outbox.fail(ward.on_the_wire(message), retry, now=ward.now, worker="sender", ack=ack)
        self._rescore(ward, ecg_id, probability=0.75)
        assert [message.kind for message in ward.claim_messages()] == ["F"]

    def test_a_result_that_may_have_arrived_is_followed_by_a_correction(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "A")
        (message,) = ward.claim_messages()
        _postpone(ward, ward.on_the_wire(message))
        ack = Ack(code="AE", control_id=message.control_id)
        (again,) = ward.claim_messages(now=ward.later(minutes=10))
        retry = refused(ack, attempts=2, now=ward.now)
        ward.store.outbox.fail(ward.on_the_wire(again), retry, now=ward.now, worker="sender", ack=ack)
        self._rescore(ward, ecg_id, probability=0.75)
        assert [message.kind for message in ward.claim_messages()] == ["C"]

    def test_a_correction_knows_what_it_replaces(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "A")
        ward.send_all()
        self._rescore(ward, ecg_id, scores=(Score(head="troponin", label="yes", probability=0.5, logit=0.0),))
        (message,) = ward.claim_messages()
        assert ward.begin(message).endswith(b"|troponin=0.5|reduced_lvef,troponin")

    def test_the_same_recording_in_other_bytes_sends_only_what_is_new(self, ward: Any) -> None:
        ward.take(source_id="1.2.3")
        ward.score_all()
        ward.send_all()
        ward.take(source_id="1.2.3")
        ward.score_all()
        assert ward.claim_messages() == []
        ward.take(source_id="1.2.3", order=Order(accession="A-1"))
        ward.score_all()
        assert [message.kind for message in ward.claim_messages()] == ["C"]

    def test_the_same_recording_under_another_patient_is_held(self, ward: Any) -> None:
        ward.take(source_id="1.2.3")
        ward.score_all()
        ward.send_all()
        ward.take(source_id="1.2.3", patient=ward.patient("another"))
        ward.score_all()
        assert ward.claim_messages() == []
        assert [one.question.value for one in ward.store.results.holds()] == ["corrected-patient"]


class TestMerge:
    """ADT^A40: the retired identity's results, at every point of their way."""

    def test_before_scoring(self, ward: Any) -> None:
        ward.take(patient=ward.patient("OLD"))
        ward.merge("OLD", "NEW")
        ward.score_all()
        (message,) = ward.claim_messages()
        assert ward.addressed(message) == "NEW^MR^TESTHOSP"

    def test_an_ecg_that_arrives_later_under_the_retired_number(self, ward: Any) -> None:
        ward.merge("OLD", "NEW")
        first, second = _scored(ward, "NEW", "OLD")
        assert [message.ecg_id for message in ward.claim_messages()] == [first], "one patient, one order"
        assert second

    def test_between_scoring_and_claim(self, ward: Any) -> None:
        _scored(ward, "OLD")
        (ecg_id,) = (one.ecg_id for one in ward.store.ecgs.newest())
        (before,) = ward.store.ecgs.story(ecg_id).messages
        ward.merge("OLD", "NEW")
        (message,) = ward.claim_messages()
        assert ward.addressed(message) == "NEW^MR^TESTHOSP"
        assert b"OLD^MR" in before.body
        assert message.control_id != before.control_id, "a number stands for one sequence of bytes, in backups too"
        first, second = ward.store.ecgs.story(ecg_id).messages
        assert (first.state, second.state) == (MessageState.CANCELLED, MessageState.RUNNING)
        assert self._merged(ward) == {"moved": str(message.message_id), "sent": ""}

    def test_between_claim_and_send(self, ward: Any) -> None:
        _scored(ward, "OLD")
        (claimed,) = ward.claim_messages()
        ward.merge("OLD", "NEW")
        with pytest.raises(LeaseLost):
            ward.begin(claimed)
        (message,) = ward.claim_messages()
        assert b"NEW^MR" in ward.begin(message)
        ward.merge("NEW", "NEWEST")
        _postpone(ward, message)
        (again,) = ward.claim_messages(now=ward.later(minutes=10))
        assert b"NEW^MR" in ward.begin(again), "once it may be on the wire its bytes stay"

    def test_after_a_send_of_unknown_fate_the_bytes_stay(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "OLD")
        (message,) = ward.claim_messages()
        body = ward.begin(message)
        _postpone(ward, message)
        ward.merge("OLD", "NEW")
        (again,) = ward.claim_messages(now=ward.later(minutes=10))
        assert ward.begin(again) == body
        assert self._merged(ward) == {"moved": "", "sent": str(message.message_id)}
        assert ecg_id

    def test_after_an_attempt_that_certainly_never_left_it_is_composed_anew(self, ward: Any) -> None:
        _scored(ward, "OLD")
        (message,) = ward.claim_messages()
        _postpone(ward, ward.on_the_wire(message), undelivered=True)
        ward.merge("OLD", "NEW")
        (again,) = ward.claim_messages(now=ward.later(minutes=10))
        assert ward.addressed(again) == "NEW^MR^TESTHOSP"
        assert again.control_id != message.control_id
        assert self._merged(ward) == {"moved": str(again.message_id), "sent": ""}

    def test_one_attempt_in_doubt_is_enough_to_keep_the_bytes(self, ward: Any) -> None:
        _scored(ward, "OLD")
        (message,) = ward.claim_messages()
        body = ward.begin(message)
        _postpone(ward, message)
        (again,) = ward.claim_messages(now=ward.later(minutes=10))
        _postpone(ward, ward.on_the_wire(again), undelivered=True, seconds=600)
        ward.merge("OLD", "NEW")
        (third,) = ward.claim_messages(now=ward.later(hours=1))
        assert ward.begin(third) == body

    def test_what_was_acknowledged_is_listed_not_repeated(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "OLD")
        ward.send_all()
        ward.merge("OLD", "NEW")
        assert ward.claim_messages(now=ward.later(hours=1)) == []
        (sent,) = ward.store.ecgs.story(ecg_id).messages
        assert self._merged(ward) == {"moved": "", "sent": str(sent.message_id)}

    def test_chains_are_followed_and_the_newer_word_counts(self, ward: Any) -> None:
        ward.merge("A", "B")
        ward.merge("B", "C")
        _scored(ward, "A")
        (message,) = ward.claim_messages()
        assert ward.addressed(message) == "C^MR^TESTHOSP"
        ward.merge("C", "A")  # the hospital changed its mind: A lives again
        (message,) = ward.claim_messages()
        assert ward.addressed(message) == "A^MR^TESTHOSP"

    def test_the_survivors_demographics_replace_the_retired_ones(self, ward: Any) -> None:
        known = Patient(identifiers=(ward.identifier("NEW"),), family_name="Survivor", sex="F")
        _scored(ward, "OLD")
        ward.merge("OLD", "NEW", demographics=(known,))
        _scored(ward, "OLD")
        for _ in range(2):
            (message,) = ward.claim_messages()
            assert b"|NEW^MR^TESTHOSP|Survivor|F|" in ward.begin(message)
            ward.acknowledge(message)

    def test_equal_numbers_of_two_authorities_are_two_people(self, ward: Any) -> None:
        elsewhere = Patient(identifiers=(ward.identifier("OLD", authority="ELSEWHERE"),))
        visit = Patient(identifiers=(ward.identifier("OLD", type="VN"),))
        nobody = Patient()
        for patient in (elsewhere, visit, nobody, nobody):
            ward.take(patient=patient)
        ward.score_all()
        ward.merge("OLD", "NEW")
        messages = ward.claim_messages()
        assert [ward.addressed(message) for message in messages] == ["OLD^MR^ELSEWHERE", "OLD^VN^TESTHOSP", "", ""]

    def test_what_never_left_is_composed_once_a_merge(self, ward: Any) -> None:
        ward.take(patient=Patient(identifiers=(ward.identifier("FIRST"), ward.identifier("CARD"))))
        ward.score_all()
        ward.merge("CARD", "ELSEWHERE")
        before = len(self._recomposed(ward))
        ward.merge("CARD", "AND BACK")
        assert len(self._recomposed(ward)) == before + 1

    def _recomposed(self, ward: Any) -> list[Any]:
        return [event for event in ward.store.care.trail() if event.action == "message.recomposed"]

    def test_a_merge_into_itself_changes_nothing(self, ward: Any) -> None:
        ward.merge("A", "A")
        _scored(ward, "A")
        assert len(ward.claim_messages()) == 1

    def _merged(self, ward: Any) -> dict[str, Any]:
        (event,) = [event for event in ward.store.care.trail() if event.action == "identity.merged"]
        return {key: event.detail[key] for key in ("moved", "sent")}


def test_a_payload_of_demographics_alone_is_staged(ward: Any) -> None:
    assert ward.take(Contents(demographics=(ward.patient(),))).ecg_ids == ()
