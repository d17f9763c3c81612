"""Callers that come while a commit is under way share the next one; each is answered for its own item."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event, func, select

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.staging.group_commit import GroupCommit
from ecgfm_clinical.staging.schema import audit, score_job
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Verdict
from ecgfm_connectors.errors import Unreadable
from tests.helpers.fakes import wait_until


class Disk:
    """Commits numbers, the first of them only when it is let; a 13 in a group spoils it."""

    def __init__(self, spoilt_by: Exception) -> None:
        self.spoilt_by = spoilt_by
        self.groups: list[list[int]] = []
        self.begun, self.let = threading.Event(), threading.Event()

    def commit(self, items: Sequence[int]) -> list[str]:
        self.groups.append(list(items))
        if len(self.groups) == 1:
            self.begun.set()
            assert self.let.wait(60)
        if 13 in items:
            raise self.spoilt_by
        return [f"kept {item}" for item in items]


def together(disk: Disk, first: int, others: Sequence[int]) -> list[Future[str]]:
    """`others` come while `first` is being committed."""
    gate = GroupCommit(disk.commit)
    with ThreadPoolExecutor(1 + len(others)) as threads:
        calls = [threads.submit(gate, first)]
        assert disk.begun.wait(60)
        for number, item in enumerate(others, start=1):
            calls.append(threads.submit(gate, item))
            wait_until(lambda number=number: len(gate._waiting) == number)  # type: ignore[misc]
        disk.let.set()
    return calls


def test_those_who_wait_share_one_commit() -> None:
    disk = Disk(ValueError())
    calls = together(disk, 1, [2, 3, 4])
    assert [call.result() for call in calls] == ["kept 1", "kept 2", "kept 3", "kept 4"]
    assert disk.groups == [[1], [2, 3, 4]]


def test_one_bad_item_costs_the_others_nothing() -> None:
    disk = Disk(ValueError("thirteen"))
    calls = together(disk, 1, [2, 13, 4])
    assert [call.result() for call in (calls[0], calls[1], calls[3])] == ["kept 1", "kept 2", "kept 4"]
    with pytest.raises(ValueError, match="thirteen"):
        calls[2].result()
    assert disk.groups == [[1], [2, 13, 4], [2], [13], [4]]


def test_a_database_that_is_away_is_asked_once_for_all() -> None:
    disk = Disk(StoreUnavailable("away"))
    calls = together(disk, 1, [2, 13, 4])
    assert calls[0].result() == "kept 1"
    for call in calls[1:]:
        with pytest.raises(StoreUnavailable):
            call.result()
    assert disk.groups == [[1], [2, 13, 4]]


def test_after_a_failure_the_next_caller_is_served() -> None:
    def divide(items: Sequence[int]) -> list[int]:
        return [10 // item for item in items]

    gate = GroupCommit(divide)
    with pytest.raises(ZeroDivisionError):
        gate(0)
    assert gate(5) == 2


def test_each_of_many_payloads_is_staged_once_with_its_own_job_and_trail(ward: Any, store: Store) -> None:
    """Twelve senders at once, two of them with the same bytes, one with bytes that do not decode."""
    commits = 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1

    same, broken = ward.received(b"the same bytes"), ward.received(b"broken")
    event.listen(store.database.writer, "commit", count)
    try:
        with ThreadPoolExecutor(13) as threads:
            calls: list[Future[Verdict]] = [threads.submit(ward.take, ward.ecg()) for _ in range(10)]
            calls += [threads.submit(ward.take, ward.ecg("1.2.3"), same) for _ in range(2)]
            calls.append(threads.submit(ward.take, Unreadable("truncated", "cut off"), broken))
            verdicts = [call.result() for call in calls]
    finally:
        event.remove(store.database.writer, "commit", count)
    dispositions = [verdict.disposition for verdict in verdicts]
    assert dispositions.count(Disposition.STAGED) == 11
    assert dispositions.count(Disposition.DUPLICATE) == 1
    assert verdicts[-1].code == "truncated"
    staged = {verdict.ecg_ids for verdict in verdicts if verdict.ecg_ids}
    assert len(staged) == 11
    assert commits <= 13
    with store.database.reader.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(score_job)) == 11
        noted = select(func.count()).select_from(audit).where(audit.c.action == "ecg.staged")
        assert connection.scalar(noted) == 11
    assert store.care.audit_faults() == []
