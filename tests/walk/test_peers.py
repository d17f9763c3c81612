"""Programs that others wrote, at both ends of the walk: dcmtk's storescu in, python-hl7's MLLP server out."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import hl7
import pytest
from hl7.mllp import HL7StreamReader, HL7StreamWriter, start_hl7_server

from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import Hl7Destination, Settings
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.testing import dicom_writer
from tests.helpers.fakes import make_ecg, wait_until

# By absolute path: a Python environment may hold pynetdicom's script of the same name.
STORESCU = Path("/usr/bin/storescu")
ECHOSCU = Path("/usr/bin/echoscu")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.peer,
    # python-hl7's, since Python 3.12: as an error it ends the server's answer, and no acknowledgement comes.
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),
    pytest.mark.skipif(not STORESCU.exists(), reason="dcmtk is not installed (no /usr/bin/storescu)"),
]


class PythonHl7Receiver:
    """python-hl7's own asyncio server, answering with its own acknowledgement."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await start_hl7_server(self._talk, host="127.0.0.1", port=0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _talk(self, reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message: hl7.Message = await reader.readmessage()
                self.messages.append(str(message))
                writer.writemessage(message.create_ack())
                await writer.drain()


@pytest.fixture
def receiver() -> Iterator[PythonHl7Receiver]:
    one = PythonHl7Receiver()
    one.start()
    yield one
    one.stop()


@pytest.fixture
def settings(settings: Settings, receiver: PythonHl7Receiver) -> Settings:
    """The store, too, must know the destination: it composes the messages."""
    destination = Hl7Destination(name="engine", host="127.0.0.1", port=receiver.port)
    to_engine = settings.destinations.model_copy(update={"hl7": (destination,)})
    return settings.model_copy(update={"destinations": to_engine})


@pytest.fixture
def running(settings: Settings, store: Store) -> Iterator[Service]:
    service = Service(settings, "all", store)
    service.start()
    yield service
    service.stop()


def test_dcmtk_in_python_hl7_out(running: Service, store: Store, receiver: PythonHl7Receiver, tmp_path: Path) -> None:
    numbers = range(1, 5)
    for number in numbers:
        (tmp_path / f"{number}.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(number)))
    peer = ["-aec", "ECGFM", "127.0.0.1", str(running.ports["dicom"])]
    subprocess.run([ECHOSCU, *peer], check=True, timeout=120)
    files = [str(tmp_path / f"{number}.dcm") for number in numbers]
    subprocess.run([STORESCU, "-R", *peer, *files], check=True, timeout=120)

    wait_until(lambda: len(receiver.messages) == len(numbers))
    ids = [store.ecgs.find(f"1.2.3.{number}")[0] for number in numbers]
    wait_until(lambda: all(store.ecgs.story(i).messages[0].state is MessageState.ACKNOWLEDGED for i in ids))
    parsed = [hl7.parse(text) for text in receiver.messages]
    assert {str(message.segment("MSH")[10]) for message in parsed} == {
        store.ecgs.story(ecg_id).messages[0].control_id for ecg_id in ids
    }
    assert {str(message.segment("PID")[3][0][0]) for message in parsed} == {f"T{number}" for number in numbers}
