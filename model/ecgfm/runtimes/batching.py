"""The segments of records go through a runtime in calls of its one fixed shape, and come back record by record.

Where a runtime's rows do not depend on their place, calls are filled with one record's segments after another's, so
that only the last call of all holds empty rows. A runtime that streams gets the next call while it computes the one
before.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfm.feeding import no_segments, segments_of
from ecgfm.heads import HeadSpec
from ecgfm.records import Record
from ecgfm.runtimes.runtime import EMBEDDING, Outputs, Runtime, Streaming
from ecgfm.signal import LEADS, SEGMENT_SAMPLES


def record_logits(
    runtime: Runtime, heads: Sequence[HeadSpec], records: Iterable[Record], preprocessing: str
) -> Iterator[tuple[Record, Outputs, tuple[str, ...]]]:
    """Per record, in order: per head its segments' logits (segments, labels), or no segment and the reasons why.

    The same record gives the same bits whatever stands beside it. Raises SignalError where a shape or a rate is wrong.
    """
    shapes = {spec.name: len(spec.labels) for spec in heads}
    return _by_record(runtime, shapes, records, preprocessing)


def record_embeddings(
    runtime: Runtime, width: int, records: Iterable[Record], preprocessing: str
) -> Iterator[tuple[Record, NDArray[np.float32], tuple[str, ...]]]:
    """Per record, in order: its segments' embeddings (segments, width), or no segment and the reasons why."""
    for record, found, reasons in _by_record(runtime, {EMBEDDING: width}, records, preprocessing):
        yield record, found[EMBEDDING], reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call of the fixed shape; rows from `real` on are zeros."""

    segments: NDArray[np.float32]
    real: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A record whose segments stand in calls that were made."""

    record: Record
    segments: int
    reasons: tuple[str, ...]


def _by_record(
    runtime: Runtime, shapes: Mapping[str, int], records: Iterable[Record], preprocessing: str
) -> Iterator[tuple[Record, Outputs, tuple[str, ...]]]:
    waiting: deque[_Waiting] = deque()
    rows = {name: np.zeros((0, columns), np.float32) for name, columns in shapes.items()}
    there = 0
    for found, real in _through(runtime, _calls(runtime, records, preprocessing, waiting), EMBEDDING in shapes):
        rows = {name: np.concatenate([rows[name], found[name][:real]]) for name in rows}
        there += real
        while waiting and waiting[0].segments <= there:
            first = waiting.popleft()
            there -= first.segments
            yield first.record, {name: values[: first.segments] for name, values in rows.items()}, first.reasons
            rows = {name: values[first.segments :] for name, values in rows.items()}
    for last in waiting:  # none of them has a segment
        yield last.record, rows, last.reasons


def _calls(
    runtime: Runtime, records: Iterable[Record], preprocessing: str, waiting: deque[_Waiting]
) -> Iterator[_Call]:
    """Calls filled with the records' segments in order; `waiting` grows by each record before its first call is
    given.
    """
    held = no_segments()
    for record in records:
        segments, reasons = segments_of(record, preprocessing)
        waiting.append(_Waiting(record=record, segments=len(segments), reasons=reasons))
        held = np.concatenate([held, segments])
        while len(held) >= runtime.batch or (runtime.one_record_a_call and len(held)):
            yield _filled(held[: runtime.batch], runtime.batch)
            held = held[runtime.batch :]
    if len(held):
        yield _filled(held, runtime.batch)


def _filled(segments: NDArray[np.float32], size: int) -> _Call:
    whole = np.zeros((size, len(LEADS), SEGMENT_SAMPLES), np.float32)
    whole[: len(segments)] = segments
    return _Call(segments=whole, real=len(segments))


def _through(runtime: Runtime, calls: Iterator[_Call], embeddings: bool) -> Iterator[tuple[Outputs, int]]:
    """Each call's outputs, in order, with the number of its real rows."""
    real: deque[int] = deque()

    def given() -> Iterator[NDArray[np.float32]]:
        for call in calls:
            real.append(call.real)
            yield call.segments

    if isinstance(runtime, Streaming):
        found: Iterator[Outputs] = runtime.stream(given())
    elif embeddings:
        found = ({EMBEDDING: runtime.embed(segments)} for segments in given())
    else:
        found = (runtime.logits(segments) for segments in given())
    for outputs in found:
        yield outputs, real.popleft()
