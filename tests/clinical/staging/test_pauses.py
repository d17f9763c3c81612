"""A pause stops what it names and nothing else, on both databases; what comes meanwhile is neither lost nor doubled."""

from datetime import timedelta
from typing import Any

import pytest

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging.failed_ecgs import Settled
from ecgfm_clinical.staging.pauses import EVERYTHING, Part, Pause
from ecgfm_clinical.staging.records import AttemptError, Retry, Trust
from ecgfm_connectors.contents import Contents, Withdrawal
from ecgfm_connectors.patient import Patient

EHR, ARCHIVE = Part(kind="destination", name="ehr"), Part(kind="destination", name="archive")
HEAD, OTHER = Part(kind="head", name="reduced_lvef"), Part(kind="head", name="troponin")
HEADS = (HEAD.name, OTHER.name)


def pause(ward: Any, part: Part, reason: str = "a test") -> Pause:
    made: Pause = ward.store.pauses.pause(part, reason=reason, now=ward.now, actor="ada")
    return made


def resume(ward: Any, part: Part) -> Pause:
    ended: Pause = ward.store.pauses.resume(part, reason="over", now=ward.now, actor="bob")
    return ended


def claim(ward: Any) -> list[Any]:
    found: list[Any] = ward.store.jobs.claim(
        worker="scorer", limit=10, now=ward.later(seconds=1), lease=timedelta(minutes=5), heads=HEADS
    )
    return found


def score_all(ward: Any) -> None:
    while jobs := claim(ward):
        for job in jobs:
            ward.finish(job)


def answers(ward: Any, ecg_id: int) -> list[set[str]]:
    return [{one.head for one in scoring.scores} for scoring in ward.store.ecgs.story(ecg_id).scorings]


def test_everything_stops_claims_and_what_comes_is_received(ward: Any) -> None:
    ward.take()
    ward.score_all()
    ward.take()
    pause(ward, EVERYTHING)
    ward.take()
    assert claim(ward) == []
    assert ward.claim_messages() == []
    assert ward.store.pauses.stops(EHR)
    counts = ward.store.questions.counts()
    assert (counts.received, counts.scored, counts.waiting) == (3, 1, 2)
    pause(ward, EHR)
    resume(ward, EVERYTHING)
    assert len(claim(ward)) == 2
    assert ward.claim_messages() == [], "paused by itself as well"
    resume(ward, EHR)
    assert len(ward.claim_messages()) == 1


def test_a_destination_waits_and_others_go_on(ward: Any) -> None:
    pause(ward, EHR)
    ward.take()
    ward.score_all(("ehr", "archive"))
    assert ward.claim_messages(destination="ehr") == []
    assert len(ward.claim_messages(destination="archive")) == 1
    resume(ward, EHR)
    assert len(ward.claim_messages(destination="ehr")) == 1


def test_the_answer_of_a_paused_head_is_owed_and_follows_as_a_correction(ward: Any) -> None:
    pause(ward, HEAD)
    ward.take()
    score_all(ward)
    assert answers(ward, 1) == [{OTHER.name}]
    assert ward.store.pauses.owed() == {HEAD.name: 1}
    by_head = ward.store.questions.count_table().by_head
    assert (by_head[HEAD.name].received, by_head[HEAD.name].waiting) == (1, 1)
    inside = ward.store.questions.count_table(since=ward.now - timedelta(hours=1), until=ward.now + timedelta(hours=1))
    assert inside.by_head == by_head, "counted row by row as by the tally"
    assert claim(ward) == [], "owed while it is paused"
    assert len(ward.send_all()) == 1
    resume(ward, HEAD)
    score_all(ward)
    assert answers(ward, 1) == [{OTHER.name}, set(HEADS)]
    assert ward.store.pauses.owed() == {}
    table = ward.store.questions.count_table()
    assert [(one.received, one.waiting) for one in table.by_head.values()] == [(1, 0), (1, 0)]
    assert [one.kind for one in ward.store.ecgs.story(1).messages] == ["F", "C"]
    assert claim(ward) == [], "given out once"
    assert ward.store.care.audit_faults() == []


@pytest.mark.parametrize("goes_on_first", [False, True])
def test_a_recording_that_its_sender_took_back_is_owed_nothing(ward: Any, goes_on_first: bool) -> None:
    pause(ward, HEAD)
    one = ward.ecg()
    ward.take(one)
    score_all(ward)
    if goes_on_first:  # and the ECG waits for its second scoring
        resume(ward, HEAD)
        assert len(claim(ward)) == 1
        ward.store.leases.release("scorer", now=ward.now)
    taken_back = Withdrawal(source_ids=(one.source_id,), order_id="", patient=Patient(), status="W")
    ward.store.intake.record(
        ward.received(),
        Contents(withdrawals=(taken_back,)),
        now=ward.now,
        actor="carts",
        trust=Trust(corrected_patient="follow", sender_withdrawal="follow"),
    )
    if not goes_on_first:
        resume(ward, HEAD)
    score_all(ward)
    assert answers(ward, 1) == [{OTHER.name}]
    assert ward.store.pauses.owed() == {}
    assert HEAD.name not in ward.store.questions.count_table().by_head


