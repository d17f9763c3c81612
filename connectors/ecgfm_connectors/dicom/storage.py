"""The C-STORE SCP that carts and archives send ECGs to: the status goes out after the bytes are durably kept.

DICOM PS3.4 Annex B (Storage), A (Verification). The handler gets the object as the sender encoded it; nothing is
decoded on the way, so an object that we cannot read is kept all the same.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import datetime
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from ecgfm_connectors.base import Disposition, Handler, Received, Verdict
from ecgfm_connectors.dicom.bounded import Bounds
from ecgfm_connectors.dicom.memory import Memory
from ecgfm_connectors.dicom.part10 import wrap
from ecgfm_connectors.dicom.server import Entity, HardenedServer
from ecgfm_connectors.dicom.sop_classes import TRANSFER_SYNTAXES, VERIFICATION, stored
from ecgfm_connectors.doors import Door, per_host
from ecgfm_connectors.errors import Misconfigured
from ecgfm_connectors.rejections import Tell, tell_nobody
from ecgfm_connectors.tls import ServerTls, TlsFiles
from ecgfm_connectors.turns import Turns

#: Bytes of a PDU that this SCP announces (PS3.8 D.1.1). Large PDUs double the throughput of a Python SCP.
MAX_PDU = 131072
#: Some senders exceed the announced length; by how many bytes they may is bounded.
_PDU_TOLERANCE = 1 << 20

#: Connections, silent ones included, for each association: those that ask for nothing within ten seconds are closed.
_CONNECTIONS = 4
#: Seconds for associations to notice that their connections were ended.
_LAST_GRACE = 1.0
#: Longest objects that may be held, received half or whole, where the settings do not say how many bytes.
_HELD_OBJECTS = 4
#: Objects that the handler has at once: the store behind it serialises writes anyway, and each takes some times its
#: bytes while it is read.
_WORKERS = 8
#: Seconds that an object waits for its turn at the handler.
_LONGEST_WAIT = 30.0

#: Disposition -> C-STORE status (PS3.4 B.2.3, PS3.7 C).
STATUS = {
    Disposition.STAGED: 0x0000,
    Disposition.DUPLICATE: 0x0000,
    Disposition.REFUSED: 0xC001,  # cannot understand: kept, but not an ECG we may take; sending again changes nothing
    Disposition.UNREADABLE: 0xC000,  # cannot understand: kept, but does not decode
    Disposition.TRY_LATER: 0xA700,  # out of resources: not kept, send again
}

#: Reason code of a structured report that was kept and holds nothing for us.
NOTHING_FOR_US = "no-ecg"


_BUSY = Verdict(disposition=Disposition.TRY_LATER, text="the store is busy")


class StorageScp:
    """A Listener (base.py) for DICOM C-STORE and C-ECHO."""

    def __init__(
        self,
        *,
        name: str,
        ae_title: str,
        host: str,
        port: int,
        handler: Handler,
        clock: Callable[[], datetime],
        documents: bool = False,
        allowed_callers: Collection[str] = (),
        allowed_hosts: Collection[str] = (),
        max_associations: int = 20,
        max_per_host: int | None = None,
        max_object_bytes: int = 64 * 2**20,
        max_held_bytes: int | None = None,
        idle_timeout: float = 60.0,
        object_timeout: float = 300.0,
        tls: TlsFiles | None = None,
        turned_away: Tell = tell_nobody,
    ) -> None:
        """`port` 0 takes a free one; empty allow-lists admit everyone, `allowed_hosts` holds addresses or networks.
        `max_per_host`: connections of one address, three quarters of `max_associations` where it is None.

        `documents`: texts and PDFs of other systems are taken too (`sop_classes`).

        `max_held_bytes`: objects received and not yet stored, of all associations, in bytes; four longest objects where
        it is None, and never less than one.

        `idle_timeout` in s also bounds one PDU, `object_timeout` one object, from its first byte to its last. A caller
        must name our AE title as the called one. `turned_away` hears of each caller that is, from
        any thread. Raises Misconfigured for an unusable address.
        """
        self.name = name
        self._ae_title = ae_title
        self._address = (host, port)
        self._handler = handler
        self._clock = clock
        most = _CONNECTIONS * max_associations
        per = per_host(max_associations) if max_per_host is None else max_per_host
        self._door = Door(allowed=tuple(allowed_hosts), most=most, most_per_host=per)
        self._bounds = Bounds(
            max_pdu=MAX_PDU + _PDU_TOLERANCE,
            max_object=max_object_bytes + _PDU_TOLERANCE,
            pdu_seconds=idle_timeout,
            object_seconds=object_timeout,
        )
        self._max_held = held_bytes(max_object_bytes) if max_held_bytes is None else max_held_bytes
        self._turns = Turns(_WORKERS)
        self._tls = tls
        self._turned_away = turned_away
        self._ae = _application_entity(
            ae_title, stored(documents=documents), allowed_callers, max_associations, idle_timeout
        )
        self._server: HardenedServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The bound port; the configured one before `start`."""
        return int(self._server.server_address[1]) if self._server else self._address[1]

    @property
    def alive(self) -> bool:
        """Whether the thread that accepts callers runs."""
        return self._server is not None and self._thread is not None and self._thread.is_alive()

    @property
    def silence(self) -> float:
        """Seconds since the thread that accepts callers last came round."""
        return time.monotonic() - self._server.came_round if self._server is not None and self.alive else 0.0

    def start(self) -> None:
        """Bind and serve in the background. Raises Misconfigured where the port is taken or the TLS files are
        unusable.
        """
        try:
            server = HardenedServer(
                self._ae,
                self._address,
                self._ae_title,
                self._ae.supported_contexts,
                [
                    (evt.EVT_C_STORE, self._on_store),
                    (evt.EVT_C_ECHO, self._on_echo),
                    (evt.EVT_REJECTED, self._on_rejected),
                ],
                tls=ServerTls(self._tls) if self._tls else None,
                name=self.name,
                door=self._door,
                bounds=self._bounds,
                memory=Memory(self._max_held),
                turned_away=self._turned_away,
            )
        except OSError as error:
            where = f"{self._address[0]}:{self._address[1]}"
            raise Misconfigured(f"DICOM listener {self.name} cannot open {where}: {error.strerror}") from error
        self._ae._servers.append(server)  # what start_server does; the server's shutdown() takes it off again
        self._server = server
        self._address = (self._address[0], self.port)  # where it is started again, it is the same port
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.1}, name=f"dicom-{self.name}", daemon=True
        )
        self._thread.start()

    def stop(self, grace: float = 10.0) -> None:
        """Take no new callers, give running associations `grace` seconds in all to release, end the rest."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        self._thread.join()
        running = server.active_associations
        _join(running, grace)
        server.end_all()
        _join(running, _LAST_GRACE)

    def _on_store(self, event: Event) -> Dataset:
        """Hand one object over and answer by the verdict; any failure here is answered as: not stored, send again."""
        try:
            with self._turns.turn(_LONGEST_WAIT) as mine:
                verdict = self._handler(self._received(event)) if mine else _BUSY
        except Exception:  # noqa: BLE001
            # The outermost edge: the handler's failure must become a status, not an aborted association. It has
            # reported the cause itself; the sender needs to know only that nothing is kept.
            verdict = Verdict(disposition=Disposition.TRY_LATER, text="not stored")
        return _status(verdict)

    def _on_echo(self, _: Event) -> int:
        return 0x0000

    def _on_rejected(self, event: Event) -> None:
        if self._server is not None:
            self._server.rejected(event.assoc)

    def _received(self, event: Event) -> Received:
        request = cast("C_STORE", event.request)
        return Received(
            transport="dicom",
            source=self.name,
            content=wrap(
                event.encoded_dataset(include_meta=False),
                sop_class=str(request.AffectedSOPClassUID),
                sop_instance=str(request.AffectedSOPInstanceUID),
                transfer_syntax=str(event.context.transfer_syntax),
            ),
            received_at=self._clock(),
            peer=f"{event.assoc.requestor.ae_title.strip()}@{event.assoc.requestor.address}",
        )


def _application_entity(
    ae_title: str, classes: Iterable[str], callers: Collection[str], most: int, idle_timeout: float
) -> Entity:
    entity = Entity(ae_title=ae_title)
    for uid in classes:
        entity.add_supported_context(uid, list(TRANSFER_SYNTAXES))
    entity.add_supported_context(VERIFICATION)
    entity.maximum_pdu_size = MAX_PDU
    entity.maximum_associations = most
    entity.require_called_aet = True
    entity.require_calling_aet = list(callers)
    entity.network_timeout = idle_timeout
    entity.acse_timeout = min(10.0, idle_timeout)  # a connection that never asks for an association holds a place
    entity.dimse_timeout = idle_timeout
    return entity


def held_bytes(max_object_bytes: int) -> int:
    """Bytes that are held over all associations where the settings do not say."""
    return _HELD_OBJECTS * max_object_bytes


def status_of(verdict: Verdict) -> int:
    """The status of a verdict; a sound structured report without an ejection fraction is no failure."""
    return 0x0000 if verdict.code == NOTHING_FOR_US else STATUS[verdict.disposition]


def _join(threads: Iterable[threading.Thread], seconds: float) -> None:
    """Wait for the end of all, so long in all; not for one that is only being started, whose connection ends soon."""
    give_up = time.monotonic() + seconds
    for thread in threads:
        with suppress(RuntimeError):  # it is listed as soon as its start begins, and cannot be joined until it runs
            thread.join(max(0.0, give_up - time.monotonic()))


def _status(verdict: Verdict) -> Dataset:
    status = Dataset()
    status.Status = status_of(verdict)
    if status.Status != 0x0000:
        status.ErrorComment = (verdict.code or verdict.text)[:64]  # LO; codes carry no patient data
    return status
