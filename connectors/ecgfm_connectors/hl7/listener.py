"""The MLLP port that carts and interface engines call: frames in, a verdict from the handler, acknowledgements out.

One thread accepts, and each connection has a thread of its own, which waits for the network and for the handler's disk:
a slow store never stops the port, and a message costs no hop between threads. Messages of one connection are handled
one after another, in their order, and each is acknowledged only after the handler's verdict, that is after the commit.

Whoever connects and says nothing keeps nobody out: one address may have a share of the places only, and where places
are wanted, the connection that has been silent longest without ever having sent a message gives way. A message has a
time in all, not only between two of its bytes; what is half received is bounded over all connections, and the message
that began first gives way.
"""

import secrets
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from ecgfm_connectors.base import Disposition, Handler, Received, Verdict
from ecgfm_connectors.doors import Door
from ecgfm_connectors.errors import Misconfigured, ProtocolViolation
from ecgfm_connectors.hl7 import ack
from ecgfm_connectors.hl7.framing import DEFAULT_MAX_MESSAGE, Framer, frame
from ecgfm_connectors.hl7.senders import Senders, refuse
from ecgfm_connectors.rejections import Reason, Rejection, Tell, tell_nobody, tls_reason
from ecgfm_connectors.tls import ServerTls, TlsFiles
from ecgfm_connectors.turns import Turns

_CHUNK = 64 * 1024
_HELD_MESSAGES = 8  # longest messages that may be half received at once, over all connections
_HANDSHAKE = 5.0  # seconds a caller may take to start TLS
_GRACE = 10.0  # seconds of silence after which a connection that never sent a message gives way to a new one
_LAST_GRACE = 1.0  # seconds for the threads to notice that their connections were ended
_BACKLOG = 1024  # callers the system holds until they are accepted, if let; one more is heard 1, 3, 7 or 31 s later
_ROUND = 1.0  # seconds after which the accepting thread comes round though nobody calls
_WORKERS = 8  # handlers at work at once; the store behind them serialises writes anyway
_LONGEST_WAIT = 30.0  # seconds that a message waits for its turn at the handlers
_PAUSE = 0.1  # seconds without accepting while this process can open no more files
_TRY_LATER = Verdict(disposition=Disposition.TRY_LATER, code="try-later", text="the receiver cannot store now")


@dataclass(slots=True, eq=False)
class _Caller:
    """One connection and how far it has come."""

    host: str
    connection: socket.socket
    framer: Framer
    since: float  #: of the monotonic clock: the start, or the end of the last message
    thread: threading.Thread = field(init=False)
    began: float | None = None  #: of the message that is half received
    delivered: bool = False  #: has sent a whole message
    handling: int = 0  #: bytes of the message that the handler has
    gone: bool = False  #: its place is free again

    @property
    def held(self) -> int:
        return self.framer.held + self.handling


