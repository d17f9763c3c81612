"""Signals to the GPU and results back while it computes: pinned buffers in pairs, and a stream of their own for copies.

A lane is one call under way: `submit` begins it and returns at once, `result` waits for it. Two lanes are enough:
while the GPU computes one, the host fills the other and its copy runs beside the computation.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgfm.signal import LEADS, SEGMENT_SAMPLES

Compute = Callable[[Tensor], Tensor]  #: (shape, 12, 2500) float32 -> (shape, columns) float32, on one device


class Lane(Protocol):
    """One call of the fixed shape under way; its buffers are its own."""

    def submit(self, segments: NDArray[np.float32]) -> None:
        """Begin the call (shape, 12, 2500); `segments` may be changed as soon as this returns."""

    def result(self) -> NDArray[np.float32]:
        """Wait for what was submitted: (shape, columns), the caller's own."""


def pipelined(lanes: Sequence[Lane], calls: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The result of each call, in order; as many calls are under way as there are lanes.

    The next call is asked for only when a lane is free, so that nothing piles up. Where the caller stops early, or a
    call fails, what is under way is waited for: a lane is never submitted to twice.
    """
    free, busy = deque(lanes), deque[Lane]()
    try:
        for call in calls:
            if not free:
                free.append(busy[0])
                yield busy.popleft().result()
            busy.append(free.popleft())
            busy[-1].submit(call)
        while busy:
            yield busy.popleft().result()
    finally:
        while busy:
            busy.popleft().result()


class HostLane:
    """On the CPU there is nothing to overlap: the call is computed when it is submitted."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._result: Tensor | None = None

    def submit(self, segments: NDArray[np.float32]) -> None:
        self._result = self._compute(torch.from_numpy(segments.copy()))

    def result(self) -> NDArray[np.float32]:
        assert self._result is not None, "nothing was submitted"
        found, self._result = self._result.numpy().copy(), None
        return found


class CudaLane:
    """Pinned memory on both sides, the copy to the GPU on a stream that does not wait for the computation."""

    def __init__(self, compute: Compute, shape: int, columns: int, copies: "torch.cuda.Stream") -> None:
        device = copies.device
        self._compute, self._copies = compute, copies
        self._given = torch.zeros(shape, len(LEADS), SEGMENT_SAMPLES).pin_memory()
        self._source = torch.zeros(self._given.shape, device=device)
        self._found = torch.zeros(shape, columns).pin_memory()
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def submit(self, segments: NDArray[np.float32]) -> None:
        # The lane's last call has ended (`result` was taken), so all of its buffers are free.
        self._given.numpy()[:] = segments
        computing = torch.cuda.current_stream(self._source.device)
        with torch.cuda.stream(self._copies):
            self._source.copy_(self._given, non_blocking=True)
            self._arrived.record(self._copies)
        computing.wait_event(self._arrived)
        # The result is small: copying it on the computing stream costs less than another wait would.
        self._found.copy_(self._compute(self._source), non_blocking=True)
        self._done.record(computing)

    def result(self) -> NDArray[np.float32]:
        self._done.synchronize()
        return np.asarray(self._found.numpy()).copy()
