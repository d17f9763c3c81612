"""The bytes of objects that a DICOM port has received and not yet stored, over all associations, within one bound.

Beyond the bound whoever wants to send waits while there are objects that came whole, for one of them will soon be
stored; nothing of the waiting one is read meanwhile. Where all are half received, the association that holds most is
ended and its sender sends again: a few callers that send long objects byte by byte would keep everybody out.
"""

import threading
import time
from collections.abc import Callable
from weakref import WeakSet


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

    def __init__(self, most: int) -> None:
        """`most`: bytes."""
        self._most = most
        self._shares: WeakSet[Share] = WeakSet()  # one whose association never began is gone with it
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """Bytes of all associations."""
        with self._changed:
            return self._held()

    def share(self, end: Callable[[], None]) -> Share:
        """The share of a new association, until `leave`."""
        share = Share(end)
        with self._changed:
            self._shares.add(share)
        return share

    def leave(self, share: Share) -> None:
        """Its association has ended."""
        with self._changed:
            self._shares.discard(share)
            self._changed.notify_all()

    def take(self, share: Share, size: int, patience: float) -> None:
        """So many bytes more. Raises NoRoom; waits for others to be stored, TimeoutError after `patience` seconds."""
        until = time.monotonic() + patience
        with self._changed:
            while not share.ended and self._held() + size > self._most and self._others_hold(share):
                if self._held() - self._leaving() + size <= self._most or not self._make_room(share, size):
                    left = until - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        raise TimeoutError("the port holds as much as it may")
            if share.ended:
                raise NoRoom("this association has to make room")
            share.held += size

    def whole(self, share: Share) -> None:
        """Its object came whole and waits for the store."""
        with self._changed:
            share.whole = True

    def stored(self, share: Share) -> None:
        """Its object was answered, and is held no longer."""
        with self._changed:
            share.held, share.whole = 0, False
            self._changed.notify_all()

    def end(self, share: Share) -> None:
        """Whoever waits for room finds its connection ended."""
        with self._changed:
            share.ended = True
            self._changed.notify_all()

    def _held(self) -> int:
        return sum(one.held for one in self._shares)

    def _leaving(self) -> int:
        return sum(one.held for one in self._shares if one.ended)

    def _others_hold(self, share: Share) -> bool:
        """One object always has room, however long it may be."""
        return any(one.held for one in self._shares if one is not share)

    def _make_room(self, share: Share, size: int) -> bool:
        """End the association that holds most of an object half received; False where waiting is what helps."""
        if any(one.whole for one in self._shares):
            return False
        half = [one for one in self._shares if not one.ended and one is not share]
        largest = max(half, key=lambda one: one.held, default=share)
        if largest.held > share.held + size:
            largest.give_way()
            self._changed.notify_all()
        else:
            share.ended = True
        return True
