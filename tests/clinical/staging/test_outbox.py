"""Results go out in each patient's order, byte for byte the same on every repeat, to whoever the patient is by then."""

from typing import Any

import pytest

from ecgfm_clinical.errors import IdentityChanged, LeaseLost
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.retry import after_failure, refused
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack


def _scored(ward: Any, *patients: str, **changes: Any) -> list[int]:
    ids = [ward.take(patient=ward.patient(one)).ecg_ids[0] for one in patients]
    ward.score_all(**changes)
    return ids


def _postpone(ward: Any, message: Any, *, seconds: float = 10, **more: Any) -> None:
    now = ward.later(seconds=seconds)
    retry = after_failure(Unreachable("no answer"), attempts=message.attempts, limit=None, now=now)
    ward.store.fail_message(message, retry, now=now, worker="sender", **more)


def test_one_patients_results_go_one_after_the_other_others_go_beside(ward: Any) -> None:
    first, second, other = _scored(ward, "A", "A", "B")
    batch = ward.claim_messages()
    assert [message.ecg_id for message in batch] == [first, other]
    assert ward.claim_messages(worker="second sender") == []
    ward.acknowledge(ward.fix(batch[0]))
    assert [message.ecg_id for message in ward.claim_messages()] == [second]


def test_an_unanswered_result_holds_up_its_patient_but_nobody_else(ward: Any) -> None:
    first, _, other = _scored(ward, "A", "A", "B")
    for message in ward.claim_messages():
        if message.ecg_id == first:
            _postpone(ward, ward.fix(message))
        else:
            ward.acknowledge(ward.fix(message))
    assert ward.claim_messages(now=ward.later(seconds=10)) == []
    (again,) = ward.claim_messages(now=ward.later(minutes=10))
    assert again.ecg_id == first
    assert other


def test_a_dead_letter_does_not_hold_up_what_follows(ward: Any) -> None:
    first, second = _scored(ward, "A", "A")
    (message,) = ward.claim_messages()
    ack = Ack(code="AE", control_id=message.control_id, text="unknown patient", error_code="204")
    retry = refused(ack, attempts=message.attempts, now=ward.now)
    ward.store.fail_message(ward.fix(message), retry, now=ward.now, worker="sender", ack=ack)
    assert [message.ecg_id for message in ward.claim_messages()] == [second]
    (dead,) = ward.store.story(first).messages
    assert (dead.state, dead.acknowledgement) == (MessageState.DEAD, ack)
    assert ward.store.backlog().destinations["ehr"].dead == 1


def test_destinations_do_not_wait_for_each_other(ward: Any) -> None:
    _scored(ward, "A", "A", destinations=("ehr", "archive"))
    assert len(ward.claim_messages(destination="ehr")) == 1
    assert len(ward.claim_messages(destination="archive")) == 1
    assert ward.claim_messages(destination="nobody") == []


def test_every_repeat_carries_the_same_bytes_and_number(ward: Any) -> None:
    _scored(ward, "A")
    (message,) = ward.claim_messages()
    assert message.body is None
    fixed = ward.fix(message)
    with pytest.raises(LeaseLost):
        ward.store.fix_body(message, b"something else", now=ward.now)
    _postpone(ward, fixed)
    (again,) = ward.claim_messages(now=ward.later(minutes=10))
    assert (again.body, again.control_id) == (fixed.body, message.control_id)
    assert ward.store.reap(now=ward.later(minutes=16)) == 1  # this sender dies, too
    (third,) = ward.claim_messages(now=ward.later(minutes=17))
    assert (third.body, third.control_id, third.attempts) == (fixed.body, message.control_id, 3)
    with pytest.raises(LeaseLost):
        ward.acknowledge(again)
    ward.acknowledge(third)
    assert ward.claim_messages(now=ward.later(hours=9)) == []


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
                fixed = ward.fix(message)
                sent.append(message.ecg_id)
                ward.acknowledge(fixed, worker=worker)

    ward.at_once([lambda w=f"s{n}": send(w) for n in range(3)])
    assert sorted(sent) == ids
    for patient in set(patients):
        theirs = [one for one, whose in zip(ids, patients, strict=True) if whose == patient]
        assert [one for one in sent if one in theirs] == theirs


