"""Places for so many at work: the others get theirs in the order in which they came."""

import threading
from functools import partial

from ecgfm_connectors.turns import Turns
from tests.helpers.fakes import wait_until


def _as_many(turns: Turns, waiting: int) -> bool:
    return len(turns._waiting) == waiting


def test_places_go_to_those_who_have_waited_longest() -> None:
    turns, order, holds = Turns(1), list[int](), threading.Event()

    def holding() -> None:
        with turns.turn(120) as mine:
            assert mine
            assert holds.wait(120)

    def waiting(number: int) -> None:
        with turns.turn(120) as mine:
            assert mine
            order.append(number)

    first = threading.Thread(target=holding)
    first.start()
    wait_until(lambda: not turns._free)
    others = []
    for number in range(20):
        others.append(threading.Thread(target=waiting, args=(number,)))
        others[-1].start()
        wait_until(partial(_as_many, turns, number + 1))
    holds.set()
    for one in others:
        one.join(120)
    assert order == list(range(20))


def test_who_waits_too_long_has_no_place_and_takes_none() -> None:
    turns = Turns(1)
    with turns.turn(0) as mine:
        assert mine
        with turns.turn(0.01) as late:
            assert not late
    with turns.turn(0) as again:
        assert again


def test_a_block_that_raises_gives_its_place_back() -> None:
    turns = Turns(1)
    try:
        with turns.turn(0):
            raise ValueError
    except ValueError:
        pass
    with turns.turn(0) as mine:
        assert mine
