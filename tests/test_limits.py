"""The page of bounds is true: each default is the program's, and beyond each limit happens what the page says."""

import re
import select
import socket
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ecgfm_clinical.ecg.evaluability import judge
from ecgfm_clinical.settings import DicomListener, HeadRules, Hl7Listener
from ecgfm_connectors import context, skew
from ecgfm_connectors.assembly import Channel, assemble
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom import storage
from ecgfm_connectors.dicom.storage import StorageScp
from ecgfm_connectors.doors import per_host
from ecgfm_connectors.ecg import LEADS
from ecgfm_connectors.errors import ConnectorError, PayloadError
from ecgfm_connectors.files import payload
from ecgfm_connectors.hl7 import listener
from ecgfm_connectors.hl7.framing import frame
from ecgfm_connectors.hl7.listener import MllpListener
from ecgfm_connectors.leads import Lead
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import cart
from ecgfm_connectors.testing.dicom_writer import write_ecg
from ecgfm_connectors.testing.samples import sample_ecg
from tests.helpers import dicom_wire
from tests.helpers.dicom_port import dicom_port, taken
from tests.helpers.fakes import wait_until

pytestmark = pytest.mark.slow(10)

PAGE = Path(__file__).parents[1] / "deploy" / "LIMITS.md"
LOOPBACK = "127.0.0.1"
MESSAGE = frame(b"MSH|^~\\&|CART|WARD|ECGFM|H|20260301||ORU^R01|1|P|2.5.1\rPID|1||1^^^H^MR\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the page."""

    setting: str  #: or the constant in brackets
    default: str
    beyond: str


def rows() -> dict[str, Row]:
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 4 and cells[0] != "limit":
            (name,) = re.findall(r"`([^`]+)`", cells[1])
            found[name] = Row(setting=name, default=cells[2], beyond=cells[3].rstrip(" |"))
    return found


def defaults() -> Iterator[tuple[str, object]]:
    for group, model in (("listeners.hl7", Hl7Listener()), ("listeners.dicom", DicomListener())):
        for name in type(model).model_fields:
            yield f"{group}.{name}", getattr(model, name)
    yield "listeners.hl7.max_per_host", per_host(Hl7Listener().max_connections)
    yield "listeners.dicom.max_per_host", per_host(DicomListener().max_associations)
    yield "listeners.dicom.max_held_mb", storage.held_bytes(DicomListener().max_object_mb)
    yield "heads.NAME.max_seconds", HeadRules().max_seconds
    for module in (listener, storage, context, skew):
        for name in ("_HELD_MESSAGES", "_CONNECTIONS", "MAX_PAYLOAD", "MAX_INFLATED", "MAX_SAMPLES"):
            if hasattr(module, name):
                yield name, getattr(module, name)
    yield "MOST_CORRECTED", skew.MOST_CORRECTED


def test_each_default_is_the_programs() -> None:
    known = dict(defaults())
    wrong = {
        name: (row.default, known.get(name)) for name, row in rows().items() if not _same(row.default, known, name)
    }
    assert wrong == {}


def _same(said: str, known: dict[str, object], name: str) -> bool:
    value = known.get(name)
    return said == str(value) or (isinstance(value, int | float) and float(said) == float(value))


def test_each_row_is_tried() -> None:
    assert set(rows()) == {*MLLP, *DICOM, *PAYLOADS}


# --- ports ------------------------------------------------------------------------------------------------------------


def mllp(**options: object) -> MllpListener:
    settings = {"name": "a", "host": LOOPBACK, "port": 0, "handler": taken, "clock": lambda: datetime.now(UTC)}
    return MllpListener(**(settings | options))  # type: ignore[arg-type]  # options of each row


def calling(port: int, source: str = LOOPBACK) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=120, source_address=(source, 0))


