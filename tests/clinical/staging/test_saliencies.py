"""Where a model looked: asked once, computed after all scoring, given back when a worker dies, gone with the person."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from ecgfm_clinical.errors import LeaseLost, NotFound, StoreError
from ecgfm_clinical.staging import saliencies
from ecgfm_clinical.staging.pauses import EVERYTHING
from ecgfm_clinical.staging.records import JobState
from ecgfm_clinical.staging.retry import after_failure, refused
from ecgfm_clinical.staging.saliencies import KeptSaliency, SaliencyJob

WEIGHTS = np.arange(12 * 250, dtype=np.uint8).reshape(12, 250)


def ask(ward: Any, ecg_id: int, **more: Any) -> int:
    given = {"head": "reduced_lvef", "label": "yes", "now": ward.now, "actor": "ada"} | more
    return int(ward.store.saliencies.ask(ecg_id, **given))


def claim(ward: Any, worker: str = "explainer", **later: float) -> SaliencyJob | None:
    now = ward.later(**(later or {"seconds": 5}))
    found: SaliencyJob | None = ward.store.saliencies.claim(worker=worker, now=now, lease=ward.lease)
    return found


def claimed(ward: Any, **more: Any) -> SaliencyJob:
    found = claim(ward, **more)
    assert found is not None
    return found


def only(ward: Any, ecg_id: int) -> KeptSaliency:
    (found,) = ward.store.saliencies.of(ecg_id)
    assert isinstance(found, KeptSaliency)
    return found


@pytest.fixture
def scored(ward: Any) -> int:
    (ecg_id,) = ward.take().ecg_ids
    ward.score_all()
    return int(ecg_id)


def test_a_question_is_asked_once_computed_and_shown(ward: Any, scored: int) -> None:
    number = ask(ward, scored)
    assert ask(ward, scored) == number
    assert only(ward, scored).state is JobState.WAITING
    job = claimed(ward)
    assert (job.ecg_id, job.head, job.label, job.model_id) == (scored, "reduced_lvef", "yes", "a" * 64)
    assert only(ward, scored).state is JobState.RUNNING
    assert claim(ward) is None
    with pytest.raises(NotFound, match="was computed"):
        ward.store.saliencies.weights(scored, number)
    ward.store.saliencies.finish(job, WEIGHTS, now=ward.now, worker="explainer")
    assert only(ward, scored).state is JobState.DONE
    np.testing.assert_array_equal(ward.store.saliencies.weights(scored, number), WEIGHTS)
    assert ask(ward, scored) == number
    assert claim(ward) is None
    assert [one.action for one in ward.store.care.trail() if one.action.startswith("saliency.")] == [
        "saliency.asked",
        "saliency.computed",
    ]


def test_scoring_goes_first(ward: Any, scored: int) -> None:
    ask(ward, scored)
    ward.take()
    assert claim(ward) is None
    ward.score_all()
    assert claim(ward) is not None


def test_nothing_is_computed_while_everything_is_paused(ward: Any, scored: int) -> None:
    ask(ward, scored)
    ward.store.pauses.pause(EVERYTHING, reason="new GPU", now=ward.now, actor="ada")
    assert claim(ward) is None
    ward.store.pauses.resume(EVERYTHING, reason="done", now=ward.now, actor="ada")
    assert claim(ward) is not None


def test_only_an_answer_that_counts_can_be_asked_about(ward: Any, scored: int) -> None:
    with pytest.raises(NotFound, match="nothing to explain"):
        ask(ward, scored, head="troponin")
    with pytest.raises(NotFound):
        ask(ward, 99)
    number = ask(ward, scored, scoring_id=ward.store.ecgs.scoring_of(scored))
    job = claimed(ward)
    ward.store.saliencies.finish(job, WEIGHTS, now=ward.now, worker="explainer")
    before = ward.store.ecgs.scoring_of(scored)
    ward.store.jobs.rescore([scored], now=ward.now, actor="ada")
    ward.score_all(probability=0.5)
    assert ward.store.saliencies.of(scored) == []
    with pytest.raises(NotFound):
        ward.store.saliencies.weights(scored, number)
    with pytest.raises(StoreError, match="scored anew"):
        ask(ward, scored, scoring_id=before)
    assert ask(ward, scored) != number


def test_the_queue_is_bounded(ward: Any, scored: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saliencies, "MOST_WAITING", 1)
    ask(ward, scored)
    (other,) = ward.take().ecg_ids
    ward.score_all()
    with pytest.raises(StoreError, match="ask again later"):
        ask(ward, other)
    ward.store.saliencies.finish(claimed(ward), WEIGHTS, now=ward.now, worker="explainer")
    ask(ward, other)


def test_a_question_whose_worker_died_waits_again_and_fails_in_the_end(ward: Any, scored: int) -> None:
    ask(ward, scored)
    job = claimed(ward)
    assert ward.store.leases.holders() == {"explainer"}
    dead = ward.later(seconds=5) + ward.lease + timedelta(seconds=1)
    ward.store.leases.prolong("explainer", now=ward.later(seconds=30), lease=ward.lease)
    assert ward.store.leases.reap(now=dead, max_attempts=2) == 0
    assert ward.store.leases.reap(now=dead, max_attempts=2, worker="explainer") == 1
    assert only(ward, scored).state is JobState.WAITING
    again = claimed(ward, worker="another", hours=1)
    with pytest.raises(LeaseLost):  # the first one was only slow
        ward.store.saliencies.finish(job, WEIGHTS, now=ward.now, worker="explainer")
    assert again.attempts == 2
    late = ward.later(hours=1) + ward.lease + timedelta(seconds=1)
    assert ward.store.leases.reap(now=late, max_attempts=2) == 1
    assert only(ward, scored) == KeptSaliency(
        saliency_id=job.saliency_id,
        head="reduced_lvef",
        label="yes",
        state=JobState.FAILED,
        asked_at=ward.now,
        error="the worker died or gave no sign of life",
    )
    ask(ward, scored)  # a person may try again
    assert (only(ward, scored).state, only(ward, scored).error) == (JobState.WAITING, "")
    assert claimed(ward, hours=2).attempts == 1


def test_who_stops_in_good_order_gives_it_back_as_no_attempt(ward: Any, scored: int) -> None:
    ask(ward, scored)
    claimed(ward)
    assert ward.store.leases.release("explainer", now=ward.now) == 1
    assert claimed(ward).attempts == 1


def test_a_failure_is_kept_with_its_reason(ward: Any, scored: int) -> None:
    ask(ward, scored)
    job = claimed(ward)
    retry = after_failure(NotFound("no signal"), attempts=1, limit=4, now=ward.later(seconds=5))
    ward.store.saliencies.fail(job, retry, now=ward.now, worker="explainer")
    assert claim(ward) is None
    assert (only(ward, scored).state, only(ward, scored).error) == (JobState.WAITING, "no signal")
    job = claimed(ward, minutes=1)
    ward.store.saliencies.fail(
        job, refused(NotFound("gone"), attempts=2, now=ward.now), now=ward.now, worker="explainer"
    )
    assert (only(ward, scored).state, only(ward, scored).error) == (JobState.FAILED, "gone")


def test_it_goes_with_the_person_and_with_the_signal(ward: Any, scored: int) -> None:
    ask(ward, scored)
    job = claimed(ward)
    ward.send_all()
    ward.store.erasing.erase(ward.identifier("4711"), reason="court order", now=ward.now, actor="ada")
    assert ward.store.saliencies.of(scored) == []
    with pytest.raises(LeaseLost):
        ward.store.saliencies.finish(job, WEIGHTS, now=ward.now, worker="explainer")
    (other,) = ward.take(patient=ward.patient("12")).ecg_ids
    ward.score_all()
    ward.send_all()
    ask(ward, other)
    ward.store.saliencies.finish(claimed(ward), WEIGHTS, now=ward.now, worker="explainer")
    ages = {"signals": timedelta(days=1)}
    ward.store.care.expire(now=ward.later(days=3), ages=ages, actor="store")
    assert ward.store.saliencies.of(other) == []
    with pytest.raises(StoreError, match="removed by retention"):
        ask(ward, other)
