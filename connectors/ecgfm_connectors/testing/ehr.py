"""A simulated EHR: an MLLP server that keeps every message it gets and acknowledges it, with faults on demand."""

import socket
import struct
import threading
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum

from ecgfm_connectors.base import Disposition, Verdict
from ecgfm_connectors.errors import ProtocolViolation
from ecgfm_connectors.hl7 import ack
from ecgfm_connectors.hl7.framing import Framer, frame


class Fault(Enum):
    """What the receiver does with one message; it has kept the message in every case."""

    NONE = "none"  #: answers AA
    AE = "ae"
    AR = "ar"
    AR_BUSY = "ar-busy"  #: AR with ERR-3 207
    CA = "ca"  #: an accept acknowledgement only
    CA_THEN_AA = "ca-then-aa"
    CE = "ce"
    CR = "cr"
    DROP_BEFORE_ACK = "drop-before-ack"
    DROP_AFTER_ACK = "drop-after-ack"
    RESET = "reset"  #: breaks the connection off hard (RST), as a crashed host does
    SILENT = "silent"  #: keeps the connection and says nothing
    DELAY = "delay"  #: answers only after `release()`
    DUPLICATE_ACK = "duplicate-ack"
    FOREIGN_ACK = "foreign-ack"  #: first an AA for another message, then the right one
    WRONG_CONTROL_ID = "wrong-control-id"  #: only an AA for another message
    GARBAGE = "garbage"  #: a frame that is no HL7
    HALF_ACK = "half-ack"  #: the acknowledgement breaks off half-way, then the connection closes


class EhrReceiver:
    """An MLLP receiver on loopback. `plan` sets what happens to the next messages; afterwards all are answered AA."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = socket.create_server((host, port))
        self._lock = threading.Condition()
        self._messages: list[bytes] = []
        self._plan: list[Fault] = []
        self._released = threading.Event()
        self._connections: set[socket.socket] = set()
        self._stopped = False
        self._thread = threading.Thread(target=self._accept, name="ehr-receiver", daemon=True)

    @property
    def port(self) -> int:
        port: int = self._server.getsockname()[1]
        return port

    @property
    def messages(self) -> tuple[bytes, ...]:
        """Everything received so far, repeats included, in order."""
        with self._lock:
            return tuple(self._messages)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        self._released.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def plan(self, *faults: Fault) -> None:
        """The faults of the next messages, one fault a message."""
        with self._lock:
            self._plan += faults

    def release(self) -> None:
        """Send the delayed answers."""
        self._released.set()

    def wait_for(self, count: int, timeout: float = 120.0) -> tuple[bytes, ...]:
        """The messages, once there are `count` of them. Raises TimeoutError."""
        with self._lock:
            if not self._lock.wait_for(lambda: len(self._messages) >= count, timeout):
                raise TimeoutError(f"{len(self._messages)} of {count} messages after {timeout} s")
            return tuple(self._messages)

    def _accept(self) -> None:
        while not self._stopped:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        framer = Framer()
        with suppress(OSError, ProtocolViolation), connection:
            while data := connection.recv(65536):
                for body in framer.feed(data):
                    self._answer(connection, body, self._keep(body))
        self._connections.discard(connection)

    def _keep(self, body: bytes) -> Fault:
        with self._lock:
            self._messages.append(body)
            self._lock.notify_all()
            return self._plan.pop(0) if self._plan else Fault.NONE

    def _answer(self, connection: socket.socket, body: bytes, fault: Fault) -> None:
        if fault is Fault.DELAY:
            self._released.wait()
        if fault is Fault.RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            return
        if fault is Fault.DROP_BEFORE_ACK:
            connection.shutdown(socket.SHUT_RDWR)
            return
        for answer in _answers(body, fault):
            connection.sendall(answer)
        if fault in (Fault.DROP_AFTER_ACK, Fault.HALF_ACK):
            connection.shutdown(socket.SHUT_RDWR)


def _answers(body: bytes, fault: Fault) -> list[bytes]:
    accept = frame(acknowledge(body, "AA"))
    foreign = frame(acknowledge(body, "AA", control_id="ANOTHER"))
    coded = {Fault.AE: "AE", Fault.AR: "AR", Fault.CA: "CA", Fault.CE: "CE", Fault.CR: "CR"}
    if fault in coded:
        return [frame(acknowledge(body, coded[fault], condition="200" if coded[fault][1] == "R" else "102"))]
    special = {
        Fault.AR_BUSY: [frame(acknowledge(body, "AR", condition="207"))],
        Fault.CA_THEN_AA: [frame(acknowledge(body, "CA")), accept],
        Fault.SILENT: [],
        Fault.DUPLICATE_ACK: [accept, accept],
        Fault.FOREIGN_ACK: [foreign, accept],
        Fault.WRONG_CONTROL_ID: [foreign],
        Fault.GARBAGE: [frame(b"OK")],
        Fault.HALF_ACK: [accept[: len(accept) // 2]],
    }
    return special.get(fault, [accept])


def acknowledge(body: bytes, code: str, *, control_id: str | None = None, condition: str = "102") -> bytes:
    """An acknowledgement of `body` with this MSA-1, as another vendor's engine writes it."""
    verdict = Verdict(disposition=Disposition.STAGED)
    original = body.replace(b"\n", b"\r")
    plain = ack.build(_without_modes(original), verdict, now=datetime.now(UTC), control_id="EHR")[0]
    msh, msa, *_ = plain.split(b"\r")
    fields = msa.split(b"|")
    fields[1] = code.encode()
    if control_id is not None:
        fields[2] = control_id.encode()
    error = b"" if code[1] == "A" else f"ERR|||{condition}^condition^HL70357|E||||simulated refusal\r".encode()
    return msh + b"\r" + b"|".join(fields) + b"\r" + error


def _without_modes(body: bytes) -> bytes:
    """The message as if it asked for original mode, so that exactly one acknowledgement is built."""
    head, separator, rest = body.partition(b"\r")
    fields = head.split(b"|")
    fields[14:16] = [b"" for _ in fields[14:16]]
    return b"|".join(fields) + separator + rest
