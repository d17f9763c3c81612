"""An alert opens once, escalates once unless somebody takes it, and clears once; what is told is never lost."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging.alerts import Condition, Route
from ecgfm_clinical.staging.store import Store

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
OPS = Route(channel="ops", severities=frozenset({"info", "warning", "critical"}), escalation=False)
CHIEF = Route(channel="chief", severities=frozenset({"critical"}), escalation=True)
SILENT = Condition(name="source-silent", subject="dicom", severity="critical", text="nothing came by dicom")


class Watch:
    """A store whose alerts are looked at by hand."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START

    def look(self, *conditions: Condition, after: float = 1) -> list[tuple[str, str, str]]:
        """One look so many minutes later; what was told, and that every channel took it."""
        self.now += timedelta(minutes=after)
        self.store.alerts.look(
            conditions,
            routes=(OPS, CHIEF),
            clear_after=timedelta(minutes=5),
            escalate_after=timedelta(minutes=60),
            now=self.now,
            actor="test",
        )
        due = self.store.alerts.due(now=self.now)
        for one in due:
            self.store.alerts.told(one.notice_id, now=self.now, actor="test")
        return [(one.channel, one.state, one.alert.condition) for one in due]


@pytest.fixture
def watch(store_url: str) -> Iterator[Watch]:
    store = Store.open(store_url, create=True)
    yield Watch(store)
    store.close()


def test_it_opens_once_escalates_once_and_clears_once(watch: Watch) -> None:
    assert watch.look(SILENT) == [("ops", "opened", "source-silent")]
    assert watch.look(SILENT) == []
    assert watch.look(SILENT, after=60) == [("chief", "escalated", "source-silent")]
    assert watch.look(SILENT, after=60) == []
    assert watch.look(after=1) == []  # it may come back
    assert watch.look(SILENT) == []
    assert watch.look(after=5) == [("ops", "cleared", "source-silent"), ("chief", "cleared", "source-silent")]
    assert watch.look() == []
    assert watch.store.alerts.current() == []
    assert watch.look(SILENT) == [("ops", "opened", "source-silent")]


def test_two_subjects_are_two_alerts(watch: Watch) -> None:
    other = Condition(name="source-silent", subject="hl7", severity="info", text="nothing came by hl7")
    assert watch.look(SILENT, other) == [("ops", "opened", "source-silent")] * 2
    assert watch.look(SILENT, after=10) == [("ops", "cleared", "source-silent")]


def test_who_takes_it_keeps_it_from_escalating(watch: Watch) -> None:
    watch.look(SILENT)
    (one,) = watch.store.alerts.current()
    watch.store.alerts.acknowledge(one.alert_id, reason="the vendor is called", now=watch.now, actor="ada@host")
    assert watch.look(SILENT, after=120) == []
    (one,) = watch.store.alerts.current()
    assert (one.acknowledged_by, one.reason) == ("ada@host", "the vendor is called")


def test_silence_holds_for_its_time_and_outlives_a_clearing(watch: Watch) -> None:
    watch.look(SILENT)
    (one,) = watch.store.alerts.current()
    until = watch.now + timedelta(hours=4)
    watch.store.alerts.silence(one.alert_id, until=until, reason="maintenance", now=watch.now, actor="ada@host")
    assert watch.look(SILENT, after=90) == []
    watch.look(after=10)
    assert watch.store.alerts.current() == []
    assert watch.look(SILENT, after=1) == []
    watch.look(after=10)
    assert watch.look(SILENT, after=180) == [("ops", "opened", "source-silent")]


def _silence(watch: Watch, hours: int) -> None:
    watch.look(SILENT)
    (one,) = watch.store.alerts.current()
    until = watch.now + timedelta(hours=hours)
    watch.store.alerts.silence(one.alert_id, until=until, reason="maintenance", now=watch.now, actor="ada@host")


def test_a_clock_that_jumps_ten_years_ahead_ends_no_silence_and_vouched_time_does(watch: Watch) -> None:
    watch.store.elapsed.look(watch.now)
    _silence(watch, 4)
    watch.now += timedelta(days=3653)
    assert watch.store.elapsed.look(watch.now) is not None
    assert watch.look(SILENT) == []  # nor is it escalated
    assert watch.look(after=10) == [("ops", "cleared", "source-silent")]
    assert watch.look(SILENT) == []
    assert watch.look(after=10) == []
    watch.store.elapsed.vouch(now=watch.now, actor="ada@host")
    assert watch.look(SILENT) == [("ops", "opened", "source-silent")]


def test_a_silence_said_by_a_clock_that_was_wrong_is_not_kept_for_ever(watch: Watch) -> None:
    """Ten years ahead a person silences for four hours; then the clock is put right."""
    watch.now += timedelta(days=3653)
    _silence(watch, 4)
    watch.now = START
    assert watch.look(SILENT) == []
    assert watch.look(SILENT, after=200) == []
    watch.look(after=10)
    assert watch.store.alerts.current() == []  # what was seen in the future has cleared too
    assert watch.look(SILENT, after=60) == [("ops", "opened", "source-silent")]


def test_an_alert_opened_by_a_clock_that_was_wrong_escalates_once_and_clears(watch: Watch) -> None:
    watch.now += timedelta(days=3653)
    assert watch.look(SILENT) == [("ops", "opened", "source-silent")]
    watch.now = START
    assert watch.look(SILENT) == []
    assert watch.look(SILENT, after=60) == [("chief", "escalated", "source-silent")]
    assert watch.look(after=10) == [("ops", "cleared", "source-silent"), ("chief", "cleared", "source-silent")]


def test_what_is_cleared_or_unknown_cannot_be_taken(watch: Watch) -> None:
    watch.look(SILENT)
    watch.look(after=10)
    for number in (1, 99):
        with pytest.raises(NotFound):
            watch.store.alerts.acknowledge(number, reason="x", now=watch.now, actor="ada@host")


def test_a_channel_that_fails_is_asked_again_later_and_shown(watch: Watch) -> None:
    watch.now += timedelta(minutes=1)
    watch.store.alerts.look(
        [SILENT],
        routes=[OPS],
        clear_after=timedelta(minutes=5),
        escalate_after=timedelta(hours=1),
        now=watch.now,
        actor="test",
    )
    (one,) = watch.store.alerts.due(now=watch.now)
    watch.store.alerts.failed(one.notice_id, "ConnectionRefusedError", now=watch.now, actor="test")
    assert watch.store.alerts.due(now=watch.now) == []
    assert watch.store.alerts.failing_channels() == {"ops": "ConnectionRefusedError"}
    (again,) = watch.store.alerts.due(now=watch.now + timedelta(minutes=1))
    assert again.attempts == 1
    watch.store.alerts.told(again.notice_id, now=watch.now, actor="test")
    assert watch.store.alerts.failing_channels() == {}


def test_old_news_is_told_no_more(watch: Watch) -> None:
    watch.look()
    watch.store.alerts.look(
        [SILENT],
        routes=[OPS],
        clear_after=timedelta(minutes=5),
        escalate_after=timedelta(hours=1),
        now=watch.now,
        actor="test",
    )
    later = watch.now + timedelta(days=3)
    (one,) = watch.store.alerts.due(now=later)
    watch.store.alerts.failed(one.notice_id, "TimeoutError", now=later, actor="test")
    assert watch.store.alerts.due(now=later + timedelta(days=9)) == []
    assert watch.store.alerts.failing_channels() == {}
