"""Records go through a runtime in calls of one shape and come back in order, whatever the shape and however many
segments.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgfm.feeding import segments_of
from ecgfm.heads import REDUCED_LVEF
from ecgfm.records import Record
from ecgfm.runtimes.batching import record_embeddings, record_logits
from ecgfm.runtimes.runtime import EMBEDDING
from ecgfm.signal import BY_CLOCK

LENGTHS = (10, 5, 23, 3, 10, 31, 5)  #: seconds; the fourth gives no segment


class Sums:
    """Answers with each segment's own sum, and keeps what it was given."""

    name = "sums"

    def __init__(self, batch: int, one_record_a_call: bool) -> None:
        self.batch, self.one_record_a_call = batch, one_record_a_call
        self.calls: list[NDArray[np.float32]] = []

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        assert segments.shape == (self.batch, 12, 2500)
        self.calls.append(segments)
        return np.asarray(segments.astype(np.float64).sum(axis=(1, 2))[:, None], np.float32)

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {"reduced_lvef": self.embed(segments)}


class Streamed(Sums):
    """The same, with one call always under way before a result is given."""

    def stream(self, calls: Iterable[NDArray[np.float32]]) -> Iterator[dict[str, NDArray[np.float32]]]:
        under_way: list[NDArray[np.float32]] = []
        for call in calls:
            under_way.append(self.embed(call))
            if len(under_way) == 2:
                yield self._named(under_way.pop(0))
        yield from map(self._named, under_way)

    def _named(self, found: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {EMBEDDING: found, "reduced_lvef": found}


@pytest.fixture(scope="module")
def ecgs() -> list[Record]:
    draw = np.random.default_rng(7)
    walks = [np.cumsum(draw.normal(size=(12, 500 * seconds)), axis=1) for seconds in LENGTHS]
    return [Record(signal=walk.astype(np.float32), sampling_rate=500) for walk in walks]


@pytest.mark.parametrize("kind", [Sums, Streamed])
@pytest.mark.parametrize("batch", [1, 2, 5, 64])
@pytest.mark.parametrize("one_record_a_call", [False, True])
def test_every_record_gets_its_own_rows_in_order(
    ecgs: list[Record], kind: type[Sums], batch: int, one_record_a_call: bool
) -> None:
    runtime = kind(batch, one_record_a_call)
    found = list(record_logits(runtime, (REDUCED_LVEF,), ecgs, BY_CLOCK))
    assert [record for record, _, _ in found] == ecgs
    for record, rows, reasons in found:
        segments, expected_reasons = segments_of(record, BY_CLOCK)
        assert reasons == expected_reasons
        expected = segments.astype(np.float64).sum(axis=(1, 2)).astype(np.float32)[:, None]
        np.testing.assert_array_equal(rows["reduced_lvef"], expected)
    embedded = list(record_embeddings(runtime, 1, ecgs, BY_CLOCK))
    for (_, rows, _), (_, alone, _) in zip(found, embedded, strict=True):
        np.testing.assert_array_equal(rows["reduced_lvef"], alone)


def test_calls_are_filled_across_records_where_rows_do_not_depend_on_their_place(ecgs: list[Record]) -> None:
    runtime = Sums(5, one_record_a_call=False)
    list(record_logits(runtime, (REDUCED_LVEF,), ecgs, BY_CLOCK))
    segments = sum(seconds // 5 for seconds in LENGTHS)
    assert len(runtime.calls) == -(-segments // 5)


def test_a_call_holds_one_record_where_rows_depend_on_their_place(ecgs: list[Record]) -> None:
    runtime = Sums(2, one_record_a_call=True)
    list(record_logits(runtime, (REDUCED_LVEF,), ecgs, BY_CLOCK))
    assert len(runtime.calls) == sum(-(-(seconds // 5) // 2) for seconds in LENGTHS)


def test_records_are_prepared_only_as_they_are_needed(ecgs: list[Record]) -> None:
    """An archive never lies in memory as a whole."""
    taken = []

    def arriving() -> Iterator[Record]:
        for record in ecgs:
            taken.append(record)
            yield record

    results = record_logits(Sums(2, one_record_a_call=False), (REDUCED_LVEF,), arriving(), BY_CLOCK)
    next(results)
    assert len(taken) == 1


@pytest.mark.parametrize("batch", [1, 4])
def test_records_without_any_segment(ecgs: list[Record], batch: int) -> None:
    found = list(record_logits(Sums(batch, one_record_a_call=False), (REDUCED_LVEF,), [ecgs[3]] * 3, BY_CLOCK))
    assert [len(rows["reduced_lvef"]) for _, rows, _ in found] == [0, 0, 0]
    assert all("too-short" in reasons for _, _, reasons in found)
