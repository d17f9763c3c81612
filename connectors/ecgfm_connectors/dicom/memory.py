"""The bytes of objects that a DICOM port has received and not yet stored, over all associations, within one bound.

Beyond the bound nothing more is read of whoever sends until there is room. One association at a time may go beyond it
with its one object: those that are half received would wait for each other for ever. Where nothing becomes free though
no object waits for the store, the association that holds most of a half received one is ended, and its sender sends
again: a few callers that send long objects byte by byte would keep everybody out.
"""

import threading
import time
from collections.abc import Callable
from weakref import WeakSet

STUCK_AFTER = 5.0  #: seconds in which nothing becomes free though no object waits for the store
_LOOK = 0.5  # seconds between looks whether it still does


class NoRoom(OSError):
    """The port holds as much as it may, and this association has to make room."""


class Share:
    """What one association holds."""

    def __init__(self, end: Callable[[], None]) -> None:
        """`end` ends its connection; called from any thread."""
        self.end = end
        self.held = 0  #: bytes
        self.whole = False  #: its object came whole
        self.ended = False

    def give_way(self) -> None:
        self.ended = True
        self.end()


class Memory:
    """Safe to use from several threads."""

    def __init__(self, most: int, *, stuck_after: float = STUCK_AFTER) -> None:
        """`most`: bytes; one object may go beyond it. `stuck_after`: seconds in which nothing becomes free."""
        self._most = most
        self._stuck_after = stuck_after
        self._shares: WeakSet[Share] = WeakSet()  # one whose association never began is gone with it
        self._all = 0  # bytes of all shares: summed up anew, hundreds of callers cost more than what they send
        self._beyond: Share | None = None  # the one that may go beyond the bound
        self._freed = 0.0  # of the monotonic clock: when something became free last
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """Bytes of all associations."""
        with self._changed:
            return self._all

    def share(self, end: Callable[[], None]) -> Share:
        """The share of a new association, until `leave`."""
        share = Share(end)
        with self._changed:
            self._shares.add(share)
        return share

    def leave(self, share: Share) -> None:
        """Its association has ended."""
        with self._changed:
            self._free(share)
            self._shares.discard(share)

    def take(self, share: Share, size: int, patience: float) -> None:
        """So many bytes more, once there is room. Raises NoRoom, TimeoutError after `patience` seconds."""
        began = time.monotonic()
        with self._changed:
            while not share.ended and not self._has_room(share, size):
                now = time.monotonic()
                if now >= began + patience:
                    raise TimeoutError("the port holds as much as it may")
                stuck_at = max(began, self._freed) + self._stuck_after
                if now >= stuck_at and not any(one.whole for one in self._shares):
                    self._make_room()
                else:
                    self._changed.wait(min(began + patience, max(stuck_at, now + _LOOK)) - now)
            if share.ended:
                raise NoRoom("this association has to make room")
            share.held += size
            self._all += size

    def whole(self, share: Share) -> None:
        """Its object came whole and waits for the store."""
        with self._changed:
            share.whole = True

    def stored(self, share: Share) -> None:
        """Its object was answered, and is held no longer."""
        with self._changed:
            self._free(share)

    def end(self, share: Share) -> None:
        """Whoever waits for room finds its connection ended."""
        with self._changed:
            share.ended = True
            self._changed.notify_all()

    def _has_room(self, share: Share, size: int) -> bool:
        if self._all + size <= self._most:
            return True
        if self._beyond is None:
            self._beyond = share
        return self._beyond is share

    def _free(self, share: Share) -> None:
        self._all -= share.held
        share.held, share.whole = 0, False
        if self._beyond is share:
            self._beyond = None
        self._freed = time.monotonic()
        self._changed.notify_all()

    def _make_room(self) -> None:
        """The one that holds most gives way; its memory is free once its threads have ended."""
        largest = max((one for one in self._shares if not one.ended), key=lambda one: one.held, default=None)
        if largest is not None:
            largest.give_way()
        self._freed = time.monotonic()
        self._changed.notify_all()
