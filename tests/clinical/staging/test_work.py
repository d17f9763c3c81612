"""Score jobs are done by one worker at a time, most urgent first, and none is lost with its worker."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from ecgfm_clinical.errors import LeaseLost, NotFound
from ecgfm_clinical.staging.records import EcgState, JobState, MessageState
from ecgfm_clinical.staging.retry import after_failure

pytestmark = pytest.mark.slow(3)


def test_stat_first_then_in_order_of_arrival(ward: Any) -> None:
    routine = [ward.take().ecg_ids[0] for _ in range(2)]
    urgent = ward.take_stat().ecg_ids[0]
    assert [job.ecg_id for job in ward.claim(limit=1)] == [urgent]
    assert [job.ecg_id for job in ward.claim()] == routine


def test_many_workers_share_the_jobs_and_none_is_done_twice(ward: Any) -> None:
    for _ in range(40):
        ward.take()

    def work(worker: str) -> list[int]:
        mine = []
        while jobs := ward.claim(worker=worker, limit=3):
            for job in jobs:
                ward.finish(job, worker=worker)
                mine.append(job.ecg_id)
        return mine

    done = [one for mine in ward.at_once([lambda w=f"w{n}": work(w) for n in range(4)]) for one in mine]
    assert sorted(done) == sorted(set(done))
    assert len(done) == ward.store.questions.counts().scored == 40


def test_scores_message_and_finished_job_are_one_step(ward: Any) -> None:
    (ecg_id,) = ward.take().ecg_ids
    (job,) = ward.claim()
    ward.finish(job, ["ehr", "archive"])
    story = ward.store.ecgs.story(ecg_id)
    assert (story.state, story.job_state) == (EcgState.SCORED, JobState.DONE)
    assert story.scorings == (ward.scoring(ecg_id),)
    assert [(m.destination, m.kind, m.state) for m in story.messages] == [
        ("ehr", "F", MessageState.WAITING),
        ("archive", "F", MessageState.WAITING),
    ]
    assert len({m.control_id for m in story.messages}) == 2


def test_nothing_of_a_scoring_is_kept_when_its_message_cannot_be_made(ward: Any) -> None:
    (ecg_id,) = ward.take().ecg_ids
    (job,) = ward.claim()

    def no_number() -> str:
        raise RuntimeError("no control id")

    with pytest.raises(RuntimeError):
        ward.with_telling(control_ids=no_number).jobs.finish(
            [(job, ward.scoring(ecg_id))], now=ward.now, worker="scorer"
        )
    story = ward.store.ecgs.story(ecg_id)
    assert (story.state, story.job_state, story.scorings) == (EcgState.WAITING, JobState.RUNNING, ())


def test_an_ecg_no_head_can_score_is_not_evaluable_and_still_reported(ward: Any) -> None:
    (ecg_id,) = ward.take().ecg_ids
    ward.score_all(probability=None)
    assert ward.store.ecgs.story(ecg_id).state is EcgState.NOT_EVALUABLE
    assert len(ward.claim_messages()) == 1


def test_a_failed_attempt_comes_back_when_due_and_keeps_its_error(ward: Any) -> None:
    (ecg_id,) = ward.take().ecg_ids
    (job,) = ward.claim()
    failed_at = ward.later(seconds=5)
    retry = after_failure(ValueError("private"), attempts=job.attempts, limit=2, now=failed_at)
    ward.store.jobs.fail(job, retry, now=failed_at, worker="scorer")
    assert ward.claim(now=failed_at) == []
    assert retry.due_at is not None
    (again,) = ward.claim(now=retry.due_at)
    assert again.attempts == 2
    last = after_failure(ValueError("private"), attempts=2, limit=2, now=retry.due_at)
    ward.store.jobs.fail(again, last, now=retry.due_at, worker="scorer")
    story = ward.store.ecgs.story(ecg_id)
    assert (story.state, story.job_state) == (EcgState.FAILED, JobState.FAILED)
    assert [(error.attempt, error.kind) for error in story.job_errors] == [(1, "ValueError"), (2, "ValueError")]
    assert "private" not in repr(story.job_errors)
    assert ward.store.questions.counts().failed == 1


def test_a_dead_workers_jobs_come_back_when_its_lease_ends(ward: Any) -> None:
    ward.take()
    (job,) = ward.claim(worker="dead")
    assert ward.store.leases.reap(now=ward.later(minutes=4)) == 0
    assert ward.store.leases.prolong("dead", now=ward.later(minutes=4), lease=ward.lease) == 1
    assert ward.store.leases.reap(now=ward.later(minutes=6)) == 0
    assert ward.store.leases.reap(now=ward.later(minutes=9, seconds=1)) == 1
    (again,) = ward.claim(worker="alive", now=ward.later(minutes=10))
    with pytest.raises(LeaseLost):
        ward.finish(job, worker="dead")
    ward.finish(again, worker="alive")
    assert ward.store.questions.counts().scored == 1
    assert len(ward.claim_messages()) == 1


def test_a_worker_that_comes_back_under_its_name_takes_its_own_jobs_back_at_once(ward: Any) -> None:
    ward.take()
    (old,) = ward.claim(worker="host-1")
    assert ward.store.leases.reap(now=ward.later(seconds=2), worker="host-2") == 0
    assert ward.store.leases.reap(now=ward.later(seconds=2), worker="host-1") == 1
    (new,) = ward.claim(worker="host-1", now=ward.later(seconds=3))
    with pytest.raises(LeaseLost):  # the name alone is no proof: the attempt must be the same
        ward.finish(old, worker="host-1")
    ward.finish(new, worker="host-1")


def test_what_kills_the_worker_fails_alone(ward: Any) -> None:
    poison, *healthy = [ward.take().ecg_ids[0] for _ in range(5)]
    ward.claim()  # a worker takes all five and dies
    assert ward.store.leases.reap(now=ward.later(minutes=6), max_attempts=3) == 5
    now = ward.later(minutes=6)
    for _ in range(20):
        jobs = ward.claim(now=now)
        if not jobs:
            break
        assert len(jobs) == 1, "a job that a worker died with is claimed alone"
        if jobs[0].ecg_id == poison:
            now += ward.lease * 2  # dies again
            ward.store.leases.reap(now=now, max_attempts=3)
        else:
            ward.finish(jobs[0])
    assert ward.store.ecgs.story(poison).state is EcgState.FAILED
    assert [error.kind for error in ward.store.ecgs.story(poison).job_errors] == ["WorkerDied"] * 3
    assert {ward.store.ecgs.story(one).state for one in healthy} == {EcgState.SCORED}


def test_a_suspect_job_does_not_hold_up_the_healthy_ones(ward: Any) -> None:
    (suspect,) = ward.take().ecg_ids
    ward.claim()
    ward.store.leases.reap(now=ward.later(minutes=6))
    fresh = [ward.take(received=ward.received(received_at=ward.later(seconds=9))).ecg_ids[0] for _ in range(3)]
    claims = [[job.ecg_id for job in ward.claim(now=ward.later(minutes=7))] for _ in range(2)]
    assert sorted(claims, key=len) == [[suspect], fresh]


def test_a_worker_that_stops_gives_its_jobs_back_untouched(ward: Any) -> None:
    ward.take()
    ward.claim()
    assert ward.store.leases.release("scorer", now=ward.later(seconds=2)) == 1
    (job,) = ward.claim(worker="other")
    assert job.attempts == 1


def test_unknown_ecgs_are_not_found(ward: Any) -> None:
    with pytest.raises(NotFound, match="no ECG 99"):
        ward.store.ecgs.load([99])
    with pytest.raises(NotFound, match="no ECG 99"):
        ward.store.ecgs.story(99)


@pytest.mark.parametrize("back", [timedelta(minutes=5), timedelta(hours=1), timedelta(days=3650)], ids=str)
def test_a_clock_that_is_set_back_stops_no_work(ward: Any, back: timedelta) -> None:
    """What was dated some minutes ahead waited for its time, whole queues of it."""
    ward.take()
    (job,) = ward.claim(now=ward.now - back)
    ward.finish(job)
    assert len(ward.claim_messages(now=ward.now - back)) == 1


def test_a_lease_from_before_the_clock_was_set_back_is_taken_back_by_anyone(ward: Any) -> None:
    ward.take()
    assert len(ward.claim(worker="gone", now=ward.later(hours=9))) == 1
    assert ward.store.leases.reap(now=ward.later(hours=9)) == 0
    assert ward.store.leases.reap(now=ward.now) == 1
    assert len(ward.claim(worker="next")) == 1


def test_each_further_ecg_that_is_finished_asks_the_store_for_little(ward: Any) -> None:
    """Each statement costs as much processor time as a tenth of the preparation of an ECG."""
    store = ward.with_telling(destinations=("ehr",))
    asked: list[str] = []
    event.listen(store.database.writer, "before_cursor_execute", lambda *given: asked.append(given[2]))

    def finishing(count: int) -> int:
        for _ in range(count):
            ward.take()
        scored = [(job, ward.scoring(job.ecg_id)) for job in ward.claim(limit=count)]
        assert len(scored) == count
        asked.clear()
        assert store.jobs.finish(scored, now=ward.now, worker="scorer") == set()
        return len(asked)

    assert finishing(9) - finishing(1) <= 8 * 13
