"""The C-STORE SCP on a real socket: what is kept before which status, and who is let in."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from threading import Event

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID, CTImageStorage

from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom.echo import echo
from ecgfm_connectors.dicom.sop_classes import ECG_SOP_CLASSES, TRANSFER_SYNTAXES
from ecgfm_connectors.dicom.storage import StorageScp
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import Misconfigured, Unreachable
from ecgfm_connectors.reading import read
from ecgfm_connectors.rejections import Rejection
from ecgfm_connectors.testing import cart
from ecgfm_connectors.testing.dicom_writer import write_ecg
from ecgfm_connectors.testing.samples import sample_ecg
from tests.helpers.dicom_wire import associate, wait_accepted
from tests.helpers.fakes import wait_until

pytestmark = pytest.mark.slow

NOW = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
LOOPBACK = "127.0.0.1"


class Inbox:
    """A handler that keeps what it gets and answers as told."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.verdict = Verdict(disposition=Disposition.STAGED)
        self.failure: Exception | None = None

    def __call__(self, received: Received) -> Verdict:
        if self.failure:
            raise self.failure
        self.received.append(received)
        return self.verdict


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


Start = Callable[..., StorageScp]


@pytest.fixture
def start(inbox: Inbox) -> Iterator[Start]:
    """Start an SCP on a free port; all are stopped at the end."""
    running: list[StorageScp] = []

    def start(**options: object) -> StorageScp:
        settings = {"name": "cart", "ae_title": "ECGFM", "host": LOOPBACK, "port": 0, "handler": inbox}
        scp = StorageScp(**(settings | {"clock": lambda: NOW} | options))  # type: ignore[arg-type]  # test options
        scp.start()
        running.append(scp)
        return scp

    yield start
    for scp in running:
        scp.stop(grace=1)


def send(scp: StorageScp, *contents: bytes, **options: str) -> list[cart.Answer]:
    return cart.send(contents, host=LOOPBACK, port=scp.port, timeout=10, **options)  # type: ignore[arg-type]


def test_an_object_arrives_whole(start: Start, inbox: Inbox, ecg: Ecg, context: ReadingContext) -> None:
    assert send(start(), write_ecg(ecg)) == [cart.Answer(status=0x0000)]
    (received,) = inbox.received
    assert (received.transport, received.source, received.received_at) == ("dicom", "cart", NOW)
    assert received.peer == f"CART@{LOOPBACK}"
    assert received.content[128:132] == b"DICM"
    (found,) = read(received.content, context).ecgs
    assert found.source_id == ecg.source_id


def test_the_same_object_twice_gives_the_same_bytes(start: Start, inbox: Inbox, ecg: Ecg) -> None:
    scp = start()
    send(scp, write_ecg(ecg))
    send(scp, write_ecg(ecg), calling="OTHERCART")
    first, second = inbox.received
    assert first.content == second.content


@pytest.mark.parametrize(
    ("disposition", "status"),
    [
        (Disposition.STAGED, 0x0000),
        (Disposition.DUPLICATE, 0x0000),
        (Disposition.REFUSED, 0xC001),
        (Disposition.UNREADABLE, 0xC000),
        (Disposition.TRY_LATER, 0xA700),
    ],
)
def test_status_follows_the_verdict(
    start: Start, inbox: Inbox, ecg: Ecg, disposition: Disposition, status: int
) -> None:
    inbox.verdict = Verdict(disposition=disposition, code="" if status == 0 else "some-reason")
    assert send(start(), write_ecg(ecg)) == [cart.Answer(status=status, comment=inbox.verdict.code)]


def test_a_failing_handler_means_try_later(start: Start, inbox: Inbox, ecg: Ecg) -> None:
    inbox.failure = RuntimeError("disk full")
    scp = start()
    (answer,) = send(scp, write_ecg(ecg))
    assert answer.status == 0xA700
    assert "disk" not in answer.comment
    inbox.failure = None
    assert send(scp, write_ecg(ecg))[0].status == 0x0000


def test_echo(start: Start) -> None:
    scp = start()
    assert "answered" in echo(host=LOOPBACK, port=scp.port, called="ECGFM", calling="X")


def test_wrong_called_title_and_unknown_caller(start: Start, ecg: Ecg) -> None:
    with pytest.raises(Misconfigured):
        send(start(), write_ecg(ecg), called="SOMEONE")
    strict = start(allowed_callers=("CART1",))
    with pytest.raises(Misconfigured):
        send(strict, write_ecg(ecg), calling="CART2")
    assert send(strict, write_ecg(ecg), calling="CART1")[0].status == 0x0000


def test_unknown_addresses_are_closed_at_once(start: Start, ecg: Ecg) -> None:
    with pytest.raises(Unreachable):
        send(start(allowed_hosts=("192.0.2.1",)), write_ecg(ecg))
    assert send(start(allowed_hosts=(LOOPBACK,)), write_ecg(ecg))[0].status == 0x0000


