"""The schedule: cursors move only over what was kept, and one process pulls."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from ecgfm_clinical.service import schedule
from ecgfm_clinical.staging.pauses import Part
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Handler, PullReport, Received, Verdict
from ecgfm_connectors.errors import Unreachable
from tests.helpers.fakes import Clock

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
    with pytest.raises(Unreachable):
        run()
    source.away = False
    run()
    assert source.cursors == [None]


def test_a_pull_that_takes_long_goes_on_leading(store: Store, clock: Clock) -> None:
    elapsed = [0.0]
    rival: list[bool] = []

    def slowly(received: Received) -> Verdict:
        elapsed[0] += 40
        clock.advance(seconds=40)
        rival.append(store.coordination.acquire(schedule.LEADER, "two", now=clock(), duration=TERM))
        return keeps(received)

    source = Archive(b"a", b"b", b"c")
    run = schedule.pulled_by_leader(
        source, slowly, store, clock=clock, holder="one", term=TERM, monotonic=lambda: elapsed[0]
    )
    run()
    assert rival == [False, False, False]


def test_a_paused_source_is_not_asked_and_a_pull_under_way_ends(store: Store, clock: Clock) -> None:
    taken: list[bytes] = []
    part, elapsed = Part(kind="source", name="archive"), [0.0]

    def takes(received: Received) -> Verdict:
        taken.append(received.content)
        store.pauses.pause(part, reason="x", now=clock(), actor="ada")
        elapsed[0] += 1
        return Verdict(disposition=Disposition.STAGED)

    source = Archive(b"a", b"b")
    run = schedule.pulled_by_leader(
        source, takes, store, clock=clock, holder="one", term=TERM, monotonic=lambda: elapsed[0]
    )
    run()
    run()
    assert taken == [b"a"]
    assert source.cursors == [None]
    assert store.coordination.cursor("archive") is None


def test_a_pull_hands_nothing_more_over_once_the_service_stops(store: Store, clock: Clock) -> None:
    taken: list[bytes] = []

    def takes(received: Received) -> Verdict:
        taken.append(received.content)
        return Verdict(disposition=Disposition.STAGED)

    run = schedule.pulled_by_leader(
        Archive(b"a", b"b", b"c"),
        takes,
        store,
        clock=clock,
        holder="one",
        term=TERM,
        stopping=lambda: len(taken) == 1,
    )
    run()
    assert taken == [b"a"]
    assert store.coordination.cursor("archive") is None
