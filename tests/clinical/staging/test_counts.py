"""received = scored + not evaluable + failed + waiting, for any period, whatever happened in it."""

import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import jobs
from ecgfm_clinical.staging.records import AttemptError, Counts, EcgState, Retry
from ecgfm_connectors.ecg import Order
from ecgfm_connectors.errors import Refused, Unreadable


def _closes(counts: Counts) -> bool:
    return counts.received == counts.scored + counts.not_evaluable + counts.failed + counts.waiting


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_sum_closes_for_every_period_and_agrees_with_each_ecgs_own_story(ward: Any, seed: int) -> None:
    chance = random.Random(seed)
    start = ward.now - timedelta(days=3)
    received: list[tuple[Any, str, int | None]] = []  # when, source, ecg_id or None where refused
    for n in range(30):
        at = start + timedelta(hours=chance.uniform(0, 70))
        source = chance.choice(["carts", "folder"])
        package = ward.received(f"{seed}-{n}".encode(), received_at=at, source=source)
        if chance.random() < 0.2:
            refusal = chance.choice([Refused("not-ecg-class", "no"), Unreadable("truncated", "no")])
            ward.take(refusal, package)
            if chance.random() < 0.5:  # refused for good
                received.append((at, source, None))
                continue
        ecg_ids = ward.take(received=package).ecg_ids
        assert ward.take(received=package).ecg_ids == ecg_ids  # the sender repeats itself
        received.append((at, source, ecg_ids[0]))
    _work(ward, chance)
    stories = {one: ward.store.ecgs.story(one).state for at, source, one in received if one is not None}
    for _ in range(25):
        since, until = sorted(start + timedelta(hours=chance.uniform(-5, 80)) for _ in range(2))
        table = ward.store.questions.count_table(since=since, until=until)
        inside = [(source, one) for at, source, one in received if since <= at < until]
        assert table.total.received == len(inside)
        assert all(map(_closes, [table.total, *table.by_source.values(), *table.by_head.values()]))
        for source, counts in table.by_source.items():
            assert counts.received == sum(at == source for at, _ in inside)
        told = Counter(stories[one] for _, one in inside if one in stories)
        assert table.total.scored == told[EcgState.SCORED]
        assert table.total.not_evaluable == told[EcgState.NOT_EVALUABLE]
    everything = ward.store.questions.count_table()
    assert everything == ward.store.questions.count_table(
        since=start - timedelta(days=2), until=ward.now + timedelta(days=9)
    )


def _work(ward: Any, chance: random.Random) -> None:
    for job in ward.claim(limit=20, now=ward.later(days=1)):
        fate = chance.random()
        if fate < 0.2:
            error = AttemptError(at=ward.now, attempt=1, kind="X", text="x")
            ward.store.jobs.fail(job, Retry(due_at=None, error=error), now=ward.now, worker="scorer")
        elif fate < 0.8:
            ward.finish(job, probability=chance.choice([None, 0.2]))


def test_a_period_inside_one_day_and_one_over_midnight(ward: Any) -> None:
    midnight = ward.now.replace(hour=0, minute=0, second=0, microsecond=0)
    for hours in (-1, 0, 1, 23, 24, 25):
        ward.take(received=ward.received(received_at=midnight + timedelta(hours=hours)))

    def received(since: float, until: float) -> int:
        counts = ward.store.questions.counts(
            since=midnight + timedelta(hours=since), until=midnight + timedelta(hours=until)
        )
        return int(counts.received)

    assert received(0, 24) == 3
    assert received(0.5, 2) == 1
    assert received(-2, 0) == 1
    assert received(-2, 24.5) == 5
    assert received(1, 1) == 0
    assert ward.store.questions.counts(since=midnight).received == 5
    assert ward.store.questions.counts(until=midnight).received == 1


def test_each_head_counts_what_it_was_asked(ward: Any) -> None:
    for _ in range(4):
        ward.take()
    first, second, third = ward.claim(limit=3)
    ward.finish(first)
    ward.finish(second, probability=None)
    error = AttemptError(at=ward.now, attempt=1, kind="X", text="x")
    ward.store.jobs.fail(third, Retry(due_at=None, error=error), now=ward.now, worker="scorer")
    heads = ward.store.questions.count_table().by_head
    assert heads["reduced_lvef"] == Counts(received=4, scored=1, not_evaluable=1, failed=1, waiting=1)
    assert heads["troponin"] == Counts(received=4, scored=0, not_evaluable=2, failed=1, waiting=1)


