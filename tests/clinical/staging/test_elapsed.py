"""Time that passed for certain: whatever a wall clock does, nothing is older than somebody saw it grow."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.service.retention import PAUSE, Retention
from ecgfm_clinical.staging import care
from ecgfm_clinical.staging.elapsed import Elapsed, Gap, cutoff, passed
from ecgfm_clinical.staging.schema import clock_gap
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.errors import Refused

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
YEARS = 3650 * DAY


class Machine:
    """A wall clock that can be set, and a monotonic one that cannot, with a service that pulses on it."""

    def __init__(self, store: Store, at: datetime) -> None:
        self.store = store
        self.wall = at
        self._seconds = 0.0
        self.restart()
        self.elapsed.vouch(now=at, actor="operator")  # the store was created by today's clock

    def monotonic(self) -> float:
        return self._seconds

    def clock(self) -> datetime:
        return self.wall

    def restart(self) -> None:
        self.elapsed = self.store.elapsed = Elapsed(self.store.database, monotonic=self.monotonic)
        self.elapsed.look(self.wall)

    def runs(self, length: timedelta, *, step: timedelta = HOUR) -> None:
        while length > timedelta():
            self.wall += min(step, length)
            self._seconds += min(step, length).total_seconds()
            length -= step
            self.elapsed.look(self.wall)

    def off(self, length: timedelta) -> None:
        self.wall += length
        self.restart()

    def clock_set(self, by: timedelta) -> None:
        self.wall += by
        self.elapsed.look(self.wall)

    def age(self, since: datetime) -> timedelta:
        return passed(self.elapsed.gaps(), since, self.wall)


@pytest.fixture
def machine(ward: Any) -> Machine:
    return Machine(ward.store, ward.now)


@pytest.mark.parametrize("jump", [2 * HOUR, 30 * DAY, YEARS])
@pytest.mark.parametrize("restarted", [False, True], ids=["while it runs", "while it is off"])
def test_a_jump_ahead_makes_nothing_older(machine: Machine, jump: timedelta, restarted: bool) -> None:
    received = machine.wall
    machine.runs(3 * HOUR)
    machine.off(jump) if restarted else machine.clock_set(jump)
    assert machine.age(received) == 3 * HOUR
    machine.runs(2 * HOUR)
    assert machine.age(received) == 5 * HOUR
    assert machine.elapsed.cutoff(machine.wall, 4 * HOUR) == received + HOUR
    assert machine.elapsed.cutoff(machine.wall, 6 * HOUR) == received - HOUR


@pytest.mark.parametrize("jump", [timedelta(minutes=5), timedelta(minutes=59)])
def test_a_clock_put_right_by_minutes_is_no_gap(machine: Machine, jump: timedelta) -> None:
    for by in (jump, -jump, jump):
        machine.clock_set(by)
    machine.off(jump)
    assert machine.elapsed.gaps() == ()


@pytest.mark.parametrize("jump", [2 * HOUR, YEARS])
def test_a_jump_that_is_undone_leaves_no_gap_behind(machine: Machine, jump: timedelta) -> None:
    received = machine.wall
    machine.runs(HOUR)
    machine.clock_set(jump)
    machine.runs(HOUR)
    machine.clock_set(-jump)
    machine.runs(DAY)
    assert HOUR <= machine.age(received) <= 26 * HOUR
    assert machine.age(machine.wall - 12 * HOUR) == 12 * HOUR


def test_what_came_in_while_the_clock_was_years_behind_is_as_young_as_it_is(machine: Machine) -> None:
    machine.clock_set(-YEARS)
    received = machine.wall
    machine.runs(2 * HOUR)
    machine.clock_set(YEARS)
    machine.runs(HOUR)
    assert machine.age(received) == 3 * HOUR


def test_two_hosts_whose_clocks_differ_by_years_leave_no_heap_of_gaps(machine: Machine) -> None:
    wrong = Elapsed(machine.store.database, monotonic=machine.monotonic)
    received = machine.wall
    for _ in range(20):
        machine.runs(timedelta(seconds=10))
        wrong.look(machine.wall + YEARS)
    machine.runs(timedelta(seconds=10))
    with machine.store.database.reading() as ask:
        assert (ask.connection.scalar(select(func.count()).select_from(clock_gap)) or 0) <= 1
    wrong.look(machine.wall + YEARS)
    assert wrong.cutoff(machine.wall + YEARS, DAY) < received


def test_a_person_vouches_for_the_clock(machine: Machine) -> None:
    received = machine.wall
    machine.off(30 * DAY)
    assert machine.age(received) == timedelta()
    assert machine.elapsed.vouch(now=machine.wall, actor="operator") == 1
    assert machine.age(received) == 30 * DAY


def test_a_store_of_the_version_before_goes_by_what_happened_in_it_last(ward: Any) -> None:
    ward.take()
    fresh = Elapsed(ward.store.database)
    gap = fresh.look(ward.now + YEARS)
    assert gap is not None
    assert gap.since <= ward.now


@pytest.mark.parametrize("zone", ["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("day", [datetime(2031, 3, 30, tzinfo=UTC), datetime(2031, 10, 26, tzinfo=UTC)])
def test_zones_and_summer_time_are_no_jumps(store: Store, zone: str, day: datetime) -> None:
    """The clock of a program that hands over times of its own zone,
    over the nights in which summer time begins and ends.
    """
    seconds = [0.0]
    elapsed = Elapsed(store.database, monotonic=lambda: seconds[0])
    elapsed.vouch(now=day - 61 * HOUR, actor="operator")  # the store was created by today's clock
    for hour in range(-60, 61, 12):
        at = (day + hour * HOUR).astimezone(ZoneInfo(zone))
        elapsed.look(at)
        seconds[0] += 12 * 3600
    assert elapsed.gaps() == ()
    assert elapsed.cutoff(at, 24 * HOUR) == at.astimezone(UTC) - 24 * HOUR


def test_no_age_is_too_long_to_reckon_with() -> None:
    now = datetime(2031, 1, 1, tzinfo=UTC)
    assert cutoff((), now, timedelta(days=1_000_000)).year == 1
    assert cutoff((Gap(since=now - DAY, until=now),), now, HOUR) == now - DAY - HOUR


class TestRetention:
    @pytest.fixture
    def retention(self, machine: Machine) -> Retention:
        return Retention(machine.store, {"payloads": 2 * DAY}, clock=machine.clock, holder="one")

    def _kept(self, ward: Any) -> bool:
        return bool(ward.store.ecgs.set_aside())

    def test_a_clock_ten_years_ahead_at_the_start_deletes_nothing(
        self, ward: Any, machine: Machine, retention: Retention
    ) -> None:
        ward.take(Refused("not-12-lead", "one lead only"))
        machine.runs(HOUR)
        machine.off(YEARS)
        for _ in range(40):
            retention.run()
            machine.runs(HOUR)
        assert self._kept(ward)
        machine.runs(2 * DAY)
        retention.run()
        assert not self._kept(ward)

    def test_what_could_not_be_announced_is_announced_at_the_next_run(
        self, ward: Any, machine: Machine, retention: Retention, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The ages counted as announced although the announcement had failed: a day later all went unannounced."""
        ward.take(Refused("not-12-lead", "one lead only"))
        machine.runs(3 * DAY)
        due, fails = care._due, iter((True, False))

        def fails_once(*arguments: Any) -> Any:
            if next(fails, False):
                raise StoreUnavailable
            return due(*arguments)

        monkeypatch.setattr(care, "_due", fails_once)
        with pytest.raises(StoreUnavailable):
            retention.run()
        machine.runs(PAUSE)
        retention.run()
        assert self._kept(ward)
        assert [one.action for one in ward.store.care.trail()].count("retention.planned") == 1

    def test_the_first_removal_is_announced_a_day_before_and_again_for_other_ages(
        self, ward: Any, machine: Machine, retention: Retention
    ) -> None:
        ward.take(Refused("not-12-lead", "one lead only"))
        machine.runs(3 * DAY)
        retention.run()
        (planned,) = [one for one in ward.store.care.trail() if one.action == "retention.planned"]
        assert (planned.detail["payloads"], planned.detail["payloads_days"]) == (1, 2)
        machine.runs(PAUSE - HOUR)
        retention.run()
        assert self._kept(ward)
        other = Retention(machine.store, {"payloads": DAY}, clock=machine.clock, holder="one")
        other.run()
        machine.runs(2 * HOUR)
        other.run()
        assert self._kept(ward)
        machine.runs(PAUSE)
        other.run()
        assert not self._kept(ward)
