"""Faults that were found by trying what nobody had listed, each as it was tried."""

import os
import socket
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.staging.destinations import DestinationState
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.dicom.storage import StorageScp
from ecgfm_connectors.errors import NotReached, Unreachable
from ecgfm_connectors.files.folder import FolderSource
from ecgfm_connectors.hl7.sender import MllpDestination
from tests.helpers import dicom_wire
from tests.helpers.fakes import Clock

LOOPBACK = "127.0.0.1"


def test_a_store_that_was_replaced_under_a_service_takes_nothing(tmp_path: Path, clock: Clock) -> None:
    """It went on acknowledging, into a file that nobody would find again."""
    path = tmp_path / "staging.sqlite"
    with closing(Store.open(f"sqlite:///{path}", create=True)) as store:
        store.elapsed.look(clock())
        other = tmp_path / "restored.sqlite"
        store.care.back_up(other)
        other.replace(path)
        with pytest.raises(StoreUnavailable, match="replaced or removed"):
            store.elapsed.look(clock())
        path.unlink()
        with pytest.raises(StoreUnavailable, match="replaced or removed"):
            store.elapsed.look(clock())
    with closing(Store.open(f"sqlite:///{path}", create=True)) as store:
        store.elapsed.look(clock())


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(days=3650)])
def test_an_outage_that_began_with_a_clock_ahead_ends_with_the_clocks_return(
    store: Store, clock: Clock, ahead: timedelta
) -> None:
    """Nothing would have been sent to that destination for ten years."""
    wrong = clock() + ahead
    later = wrong + timedelta(seconds=30)
    store.destinations.failed("ehr", "away", next_attempt_at=later, now=wrong, actor="a")
    assert store.destinations.status("ehr", now=wrong).state is DestinationState.OPEN
    assert store.destinations.status("ehr", now=clock()).state is DestinationState.HALF_OPEN
    assert store.destinations.status("ehr", now=later).state is DestinationState.HALF_OPEN


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_in_a_drop_folder_is_waited_for_by_nobody(tmp_path: Path) -> None:
    """A header that named it held the task until the process was ended, again after each start."""
    (tmp_path / "r1.hea").write_text("r1 1 500 10\nr1.dat 16 1000/mV 16 0 0 0 0 I\n")
    os.mkfifo(tmp_path / "r1.dat")
    os.mkfifo(tmp_path / "alone.xml")
    (tmp_path / "link.xml").symlink_to(tmp_path / "r1.hea")
    (tmp_path / "folder.xml").mkdir()
    now = datetime.now(UTC) + timedelta(hours=1)

    def handle(_: Received) -> Verdict:
        raise AssertionError

    report = FolderSource(name="drop", path=tmp_path).pull(handle, cursor=None, now=now)
    assert [one.disposition for one in report.verdicts] == [Disposition.UNREADABLE]
    (reason,) = tmp_path.rglob("*.reason.txt")
    assert "no plain file" in reason.read_text()


def test_128_presentation_contexts_are_answered() -> None:
    """The most that an association can propose."""
    taken = threading.Event()

    def handle(_: Received) -> Verdict:
        taken.set()
        return Verdict(disposition=Disposition.STAGED)

    scp = StorageScp(
        name="dicom", ae_title="ECGFM", host=LOOPBACK, port=0, handler=handle, clock=lambda: datetime.now(UTC)
    )
    scp.start()
    with socket.create_connection((LOOPBACK, scp.port), timeout=120) as caller:
        caller.sendall(dicom_wire.associate(contexts=128))
        assert caller.recv(1) == b"\x02"  # A-ASSOCIATE-AC
        caller.sendall(dicom_wire.store(bytes(100), "2.25.1"))
        assert taken.wait(120)
    scp.stop(grace=1)


def test_a_receiver_that_answers_a_byte_at_a_time_is_given_up() -> None:
    """The time for an acknowledgement is that of the whole, not of each byte."""
    over = threading.Event()
    with socket.create_server((LOOPBACK, 0)) as server:

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    connection.sendall(b"\x0b")
                    while not over.wait(0.1):
                        connection.sendall(b"M")
                except OSError:
                    pass

        peer = threading.Thread(target=trickle)
        peer.start()
        destination = MllpDestination(name="ehr", host=LOOPBACK, port=server.getsockname()[1], ack_timeout=1.0)
        with pytest.raises(Unreachable):
            destination.send(b"MSH|^~\\&|A|B|C|D|20260301||ORU^R01|1|P|2.5.1\r", control_id="1")
        assert not over.is_set()
        over.set()
        destination.close()
        peer.join(120)


def test_a_host_name_that_stops_resolving_is_a_destination_that_is_away() -> None:
    destination = MllpDestination(name="ehr", host="ehr.invalid", port=1, ack_timeout=1.0)
    with pytest.raises(NotReached):
        destination.send(b"MSH|^~\\&|A|B|C|D|20260301||ORU^R01|1|P|2.5.1\r", control_id="1")
    destination.close()