class TestRescoring:
    """A second scoring of the same ECG."""

    def _rescore(self, ward: Any, ecg_id: int, **changes: Any) -> None:
        ward.store.rescore([ecg_id], now=ward.now, actor="operator")
        ward.score_all(**changes)

    def test_the_same_output_sends_nothing(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "A")
        ward.send_all()
        self._rescore(ward, ecg_id)
        assert len(ward.store.story(ecg_id).scorings) == 2
        assert ward.claim_messages() == []

    def test_another_output_is_a_correction_with_a_number_of_its_own(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "A")
        ward.send_all()
        self._rescore(ward, ecg_id, probability=0.75)
        ward.send_all()
        first, second = ward.store.story(ecg_id).messages
        assert (first.kind, second.kind) == ("F", "C")
        assert first.control_id != second.control_id
        counts = ward.store.count_table()
        assert (counts.total.received, counts.total.scored) == (1, 1)
        assert counts.by_head["reduced_lvef"].scored == 1

    def test_a_result_nobody_took_is_followed_by_a_first_result(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "A")
        (message,) = ward.claim_messages()
        retry = refused(Ack(code="AE", control_id=message.control_id), attempts=1, now=ward.now)
        ward.store.fail_message(ward.fix(message), retry, now=ward.now, worker="sender")
        self._rescore(ward, ecg_id, probability=0.75)
        assert [message.kind for message in ward.claim_messages()] == ["F"]

    def test_the_same_recording_in_other_bytes_sends_only_what_is_new(self, ward: Any) -> None:
        ward.take(source_id="1.2.3")
        ward.score_all()
        ward.send_all()
        ward.take(source_id="1.2.3")
        ward.score_all()
        assert ward.claim_messages() == []
        ward.take(source_id="1.2.3", patient=ward.patient("another"))
        ward.score_all()
        assert len(ward.claim_messages()) == 1


