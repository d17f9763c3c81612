"""The MLLP port that carts and interface engines call: frames in, a verdict from the handler, acknowledgements out.

One thread accepts, and each connection has a thread of its own, which waits for the network and for the handler's disk:
a slow store never stops the port, and a message costs no hop between threads. Messages of one connection are handled
one after another, in their order, and each is acknowledged only after the handler's verdict, that is after the commit.
"""

import ipaddress
import secrets
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from ecgfm_connectors.base import Disposition, Handler, Received, Verdict
from ecgfm_connectors.errors import Misconfigured, ProtocolViolation, Unreadable
from ecgfm_connectors.hl7 import ack, message
from ecgfm_connectors.hl7.framing import DEFAULT_MAX_MESSAGE, Framer, frame
from ecgfm_connectors.tls import TlsFiles

_CHUNK = 64 * 1024
_HELD_MESSAGES = 8  # longest messages that may be half received at once, over all connections
_HANDSHAKE = 5.0  # seconds a caller may take to start TLS
_BACKLOG = 128
_WORKERS = 8  # handlers at work at once; the store behind them serialises writes anyway
_PAUSE = 0.1  # seconds without accepting while this process can open no more files
_TRY_LATER = Verdict(disposition=Disposition.TRY_LATER, code="try-later", text="the receiver cannot store now")
_UNKNOWN_SENDER = Verdict(disposition=Disposition.REFUSED, code="unknown-sender", text="MSH-3 is not on our list")


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
        max_message_bytes: int = DEFAULT_MAX_MESSAGE,
        max_connections: int = 100,
        idle_timeout: float = 3600.0,
        frame_timeout: float = 60.0,
        tls: TlsFiles | None = None,
    ) -> None:
        """`allowed_hosts`: addresses or networks (`10.1.0.0/16`), empty = all. `allowed_senders`: MSH-3 or MSH-3|MSH-4.

        `idle_timeout` and `frame_timeout` are seconds without a byte between messages and inside one; the second is
        short, because a message that stops half-way holds memory. Raises Misconfigured for an unusable address.
        """
        self._name = name
        self._host = host
        self._port = port
        self._handler = handler
        self._clock = clock
        self._networks = [_network(text) for text in allowed_hosts]
        self._senders = frozenset(allowed_senders)
        self._max_message = max_message_bytes
        self._max_connections = max_connections
        self._idle_timeout = idle_timeout
        self._frame_timeout = frame_timeout
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._ports: list[socket.socket] = []
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._framers: set[Framer] = set()
        self._handlers = threading.BoundedSemaphore(_WORKERS)
        self._lock = threading.Lock()  # over the two above
        self._thread: threading.Thread | None = None
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

    def start(self) -> None:
        """Bind and serve in the background. Raises Misconfigured: port taken, no such address on this machine, TLS
        files unusable.
        """
        self._context = self._tls.server_context() if self._tls else None
        try:
            self._ports = _bound(self._host, self._port)
        except (OSError, OverflowError) as error:
            raise Misconfigured(
                f"cannot listen for HL7 on {self._host}:{self._port}: {error}; choose another port, or stop "
                "the program that holds it"
            ) from error
        self._port = self._ports[0].getsockname()[1]
        self._stopping.clear()
        self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name=f"mllp-{self._name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no new message, let each one at work finish and be acknowledged, then close every connection."""
        if self._thread is None or self._wake is None:
            return
        self._stopping.set()
        self._wake[1].send(b".")
        self._thread.join()
        for one in (*self._wake, *self._ports):
            one.close()
        with self._lock:
            connections = dict(self._connections)
            for connection in connections:
                # Ends only the waiting for further messages: the answers under way can still be written.
                # `SSLSocket.shutdown` would drop the encryption, the plain socket's `shutdown` leaves it alone.
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RD)
        for thread in connections.values():
            thread.join()
        self._thread = None

    def _accept(self) -> None:
        assert self._wake is not None
        with selectors.DefaultSelector() as selector:
            for one in (self._wake[0], *self._ports):
                selector.register(one, selectors.EVENT_READ)
            while True:
                ready = selector.select()
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
        with self._lock:
            if not self._allows(peer) or len(self._connections) >= self._max_connections:
                connection.close()
                return
            thread = threading.Thread(
                target=self._serve, args=(connection, peer), name=f"mllp-{self._name}-peer", daemon=True
            )
            self._connections[connection] = thread
            try:
                thread.start()
            except RuntimeError:  # this process can start no more threads
                del self._connections[connection]
                connection.close()

    def _serve(self, connection: socket.socket, peer: str) -> None:
        """One connection, from its first byte to its end."""
        talking, framer = connection, Framer(self._max_message)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                talking = self._secured(connection, self._context)
            self._converse(talking, peer, framer)
        except (OSError, ProtocolViolation):
            pass  # the connection ends here; its sender repeats a message that was not acknowledged
        finally:
            with self._lock:
                self._framers.discard(framer)
                self._connections.pop(connection, None)
                self._connections.pop(talking, None)
            talking.close()

    def _secured(self, connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        connection.settimeout(_HANDSHAKE)
        with self._lock:  # `stop` must find one of the two
            secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            self._connections[secured] = self._connections.pop(connection)
        secured.do_handshake()
        return secured

    def _converse(self, talking: socket.socket, peer: str, framer: Framer) -> None:
        with self._lock:
            self._framers.add(framer)
        while not self._stopping.is_set():
            talking.settimeout(self._frame_timeout if framer.inside else self._idle_timeout)
            data = talking.recv(_CHUNK)
            if not data or sum(held.held for held in tuple(self._framers)) > _HELD_MESSAGES * self._max_message:
                return  # gone, or too much is half received already: the sender comes again
            for content in framer.feed(data):
                answers = self._answer(content, peer)
                talking.settimeout(self._frame_timeout)  # a peer that does not read must not block this thread
                talking.sendall(b"".join(map(frame, answers)))
                if self._stopping.is_set():
                    return

    def _answer(self, content: bytes, peer: str) -> list[bytes]:
        """The acknowledgements of one message, by the verdict on it."""
        received_at = self._clock()
        received = Received(transport="mllp", source=self._name, content=content, received_at=received_at, peer=peer)
        try:
            with self._handlers:
                verdict = self._handler(received) if self._knows(content) else _UNKNOWN_SENDER
        except Exception:  # noqa: BLE001  # outermost edge: not surely committed, so the sender must keep the message
            verdict = _TRY_LATER
        return ack.build(content, verdict, now=self._clock(), control_id=secrets.token_hex(10))

    def _allows(self, peer: str) -> bool:
        if not self._networks:
            return True
        try:
            address = ipaddress.ip_address(peer.split("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)

    def _knows(self, content: bytes) -> bool:
        if not self._senders:
            return True
        try:
            msh = message.parse_header(content)
        except Unreadable:
            return False
        return not self._senders.isdisjoint({msh.value(3), f"{msh.value(3)}|{msh.value(4)}"})


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


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise Misconfigured(f"allowed_hosts: {text!r} is no IP address or network such as 10.1.0.0/16") from error
