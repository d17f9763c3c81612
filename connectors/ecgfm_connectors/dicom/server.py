"""pynetdicom's association server, made safe to leave open in a hospital network.

Differences to `ThreadedAssociationServer` (pynetdicom 3.0), each for a failure seen: the TLS handshake runs in the
caller's own thread and with a time limit (it ran inside accept(), so one silent connection shut every other caller
out); addresses can be allow-listed; a PDU longer than announced, or an object longer than allowed, ends the association
before it fills the memory; a caller that stops in the middle of a PDU is given up.
"""

import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from pynetdicom import _config as pynetdicom_config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

# pynetdicom logs titles and UIDs of every message, and each refused connection as an error with a traceback; the
# failures among them reach the code that uses this module as an exception or a status.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
pynetdicom_config.LOG_HANDLER_LEVEL = "none"

_RECEIVE_BUFFER = 65536
_HANDSHAKE_TIMEOUT = 10.0  # s


class ObjectTooLong(OSError):
    """The caller sent more than one object may have."""


class BoundedSocket:
    """Reads for one association: whole PDUs within bounds, and counts the bytes of the object being received."""

    def __init__(self, wrapped: AssociationSocket, *, max_pdu: int, max_object: int) -> None:
        self._wrapped = wrapped
        self._max_pdu = max_pdu
        self._max_object = max_object
        self._received = 0

    def object_complete(self) -> None:
        """Start counting anew."""
        self._received = 0

    def recv(self, nr_bytes: int) -> bytearray:
        """`AssociationSocket.recv`, with larger reads. Raises OSError beyond a bound, which ends the association."""
        self._received += nr_bytes
        if nr_bytes > self._max_pdu or self._received > self._max_object:
            raise ObjectTooLong(f"{nr_bytes} more bytes announced, beyond what this port takes")
        data = bytearray(nr_bytes)
        view, filled = memoryview(data), 0
        sock = self._wrapped.socket
        while filled < nr_bytes and sock is not None:
            received = sock.recv_into(view[filled:], min(_RECEIVE_BUFFER, nr_bytes - filled))
            if not received:
                break
            filled += received
        view.release()
        del data[filled:]
        return data


class HardenedServer(ThreadedAssociationServer):
    """See the module's docstring. `admits` decides on a peer's address before a byte of it is read."""

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
        admits: Callable[[str], bool],
        max_pdu: int,
        max_object: int,
        stall_timeout: float,
    ) -> None:
        self._admits = admits
        self._stall_timeout = stall_timeout
        self.max_pdu = max_pdu
        self.max_object = max_object
        self.bounded: WeakKeyDictionary[Association, BoundedSocket] = WeakKeyDictionary()
        super().__init__(ae, address, ae_title, contexts, ssl_context, evt_handlers, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Called by socketserver after accept(); False closes the connection."""
        return self._admits(str(client_address[0]))

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
                return
        super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """socketserver prints a traceback here; a caller that vanished is no news."""


class _Handler(RequestHandler):
    """Gives each new association its bounds."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        wrapped = association.dul.socket
        if isinstance(self.server, HardenedServer) and wrapped is not None:
            bounded = BoundedSocket(wrapped, max_pdu=self.server.max_pdu, max_object=self.server.max_object)
            self.server.bounded[association] = bounded
            # pynetdicom offers no way to bring one's own socket class, so its one reading method is replaced.
            wrapped.recv = bounded.recv  # type: ignore[method-assign]  # see above
        return association
