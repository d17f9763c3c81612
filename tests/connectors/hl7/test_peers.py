"""HL7 programs of others at both ends: node-hl7-client, simple-hl7 and @medplum/hl7 call us,
and we call their servers.
"""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hl7
import pytest
from hl7.client import MLLPClient
from hl7apy.mllp import AbstractHandler, MLLPServer

from ecgfm_connectors.base import Received, Verdict
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.hl7.listener import MllpListener
from ecgfm_connectors.hl7.sender import MllpDestination
from ecgfm_connectors.reading import read
from ecgfm_connectors.result import Ack
from ecgfm_connectors.testing import oru_writer
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.helpers.ports import free_port

PEERS = Path(__file__).parents[1] / "peers"
NODE = shutil.which("node")
LIBRARIES = ("nodehl7", "simple", "medplum")
INSTALL = "npm install --prefix tests/connectors/peers --ignore-scripts"

needs_node = pytest.mark.skipif(
    NODE is None or not (PEERS / "node_modules").is_dir(),
    reason=f"node and its HL7 libraries are not installed ({INSTALL})",
)
pytestmark = [pytest.mark.slow, pytest.mark.peer]


@pytest.fixture
def message(ecg: Ecg) -> Callable[[str], bytes]:
    def write(control_id: str) -> bytes:
        return oru_writer.write_ecg(ecg, control_id=control_id, sent_at=datetime(2026, 3, 1, 9, tzinfo=UTC))

    return write


@pytest.fixture
def received() -> list[bytes]:
    return []


@pytest.fixture
def listener(received: list[bytes], staged: Verdict) -> Iterator[MllpListener]:
    def keep(payload: Received) -> Verdict:
        received.append(payload.content)
        return staged

    port = MllpListener(name="hl7", host="127.0.0.1", port=0, handler=keep, clock=lambda: datetime.now(UTC))
    port.start()
    yield port
    port.stop()


def lines(content: bytes) -> list[bytes]:
    return [line for line in content.split(b"\r") if line.strip()]


@needs_node
@pytest.mark.parametrize("library", LIBRARIES)
def test_their_client_calls_us(
    library: str,
    listener: MllpListener,
    received: list[bytes],
    message: Callable[[str], bytes],
    ecg: Ecg,
    context: ReadingContext,
    tmp_path: Path,
) -> None:
    file = tmp_path / "oru.hl7"
    file.write_bytes(message("M1"))
    command = [str(NODE), str(PEERS / "client.cjs"), library, str(listener.port), str(file)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert b"\nMSA|AA|M1" in done.stdout
    (content,) = received
    assert lines(content)[1:] == lines(message("M1"))[1:]
    assert read(content, context).ecgs[0].patient == ecg.patient


def test_python_hl7_calls_us(listener: MllpListener, received: list[bytes], message: Callable[[str], bytes]) -> None:
    with MLLPClient("127.0.0.1", listener.port) as client:
        for control_id in ("M1", "M2"):
            answer = hl7.parse(
                client.send_message(hl7.parse(message(control_id).decode())).strip(b"\x0b\x1c\r").decode()
            )
            assert [str(answer.segment("MSA")[n]) for n in (1, 2)] == ["AA", control_id]
    assert [lines(content) for content in received] == [lines(message("M1")), lines(message("M2"))]


@pytest.fixture
def serving(wait_until: Callable[[Callable[[], bool]], None]) -> Iterator[Callable[[str], int]]:
    started: list[subprocess.Popen[bytes]] = []

    def serve(library: str) -> int:
        port = free_port()
        started.append(
            subprocess.Popen(
                [str(NODE), str(PEERS / "server.cjs"), library, str(port)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        probe = MllpDestination(name=library, host="127.0.0.1", port=port)

        def answers() -> bool:
            try:
                probe.check()
            except Unreachable:
                return False
            return True

        wait_until(answers)
        probe.close()
        return port

    yield serve
    for process in started:
        process.terminate()
        process.wait(20)


@needs_node
@pytest.mark.parametrize("library", LIBRARIES)
def test_we_call_their_server(library: str, serving: Callable[[str], int], message: Callable[[str], bytes]) -> None:
    """node-hl7-server acknowledges every earlier message again each time: those are not taken for the answer."""
    with MllpCart("127.0.0.1", serving(library), timeout=30) as cart:
        for number in range(5):
            answer = cart.send(message(f"M{number}"))
            assert answer == Ack(code="AA", control_id=f"M{number}", text=answer.text)


class _Acknowledge(AbstractHandler):  # type: ignore[misc]  # hl7apy has no types
    def reply(self) -> str:
        msh = self.incoming_message.split("\r")[0].split("|")
        return f"\x0bMSH|^~\\&|EHR||ECGFM||20260301||ACK|1|P|2.5.1\rMSA|AA|{msh[9]}\r\x1c\r"


@pytest.fixture
def closing_server() -> Iterator[int]:
    """hl7apy's own server, which closes the connection after each acknowledgement."""
    server = MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (_Acknowledge,)})
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_we_call_a_server_that_closes_after_each_answer(closing_server: int) -> None:
    small = b"MSH|^~\\&|ECGFM||EHR||20260301||ORU^R01^ORU_R01|%s|P|2.5.1\rPID|1||1^^^H^MR\r"
    with MllpCart("127.0.0.1", closing_server, timeout=30) as cart:
        for number in range(10):
            answer = cart.send(small.replace(b"%s", b"M%d" % number))
            assert (answer.code, answer.control_id) == ("AA", f"M{number}")