@pytest.mark.parametrize("goes_on_first", [False, True])
def test_a_result_that_a_person_took_back_is_not_told_again_by_an_answer_that_was_owed(
    ward: Any, goes_on_first: bool
) -> None:
    """Until somebody wants it told: then with every answer."""
    pause(ward, HEAD)
    ward.take()
    score_all(ward)
    ward.send_all()
    if goes_on_first:  # and the ECG waits for its second scoring
        resume(ward, HEAD)
        assert len(claim(ward)) == 1
        ward.store.leases.release("scorer", now=ward.now)
    ward.store.results.withdraw(1, reason="not this patient", now=ward.now, actor="ada")
    if not goes_on_first:
        resume(ward, HEAD)
    score_all(ward)
    assert answers(ward, 1) == [{OTHER.name}]
    assert [message.kind for message in ward.store.ecgs.story(1).messages][-1] == "W"
    assert ward.store.pauses.owed() == {}
    ward.store.results.correct(1, reason="this patient after all", now=ward.now, actor="ada")
    score_all(ward)
    assert answers(ward, 1) == [{OTHER.name}, set(HEADS)]
    assert ward.store.care.audit_faults() == []


def fail_what_is_owed(ward: Any) -> int:
    """A head was paused when this ECG was scored; it goes on, and scoring the ECG again fails for good."""
    pause(ward, HEAD)
    ward.take()
    score_all(ward)
    resume(ward, HEAD)
    fail(ward)
    return int(ward.store.ecgs.newest(limit=1)[0].ecg_id)


def fail(ward: Any) -> None:
    (job,) = claim(ward)
    error = AttemptError(at=ward.now, attempt=1, kind="NoSignal", text="the signal is gone")
    ward.store.jobs.fail(job, Retry(due_at=None, error=error), now=ward.now, worker="scorer")


def test_an_owed_answer_that_cannot_be_given_waits_for_a_person_until_it_is_settled(ward: Any) -> None:
    """It was counted as waiting for ever, and nobody was asked to look."""
    ecg_id = fail_what_is_owed(ward)
    (found,) = ward.store.failed_ecgs.waiting()
    assert (found.ecg_id, found.error, found.owed) == (ecg_id, "NoSignal", (HEAD.name,))
    assert ward.store.questions.backlog().jobs_failed == 1
    settled = ward.store.failed_ecgs.settle(ecg_id, reason="no signal", now=ward.now, actor="ada")
    assert ward.store.failed_ecgs.waiting() == []
    assert (ward.store.questions.backlog().jobs_failed, ward.store.pauses.owed()) == (0, {})
    assert HEAD.name not in ward.store.questions.count_table().by_head
    assert ward.store.questions.counts().not_evaluable == 1, "the other head's answer stands"
    assert ward.store.failed_ecgs.unsettle(settled, now=ward.now, actor="ada")
    assert ward.store.failed_ecgs.waiting() == [found]
    assert ward.store.pauses.owed() == {HEAD.name: 1}
    assert ward.store.questions.count_table().by_head[HEAD.name].waiting == 1
    assert not ward.store.failed_ecgs.unsettle(settled, now=ward.now, actor="ada"), "once"
    assert claim(ward) == [], "a person decides whether it is tried again"


def test_an_owed_answer_that_is_given_after_all_needs_nobody(ward: Any) -> None:
    ecg_id = fail_what_is_owed(ward)
    ward.store.jobs.rescore([ecg_id], now=ward.now, actor="test")
    assert ward.store.failed_ecgs.waiting() == [], "it is being tried"
    score_all(ward)
    assert (ward.store.failed_ecgs.waiting(), ward.store.pauses.owed()) == ([], {})
    settled = Settled(ecg_id=ecg_id, at=ward.now, owed=(HEAD.name,))
    assert not ward.store.failed_ecgs.unsettle(settled, now=ward.now, actor="ada"), "it has its answer by now"


def test_where_every_head_is_paused_ecgs_wait_and_a_result_that_comes_too_late_is_not_kept(ward: Any) -> None:
    ward.take()
    (job,) = claim(ward)
    pause(ward, HEAD)
    pause(ward, OTHER)
    lost = ward.store.jobs.finish([(job, ward.scoring(1))], now=ward.later(seconds=2), worker="scorer")
    assert lost == {job.job_id}
    assert answers(ward, 1) == []
    assert claim(ward) == []
    resume(ward, OTHER)
    (again,) = claim(ward)
    assert again.attempts == 1, "it was no attempt"


def test_two_operators_the_second_is_told_what_the_first_did(ward: Any) -> None:
    pause(ward, EHR, "the receiver is mended")
    with pytest.raises(StoreError, match=r"destination ehr is paused already .* by ada: the receiver is mended"):
        pause(ward, EHR)
    resume(ward, EHR)
    with pytest.raises(StoreError, match=r"destination ehr is not paused: bob resumed it at .*: over"):
        resume(ward, EHR)
    assert [one.action for one in ward.store.care.trail() if one.action.startswith("pause.")] == [
        "pause.begun",
        "pause.ended",
    ]
    assert pause(ward, EHR).pause_id > 1, "and again"


def test_a_watch_asks_the_store_twice_a_second(ward: Any) -> None:
    now = [0.0]
    is_paused = ward.store.pauses.watch(EHR, lambda: now[0])
    assert not is_paused()
    pause(ward, EVERYTHING)
    assert not is_paused()
    now[0] += 0.5
    assert is_paused()
