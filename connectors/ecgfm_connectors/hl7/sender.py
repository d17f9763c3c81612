"""Sends results over MLLP, one message at a time, and returns the receiver's acknowledgement.

A message whose fate is unknown (no answer, connection closed, garbage) raises Unreachable: the caller sends the same
bytes with the same MSH-10 again. Acknowledgements of other messages are discarded, since some receivers repeat old
acknowledgements on a connection.
"""

import select
import socket
import ssl
import threading
import time
from contextlib import suppress

from ecgfm_connectors.errors import Misconfigured, NotReached, ProtocolViolation, Unreachable
from ecgfm_connectors.hl7 import ack
from ecgfm_connectors.hl7.framing import Framer, frame
from ecgfm_connectors.result import Ack
from ecgfm_connectors.tls import TlsFiles

_MAX_ACK = 1024 * 1024
_CHUNK = 65536


class MllpDestination:
    """An EHR or interface engine that takes results (base.Destination). Safe to share between threads."""

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        connect_timeout: float = 10.0,
        ack_timeout: float = 30.0,
        tls: TlsFiles | None = None,
    ) -> None:
        """Timeouts in seconds; `ack_timeout` runs from the last byte sent to the matching acknowledgement."""
        self._name = name
        self._address = (host, port)
        self._connect_timeout = connect_timeout
        self._ack_timeout = ack_timeout
        self._tls = tls
        self._one_in_flight = threading.Lock()
        self._connection: socket.socket | None = None
        self._framer = Framer(_MAX_ACK)
        self._unread: list[bytes] = []

    @property
    def name(self) -> str:
        return self._name

    def send(self, body: bytes, *, control_id: str) -> Ack:
        """Deliver one message and return its acknowledgement.

        Where MSH-16 asks for an application acknowledgement, a CA is followed by waiting for it; if none comes in
        time, the CA is returned: the receiver holds the message safely. Raises Unreachable (fate unknown, send the
        same bytes again), NotReached (it certainly got nothing) and Misconfigured (TLS refused).
        """
        with self._one_in_flight:
            reused = self._connection is not None
            try:
                return self._exchange(body, control_id)
            except ConnectionError as error:
                # A receiver that closes after each ACK may close just as the next message leaves: that is no failure
                # of the receiver, so the same bytes go once more over a new connection.
                if not reused:
                    raise self._unknown(error) from error
            except (OSError, ProtocolViolation) as error:
                raise self._unknown(error) from error
            try:
                answer = self._exchange(body, control_id)
            except (OSError, ProtocolViolation, NotReached) as error:  # the first try may have got through
                raise self._unknown(error) from error
            if answer.code not in ("AA", "CA"):  # a refusal of the repeat does not say what became of the first try
                raise Unreachable(f"{self._where} answered {answer.code} to a repeat; the message will be sent again")
            return answer

    def check(self) -> str:
        """Connect without sending. Raises Unreachable, Misconfigured."""
        with self._one_in_flight:
            self._connected()
            return f"{self._where} accepts connections"

    def close(self) -> None:
        with self._one_in_flight:
            self._drop()

    @property
    def _where(self) -> str:
        return f"{self._name} at {self._address[0]}:{self._address[1]}"

    def _exchange(self, body: bytes, control_id: str) -> Ack:
        connection = self._connected()
        try:
            connection.settimeout(self._ack_timeout)
            connection.sendall(frame(body))
            return self._acknowledged(connection, control_id, wants_application=_wants_application(body))
        except (OSError, ProtocolViolation):
            self._drop()
            raise

    def _unknown(self, error: Exception) -> Unreachable | Misconfigured:
        if isinstance(error, ssl.SSLError) and "ALERT" in (
            error.reason or ""
        ):  # in TLS 1.3 this comes after connecting
            return Misconfigured(f"{self._where} refused our certificate: {error.reason}; mend the TLS files")
        return Unreachable(f"{self._where}: {_reason(error)}; the message will be sent again")

    def _acknowledged(self, connection: socket.socket, control_id: str, *, wants_application: bool) -> Ack:
        deadline = time.monotonic() + self._ack_timeout
        accepted: Ack | None = None
        while True:
            try:
                content = self._next_frame(connection, deadline)
                answer = ack.plain_acceptance(content, control_id) or ack.parse(content)
            except TimeoutError:
                if accepted is None:
                    raise
                return accepted
            if answer.control_id != control_id:
                continue
            if answer.code != "CA" or not wants_application:
                return answer
            accepted = answer

    def _next_frame(self, connection: socket.socket, deadline: float) -> bytes:
        while not self._unread:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("no acknowledgement in time")
            connection.settimeout(remaining)
            data = connection.recv(_CHUNK)
            if not data:
                raise ConnectionResetError("the receiver closed the connection without an acknowledgement")
            self._unread += self._framer.feed(data)
        return self._unread.pop(0)

    def _connected(self) -> socket.socket:
        """The open connection if the receiver has not closed it meanwhile (some close after each ACK), else a
        new one.
        """
        if self._connection is not None and not _closed_by_peer(self._connection):
            return self._connection
        self._drop()
        context = self._tls.client_context() if self._tls else None
        try:
            connection = socket.create_connection(self._address, timeout=self._connect_timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if context is not None:
                connection = context.wrap_socket(connection, server_hostname=self._address[0])
        except ssl.SSLCertVerificationError as error:
            text = f"{self._where}: its certificate is not trusted: {error.verify_message}; mend the TLS files"
            raise Misconfigured(text) from error
        except OSError as error:
            raise NotReached(f"{self._where} cannot be reached: {_reason(error)}") from error
        self._connection = connection
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
        self._connection = None
        self._framer = Framer(_MAX_ACK)
        self._unread = []


def _closed_by_peer(connection: socket.socket) -> bool:
    """Whether the other side has closed; bytes that wait (late acknowledgements) do not count as closed."""
    if isinstance(connection, ssl.SSLSocket):
        return _tls_closed_by_peer(connection)
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    if not waiting.poll(0):
        return False
    connection.setblocking(False)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _tls_closed_by_peer(connection: ssl.SSLSocket) -> bool:
    """TLS cannot be peeked; anything that waits on an idle connection is a close notice or a stale acknowledgement."""
    connection.setblocking(False)
    try:
        connection.recv(1)
    except ssl.SSLWantReadError:
        return False
    except OSError:
        return True
    return True


def _wants_application(body: bytes) -> bool:
    """MSH-16 of the message that is sent; the separator is the first field itself."""
    fields = body[: body.find(b"\r")].split(body[3:4])
    return len(fields) > 15 and fields[15].upper() in (b"AL", b"SU", b"ER")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no acknowledgement in time"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
