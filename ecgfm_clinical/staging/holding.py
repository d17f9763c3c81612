"""What a worker holds when a batch breaks off while the worker itself lives on.

Its lease would never end: the same process goes on saying that it lives. So what is left is given back before the next
batch is claimed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from ecgfm_clinical.errors import DeviceFailed, StoreUnavailable
from ecgfm_clinical.staging.store import Store


class Holding:
    """The work of one worker name, one batch at a time."""

    def __init__(self, store: Store, worker: str, *, clock: Callable[[], datetime], max_attempts: int = 1) -> None:
        """`max_attempts` of a score job; messages do not count what happens here."""
        self._store = store
        self._worker = worker
        self._clock = clock
        self._max_attempts = max_attempts
        self._give_back: Callable[[], int] | None = self._release  # an earlier object may have worked under this name

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Around claiming and working off one batch."""
        if self._give_back is not None:
            self._give_back()
        self._give_back = self._reap
        try:
            yield
        except StoreUnavailable:
            self._give_back = self._release
            raise
        except DeviceFailed:
            self._give_back = self._release
            self._release()  # at once: a worker without a device may never come to its next batch
            raise
        self._give_back = None

    def _release(self) -> int:
        """The store was away, or the device failed: it was no attempt."""
        return self._store.leases.release(self._worker, now=self._clock())

    def _reap(self) -> int:
        """Something in the batch broke it: it was one, and each of them is tried by itself from now on."""
        return self._store.leases.reap(worker=self._worker, now=self._clock(), max_attempts=self._max_attempts)
