"""Correcting, withdrawing and repeating results: what left is followed up, what never left is cancelled."""

from typing import Any

import pytest

from ecgfm_clinical.errors import NotFound, StoreError
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.retry import after_failure, refused
from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.result import Ack


def _scored(ward: Any, patient: str = "A", **changes: Any) -> int:
    (ecg_id,) = ward.take(patient=ward.patient(patient)).ecg_ids
    ward.score_all(**changes)
    return int(ecg_id)


def _withdraw(ward: Any, ecg_id: int, **more: Any) -> Any:
    return ward.store.results.withdraw(ecg_id, reason="wrong gain", now=ward.now, actor="operator", **more)


def _correct(ward: Any, ecg_id: int, patient: Any = None) -> Any:
    return ward.store.results.correct(
        ecg_id, patient=patient, reason="wrong patient" if patient else "codes changed", now=ward.now, actor="operator"
    )


def _resend(ward: Any, **more: Any) -> Any:
    return ward.store.results.resend(now=ward.now, actor="operator", **more)


def _refuse(ward: Any) -> Any:
    (message,) = ward.claim_messages()
    retry = refused(Ack(code="AE", control_id=message.control_id), attempts=1, now=ward.now)
    ward.store.outbox.fail(ward.on_the_wire(message), retry, now=ward.now, worker="sender")
    return message


def _kinds(ward: Any, ecg_id: int) -> list[tuple[str, str]]:
    return [(message.kind, message.state.value) for message in ward.store.ecgs.story(ecg_id).messages]


def test_what_was_acknowledged_is_withdrawn_by_a_message_of_its_own(ward: Any) -> None:
    ecg_id = _scored(ward)
    ward.send_all()
    assert len(_withdraw(ward, ecg_id).created) == 1
    assert _withdraw(ward, ecg_id).created == (), "withdrawn once"
    ward.send_all()
    assert _kinds(ward, ecg_id) == [("F", "acknowledged"), ("W", "acknowledged")]
    assert ward.store.results.told() == []


def test_what_never_should_have_been_is_deleted(ward: Any) -> None:
    ecg_id = _scored(ward)
    ward.send_all()
    assert len(_withdraw(ward, ecg_id, delete=True).created) == 1
    assert _withdraw(ward, ecg_id).created == (), "there is nothing left to withdraw"
    ward.send_all()
    assert _kinds(ward, ecg_id) == [("F", "acknowledged"), ("D", "acknowledged")]
    assert ward.store.results.told() == []
    assert "ecg.deleted" in [event.action for event in ward.store.ecgs.story(ecg_id).events]
    _correct(ward, ecg_id)
    ward.score_all()
    assert _kinds(ward, ecg_id)[2] == ("F", "waiting"), "a result after a deletion is a first one"


def test_a_refused_withdrawal_from_the_wrong_patient_is_never_composed_for_the_right_one(ward: Any) -> None:
    ecg_id = _scored(ward, "WRONG")
    ward.send_all()
    _correct(ward, ecg_id, ward.patient("RIGHT"))
    _refuse(ward)
    assert len(_resend(ward, recompose=True).created) == 1
    told = [(one.kind, one.state.value, one.body) for one in ward.store.ecgs.story(ecg_id).messages]
    (again,) = (body for kind, state, body in told if (kind, state) == ("W", "waiting"))
    assert b"|WRONG^MR^TESTHOSP|" in again


def test_what_never_left_is_cancelled_without_a_word_to_the_receiver(ward: Any) -> None:
    ecg_id = _scored(ward)
    report = _withdraw(ward, ecg_id)
    assert (report.created, len(report.cancelled)) == ((), 1)
    assert ward.claim_messages() == []
    assert _kinds(ward, ecg_id) == [("F", "cancelled")]


def test_a_result_of_unknown_fate_is_withdrawn_after_its_fate_is_known(ward: Any) -> None:
    ecg_id = _scored(ward)
    (message,) = ward.claim_messages()
    retry = after_failure(Unreachable("no answer"), attempts=1, limit=None, now=ward.now)
    ward.store.outbox.fail(ward.on_the_wire(message), retry, now=ward.now, worker="sender")
    _withdraw(ward, ecg_id)
    (first,) = ward.claim_messages(now=ward.later(minutes=1))
    assert first.message_id == message.message_id
    ward.acknowledge(first)
    (second,) = ward.claim_messages(now=ward.later(minutes=1))
    assert second.kind == "W"


def test_a_correction_to_the_unsent_cancels_and_goes_first(ward: Any) -> None:
    ecg_id = _scored(ward)
    _correct(ward, ecg_id)
    assert _kinds(ward, ecg_id) == [("F", "cancelled")], "it is judged again first"
    ward.score_all()
    assert _kinds(ward, ecg_id) == [("F", "cancelled"), ("F", "waiting")]


