"""HL7 speed as ratios to named peers, measured alternately in one run: pytest -s tests/benchmarks/bench_hl7.py"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import hl7
import pytest

from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.hl7 import batch, message
from ecgfm_connectors.hl7.framing import Framer, frame
from ecgfm_connectors.hl7.sender import MllpDestination
from ecgfm_connectors.testing import oru_writer
from ecgfm_connectors.testing.samples import sample_ecg
from tests.helpers.ports import free_port

pytestmark = pytest.mark.benchmark

SENT = datetime(2026, 3, 1, 9, tzinfo=UTC)
ROUNDS = 5


def result_message(control_id: str) -> bytes:
    """1 kB: an ORU with nine numeric results."""
    head = (
        f"MSH|^~\\&|LIS|LAB|ECGFM|H|20260301090000||ORU^R01^ORU_R01|{control_id}|P|2.5.1\r"
        "PID|1||123^^^HOSP^MR||TEST^PATIENT||19500405|F\rORC|RE|ORD1^CPOE|F1^LAB\r"
        "OBR|1|ORD1^CPOE|F1^LAB|CHEM^Panel^L|||20260301083000\r"
    )
    obx = "OBX|{}|NM|8867-4^Heart rate^LN||72|/min^per minute^UCUM|60-100|N|||F|||20260301083000\r"
    return (head + "".join(obx.format(number) for number in range(1, 10))).encode()


def ecg_messages(count: int) -> list[bytes]:
    """161 kB each: ORU with a 12 × 5000 DICOM ECG in base64, every one another recording."""
    return [
        oru_writer.write_ecg(sample_ecg(seed=number), control_id=f"M{number}", sent_at=SENT) for number in range(count)
    ]


@contextmanager
def serving(kind: str, *arguments: str) -> Iterator[int]:
    script = Path(__file__).with_name("hl7_server.py")
    process = subprocess.Popen([sys.executable, str(script), kind, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def exchange(port: int, frames: Sequence[bytes]) -> None:
    """Stop and wait: each frame is sent once the one before it is acknowledged; reconnects where the server closes."""
    connection: socket.socket | None = None
    for content in frames:
        for _ in range(20):
            try:
                connection = connection or socket.create_connection(("127.0.0.1", port), timeout=60)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(content)
                if answered(connection):
                    break
            except ConnectionError:
                pass
            connection = None
        else:
            pytest.fail("a message was never acknowledged")
    if connection is not None:
        connection.close()


def answered(connection: socket.socket) -> bool:
    framer = Framer()
    while data := connection.recv(65536):
        if framer.feed(data):
            return True
    return False


def rate(port: int, frames: Sequence[bytes], connections: int) -> float:
    """Acknowledged messages a second."""
    threads = [
        threading.Thread(target=exchange, args=(port, frames[start::connections])) for start in range(connections)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(frames) / (time.perf_counter() - begun)


def written(path: Path, frames: Sequence[bytes]) -> float:
    """Frames a second that the disk itself takes, one after another."""
    begun = time.perf_counter()
    with path.open("wb") as file:
        for content in frames:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    return len(frames) / (time.perf_counter() - begun)


def alternating(peers: dict[str, Callable[[int], float]]) -> dict[str, float]:
    """The median of some rounds, in each of which every peer is measured once.

    A first round is not counted: servers have their code loaded and their files grown when they have run for a while.
    """
    rounds = [{name: measure(number) for name, measure in peers.items()} for number in range(ROUNDS + 1)]
    return {name: statistics.median(one[name] for one in rounds[1:]) for name in peers}


def told(title: str, rates: dict[str, float], unit: str) -> None:
    print(f"\n{title}: " + ", ".join(f"{name} {value:.4g} {unit}" for name, value in rates.items()))


def test_splitter() -> None:
    def time_of(function: Callable[[bytes], object], content: bytes) -> Callable[[int], float]:
        def measure(_: int) -> float:
            begun = time.perf_counter()
            for _ in range(200):
                function(content)
            return (time.perf_counter() - begun) / 200 * 1e3

        return measure

    def split(content: bytes) -> object:
        return [message.parse(item) for item in batch.messages(content)]

    for name, content, most in (("1 kB", result_message("M1"), 0.2), ("161 kB", ecg_messages(1)[0], 0.5)):
        times = alternating(
            {"ours": time_of(split, content), "python-hl7": time_of(lambda raw: hl7.parse(raw.decode()), content)}
        )
        told(f"split {name}", times, "ms")
        assert times["ours"] <= most * times["python-hl7"]


@pytest.mark.parametrize("connections", [1, 8])
def test_listener_1_kb(connections: int) -> None:
    frames = [frame(result_message(f"M{number}")) for number in range(1600)]
    with serving("null") as null, serving("python-hl7") as peer, serving("hl7apy") as slow:
        rates = alternating(
            {
                "ours": lambda _: rate(null, frames, connections),
                "python-hl7": lambda _: rate(peer, frames, connections),
                "hl7apy": lambda _: rate(slow, frames[:48], connections),
            }
        )
    told(f"1 kB, {connections} connections", rates, "messages/s")
    assert rates["ours"] >= rates["python-hl7"]


@pytest.mark.parametrize("connections", [1, 8])
def test_listener_161_kb_durable(connections: int, tmp_path: Path) -> None:
    """`kept`: the bytes are committed before AA. `staged`: the whole intake, decoded and with its score job. Of the
    peers neither keeps anything. `write and fsync`, without any network, is the most that one connection which waits
    for each commit can reach on this disk.
    """
    count = 160
    frames = [frame(content) for content in ecg_messages((ROUNDS + 1) * count)]

    def part(number: int) -> Sequence[bytes]:
        return frames[number * count : (number + 1) * count]

    with (
        serving("null") as null,
        serving("kept", str(tmp_path / "kept.db")) as kept,
        serving("staged", str(tmp_path / "store.db")) as staged,
        serving("python-hl7") as peer,
        serving("hl7apy") as slow,
    ):
        rates = alternating(
            {
                "staged": lambda number: rate(staged, part(number), connections),
                "kept": lambda number: rate(kept, part(number), connections),
                "not kept": lambda number: rate(null, part(number), connections),
                "write and fsync": lambda number: written(tmp_path / f"disk{number}", part(number)),
                "python-hl7": lambda number: rate(peer, part(number), connections),
                "hl7apy": lambda _: rate(slow, frames[: max(connections, 3)], connections),
            }
        )
    told(f"161 kB, {connections} connections", rates, "messages/s")
    assert rates["not kept"] >= rates["python-hl7"]
    assert rates["kept"] >= 50 * rates["hl7apy"]


def test_sender() -> None:
    """Ours against a bare stop-and-wait client; the receiver is simple-hl7."""
    node, peers = shutil.which("node"), Path(__file__).parents[1] / "connectors" / "peers"
    if node is None or not (peers / "node_modules").is_dir():
        pytest.skip("node and its HL7 libraries are not installed")
    contents = [result_message(f"M{number}") for number in range(1000)]
    frames = [frame(content) for content in contents]
    port = free_port()
    server = subprocess.Popen([node, str(peers / "server.cjs"), "simple", str(port)], stdout=subprocess.DEVNULL)
    destination = MllpDestination(name="peer", host="127.0.0.1", port=port)

    def ours(_: int) -> float:
        begun = time.perf_counter()
        for number, content in enumerate(contents):
            assert destination.send(content, control_id=f"M{number}").code == "AA"
        return len(contents) / (time.perf_counter() - begun)

    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                destination.check()
                break
            except Unreachable:
                assert time.monotonic() < deadline
        rates = alternating({"ours": ours, "bare client": lambda _: rate(port, frames, 1)})
    finally:
        destination.close()
        server.terminate()
        server.wait(20)
    told("send 1 kB to simple-hl7", rates, "messages/s")
    assert rates["ours"] >= 0.8 * rates["bare client"]