def test_who_is_turned_away_is_told(start: Start, ecg: Ecg) -> None:
    told: list[Rejection] = []
    strict = start(allowed_callers=("CART1",), allowed_hosts=(LOOPBACK,), turned_away=told.append)
    for titles in ({"called": "SOMEONE", "calling": "CART1"}, {"calling": "WARD^ADA"}):
        with pytest.raises(Misconfigured):
            send(strict, write_ecg(ecg), **titles)
    stranger = connected(strict, source="127.0.0.2")
    assert ended(stranger, 60)
    wait_until(lambda: len(told) == 3)
    assert [(one.listener, one.host, one.ae_title, one.reason) for one in told] == [
        ("cart", LOOPBACK, "CART1", "called-ae-title"),
        ("cart", LOOPBACK, "WARD?ADA", "calling-ae-title"),
        ("cart", "127.0.0.2", "", "address-not-allowed"),
    ]


def test_associations_beyond_the_limit_are_told(start: Start) -> None:
    told: list[Rejection] = []
    scp = start(max_associations=1, max_per_host=4, turned_away=told.append)
    first = connected(scp)
    first.sendall(associate())
    wait_accepted(first)
    with pytest.raises(Misconfigured):
        echo(host=LOOPBACK, port=scp.port, called="ECGFM", calling="CART1")
    assert [(one.ae_title, one.reason) for one in told] == [("CART1", "too-many-associations")]
    first.close()


def test_port_in_use(start: Start) -> None:
    taken = start()
    with pytest.raises(Misconfigured, match=str(taken.port)):
        start(port=taken.port)


def test_other_sop_classes_are_not_negotiated(start: Start, ecg: Ecg) -> None:
    dataset = pydicom.dcmread(BytesIO(write_ecg(ecg)))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    with pytest.raises((Unreachable, Misconfigured)):
        send(start(), stream.getvalue())


@pytest.mark.parametrize("uid", ECG_SOP_CLASSES)
@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_ecg_class_is_negotiated_stored_and_read(
    start: Start, inbox: Inbox, ecg: Ecg, context: ReadingContext, uid: str, syntax: UID
) -> None:
    """In every transfer syntax; General 32-bit ECG with 32-bit samples, beyond 16 bits."""
    dataset = pydicom.dcmread(BytesIO(write_ecg(ecg)))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(uid)
    if dataset.SOPClassUID.name.startswith("General 32-bit"):
        group = dataset.WaveformSequence[0]
        samples = np.frombuffer(group.WaveformData, dtype="<i2").astype("<i4") * 100
        group.WaveformData, group.WaveformSampleInterpretation, group.WaveformBitsAllocated = (
            samples.tobytes(),
            "SL",
            32,
        )
        group.pop("WaveformPaddingValue", None)
        for channel in group.ChannelDefinitionSequence:
            channel.ChannelSensitivity = f"{float(channel.ChannelSensitivity) / 100:g}"
            channel.WaveformBitsStored = 32
    dataset.file_meta.TransferSyntaxUID = syntax
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    assert send(start(), stream.getvalue())[0].status == 0x0000
    (found,) = read(inbox.received[0].content, context).ecgs
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-4)


def test_an_object_beyond_the_limit_ends_the_association(start: Start, inbox: Inbox, ecg: Ecg) -> None:
    scp = start(max_object_bytes=0)  # the tolerance of one announced PDU remains
    with pytest.raises(Unreachable):
        send(scp, write_ecg(sample_ecg(seconds=120)))
    assert inbox.received == []
    assert send(scp, write_ecg(ecg))[0].status == 0x0000


def test_a_pdu_of_two_gigabytes_is_refused_by_its_length(start: Start, ecg: Ecg) -> None:
    scp = start()
    with socket.create_connection((LOOPBACK, scp.port), timeout=10) as connection:
        connection.sendall(b"\x01\x00\x7f\xff\xff\xff" + bytes(1000))
        assert connection.recv(100) == b""
    assert send(scp, write_ecg(ecg))[0].status == 0x0000


def test_noise_does_not_hurt(start: Start, ecg: Ecg) -> None:
    scp = start()
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x04\x00\x00\x00\x00\x04abcd", b"\x01\x00\x00\x00\x00\x02ab", b"\x07"):
        with socket.create_connection((LOOPBACK, scp.port), timeout=10) as connection:
            connection.sendall(noise)
    assert send(scp, write_ecg(ecg))[0].status == 0x0000


def test_stop_frees_the_port(start: Start, inbox: Inbox, ecg: Ecg) -> None:
    first = start()
    port = first.port
    first.stop(grace=1)
    with pytest.raises(Unreachable):
        send(first, write_ecg(ecg))
    assert send(start(port=port), write_ecg(ecg))[0].status == 0x0000


