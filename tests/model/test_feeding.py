"""Calls filled across records give each record the bits that it has alone."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgfm.feeding import Prepared, fed, no_segments

SIZE = 4


def _record(number: int, segments: int) -> Prepared[int]:
    values = np.random.default_rng(number).normal(size=(segments, 12, 2500)).astype(np.float32)
    return Prepared(what=number, segments=values)


class Network:
    """Sums each segment; keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[NDArray[np.float32]] = []

    def __call__(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        self.calls.append(segments.copy())
        if np.isposinf(segments).any():
            raise ArithmeticError("a record that breaks the network")
        return {"sum": segments.sum(axis=(1, 2)), "first": segments[:, :2, 0]}


COUNTS = (2, 2, 1, 0, 9, 2, 3, 0, 4)


@pytest.mark.parametrize("alone", [False, True])
def test_each_record_has_its_own_rows_in_order(alone: bool) -> None:
    records = [_record(number, count) for number, count in enumerate(COUNTS)]
    network = Network()
    found = list(fed(iter(records), network, size=SIZE, alone=alone))
    assert [one.what for one, _ in found] == list(range(len(COUNTS)))
    for record, (_, rows) in zip(records, found, strict=True):
        assert not isinstance(rows, Exception)
        if not len(record.segments):
            assert rows == {}
            continue
        assert rows["sum"].tobytes() == record.segments.sum(axis=(1, 2)).tobytes()
        assert rows["first"].tobytes() == record.segments[:, :2, 0].tobytes()
    assert {len(call) for call in network.calls} == {SIZE}


def test_calls_are_filled_across_records() -> None:
    network = Network()
    list(fed((_record(number, 2) for number in range(10)), network, size=SIZE, alone=False))
    assert len(network.calls) == 5
    assert all(np.abs(call).sum(axis=(1, 2)).all() for call in network.calls), "no row of zeros among them"


def test_a_record_alone_fills_its_calls_with_zeros() -> None:
    network = Network()
    list(fed((_record(number, 3) for number in range(3)), network, size=SIZE, alone=True))
    assert [int(np.count_nonzero(np.abs(call).sum(axis=(1, 2)))) for call in network.calls] == [3, 3, 3]


def test_a_record_that_breaks_the_network_fails_alone() -> None:
    records = [_record(number, 2) for number in range(6)]
    records[3].segments[0, 0, 0] = np.inf
    found = list(fed(iter(records), Network(), size=8, alone=False))
    assert isinstance(found[3][1], ArithmeticError)
    for number in (0, 1, 2, 4, 5):
        rows = found[number][1]
        assert not isinstance(rows, Exception)
        assert rows["sum"].tobytes() == records[number].segments.sum(axis=(1, 2)).tobytes()


def test_records_are_taken_a_few_at_a_time() -> None:
    taken = 0

    def source() -> Iterator[Prepared[int]]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield _record(number, 1)

    answers = fed(source(), Network(), size=2, alone=False)
    next(answers)
    assert taken < 12


def test_no_segments_are_kept_of_what_was_answered() -> None:
    ((one, _),) = list(fed([_record(1, 2)], Network(), size=SIZE, alone=False))
    assert one.segments.shape == no_segments().shape
