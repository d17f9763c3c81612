"""A source is silent by its own working hours, and a share has risen by its own past."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ecgfm_clinical.alerting import rhythm
from ecgfm_clinical.alerting.shares import Share, has_risen

ZURICH = ZoneInfo("Europe/Zurich")
MONDAY = datetime(2026, 3, 2, tzinfo=ZURICH)


def clinic(weeks: int) -> list[datetime]:
    """ECGs at 8 to 16 o'clock of working days, in the site's zone, until the Monday of `MONDAY`."""
    return [
        MONDAY - timedelta(weeks=week) + timedelta(days=day, hours=hour)
        for week in range(1, weeks + 1)
        for day in range(5)
        for hour in range(8, 17)
    ]


def test_nights_and_weekends_are_no_silence() -> None:
    known = rhythm.learn(clinic(6), zone=ZURICH, now=MONDAY)
    assert known.is_learnt
    assert known.working == {(day, hour) for day in range(5) for hour in range(8, 17)}
    friday = MONDAY - timedelta(days=3) + timedelta(hours=16, minutes=30)
    assert not rhythm.is_silent(known, friday, zone=ZURICH, now=MONDAY + timedelta(hours=8, minutes=30))
    assert rhythm.silent_for(known, friday, zone=ZURICH, now=MONDAY + timedelta(hours=11)) == 3
    assert rhythm.is_silent(known, friday, zone=ZURICH, now=MONDAY + timedelta(hours=12))


def test_summer_time_moves_no_working_hour() -> None:
    known = rhythm.learn(clinic(6), zone=ZURICH, now=MONDAY)
    after = datetime(2026, 3, 30, 9, tzinfo=ZURICH)  # the clocks went forward on the 29th
    assert rhythm.silent_for(known, datetime(2026, 3, 27, 17, tzinfo=ZURICH), zone=ZURICH, now=after) == 1


def test_before_two_weeks_nothing_is_learnt_and_a_day_counts() -> None:
    known = rhythm.learn(clinic(1), zone=ZURICH, now=MONDAY)
    assert not known.is_learnt
    last = MONDAY - timedelta(hours=23)
    assert not rhythm.is_silent(known, last, zone=ZURICH, now=MONDAY)
    assert rhythm.is_silent(known, last - timedelta(hours=1), zone=ZURICH, now=MONDAY)
    assert not rhythm.learn([], zone=ZURICH, now=MONDAY).is_learnt


def test_an_hour_worked_now_and_then_is_no_working_hour() -> None:
    once = datetime(2026, 2, 21, 3, tzinfo=UTC)
    assert (5, 4) not in rhythm.learn([*clinic(6), once], zone=ZURICH, now=MONDAY).working


@pytest.mark.parametrize(
    ("now", "past", "risen"),
    [
        ((10, 20), (10, 1000), True),
        ((10, 19), (10, 1000), False),  # too few now
        ((10, 20), (1, 99), False),  # too short a past
        ((60, 1000), (10, 1000), False),  # certain, and no amount that matters
        ((6, 20), (200, 1000), False),  # may be chance
        ((20, 20), (1000, 1000), False),
        ((0, 0), (0, 0), False),
    ],
)
def test_a_share_rises_where_it_is_certain_and_matters(
    now: tuple[int, int], past: tuple[int, int], risen: bool
) -> None:
    assert has_risen(Share(some=now[0], all=now[1]), Share(some=past[0], all=past[1])) is risen