def is_closed(connection: socket.socket) -> bool:
    """Waits for the end of the connection, which is the condition; anything else that comes is no end."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def sent(port: int, data: bytes, then: Callable[[socket.socket], None] = lambda one: None) -> bool:
    """Whether the port ends a connection that sends this."""
    with calling(port) as connection:
        try:
            connection.sendall(data)
            then(connection)
        except OSError:
            return True
        return is_closed(connection)


def trickle(connection: socket.socket) -> None:
    pause = threading.Event()
    for _ in range(1200):
        connection.sendall(b"A")
        pause.wait(0.1)


def one_too_many(port: int) -> bool:
    with calling(port) as first:
        first.sendall(MESSAGE)
        assert first.recv(1) == b"\x0b"
        with calling(port) as second:
            return is_closed(second)


def half_received(port: int) -> bool:
    callers = [calling(port) for _ in range(12)]
    try:
        for one in callers:
            one.sendall(b"\x0b" + bytes(b"A" * 900))
        ended, _, _ = select.select(callers, (), (), 30)  # the port's own pause inside a message is longer
        return bool(ended) and is_closed(ended[0])
    finally:
        for one in callers:
            one.close()


MLLP: dict[str, tuple[dict[str, object], Callable[[int], bool]]] = {
    "listeners.hl7.max_connections": ({"max_connections": 1}, one_too_many),
    "listeners.hl7.max_per_host": ({"max_per_host": 1}, one_too_many),
    "listeners.hl7.max_message_mb": (
        {"max_message_bytes": 1000},
        lambda port: sent(port, b"\x0b" + b"A" * 2000),
    ),
    "listeners.hl7.idle_seconds": ({"idle_timeout": 0.2}, lambda port: sent(port, b"")),
    "listeners.hl7.stall_seconds": ({"frame_timeout": 0.2}, lambda port: sent(port, b"\x0bMSH|")),
    "listeners.hl7.message_seconds": ({"message_timeout": 0.5}, lambda port: sent(port, b"\x0bMSH|", trickle)),
    "listeners.hl7.allowed_hosts": ({"allowed_hosts": ("192.0.2.0/24",)}, lambda port: sent(port, b"")),
    "_HELD_MESSAGES": ({"max_message_bytes": 1000}, half_received),
}


@pytest.mark.parametrize("name", MLLP)
def test_beyond_a_limit_of_an_hl7_port(name: str) -> None:
    options, goes_beyond = MLLP[name]
    port = mllp(**options)
    port.start()
    try:
        assert goes_beyond(port.port)
    finally:
        port.stop()
    assert "closed" in rows()[name].beyond


def crowd(count: int) -> Callable[[StorageScp], bool]:
    """So many silent connections of one address, of which the last is ended at once."""

    def goes_beyond(port: StorageScp) -> bool:
        callers = [calling(port.port) for _ in range(count)]
        try:
            return is_closed(callers[-1])
        finally:
            for one in callers:
                one.close()

    return goes_beyond


def refused_store(port: StorageScp) -> bool:
    """Whether an ECG finds no way in."""
    try:
        answers = cart.send([write_ecg(sample_ecg(seconds=120))], host=LOOPBACK, port=port.port, timeout=20)
    except ConnectorError:
        return True
    return answers == []


def one_association_too_many(port: StorageScp) -> bool:
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import

    entity = AE(ae_title="CART")
    entity.add_requested_context(Verification)
    first = entity.associate(LOOPBACK, port.port, ae_title="ECGFM")
    assert first.is_established
    second = entity.associate(LOOPBACK, port.port, ae_title="ECGFM")
    first.release()
    return bool(second.is_rejected)


def three_half_received(port: StorageScp) -> bool:
    """Whether the largest of three halves gives way: one may go beyond the limit, another waits for room. Were the
    largest the last to come, it alone would go beyond and nobody would wait.
    """
    content = dicom_wire.store(bytes(60_000), "2.25.1")
    with calling(port.port) as larger, calling(port.port) as beyond, calling(port.port) as waiting:
        for one in (larger, beyond, waiting):
            one.sendall(dicom_wire.associate())
            dicom_wire.wait_accepted(one)
        larger.sendall(content[:34_000])
        wait_until(lambda: port._server is not None and port._server.memory.held > 30_000)
        beyond.sendall(content[:10_000])
        waiting.sendall(content[:10_000])
        return is_closed(larger)


HALF_PDU = b"\x01\x00\x00\x00\x01\x00"
DICOM: dict[str, tuple[dict[str, Any], Callable[[StorageScp], bool]]] = {
    "listeners.dicom.max_associations": (
        {"max_associations": 1, "max_per_host": 3},
        one_association_too_many,
    ),
    "listeners.dicom.max_per_host": ({"max_per_host": 2}, crowd(3)),
    "listeners.dicom.max_object_mb": ({"max_object_bytes": 0}, refused_store),
    "listeners.dicom.idle_seconds": ({"idle_timeout": 0.5}, lambda port: sent(port.port, HALF_PDU, trickle)),
    "listeners.dicom.object_seconds": ({"object_timeout": 0.5}, lambda port: sent(port.port, HALF_PDU, trickle)),
    "listeners.dicom.allowed_hosts": ({"allowed_hosts": ("192.0.2.0/24",)}, lambda port: sent(port.port, b"")),
    "listeners.dicom.max_held_mb": ({"max_held_bytes": 40_000, "idle_timeout": 300}, three_half_received),
    "_CONNECTIONS": ({"max_associations": 1, "max_per_host": 100}, crowd(5)),
}


@pytest.mark.parametrize("name", DICOM)
def test_beyond_a_limit_of_a_dicom_port(name: str) -> None:
    options, goes_beyond = DICOM[name]
    port = dicom_port(**options)
    port.start()
    try:
        assert goes_beyond(port)
    finally:
        port.stop(grace=1)
    assert re.search("closed|ended|rejected", rows()[name].beyond)


# --- payloads ---------------------------------------------------------------------------------------------------------


def code(attempt: Callable[[], object]) -> str:
    with pytest.raises(PayloadError) as caught:
        attempt()
    return caught.value.code


def inflated() -> str:
    content = write_ecg(sample_ecg(), transfer_syntax=DeflatedExplicitVRLittleEndian)
    end = 144 + int.from_bytes(content[140:144], "little")
    squeezer = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = squeezer.compress(bytes(context.MAX_INFLATED + 1)) + squeezer.flush()
    return code(lambda: read(content[:end] + bomb, ReadingContext(default_authority="A", zone=UTC)))


def sampled() -> str:
    row = np.zeros(context.MAX_SAMPLES // len(LEADS) + 1, np.float32)
    return code(lambda: assemble([Channel(lead=Lead(lead), samples=row) for lead in LEADS]))


def long() -> str:
    ecg = sample_ecg()
    return next(one.code for one in judge(ecg, HeadRules(max_seconds=ecg.duration / 2)) if one.code == "too-long")


def skewed() -> str:
    ecg = sample_ecg()
    channels = [Channel(lead=Lead(lead), samples=row) for lead, row in zip(LEADS, ecg.signal, strict=True)]
    channels[11] = replace(channels[11], skew=skew.MOST_CORRECTED + 1)
    return next(one.code for one in assemble(channels).findings if one.code == "not-simultaneous")


def whole() -> str:
    with tempfile.TemporaryDirectory() as folder:
        sparse = Path(folder) / "long.dcm"
        with sparse.open("wb") as file:
            file.truncate(context.MAX_PAYLOAD + 1)
        return code(lambda: payload.load(sparse))


PAYLOADS: dict[str, Callable[[], str]] = {
    "MAX_PAYLOAD": whole,
    "MAX_INFLATED": inflated,
    "MAX_SAMPLES": sampled,
    "heads.NAME.max_seconds": long,
    "MOST_CORRECTED": skewed,
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_beyond_a_limit_of_a_payload(name: str) -> None:
    assert f"`{PAYLOADS[name]()}`" in rows()[name].beyond
