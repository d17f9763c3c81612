"""Memory that the processes of a crew share, so that segments are not squeezed through a pipe."""

from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.shared_memory import SharedMemory
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgfm.feeding import Prepared, no_segments

T = TypeVar("T")
#: Bytes a slot: 16 segments. A container has 64 MB of shared memory where nobody asked for more.
SLOT_BYTES = 16 * 12 * 2500 * 4

#: How many segments each record has in a slot; -1: they travel with the record.
Layout = tuple[int, ...]


def put(slot: SharedMemory, records: Sequence[Prepared[T]]) -> tuple[list[Prepared[T]], Layout]:
    """Move the segments of the records into the slot as far as there is room."""
    moved, layout, start = [], [], 0
    for record in records:
        size = record.segments.nbytes
        if start + size > SLOT_BYTES:
            moved.append(record)
            layout.append(-1)
            continue
        np.frombuffer(_memory(slot), np.float32, record.segments.size, start)[:] = record.segments.reshape(-1)
        moved.append(replace(record, segments=no_segments()))
        layout.append(len(record.segments))
        start += size
    return moved, tuple(layout)


def take(slot: SharedMemory, records: Sequence[Prepared[T]], layout: Layout) -> list[Prepared[T]]:
    """The records with their segments, which lie in the slot until it is filled anew."""
    found, start = [], 0
    for record, count in zip(records, layout, strict=True):
        if count < 0:
            found.append(record)
            continue
        shape = (count, *record.segments.shape[1:])
        segments: NDArray[np.float32] = np.frombuffer(_memory(slot), np.float32, int(np.prod(shape)), start).reshape(
            shape
        )
        found.append(replace(record, segments=segments))
        start += segments.nbytes
    return found


def _memory(slot: SharedMemory) -> memoryview:
    assert slot.buf is not None
    return slot.buf