class TestMerge:
    """ADT^A40: the retired identity's results, at every point of their way."""

    def test_before_scoring(self, ward: Any) -> None:
        ward.take(patient=ward.patient("OLD"))
        ward.merge("OLD", "NEW")
        ward.score_all()
        (message,) = ward.claim_messages()
        assert ward.store.compose_input(message)[0].ecg.patient.identifiers == (ward.identifier("NEW"),)

    def test_an_ecg_that_arrives_later_under_the_retired_number(self, ward: Any) -> None:
        ward.merge("OLD", "NEW")
        first, second = _scored(ward, "NEW", "OLD")
        assert [message.ecg_id for message in ward.claim_messages()] == [first], "one patient, one order"
        assert second

    def test_between_scoring_and_claim(self, ward: Any) -> None:
        _scored(ward, "OLD")
        ward.merge("OLD", "NEW")
        (message,) = ward.claim_messages()
        assert ward.store.compose_input(message)[0].ecg.patient.identifiers == (ward.identifier("NEW"),)

    def test_while_it_is_composed(self, ward: Any) -> None:
        _scored(ward, "OLD")
        (message,) = ward.claim_messages()
        before, _ = ward.store.compose_input(message)
        ward.merge("OLD", "NEW")
        with pytest.raises(IdentityChanged):
            ward.fix(message)
        assert before.ecg.patient.identifiers == (ward.identifier("OLD"),)
        _postpone(ward, message)
        (again,) = ward.claim_messages(now=ward.later(minutes=10))
        assert ward.store.compose_input(again)[0].ecg.patient.identifiers == (ward.identifier("NEW"),)
        assert ward.fix(again).body

    def test_after_a_send_of_unknown_fate_the_bytes_stay(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "OLD")
        (message,) = ward.claim_messages()
        fixed = ward.fix(message)
        _postpone(ward, fixed)
        ward.merge("OLD", "NEW")
        (again,) = ward.claim_messages(now=ward.later(minutes=10))
        assert again.body == fixed.body
        assert self._merged(ward) == {"moved": "", "sent": str(message.message_id)}
        assert ecg_id

    def test_after_an_attempt_that_certainly_never_left_it_is_composed_anew(self, ward: Any) -> None:
        _scored(ward, "OLD")
        (message,) = ward.claim_messages()
        _postpone(ward, ward.fix(message), undelivered=True)
        ward.merge("OLD", "NEW")
        (again,) = ward.claim_messages(now=ward.later(minutes=10))
        assert (again.body, again.control_id) == (None, message.control_id)
        assert self._merged(ward) == {"moved": str(message.message_id), "sent": ""}

    def test_one_attempt_in_doubt_is_enough_to_keep_the_bytes(self, ward: Any) -> None:
        _scored(ward, "OLD")
        (message,) = ward.claim_messages()
        fixed = ward.fix(message)
        _postpone(ward, fixed)
        (again,) = ward.claim_messages(now=ward.later(minutes=10))
        _postpone(ward, again, undelivered=True, seconds=600)
        ward.merge("OLD", "NEW")
        (third,) = ward.claim_messages(now=ward.later(hours=1))
        assert third.body == fixed.body

    def test_what_was_acknowledged_is_listed_not_repeated(self, ward: Any) -> None:
        (ecg_id,) = _scored(ward, "OLD")
        ward.send_all()
        ward.merge("OLD", "NEW")
        assert ward.claim_messages(now=ward.later(hours=1)) == []
        (sent,) = ward.store.story(ecg_id).messages
        assert self._merged(ward) == {"moved": "", "sent": str(sent.message_id)}

    def test_chains_are_followed_and_the_newer_word_counts(self, ward: Any) -> None:
        ward.merge("A", "B")
        ward.merge("B", "C")
        _scored(ward, "A")
        (message,) = ward.claim_messages()
        assert ward.store.compose_input(message)[0].ecg.patient.identifiers == (ward.identifier("C"),)
        ward.merge("C", "A")  # the hospital changed its mind: A lives again
        with pytest.raises(IdentityChanged):
            ward.fix(message)
        assert ward.store.compose_input(message)[0].ecg.patient.identifiers == (ward.identifier("A"),)

    def test_the_survivors_demographics_replace_the_retired_ones(self, ward: Any) -> None:
        known = Patient(identifiers=(ward.identifier("NEW"),), family_name="Survivor", sex="F")
        ward.merge("OLD", "NEW", demographics=(known,))
        _scored(ward, "OLD")
        (message,) = ward.claim_messages()
        assert ward.store.compose_input(message)[0].ecg.patient == known

    def test_equal_numbers_of_two_authorities_are_two_people(self, ward: Any) -> None:
        elsewhere = Patient(identifiers=(ward.identifier("OLD", authority="ELSEWHERE"),))
        visit = Patient(identifiers=(ward.identifier("OLD", type="VN"),))
        nobody = Patient()
        for patient in (elsewhere, visit, nobody, nobody):
            ward.take(patient=patient)
        ward.score_all()
        ward.merge("OLD", "NEW")
        messages = ward.claim_messages()
        assert [ward.store.compose_input(message)[0].ecg.patient for message in messages] == [
            elsewhere,
            visit,
            nobody,
            nobody,
        ]

    def test_a_merge_into_itself_changes_nothing(self, ward: Any) -> None:
        ward.merge("A", "A")
        _scored(ward, "A")
        assert len(ward.claim_messages()) == 1

    def _merged(self, ward: Any) -> dict[str, Any]:
        (event,) = [event for event in ward.store.trail() if event.action == "identity.merged"]
        return {key: event.detail[key] for key in ("moved", "sent")}


def test_a_payload_of_demographics_alone_is_staged(ward: Any) -> None:
    assert ward.take(Contents(demographics=(ward.patient(),))).ecg_ids == ()
