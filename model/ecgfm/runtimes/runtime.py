"""An opened network, and how the segments of records go through it in calls of one fixed shape."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgfm.heads import HeadSpec
from ecgfm.records import Record
from ecgfm.signal import LEADS, SEGMENT_SAMPLES, prepare, reasons_not_scored


class Runtime(Protocol):
    """One opened network. Calls have one fixed shape, so the bits of a result do not depend on who else is in it."""

    name: str  #: as written into each score: engine, device and precision
    batch: int  #: segments in one call
    one_record_a_call: bool  #: True where rows of a batch may differ in the last bit by their position

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 12, 2500) -> per head (batch, labels)."""

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """(batch, 12, 2500) -> pooled embeddings (batch, width)."""


def segments_of(record: Record, preprocessing: str) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The segments (n, 12, 2500) of a record, prepared so, or none and the reasons why it cannot be scored."""
    reasons = reasons_not_scored(record.signal, record.sampling_rate)
    if reasons:
        return np.zeros((0, len(LEADS), SEGMENT_SAMPLES), np.float32), reasons
    return prepare(record.signal, record.sampling_rate, preprocessing), ()


def calls(runtime: Runtime, segments: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.float32], int]]:
    """`segments` cut into calls of the runtime's fixed shape, each with how many are real;
    the last is filled up with zeros.
    """
    size = runtime.batch
    for start in range(0, len(segments), size):
        part = segments[start : start + size]
        padded = np.zeros((size, len(LEADS), SEGMENT_SAMPLES), np.float32)
        padded[: len(part)] = part
        yield padded, len(part)


def record_logits(
    runtime: Runtime, heads: Sequence[HeadSpec], records: Sequence[Record], preprocessing: str
) -> Iterator[tuple[Record, dict[str, NDArray[np.float32]], tuple[str, ...]]]:
    """Per record, in order: per head its segments' logits (segments, labels), or no segment and the reasons why.

    The same record gives the same bits whatever stands beside it. Raises SignalError where a shape or a rate is wrong.
    """
    size = 1 if runtime.one_record_a_call else runtime.batch
    for first in range(0, len(records), size):
        group = records[first : first + size]
        prepared = [segments_of(record, preprocessing) for record in group]
        logits = _logits(runtime, heads, np.concatenate([segments for segments, _ in prepared]))
        start = 0
        for record, (segments, reasons) in zip(group, prepared, strict=True):
            rows = slice(start, start + len(segments))
            start = rows.stop
            yield record, {head: own[rows] for head, own in logits.items()}, reasons


def _logits(
    runtime: Runtime, heads: Sequence[HeadSpec], segments: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    parts: dict[str, list[NDArray[np.float32]]] = {spec.name: [] for spec in heads}
    for padded, real in calls(runtime, segments):
        for head, values in runtime.logits(padded).items():
            parts[head].append(values[:real])
    empty = np.zeros((0, 0), np.float32)
    return {head: np.concatenate(values) if values else empty for head, values in parts.items()}