def test_an_ecg_that_failed_needs_nobody_once_it_is_scored_again(ward: Any) -> None:
    """Its failed job was counted for ever, so that `status` and the alert never came to rest."""
    ward.take()
    (job,) = ward.claim(limit=1)
    error = AttemptError(at=ward.now, attempt=1, kind="X", text="x")
    ward.store.jobs.fail(job, Retry(due_at=None, error=error), now=ward.now, worker="scorer")
    assert ward.store.questions.backlog().jobs_failed == 1
    ward.store.jobs.rescore([job.ecg_id], now=ward.now, actor="test")
    assert ward.store.questions.backlog().jobs_failed == 0
    ward.score_all()
    assert ward.store.questions.backlog().jobs_failed == 0


def _fail_for_good(ward: Any) -> int:
    (job,) = ward.claim(limit=1)
    error = AttemptError(at=ward.now, attempt=1, kind="X", text="x")
    ward.store.jobs.fail(job, Retry(due_at=None, error=error), now=ward.now, worker="scorer")
    return int(job.ecg_id)


def test_an_ecg_that_can_never_be_scored_needs_nobody_once_a_person_says_so(ward: Any) -> None:
    ward.take()
    ecg_id = _fail_for_good(ward)
    ((waits, error),) = [(one.ecg_id, one.error) for one in ward.store.failed_ecgs.waiting()]
    assert (waits, error) == (ecg_id, "X")
    ward.store.failed_ecgs.settle(ecg_id, reason="no signal on any lead", now=ward.now, actor="operator")
    assert (ward.store.failed_ecgs.waiting(), ward.store.questions.backlog().jobs_failed) == ([], 0)
    assert ward.store.questions.counts().failed == 1, "the sum closes as before"
    assert ward.store.ecgs.story(ecg_id).events[-1].detail["reason"] == "no signal on any lead"
    with pytest.raises(NotFound):
        ward.store.failed_ecgs.settle(ecg_id, reason="again", now=ward.now, actor="operator")
    ward.store.jobs.rescore([ecg_id], now=ward.now, actor="test")
    _fail_for_good(ward)
    assert ward.store.questions.backlog().jobs_failed == 1, "it was asked for again, and failed again"


def test_an_ecg_that_failed_and_was_taken_back_needs_nobody(ward: Any) -> None:
    ward.take()
    ecg_id = _fail_for_good(ward)
    ward.take()
    withdrawn = ward.store.ecgs.newest(limit=1)[0].ecg_id
    for one in (ecg_id, withdrawn):
        with ward.store.database.writing(ward.now, "cart") as tx:
            jobs.drop(tx, one)
    assert ward.store.questions.counts().failed == 2
    assert ward.store.questions.backlog().jobs_failed == 0


def test_a_version_that_failed_needs_nobody_once_a_newer_one_came(ward: Any) -> None:
    (first,) = ward.take().ecg_ids
    assert _fail_for_good(ward) == first
    said = ward.store.ecgs.story(first).ecg.ecg
    (second,) = ward.take(replace(said, order=Order(accession="A-1"))).ecg_ids
    assert second != first
    assert ward.store.questions.backlog().jobs_failed == 0
    assert _fail_for_good(ward) == second
    assert [one.ecg_id for one in ward.store.failed_ecgs.waiting()] == [second]


def test_the_backlog_tells_what_waits_and_since_when(ward: Any) -> None:
    for _ in range(3):
        ward.take()
    ward.claim(limit=1)
    backlog = ward.store.questions.backlog()
    assert (backlog.jobs_waiting, backlog.jobs_running, backlog.jobs_failed) == (2, 1, 0)
    assert backlog.oldest_job == ward.now
    ward.score_all()
    ward.claim_messages(limit=1)
    ehr = ward.store.questions.backlog().destinations["ehr"]
    assert (ehr.waiting, ehr.running, ehr.dead, ehr.oldest) == (1, 1, 0, ward.later(seconds=2))


def test_lists_ecgs_newest_first_in_pages(ward: Any) -> None:
    ids = [ward.take().ecg_ids[0] for _ in range(5)]
    ward.score_all()
    first = ward.store.ecgs.newest(limit=3)
    rest = ward.store.ecgs.newest(limit=3, before=first[-1].ecg_id)
    assert [one.ecg_id for one in first + rest] == ids[::-1]
    assert first[0].state is EcgState.SCORED
    assert [score.head for score in first[0].scores] == ["reduced_lvef", "troponin"]
    assert [message.destination for message in first[0].messages] == ["ehr"]