STORESCU = Path("/usr/bin/storescu")  # dcmtk's; pynetdicom installs a script of the same name into its environment


@pytest.mark.peer
def test_dcmtk_storescu(start: Start, inbox: Inbox, ecg: Ecg, context: ReadingContext, tmp_path: Path) -> None:
    if not STORESCU.exists():
        pytest.skip("dcmtk is not installed (/usr/bin/storescu)")
    file = tmp_path / "ecg.dcm"
    file.write_bytes(write_ecg(ecg))
    scp = start()
    command: list[str | Path] = [STORESCU, "-R", "-aet", "CART", "-aec", "ECGFM", LOOPBACK, str(scp.port), file]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = read(inbox.received[0].content, context).ecgs
    assert found.source_id == ecg.source_id


PIXELMED = Path("/usr/share/java/pixelmed.jar")
#: What PixelMed needs beside its own archive.
JARS = ("vecmath", "commons-codec", "jai", "javax.json", "hsqldb", "bzip2", "commons-compress")


def pixelmed(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    java = shutil.which("java")
    if java is None or not PIXELMED.exists():
        pytest.skip("PixelMed is not installed (apt-get install pixelmed-apps)")
    jars = [jar for jar in PIXELMED.parent.glob("*.jar") if any(name in jar.name for name in JARS)]
    path = ":".join(map(str, [PIXELMED, *jars]))
    command = [java, "-Djava.awt.headless=true", "-cp", path, f"com.pixelmed.network.{program}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.peer
def test_pixelmed_echo_and_store(start: Start, inbox: Inbox, ecg: Ecg, context: ReadingContext, tmp_path: Path) -> None:
    file = tmp_path / "ecg.dcm"
    file.write_bytes(write_ecg(ecg))
    scp = start()
    echoed = pixelmed("VerificationSOPClassSCU", LOOPBACK, scp.port, "ECGFM", "PIX", 0)
    assert "successful" in echoed.stdout + echoed.stderr
    assert pixelmed("StorageSOPClassSCU", LOOPBACK, scp.port, "ECGFM", "PIX", file, 0).returncode == 0
    (found,) = read(inbox.received[0].content, context).ecgs
    assert found.source_id == ecg.source_id


def connected(scp: StorageScp, source: str = LOOPBACK) -> socket.socket:
    return socket.create_connection((LOOPBACK, scp.port), timeout=20, source_address=(source, 0))


def ended(connection: socket.socket, patience: float) -> bool:
    connection.settimeout(patience)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_silent_connections_are_no_associations(start: Start, ecg: Ecg) -> None:
    """Callers that have something to send find their places, while silent ones wait to be given up."""
    scp = start(max_associations=2, max_per_host=6)
    silent = [connected(scp) for _ in range(4)]
    assert [answer.status for answer in send(scp, write_ecg(ecg))] == [0x0000]
    for one in silent:
        one.close()


def test_one_address_leaves_room_for_the_others(start: Start, ecg: Ecg) -> None:
    scp = start(max_associations=4)
    silent = [connected(scp, "127.0.0.2") for _ in range(12)]
    assert [answer.status for answer in send(scp, write_ecg(ecg))] == [0x0000]
    assert sum(ended(one, 0.2) for one in silent) >= 9
    for one in silent:
        one.close()


def test_places_are_given_back(start: Start, ecg: Ecg) -> None:
    scp = start(max_associations=1)
    for _ in range(5):
        patience = Event()
        for _ in range(600):
            try:
                answers = send(scp, write_ecg(ecg))
            except Unreachable:  # the place of the call before is not free yet
                patience.wait(0.2)
                continue
            assert [answer.status for answer in answers] == [0x0000]
            break
        else:
            pytest.fail("the place was never free again")


def test_networks_in_the_allow_list(start: Start, ecg: Ecg) -> None:
    assert send(start(allowed_hosts=("127.0.0.0/8",)), write_ecg(ecg))[0].status == 0x0000
    refused = connected(start(allowed_hosts=("192.0.2.0/24",)))
    assert ended(refused, 20)
    refused.close()
    with pytest.raises(Misconfigured, match="allowed_hosts"):
        start(allowed_hosts=("cart-7",))


def test_a_trickle_of_bytes_does_not_outlive_the_time_of_a_pdu(start: Start) -> None:
    """An A-ASSOCIATE-RQ sent byte by byte, each well within the time without a byte."""
    connection = connected(start(idle_timeout=0.5))
    connection.sendall(b"\x01\x00\x00\x00\x01\x00")
    pause, gone = Event(), False
    for _ in range(600):
        try:
            connection.sendall(b"\x00")
        except OSError:
            gone = True
            break
        pause.wait(0.1)
    assert gone
    connection.close()
