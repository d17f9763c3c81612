"""The schedule: cursors move only over what was kept, one process pulls, a late run runs once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Event

import pytest

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.service import schedule
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Handler, PullReport, Received, Verdict
from ecgfm_connectors.errors import Unreachable
from tests.helpers.fakes import Clock, wait_until

TERM = timedelta(minutes=1)


class Archive:
    """A source that offers the same payloads at each pull."""

    name = "archive"

    def __init__(self, *payloads: bytes, problems: Sequence[str] = ()) -> None:
        self.payloads = payloads
        self.problems = tuple(problems)
        self.cursors: list[str | None] = []
        self.away = False

    def pull(self, handle: Handler, *, cursor: str | None, now: datetime) -> PullReport:
        if self.away:
            raise Unreachable("archive does not answer")
        self.cursors.append(cursor)
        verdicts = tuple(
            handle(Received(transport="dicom", source=self.name, content=content, received_at=now))
            for content in self.payloads
        )
        return PullReport(cursor="2026-03-01", offered=len(verdicts), verdicts=verdicts, problems=self.problems)

    def check(self) -> str:
        return "answers"


def keeps(received: Received) -> Verdict:
    return Verdict(disposition=Disposition.STAGED)


def postpones(received: Received) -> Verdict:
    return Verdict(disposition=Disposition.TRY_LATER)


@pytest.mark.parametrize(
    ("handle", "problems", "expected"),
    [(keeps, (), "2026-03-01"), (postpones, (), None), (keeps, ("one object could not be fetched",), None)],
)
def test_the_cursor_moves_only_when_everything_was_kept(
    store: Store, clock: Clock, handle: Handler, problems: Sequence[str], expected: str | None
) -> None:
    source = Archive(b"a", b"b", problems=problems)
    schedule.pull(source, handle, store, now=clock())
    assert store.coordination.cursor("archive") == expected
    schedule.pull(source, handle, store, now=clock())
    assert source.cursors == [None, expected]


def test_one_process_pulls_and_another_takes_over_when_it_is_gone(store: Store, clock: Clock) -> None:
    source = Archive(b"a")
    first, second = (
        schedule.pulled_by_leader(source, keeps, store, clock=clock, holder=name, term=TERM) for name in ("one", "two")
    )
    first()
    second()
    assert len(source.cursors) == 1
    clock.advance(minutes=2)
    second()
    first()
    assert len(source.cursors) == 2


def test_a_source_that_is_away_is_met_next_time(store: Store, clock: Clock) -> None:
    source = Archive(b"a")
    run = schedule.pulled_by_leader(source, keeps, store, clock=clock, holder="one", term=TERM)
    source.away = True
    run()
    source.away = False
    run()
    assert source.cursors == [None]


def test_a_task_drains_its_queue_and_stops_when_told() -> None:
    left = [3, 2, 1, 0]
    schedule.drained(lambda: left.pop(0), Event())()
    assert left == []
    stop = Event()
    stop.set()
    schedule.drained(lambda: pytest.fail("a stopped task took work"), stop)()


def test_a_store_that_is_away_does_not_end_the_schedule() -> None:
    def away() -> int:
        raise StoreUnavailable

    schedule.drained(away, Event())()


def test_each_task_starts_at_once_and_never_twice_at_a_time() -> None:
    started, release = Event(), Event()
    running: list[int] = []

    def slow() -> None:
        running.append(1)
        started.set()
        release.wait(30)

    other: list[int] = []
    scheduler = schedule.build(
        [
            schedule.Task(name="slow", every=timedelta(milliseconds=10), run=slow),
            schedule.Task(name="other", every=timedelta(milliseconds=10), run=lambda: other.append(1)),
        ]
    )
    scheduler.start()
    try:
        assert started.wait(30)
        wait_until(lambda: len(other) >= 5)
        assert len(running) == 1
    finally:
        release.set()
        scheduler.shutdown()
