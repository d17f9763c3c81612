"""pynetdicom's association server, made safe to leave open in a hospital network.

Differences to `ThreadedAssociationServer` (pynetdicom 3.0), each for a failure seen: the TLS handshake runs in the
caller's own thread and with a time limit (it ran inside accept(), so one silent connection shut every other caller
out); addresses can be allow-listed; a PDU longer than announced, or an object longer than allowed, ends the association
before it fills the memory; a caller that stops in the middle of a PDU, or sends one byte by byte, is given up. A
connection counts as an association once it asks for one (every silent one took the place of a caller that had something
to send), and one address has a share of the places only.
"""

import logging
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from pynetdicom import _config as pynetdicom_config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from ecgfm_connectors.doors import Door

# pynetdicom logs titles and UIDs of every message, and each refused connection as an error with a traceback; the
# failures among them reach the code that uses this module as an exception or a status.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
pynetdicom_config.LOG_HANDLER_LEVEL = "none"

_RECEIVE_BUFFER = 65536
_HANDSHAKE_TIMEOUT = 10.0  # s


class ObjectTooLong(OSError):
    """The caller sent more than one object may have."""


class Entity(ApplicationEntity):
    """An application entity whose associations are those that were asked for."""

    @property
    def active_associations(self) -> list[Association]:
        """Without connections that have not yet sent an A-ASSOCIATE-RQ: pynetdicom compares their number with
        `maximum_associations`.
        """
        return [one for one in super().active_associations if one.requestor.primitive is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one association may hold and how long it may take."""

    max_pdu: int  #: bytes
    max_object: int  #: bytes
    max_held: int  #: bytes of objects half received, over all associations
    pdu_seconds: float  #: from the first byte of a PDU to its last
    object_seconds: float  #: from the first byte of an object to its last


class BoundedSocket:
    """Reads for one association: whole PDUs within bounds, and counts the bytes of the object being received."""

    def __init__(self, wrapped: AssociationSocket, bounds: Bounds, held: Callable[[], int]) -> None:
        """`held`: bytes of all associations of the port."""
        self._wrapped = wrapped
        self._bounds = bounds
        self._held = held
        self.received = 0
        self._until: float | None = None  # of the monotonic clock

    def object_complete(self) -> None:
        """Start counting anew."""
        self.received, self._until = 0, None

    def recv(self, nr_bytes: int) -> bytearray:
        """`AssociationSocket.recv`, with larger reads. Raises OSError beyond a bound, which ends the association."""
        bounds, now = self._bounds, time.monotonic()
        too_long = nr_bytes > bounds.max_pdu or self.received + nr_bytes > bounds.max_object
        if too_long or self._held() + nr_bytes > bounds.max_held:
            raise ObjectTooLong(f"{nr_bytes} more bytes announced, beyond what this port takes")
        self.received += nr_bytes
        if self._until is None:
            self._until = now + bounds.object_seconds
        until = min(self._until, now + bounds.pdu_seconds)
        data = bytearray(nr_bytes)
        view, filled = memoryview(data), 0
        sock = self._wrapped.socket
        while filled < nr_bytes and sock is not None:
            sock.settimeout(_left(until))
            received = sock.recv_into(view[filled:], min(_RECEIVE_BUFFER, nr_bytes - filled))
            if not received:
                break
            filled += received
        view.release()
        del data[filled:]
        if sock is not None:
            sock.settimeout(bounds.pdu_seconds)  # the answers are written with the same socket
        return data


def _left(until: float) -> float:
    """Raises TimeoutError."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the caller takes too long")
    return left


class HardenedServer(ThreadedAssociationServer):
    """See the module's docstring. `door` decides on a peer's address before a byte of it is read."""

    daemon_threads = True

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        ae_title: str,
        contexts: list[PresentationContext],
        ssl_context: ssl.SSLContext | None = None,
        evt_handlers: list[Any] | None = None,
        *,
        door: Door,
        bounds: Bounds,
    ) -> None:
        self._door = door
        self._stall_timeout = bounds.pdu_seconds
        self.bounds = bounds
        self.bounded: WeakKeyDictionary[Association, BoundedSocket] = WeakKeyDictionary()
        super().__init__(ae, address, ae_title, contexts, ssl_context, evt_handlers, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Called by socketserver after accept(); False closes the connection."""
        host = str(client_address[0])
        return self._door.admits(host) and self._door.enter(host)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept without waiting for the TLS handshake."""
        if self.socket is None:
            raise OSError("the server is closed")
        connection, address = self.socket.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(self._stall_timeout)
        if self.ssl_context is not None:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The caller's own thread: handshake first, then the association."""
        if isinstance(request, ssl.SSLSocket):
            try:
                request.settimeout(_HANDSHAKE_TIMEOUT)
                request.do_handshake()
                request.settimeout(self._stall_timeout)
            except OSError:  # a caller without our certificates, a port scan, a silent connection: nothing to answer
                self.shutdown_request(request)
                self._door.leave(str(client_address[0]))
                return
        super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Called where no association came about. socketserver prints a traceback here; a caller that vanished is no
        news.
        """
        self._door.leave(str(client_address[0]))

    def held(self) -> int:
        """Bytes of objects that are half received, over all associations."""
        return sum(one.received for one in tuple(self.bounded.values()))

    def left(self, association: Association, host: str) -> None:
        """An association with this address has ended."""
        self.bounded.pop(association, None)
        self._door.leave(host)


class _Handler(RequestHandler):
    """Gives each new association its bounds."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        wrapped = association.dul.socket
        if isinstance(self.server, HardenedServer) and wrapped is not None:
            bounded = BoundedSocket(wrapped, self.server.bounds, self.server.held)
            self.server.bounded[association] = bounded
            # pynetdicom offers no way to bring one's own socket class, so its one reading method is replaced.
            wrapped.recv = bounded.recv  # type: ignore[method-assign]  # see above
            association.run = self._counted(association, self.server)  # type: ignore[method-assign]  # its thread's end
        return association

    def _counted(self, association: Association, server: HardenedServer) -> Callable[[], None]:
        run = association.run

        def run_and_leave() -> None:
            try:
                run()
            finally:
                server.left(association, str(self.client_address[0]))

        return run_and_leave
