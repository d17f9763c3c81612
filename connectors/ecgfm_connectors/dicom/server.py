"""pynetdicom's association server, made safe to leave open in a hospital network.

Differences to `ThreadedAssociationServer` (pynetdicom 3.0), each for a failure seen: the TLS handshake runs in the
caller's own thread and with a time limit (it ran inside accept(), so one silent connection shut every other caller
out); addresses can be allow-listed; a PDU longer than announced, or an object longer than allowed, ends the association
before it fills the memory; a caller that stops in the middle of a PDU, or sends one byte by byte, is given up. A
connection becomes an association once its request is there (every silent one took the place of a caller that had
something to send, and the time of two threads), and one address has a share of the places only. Callers that wait are
accepted together, and one that is turned away costs two calls of the system: after each the thread that accepts waits
for the others' Python, and the well-behaved of a thousand callers waited for it. A caller that breaks
the protocol ends its own association and nothing else, and its socket is closed at once. Garbage is looked for in a
fiftieth of the time at most (it was after every sixty callers, with all threads stopped: a crowd that was turned away
and came again took three quarters of the processor by that).
"""

import gc
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any  # Any: pynetdicom and socketserver
from weakref import WeakKeyDictionary

from pynetdicom import _config as pynetdicom_config
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_CANCEL_RQ
from pynetdicom.dimse_primitives import DimsePrimitiveType
from pynetdicom.events import Event
from pynetdicom.fsm import InvalidEventError
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from ecgfm_connectors.dicom.beginning import Beginning, beginning
from ecgfm_connectors.dicom.bounded import BoundedSocket, Bounds, RestingCheckpoint
from ecgfm_connectors.dicom.memory import Memory
from ecgfm_connectors.doors import Door
from ecgfm_connectors.rejections import Reason, Rejection, Tell, readable_title, tls_reason
from ecgfm_connectors.tls import ServerTls

# pynetdicom logs titles and UIDs of every message, and each refused connection as an error with a traceback; the
# failures among them reach the code that uses this module as an exception or a status.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
pynetdicom_config.LOG_HANDLER_LEVEL = "none"

_PAUSE = 0.1  # s without accepting while this process can open no more files
_HANDSHAKE_TIMEOUT = 10.0  # s
_UNEXPECTED = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x02"  #: A-ABORT of the provider: unexpected PDU (PS3.8 §9.3.8)
_AT_ONCE = 64  #: callers accepted in one round
_IDLE = "Sta1"  #: there is no connection (PS3.8 table 9-1)
_WORTH_A_SEARCH = 60  #: associations that ended, each a circle of objects
_SEARCH_SHARE = 0.02  #: of the time, at most


class Entity(ApplicationEntity):
    """An application entity whose associations are those that were asked for."""

    @property
    def active_associations(self) -> list[Association]:
        """Without connections that have not yet sent an A-ASSOCIATE-RQ: pynetdicom compares their number with
        `maximum_associations`.
        """
        return [one for one in super().active_associations if one.requestor.primitive is not None]


