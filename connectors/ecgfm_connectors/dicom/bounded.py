"""The socket of one association, within bounds, and two threads that rest while nothing happens.

pynetdicom gives each association two threads, and each asks a thousand times a second whether something came: eighty
silent connections took a whole processor, and callers who had something to send waited for seconds. Here the thread
that reads waits on the socket, the other for what concerns it: a whole message, another state of the association, its
end. The parts of an object that is under way do not wake it. Both look up by themselves, less and less often, so what
they would not be woken for (a timeout, an answer that took long) is late by half of its time at most, and never by more
than half a second.
"""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any  # Any: what `select` takes and gives

from pynetdicom import transport
from pynetdicom.transport import AssociationSocket

from ecgfm_connectors.dicom.memory import Memory, Share

_RECEIVE_BUFFER = 65536
_LONGEST_REST = 0.5  # s
_SHARE = 0.5  # of the time in which nothing happened


class ObjectTooLong(OSError):
    """The caller sent more than one object may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one association may hold and how long it may take."""

    max_pdu: int  #: bytes
    max_object: int  #: bytes
    pdu_seconds: float  #: from the first byte of a PDU to its last
    object_seconds: float  #: from the first byte of an object to its last


class Stillness:
    """For how long nothing happened that concerns one of the two threads of an association."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last = monotonic()
        self._ended = threading.Event()

    def end(self) -> None:
        """Something happened."""
        self._last = self._monotonic()
        self._ended.set()

    @property
    def rest(self) -> float:
        """Seconds to wait before looking again."""
        return min(_LONGEST_REST, _SHARE * (self._monotonic() - self._last))

    def wait(self) -> None:
        """Until it ends, or the rest is over."""
        self._ended.clear()
        self._ended.wait(self.rest)


class RestingCheckpoint(threading.Event):
    """The event that an association's thread passes in each round (`_reactor_checkpoint`): the round rests here."""

    def __init__(self, stillness: Stillness) -> None:
        super().__init__()
        self._stillness = stillness
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        self._stillness.wait()
        return super().wait(timeout)


class BoundedSocket(AssociationSocket):
    """Reads whole PDUs within bounds, and counts the bytes of the object being received. Use `of`.

    While an object that came whole is not yet answered nothing more is read: a caller that sends one after the other
    without waiting for the answers would fill the memory.
    """

    bounds: Bounds
    memory: Memory
    share: Share  #: of the memory
    has_answered: threading.Event  #: the object that came whole last
    received: int  #: bytes of the object that is half received
    stillness: Stillness  #: nothing is received or sent
    news: Stillness  #: nothing that concerns the association's own thread

    @classmethod
    def of(cls, made: AssociationSocket, bounds: Bounds, memory: Memory) -> "BoundedSocket":
        """pynetdicom offers no way to bring one's own socket class, so the object that it made becomes one of ours."""
        made.__class__ = cls
        assert isinstance(made, cls)
        made.bounds, made.memory = bounds, memory
        made.share = memory.share(made.shut)
        made.stillness, made.news = Stillness(), Stillness()
        made.has_answered = threading.Event()
        made.answered()
        return made

    def shut(self) -> None:
        """End the connection, whoever reads it or writes to it."""
        if self.socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)
        self.stillness.end()
        self.news.end()

    def end(self) -> None:
        """Both sides find the connection ended."""
        self.shut()
        self.memory.end(self.share)

    def whole(self) -> None:
        """A message came whole; until it is answered nothing is read."""
        self.has_answered.clear()
        self.memory.whole(self.share)
        self.start_anew()
        self.news.end()

    def answered(self) -> None:
        """The message is held no longer."""
        self.memory.stored(self.share)
        self.start_anew()
        self.has_answered.set()

    def start_anew(self) -> None:
        """Count the next object."""
        self.received = 0
        self._until: float | None = None  # of the monotonic clock

    @property
    def ready(self) -> bool:
        """Whether there is something to read; waits for it a little."""
        if not self.has_answered.is_set():
            self.has_answered.wait(self.stillness.rest)
            return False
        if self.socket is not None and not buffered(self.socket):
            readable([self.socket], (), (), self.stillness.rest)
        return bool(super().ready)

    def send(self, bytestream: bytes) -> None:
        self.stillness.end()
        super().send(bytestream)

    def recv(self, nr_bytes: int) -> bytearray:
        """With larger reads than pynetdicom's. Raises OSError beyond a bound, which ends the association."""
        bounds, now = self.bounds, time.monotonic()
        if nr_bytes > bounds.max_pdu or self.received + nr_bytes > bounds.max_object:
            raise ObjectTooLong(f"{nr_bytes} more bytes announced, beyond what this port takes")
        if self._until is None:
            self._until = now + bounds.object_seconds
        until = min(self._until, now + bounds.pdu_seconds)
        self.memory.take(self.share, nr_bytes, until - now)
        self.received += nr_bytes
        data = self._read(nr_bytes, until)
        self.stillness.end()
        return data

    def _read(self, nr_bytes: int, until: float) -> bytearray:
        """So many bytes, or fewer where the connection ends. Raises OSError."""
        data = bytearray(nr_bytes)
        view, filled = memoryview(data), 0
        sock = self.socket
        while filled < nr_bytes and sock is not None:
            sock.settimeout(_left(until))
            received = sock.recv_into(view[filled:], min(_RECEIVE_BUFFER, nr_bytes - filled))
            if not received:
                break
            filled += received
        view.release()
        del data[filled:]
        if sock is not None:
            sock.settimeout(self.bounds.pdu_seconds)  # the answers are written with the same socket
        return data


def buffered(connection: socket.socket) -> bool:
    """Whether TLS has decrypted bytes that the socket itself does not show."""
    return isinstance(connection, ssl.SSLSocket) and bool(connection.pending())


def _left(until: float) -> float:
    """Raises TimeoutError."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the caller takes too long")
    return left


def readable(
    readers: Sequence[Any], _writers: Sequence[Any], _exceptional: Sequence[Any], timeout: float
) -> tuple[list[Any], list[Any], list[Any]]:
    """`select.select` of one socket to be read, also where its descriptor is above 1023. Raises OSError, ValueError."""
    if not hasattr(select, "poll"):  # Windows, whose `select` takes any descriptor
        return select.select(readers, [], [], timeout)
    (sock,) = readers
    poll = select.poll()
    poll.register(sock, select.POLLIN)  # ValueError where it was closed
    return (list(readers) if poll.poll(1000 * timeout) else []), [], []


class _Polling:
    """What pynetdicom knows as `select`: with the real one each association ended at once whose descriptor was above
    1023.
    """

    select = staticmethod(readable)


transport.select = _Polling  # type: ignore[attr-defined, assignment]  # it stands for the module that pynetdicom imports
