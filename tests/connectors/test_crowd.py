"""A thousand clients at once, well-behaved, slow, silent and hostile: the well-behaved lose nothing, memory stays
bounded and every descriptor is given back. Loopback only; each group calls from addresses of its own (127.0.0.0/8).

A well-behaved sender does what MLLP asks of it: what was not acknowledged it sends again, on a new connection.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from ecgfm_connectors.hl7 import ack
from ecgfm_connectors.hl7.framing import Framer, frame

WELL, SLOW, SILENT, HOSTILE = 400, 200, 200, 200
MESSAGES = 1  #: of each well-behaved sender
ECG_BYTES = 10_000
LONGEST = 400_000  #: `max_message_bytes` of the port
#: Bytes by which the listening process may grow: eight longest messages received or at work, as much again for their
#: copies, and the buffers and threads of 200 connections with what the allocator keeps of them.
MOST_MEMORY = 16 * LONGEST + 100_000_000
PATIENCE = 120.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the addresses 127.0.0.0/8 and /proc")


def message(control_id: str) -> bytes:
    head = f"MSH|^~\\&|CART|WARD|ECGFM|H|20260301||ORU^R01|{control_id}|P|2.5.1\rPID|1||1^^^H^MR\rOBX|1|ED|||"
    return frame(head.encode() + b"A" * ECG_BYTES + b"\r")


async def _pace(seconds: float) -> None:
    """How fast a client goes: nothing is waited for."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


async def _connect(port: int, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))


async def _acknowledged(reader: asyncio.StreamReader) -> bool:
    framer = Framer()
    while data := await reader.read(65536):
        for content in framer.feed(data):
            return ack.parse(content).code == "AA"
    return False


async def _deliver(port: int, source: str, control_id: str, *, chunk: int, pause: float) -> None:
    """Until it is acknowledged, as a sender of MLLP does."""
    while True:
        writer = None
        try:
            reader, writer = await _connect(port, source)
            content = message(control_id)
            for start in range(0, len(content), chunk):
                writer.write(content[start : start + chunk])
                await writer.drain()
                if pause:
                    await _pace(pause)
            if await _acknowledged(reader):
                return
        except OSError:
            pass
        finally:
            if writer is not None:
                writer.close()
        await _pace(0.2)


async def _well(port: int, number: int) -> None:
    for count in range(MESSAGES):
        await _deliver(port, f"127.0.1.{1 + number % 200}", f"W{number}-{count}", chunk=1 << 20, pause=0)


async def _slow(port: int, number: int) -> None:
    await _deliver(port, f"127.0.2.{1 + number % 100}", f"S{number}", chunk=2_500, pause=0.05)


async def _silent(port: int, number: int, over: asyncio.Event) -> None:
    """Connects again whenever it is let go."""
    while not over.is_set():
        try:
            reader, writer = await _connect(port, f"127.0.3.{1 + number % 4}")
            ended = asyncio.ensure_future(reader.read(1))
            await asyncio.wait([ended, asyncio.ensure_future(over.wait())], return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            writer.close()
        except OSError:
            pass
        if not over.is_set():
            await _pace(0.5)


async def _hostile(port: int, number: int, over: asyncio.Event) -> None:
    """Half messages that are never finished, messages beyond the limit, another protocol, a byte at a time."""
    starts = (b"\x0b" + b"A" * 300_000, b"\x0b" + b"A" * 500_000, b"GET / HTTP/1.1\r\n" * 5000, b"\x0bMSH|")
    while not over.is_set():
        try:
            reader, writer = await _connect(port, f"127.0.4.{1 + number % 4}")
            writer.write(starts[number % len(starts)])
            await writer.drain()
            while not over.is_set() and not reader.at_eof():
                writer.write(b"A")
                await writer.drain()
                await _pace(1.0)
            writer.close()
        except OSError:
            pass
        if not over.is_set():
            await _pace(1.0)


async def _crowd(port: int, watch: Callable[[], None]) -> None:
    over = asyncio.Event()
    bad = [asyncio.ensure_future(_silent(port, n, over)) for n in range(SILENT)]
    bad += [asyncio.ensure_future(_hostile(port, n, over)) for n in range(HOSTILE)]

    async def watching() -> None:
        while not over.is_set():
            watch()
            await _pace(0.1)

    watcher = asyncio.ensure_future(watching())
    good: Iterable[Awaitable[None]] = [
        *(_well(port, n) for n in range(WELL)),
        *(_slow(port, n) for n in range(SLOW)),
    ]
    try:
        await asyncio.wait_for(asyncio.gather(*good), PATIENCE)
    finally:
        over.set()
        await watcher
        await asyncio.gather(*bad, return_exceptions=True)


class Listening:
    """The port in a process of its own, whose memory and descriptors are its own too."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.crowd_listener", str(LONGEST)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def resident(self) -> int:
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> set[str]:
        """The control ids of what was committed."""
        out, _ = self._process.communicate(timeout=PATIENCE)
        return set(out.split())


def test_a_thousand_clients() -> None:
    listening = Listening()
    descriptors, resident = listening.descriptors(), listening.resident()
    peaks: list[int] = []
    try:
        asyncio.run(_crowd(listening.port, lambda: peaks.append(listening.resident())))
        pause = threading.Event()
        for _ in range(int(PATIENCE / 0.2)):
            if listening.descriptors() <= descriptors:
                break
            pause.wait(0.2)
        assert listening.descriptors() <= descriptors
    finally:
        committed = listening.stop()
    expected = {f"W{n}-{count}" for n in range(WELL) for count in range(MESSAGES)} | {f"S{n}" for n in range(SLOW)}
    assert committed == expected
    assert max(peaks) - resident < MOST_MEMORY