class HardenedServer(ThreadedAssociationServer):
    """See the module's docstring. `door` decides on a peer's address before a byte of it is read."""

    daemon_threads = True
    block_on_close = False  # which would go through a list of threads at each caller
    #: Callers that the system holds until they are accepted, if it is let (`net.core.somaxconn`). One too many is not
    #: heard, and its system calls again after 1, 3, 7, 15 and 31 s: with 128, some of a thousand waited for 32 s.
    request_queue_size = 1024

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        ae_title: str,
        contexts: list[PresentationContext],
        evt_handlers: list[Any] | None = None,
        *,
        tls: ServerTls | None,
        name: str,
        door: Door,
        bounds: Bounds,
        memory: Memory,
        turned_away: Tell,
    ) -> None:
        self._name = name
        self._door = door
        self._tls = tls
        self._turned_away = turned_away
        self._stall_timeout = bounds.pdu_seconds
        self.bounds = bounds
        self.memory = memory
        self.bounded: WeakKeyDictionary[Association, BoundedSocket] = WeakKeyDictionary()
        self._silent: set[socket.socket] = set()  # connections that have not sent a byte
        self._ending = threading.Event()
        self.came_round = time.monotonic()  #: the thread that accepts callers
        self._garbage = 0  # associations that ended since garbage was looked for
        self._next_search = self.came_round
        super().__init__(ae, address, ae_title, contexts, None, evt_handlers, _Handler)
        assert self.socket is not None
        self.socket.setblocking(False)

    def _handle_request_noblock(self) -> None:
        """Called by socketserver where somebody calls: takes all who wait, as many as a round may."""
        for _ in range(_AT_ONCE):
            try:
                connection, address = self.get_request()
            except OSError:  # nobody else, or somebody who has gone
                return
            if not self.verify_request(connection, address):
                connection.close()
                continue
            try:
                self.process_request(connection, address)
            except Exception:  # noqa: BLE001  # no thread can be started: as socketserver does it
                self.handle_error(connection, address)
                self.shutdown_request(connection)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Called by socketserver after accept(); False closes the connection."""
        host = str(client_address[0])
        if not self._door.admits(host):
            self._tell(host, "address-not-allowed")
            return False
        if not self._door.enter(host):
            self._tell(host, "too-many-connections")
            return False
        return True

    def rejected(self, association: Association) -> None:
        """Tell why this program answered an A-ASSOCIATE-RQ with a rejection (PS3.8 §9.3.4)."""
        asked, own = association.requestor, association.acceptor
        callers = [one.strip() for one in self.ae.require_calling_aet]
        request = asked.primitive
        if request is not None and request.called_ae_title != own.ae_title.strip():
            reason: Reason = "called-ae-title"
        elif callers and asked.ae_title.strip() not in callers:
            reason = "calling-ae-title"
        else:
            reason = "too-many-associations"
        self._tell(str(asked.address), reason, asked.ae_title)

    def _tell(self, host: str, reason: Reason, title: str = "") -> None:
        self._turned_away(Rejection(listener=self._name, host=host, reason=reason, ae_title=readable_title(title)))

    def service_actions(self) -> None:
        """Called by socketserver in each round; pynetdicom's own looks for garbage by the number of rounds."""
        self.came_round = now = time.monotonic()
        if self._garbage >= _WORTH_A_SEARCH and now >= self._next_search:
            self._garbage = 0
            gc.collect()
            ended = time.monotonic()
            self._next_search = ended + (ended - now) / _SEARCH_SHARE

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept without waiting for anything else. Raises BlockingIOError where nobody waits."""
        if self.socket is None:
            raise OSError("the server is closed")
        try:
            connection, address = self.socket.accept()
        except BlockingIOError:
            raise
        except OSError:  # this process can open no more files: to ask again at once would take the whole processor
            self._ending.wait(_PAUSE)
            raise
        return connection, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The caller's own thread: handshake first, then its request, then the association."""
        try:
            connection = self._prepared(request)
        except OSError:  # it has gone
            self.shutdown_request(request)
            self._door.leave(str(client_address[0]))
            return
        if self._is_secured(connection, str(client_address[0])) and self._asks(connection):
            super().process_request_thread(connection, client_address)
        else:
            self.shutdown_request(connection)
            self._door.leave(str(client_address[0]))

    def _prepared(self, connection: socket.socket) -> socket.socket:
        """Raises OSError."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(self._stall_timeout)
        if self._tls is None:
            return connection
        return self._tls.current().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def shutdown(self) -> None:
        """Take no more callers, and send those away that have said nothing."""
        self._ending.set()
        super().shutdown()
        for one in tuple(self._silent):
            with suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def _is_secured(self, request: Any, host: str) -> bool:
        if isinstance(request, ssl.SSLSocket):
            try:
                request.settimeout(_HANDSHAKE_TIMEOUT)
                request.do_handshake()
                request.settimeout(self._stall_timeout)
            except OSError as error:  # no certificate of ours, a port scan, a silent connection: nothing to answer
                if (reason := tls_reason(error)) is not None:
                    self._tell(host, reason)
                return False
        return True

    def _asks(self, request: Any) -> bool:
        """Whether it asks for an association; one that begins with anything else is told so (PS3.8 §9.2.1, AA-1)."""
        patience = min(self.ae.acse_timeout or _HANDSHAKE_TIMEOUT, self.bounds.pdu_seconds, self.bounds.object_seconds)
        self._silent.add(request)
        try:
            found = beginning(request, patience, self.bounds.max_pdu)
        finally:
            self._silent.discard(request)
        if found is Beginning.WRONG:
            with suppress(OSError):
                request.sendall(_UNEXPECTED)
        return found is Beginning.REQUEST and not self._ending.is_set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Called where no association came about. socketserver prints a traceback here; a caller that vanished is no
        news.
        """
        self._door.leave(str(client_address[0]))

    def end_all(self) -> None:
        """End every connection. pynetdicom's own `abort` would wait for each until its PDU under way is whole."""
        for one in tuple(self.bounded.values()):
            one.end()

    def left(self, association: Association, host: str) -> None:
        """An association with this address has ended."""
        if (bounded := self.bounded.pop(association, None)) is not None:
            self.memory.leave(bounded.share)
        self._garbage += 1  # a round more or less does not matter where two threads count at once
        self._door.leave(host)