def test_a_correction_of_the_sent_is_a_c(ward: Any) -> None:
    ecg_id = _scored(ward)
    ward.send_all()
    _correct(ward, ecg_id)
    ward.score_all()
    assert _kinds(ward, ecg_id) == [("F", "acknowledged"), ("C", "waiting")]
    first, second = ward.store.ecgs.story(ecg_id).messages
    assert first.control_id != second.control_id


def test_a_result_of_the_wrong_patient_is_withdrawn_there_before_it_goes_to_the_right_one(ward: Any) -> None:
    ecg_id = _scored(ward, "WRONG")
    ward.send_all()
    right = ward.patient("RIGHT", sex="F")
    _correct(ward, ecg_id, right)
    ward.score_all()
    (withdrawal,) = ward.claim_messages()
    assert withdrawal.kind == "W"
    assert ward.addressed(withdrawal) == "WRONG^MR^TESTHOSP"
    assert ward.claim_messages(worker="another") == [], "the right patient's result waits for the withdrawal"
    ward.acknowledge(ward.on_the_wire(withdrawal))
    (fresh,) = ward.claim_messages()
    assert fresh.kind == "F"
    assert b"|RIGHT^MR^TESTHOSP|Testperson|F|" in ward.begin(fresh)
    assert ward.store.ecgs.story(ecg_id).ecg.ecg.patient == right
    assert b"RIGHT" not in ward.store.ecgs.payload(ecg_id).content
    assert all("RIGHT" not in str(event.detail) for event in ward.store.ecgs.story(ecg_id).events)


def test_results_are_found_by_model_and_time_for_a_recall(ward: Any) -> None:
    bad = _scored(ward, "A", model_id="bad" + "0" * 61)
    good = _scored(ward, "B", model_id="good" + "0" * 60)
    found = ward.store.results.told(model_id="bad")
    assert [(one.ecg_id, one.may_have_left) for one in found] == [(bad, False)]
    assert [one.ecg_id for one in ward.store.results.told(since=ward.now)] == [bad, good]
    assert ward.store.results.told(since=ward.later(seconds=1)) == []
    assert ward.store.results.told(model_id="%") == []


def test_a_dead_letter_goes_again_with_the_same_bytes(ward: Any) -> None:
    _scored(ward)
    dead = _refuse(ward)
    (body,) = (one.body for one in ward.store.ecgs.story(dead.ecg_id).messages)
    _resend(ward)
    (again,) = ward.claim_messages()
    assert (again.control_id, ward.begin(again)) == (dead.control_id, body)


def test_or_composed_anew_under_a_new_number(ward: Any) -> None:
    _scored(ward)
    dead = _refuse(ward)
    _resend(ward, recompose=True)
    (again,) = ward.claim_messages()
    assert again.control_id != dead.control_id
    assert again.control_id.encode() in ward.begin(again)


def test_a_dead_letter_of_a_patient_merged_since_is_composed_anew(ward: Any) -> None:
    _scored(ward, "OLD")
    dead = _refuse(ward)
    ward.merge("OLD", "NEW")
    _resend(ward, destination="ehr")
    (again,) = ward.claim_messages()
    assert again.control_id != dead.control_id
    assert ward.addressed(again) == "NEW^MR^TESTHOSP"


def test_a_dead_letter_that_a_later_result_has_overtaken_is_not_sent_again(ward: Any) -> None:
    ecg_id = _scored(ward)
    _refuse(ward)
    ward.store.jobs.rescore([ecg_id], now=ward.now, actor="operator")
    ward.score_all(probability=0.9)
    assert ward.store.ecgs.story(ecg_id).messages[0].state is MessageState.CANCELLED
    ward.send_all()
    report = _resend(ward)
    assert (report.created, report.cancelled) == ((), ())
    assert ward.claim_messages() == []
    assert ward.store.ecgs.story(ecg_id).messages[0].state is MessageState.CANCELLED


def test_other_destinations_dead_letters_are_left_alone(ward: Any) -> None:
    _scored(ward)
    _refuse(ward)
    assert _resend(ward, destination="archive").created == ()
    assert ward.store.questions.backlog().destinations["ehr"].dead == 1


def test_nothing_to_correct_is_said_so(ward: Any) -> None:
    with pytest.raises(NotFound):
        _withdraw(ward, 99)
    (ecg_id,) = ward.take().ecg_ids
    with pytest.raises(StoreError, match="no score yet"):
        _correct(ward, ecg_id)