class MllpListener:
    """An MLLP port for HL7 v2 (base.Listener)."""

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        handler: Handler,
        clock: Callable[[], datetime],
        allowed_hosts: Sequence[str] = (),
        allowed_senders: Sequence[str] = (),
        strangers: Handler = refuse,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE,
        max_connections: int = 100,
        max_per_host: int | None = None,
        idle_timeout: float = 3600.0,
        frame_timeout: float = 60.0,
        message_timeout: float = 300.0,
        tls: TlsFiles | None = None,
        turned_away: Tell = tell_nobody,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`allowed_hosts`: addresses or networks (`10.1.0.0/16`), empty = all. `allowed_senders`: MSH-3 or MSH-3|MSH-4,
        empty = all; `strangers` handles the messages of others. `max_per_host`: connections of one address, three
        quarters of all where it is None. `turned_away` hears of each caller that is, from any thread.

        Seconds: `idle_timeout` from one message to the next, `frame_timeout` without a byte inside a message,
        `message_timeout` from a message's first byte to its last. Raises Misconfigured for an unusable address.
        """
        self._name = name
        self._host = host
        self._port = port
        self._handler = handler
        self._clock = clock
        self._door = Door(allowed=allowed_hosts, most=max_connections, most_per_host=max_per_host)
        self._monotonic = monotonic
        self._senders = Senders(allowed_senders)
        self._strangers = strangers
        self._turned_away = turned_away
        self._max_message = max_message_bytes
        self._idle_timeout = idle_timeout
        self._frame_timeout = frame_timeout
        self._message_timeout = message_timeout
        self._tls = tls
        self._shown: ServerTls | None = None
        self._ports: list[socket.socket] = []
        self._callers: set[_Caller] = set()
        self._turns = Turns(_WORKERS)
        self._lock = threading.Lock()  # over the callers
        self._thread: threading.Thread | None = None
        self._came_round = 0.0  # of the monotonic clock
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """The bound port, also where 0 was asked for."""
        return self._port

    @property
    def alive(self) -> bool:
        """Whether the thread that accepts callers runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def silence(self) -> float:
        """Seconds since the thread that accepts callers last came round."""
        return self._monotonic() - self._came_round if self.alive else 0.0

    def start(self) -> None:
        """Bind and serve in the background. Raises Misconfigured: port taken, no such address on this machine, TLS
        files unusable.
        """
        self._shown = ServerTls(self._tls) if self._tls else None
        try:
            self._ports = _bound(self._host, self._port)
        except (OSError, OverflowError) as error:
            raise Misconfigured(
                f"cannot listen for HL7 on {self._host}:{self._port}: {error}; choose another port, or stop "
                "the program that holds it"
            ) from error
        self._port = self._ports[0].getsockname()[1]
        self._stopping.clear()
        self._came_round = self._monotonic()
        self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name=f"mllp-{self._name}", daemon=True)
        self._thread.start()

    def stop(self, grace: float = 10.0) -> None:
        """Take no new message, let each one at work finish and be acknowledged, then close every connection.

        After `grace` seconds in all a peer that does not read its acknowledgement is left without; it sends again.
        """
        if self._thread is None or self._wake is None:
            return
        self._stopping.set()
        self._wake[1].send(b".")
        self._thread.join()
        for one in (*self._wake, *self._ports):
            one.close()
        with self._lock:
            callers = tuple(self._callers)
            for caller in callers:
                _shut(caller.connection, socket.SHUT_RD)  # the answers under way can still be written
        _join([caller.thread for caller in callers], grace)
        for caller in callers:
            _shut(caller.connection, socket.SHUT_RDWR)
        _join([caller.thread for caller in callers], _LAST_GRACE)
        self._thread = None

    def _accept(self) -> None:
        assert self._wake is not None
        with selectors.DefaultSelector() as selector:
            for one in (self._wake[0], *self._ports):
                selector.register(one, selectors.EVENT_READ)
            while True:
                self._came_round = self._monotonic()
                ready = selector.select(_ROUND)
                if self._stopping.is_set():
                    return
                for key, _ in ready:
                    assert isinstance(key.fileobj, socket.socket)
                    self._take(key.fileobj)

    def _take(self, port: socket.socket) -> None:
        try:
            connection, address = port.accept()
        except BlockingIOError:
            return  # the caller has gone again
        except OSError:  # this process can open no more files
            self._stopping.wait(_PAUSE)
            return
        self._admit(connection, str(address[0]))

    def _admit(self, connection: socket.socket, peer: str) -> None:
        if not self._door.admits(peer):
            self._turn_away(connection, peer, "address-not-allowed")
        elif not self._seated(connection, peer):
            self._turn_away(connection, peer, "too-many-connections")

    def _seated(self, connection: socket.socket, peer: str) -> bool:
        """Give the caller a place and a thread; False where there is no place."""
        with self._lock:
            if not (self._door.enter(peer) or self._made_room(peer)):
                return False
            caller = _Caller(peer, connection, Framer(self._max_message), self._monotonic())
            caller.thread = threading.Thread(
                target=self._serve, args=(caller,), name=f"mllp-{self._name}-peer", daemon=True
            )
            self._callers.add(caller)
            try:
                caller.thread.start()
            except RuntimeError:  # this process can start no more threads
                self._forget(caller)
                connection.close()
            return True

    def _turn_away(self, connection: socket.socket, peer: str, reason: Reason) -> None:
        try:
            self._turned_away(Rejection(listener=self._name, host=peer, reason=reason))
        finally:
            connection.close()

    def _made_room(self, peer: str) -> bool:
        """Take the place of the connection that has been silent longest and never sent a message; False where none has
        been silent long enough. Where the address has used up its own places, one of its own gives way.
        """
        own = self._door.full_for(peer)
        latest = self._monotonic() - _GRACE
        silent = [one for one in self._callers if not one.gone and not one.delivered and not one.framer.inside]
        silent = [one for one in silent if one.since <= latest and (not own or one.host == peer)]
        if not silent:
            return False
        self._send_away(min(silent, key=lambda one: one.since))
        return self._door.enter(peer)

    def _send_away(self, caller: _Caller) -> None:
        """Its thread finds the connection ended; its place is free at once."""
        caller.gone = True
        self._door.leave(caller.host)
        _shut(caller.connection, socket.SHUT_RDWR)

    def _forget(self, caller: _Caller) -> None:
        self._callers.discard(caller)
        if not caller.gone:
            caller.gone = True
            self._door.leave(caller.host)

    def _serve(self, caller: _Caller) -> None:
        """One connection, from its first byte to its end."""
        try:
            caller.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._shown is not None:
                self._secure(caller, self._shown.current())
            self._converse(caller)
        except (OSError, ProtocolViolation):
            pass  # the connection ends here; its sender repeats a message that was not acknowledged
        finally:
            with self._lock:
                self._forget(caller)
                caller.connection.close()

    def _secure(self, caller: _Caller, context: ssl.SSLContext) -> None:
        caller.connection.settimeout(_HANDSHAKE)
        with self._lock:  # `stop` must find one of the two
            secured = context.wrap_socket(caller.connection, server_side=True, do_handshake_on_connect=False)
            caller.connection = secured
        try:
            secured.do_handshake()
        except OSError as error:
            if (reason := tls_reason(error)) is not None:
                self._turned_away(Rejection(listener=self._name, host=caller.host, reason=reason))
            raise

    def _converse(self, caller: _Caller) -> None:
        talking, framer = caller.connection, caller.framer
        while not self._stopping.is_set():
            talking.settimeout(self._patience(caller))
            data = talking.recv(_CHUNK)
            if not data or not self._has_memory_for(caller):
                return  # gone, or too much is half received already: the sender comes again
            for content in framer.feed(data):
                caller.delivered, caller.began, caller.handling = True, None, len(content)
                answers = self._answer(content, caller.host)
                talking.settimeout(self._frame_timeout)  # a peer that does not read must not block this thread
                talking.sendall(b"".join(map(frame, answers)))
                caller.handling, caller.since = 0, self._monotonic()
                if self._stopping.is_set():
                    return
            if framer.inside and caller.began is None:
                caller.began = self._monotonic()

    def _patience(self, caller: _Caller) -> float:
        """Seconds to wait for the next byte.

        Raises TimeoutError where the message, or the pause, has lasted too long.
        """
        if caller.began is None:
            left = caller.since + self._idle_timeout - self._monotonic()
        else:
            left = min(self._frame_timeout, caller.began + self._message_timeout - self._monotonic())
        if left <= 0:
            raise TimeoutError
        return left

    def _has_memory_for(self, caller: _Caller) -> bool:
        """Whether what is held may grow. Where it is too much already, the message that began first gives way."""
        with self._lock:
            if caller.gone:
                return False
            if sum(one.held for one in self._callers) <= _HELD_MESSAGES * self._max_message:
                return True
            waiting = [one for one in self._callers if one.began is not None and not one.gone]
            if not waiting:
                return False
            oldest = min(waiting, key=lambda one: one.began or 0.0)
            self._send_away(oldest)
            return oldest is not caller

    def _answer(self, content: bytes, peer: str) -> list[bytes]:
        """The acknowledgements of one message, by the verdict on it."""
        received_at = self._clock()
        received = Received(transport="mllp", source=self._name, content=content, received_at=received_at, peer=peer)
        try:
            with self._turns.turn(_LONGEST_WAIT) as mine:
                verdict = self._handle(received) if mine else _TRY_LATER
        except Exception:  # noqa: BLE001  # outermost edge: not surely committed, so the sender must keep the message
            verdict = _TRY_LATER
        return ack.build(content, verdict, now=self._clock(), control_id=secrets.token_hex(10))

    def _handle(self, received: Received) -> Verdict:
        if self._senders.names(received.content):
            return self._handler(received)
        self._turned_away(Rejection(listener=self._name, host=received.peer, reason="unknown-sender"))
        return self._strangers(received)


def _bound(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address that `host` stands for, all on one port. Raises OSError."""
    found: list[socket.socket] = []
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            # "" is every address of both families, as two sockets: one for both would show IPv4 callers in IPv6 dress.
            one = socket.create_server((address[0], port), family=family, backlog=_BACKLOG)
            found.append(one)
            one.setblocking(False)  # a caller may be gone again before it is accepted
            port = one.getsockname()[1]
    except BaseException:
        for one in found:
            one.close()
        raise
    return found


def _join(threads: Sequence[threading.Thread], seconds: float) -> None:
    """Wait for the end of all, so long in all."""
    give_up = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))


def _shut(connection: socket.socket, how: int) -> None:
    # `SSLSocket.shutdown` would drop the encryption, the plain socket's `shutdown` leaves it alone.
    with suppress(OSError):
        socket.socket.shutdown(connection, how)