class _Handler(RequestHandler):
    """Gives each new association its bounds."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        made = association.dul.socket
        if isinstance(self.server, HardenedServer) and made is not None:
            bounded = BoundedSocket.of(made, self.server.bounds, self.server.memory)
            self.server.bounded[association] = bounded
            association._reactor_checkpoint = RestingCheckpoint(bounded.news)
            association.bind(evt.EVT_DIMSE_RECV, _received, [bounded])
            association.bind(evt.EVT_FSM_TRANSITION, _moved, [bounded])
            answering = self._answering(association, bounded)
            association.dimse.send_msg = answering  # type: ignore[method-assign, assignment]  # an answer
            association.dul.stop_dul = self._stopping(association, bounded)  # type: ignore[method-assign]  # is asked for ever
            association.dul.run = self._ending(association.dul.run, bounded)  # type: ignore[method-assign]  # its thread's end
            association.run = self._counted(association, self.server)  # type: ignore[method-assign]  # as above
        return association

    def _answering(self, association: Association, bounded: BoundedSocket) -> Callable[[DimsePrimitiveType, int], None]:
        """Not at `EVT_DIMSE_SENT`, which comes before the answer is in the queue of what is to be sent."""
        send = association.dimse.send_msg

        def send_and_go_on(primitive: DimsePrimitiveType, context_id: int) -> None:
            try:
                send(primitive, context_id)
            finally:
                bounded.answered()

        return send_and_go_on

    def _stopping(self, association: Association, bounded: BoundedSocket) -> Callable[[], bool]:
        """pynetdicom asks a hundred times a second whether the caller has closed its connection after its release."""
        stop, machine = association.dul.stop_dul, association.dul.state_machine

        def wait_and_stop() -> bool:
            if machine.current_state != _IDLE:
                bounded.news.wait()
            return stop()

        return wait_and_stop

    def _ending(self, run: Callable[[], None], bounded: BoundedSocket) -> Callable[[], None]:
        """Where the reading thread ends, by whatever, the connection ends; the association's thread sees that."""

        def run_and_close() -> None:
            try:
                with suppress(InvalidEventError):  # what this caller sent, or when, is not the protocol's
                    run()
            finally:
                self._close()
                bounded.news.end()

        return run_and_close

    def _counted(self, association: Association, server: HardenedServer) -> Callable[[], None]:
        run = association.run

        def run_and_leave() -> None:
            try:
                run()
            finally:
                self._close()
                server.left(association, str(self.client_address[0]))

        return run_and_leave

    def _close(self) -> None:
        with suppress(OSError):
            self.request.close()


def _received(event: Event, bounded: BoundedSocket) -> None:
    """A whole message, in the thread that reads; pynetdicom answers each but a C-CANCEL-RQ."""
    if not isinstance(event.message, C_CANCEL_RQ):
        bounded.whole()


def _moved(event: Event, bounded: BoundedSocket) -> None:
    """The state machine took a step (PS3.8 §9.2), in the thread that reads; each part of an object is one."""
    if event.current_state != event.next_state:
        bounded.news.end()
