"""Places for so many at work at once; the others wait in the order in which they came.

A semaphore of the standard library gives a place that becomes free to whoever asks first, and puts the one that was
woken in vain at the end of the queue: among hundreds of callers some waited for many seconds.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Safe to use from several threads."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, patience: float) -> Iterator[bool]:
        """A place for the time of the block; False where none became free within `patience` seconds."""
        mine = self._come(patience)
        try:
            yield mine
        finally:
            if mine:
                self._go()

    def _come(self, patience: float) -> bool:
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return True
            called = threading.Event()
            self._waiting.append(called)
        if called.wait(patience):
            return True
        with self._lock:
            if called.is_set():  # in this very moment
                return True
            self._waiting.remove(called)
            return False

    def _go(self) -> None:
        """The place goes to the one that has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
