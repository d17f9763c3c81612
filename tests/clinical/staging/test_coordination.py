"""One leader at a time, and pulls that go on where they stopped."""

from datetime import timedelta
from typing import Any


def test_only_one_of_many_becomes_leader(ward: Any) -> None:
    won = ward.at_once(
        [
            lambda holder=f"h{n}": ward.store.coordination.acquire(
                "x", holder, now=ward.now, duration=timedelta(minutes=1)
            )
            for n in range(6)
        ]
    )
    assert won.count(True) == 1


def test_the_leader_stays_until_its_time_runs_out_or_it_lets_go(ward: Any) -> None:
    def leads(holder: str, seconds: float) -> bool:
        return bool(
            ward.store.coordination.acquire(
                "x", holder, now=ward.later(seconds=seconds), duration=timedelta(seconds=60)
            )
        )

    assert leads("a", 0)
    assert not leads("b", 59)
    assert leads("a", 59)
    assert not leads("b", 118)
    assert leads("b", 119)
    assert not leads("a", 120)
    ward.store.coordination.release("x", "a")
    assert not leads("a", 121), "only the holder can let go"
    ward.store.coordination.release("x", "b")
    assert leads("a", 122)


def test_a_clock_that_is_set_back_keeps_nobody_from_leading(ward: Any) -> None:
    minute = timedelta(minutes=1)
    assert ward.store.coordination.acquire("x", "gone", now=ward.later(hours=5), duration=minute)
    assert not ward.store.coordination.acquire("x", "next", now=ward.later(hours=5), duration=minute)
    assert ward.store.coordination.acquire("x", "next", now=ward.now, duration=minute)


def test_a_cursor_is_kept_per_source(ward: Any) -> None:
    assert ward.store.coordination.cursor("pacs") is None
    ward.store.coordination.set_cursor("pacs", "2031-05-06")
    ward.store.coordination.set_cursor("pacs", "2031-05-07")
    ward.store.coordination.set_cursor("folder", "x")
    assert ward.store.coordination.cursor("pacs") == "2031-05-07"
