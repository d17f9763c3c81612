"""Calls of one fixed shape, filled with the segments of whatever comes, in order; one is filled while another runs.

A record's result is the same, bit for bit, as that of the record alone: a call always has the same shape, so what
stands in its other rows changes nothing (`ecgfm.runtimes.runtime`). Where a runtime cannot promise that, each record
has calls of its own.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import DeviceError
from ecgfm.records import Record
from ecgfm.signal import LEADS, SEGMENT_SAMPLES, prepare, reasons_not_scored

if TYPE_CHECKING:
    from ecgfm.recording_files import Recording

T = TypeVar("T")
Segments = NDArray[np.float32]  #: (n, 12, 2500)
Rows = Mapping[str, NDArray[np.float32]]  #: name -> (n, …), a row a segment
Call = Callable[[Segments], Rows]  #: of one fixed shape

#: Calls that may be ready or running at a time: one runs, one waits for it.
AHEAD = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared(Generic[T]):
    """One record as the network takes it, with what its caller knows of it."""

    what: T
    segments: Segments = field(repr=False)  #: none where the record cannot be scored; valid until the next is taken
    reasons: tuple[str, ...] = ()  #: why it cannot be scored
    input_digest: str = ""
    site: str = ""


def no_segments() -> Segments:
    """Of a record that cannot be scored."""
    return np.zeros((0, len(LEADS), SEGMENT_SAMPLES), np.float32)


def segments_of(record: "Record | Recording", preprocessing: str) -> tuple[Segments, tuple[str, ...]]:
    """The segments (n, 12, 2500) of a record, prepared so, or none and the reasons why it cannot be scored.

    Raises SignalError where the shape or the rate is wrong.
    """
    reasons = reasons_not_scored(record.signal, record.sampling_rate)
    if reasons:
        return no_segments(), reasons
    return prepare(record.signal, record.sampling_rate, preprocessing), ()


def prepared(what: T, record: Record, preprocessing: str) -> Prepared[T]:
    """Raises SignalError where the shape or the rate is wrong."""
    segments, reasons = segments_of(record, preprocessing)
    return Prepared(what=what, segments=segments, reasons=reasons, input_digest=record.digest, site=record.site)


@dataclass(slots=True, eq=False)
class _Entry(Generic[T]):
    """A record under way."""

    record: Prepared[T]
    missing: int  #: segments whose rows have not come back
    parts: list[Rows] = field(default_factory=list)
    error: Exception | None = None

    @property
    def answer(self) -> Rows | Exception:
        if self.error is not None:
            return self.error
        if len(self.parts) == 1:
            return self.parts[0]
        return {name: np.concatenate([part[name] for part in self.parts]) for name in (self.parts or [{}])[0]}


@dataclass(slots=True, eq=False)
class _Batch(Generic[T]):
    """One call: its segments and whose they are."""

    segments: Segments
    filled: int = 0
    shares: list[tuple[_Entry[T], int]] = field(default_factory=list)  #: how many rows each record has in it


def fed(
    records: Iterable[Prepared[T]], call: Call, *, size: int, alone: bool
) -> Iterator[tuple[Prepared[T], Rows | Exception]]:
    """Each record with its rows, in order; without segments, no rows. An error where the record itself breaks the call.

    Raises DeviceError.

    `size`: segments a call; `alone`: no two records in one call. What is yielded holds no segments any more.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="network") as network:
        feeder: _Feeder[T] = _Feeder(network, call, size=size, alone=alone)
        for record in records:
            feeder.add(record)
            yield from feeder.finished()
        feeder.flush()
        yield from feeder.finished(wait=True)


class _Feeder(Generic[T]):
    def __init__(self, network: ThreadPoolExecutor, call: Call, *, size: int, alone: bool) -> None:
        self._network = network
        self._call = call
        self._size = size
        self._alone = alone
        self._entries: deque[_Entry[T]] = deque()
        self._running: deque[tuple[Future[Rows], _Batch[T]]] = deque()
        self._batch = self._empty()

    def _empty(self) -> _Batch[T]:
        return _Batch(segments=np.zeros((self._size, len(LEADS), SEGMENT_SAMPLES), np.float32))

    def add(self, record: Prepared[T]) -> None:
        """Copy the record's segments into calls; start each call that is full."""
        entry = _Entry(record=replace(record, segments=no_segments()), missing=len(record.segments))
        self._entries.append(entry)
        start = 0
        while start < len(record.segments):
            batch = self._batch
            count = min(self._size - batch.filled, len(record.segments) - start)
            batch.segments[batch.filled : batch.filled + count] = record.segments[start : start + count]
            batch.filled += count
            batch.shares.append((entry, count))
            start += count
            if batch.filled == self._size:
                self.flush()
        if self._alone:
            self.flush()

    def flush(self) -> None:
        """Start the call that is being filled, full or not."""
        if not self._batch.filled:
            return
        while len(self._running) >= AHEAD:
            self._collect()
        batch, self._batch = self._batch, self._empty()
        self._running.append((self._network.submit(self._call, batch.segments), batch))

    def finished(self, *, wait: bool = False) -> Iterator[tuple[Prepared[T], Rows | Exception]]:
        """What is complete, in order; with `wait`, everything."""
        while self._running and (wait or self._running[0][0].done()):
            self._collect()
        while self._entries and not self._entries[0].missing:
            entry = self._entries.popleft()
            yield entry.record, entry.answer

    def _collect(self) -> None:
        """Hand the rows of the oldest call to its records."""
        running, batch = self._running.popleft()
        try:
            self._share(batch, running.result())
        except DeviceError:  # the device failed, no record is at fault
            raise
        except Exception as error:  # noqa: BLE001  one record may break a call: each is tried by itself to find it
            self._part(batch, error)

    def _share(self, batch: _Batch[T], rows: Rows) -> None:
        start = 0
        for entry, count in batch.shares:
            entry.parts.append({name: values[start : start + count] for name, values in rows.items()})
            entry.missing -= count
            start += count

    def _part(self, batch: _Batch[T], error: Exception) -> None:
        start = 0
        for entry, count in batch.shares:
            own = _Batch(segments=np.zeros_like(batch.segments), filled=count, shares=[(entry, count)])
            own.segments[:count] = batch.segments[start : start + count]
            start += count
            if len(batch.shares) == 1:
                entry.error, entry.missing = error, entry.missing - count
                continue
            try:
                self._share(own, self._network.submit(self._call, own.segments).result())
            except DeviceError:
                raise
            except Exception as its_own:  # noqa: BLE001  it is the record's answer
                entry.error, entry.missing = its_own, entry.missing - count
