"""A thousand clients of a port at once in one thread: well-behaved, slow, silent and hostile ones.

Loopback only; each group calls from addresses of its own (127.0.0.0/8). A well-behaved sender does what its protocol
asks: what was not acknowledged it sends again, on a new connection.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ecgfm_connectors.hl7 import ack
from ecgfm_connectors.hl7.framing import Framer, frame
from tests.helpers import dicom_wire

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
#: A slow sender's bytes at a time, and the seconds between them.
SLOW_CHUNK, SLOW_PAUSE = 2_500, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How a sender of one protocol talks."""

    #: Sends one item on a new connection by a function that goes as fast as the sender does; whether it was taken.
    send: Callable[[Reader, "Pace", bytes], Awaitable[bool]]
    wrong: Sequence[bytes]  #: what a hostile client begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Writes in pieces."""

    writer: Writer
    chunk: int
    pause: float

    async def __call__(self, content: bytes) -> None:
        for start in range(0, len(content), self.chunk):
            self.writer.write(content[start : start + self.chunk])
            await self.writer.drain()
            if self.pause:
                await pace(self.pause)


async def pace(seconds: float) -> None:
    """How fast a client goes: nothing is waited for."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


async def _send_hl7(reader: Reader, write: Pace, content: bytes) -> bool:
    await write(frame(content))
    framer = Framer()
    while data := await reader.read(65536):
        for answer in framer.feed(data):
            return ack.parse(answer).code == "AA"
    return False


async def _send_dicom(reader: Reader, write: Pace, content: bytes) -> bool:
    """`content`: the PDUs of one C-STORE-RQ."""
    await write(dicom_wire.associate())
    if not await dicom_wire.accepted(reader):
        return False
    await write(content)
    taken = await dicom_wire.status(reader) == 0
    await write(dicom_wire.release())
    await reader.read(10)  # the answer, or the end
    return taken


HL7 = Speech(
    send=_send_hl7,
    wrong=(b"\x0b" + b"A" * 300_000, b"\x0b" + b"A" * 500_000, b"GET / HTTP/1.1\r\n" * 5000, b"\x0bMSH|"),
)
DICOM = Speech(send=_send_dicom, wrong=dicom_wire.wrong_beginnings())


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who calls a port, and with what."""

    speech: Speech
    port: int
    silent: int
    hostile: int
    slow_pause: float = SLOW_PAUSE

    async def deliver(self, source: str, content: bytes, *, slow: float = 0.0) -> int:
        """Send one item until it is taken, `slow` times as slowly as `slow_pause` says; how often it was sent."""
        tries = 1
        while not await self._attempt(source, content, slow=slow):
            tries += 1
            await pace(0.2)
        return tries

    async def _attempt(self, source: str, content: bytes, *, slow: float) -> bool:
        writer = None
        try:
            reader, writer = await self._connect(source)
            chunk, pause = (SLOW_CHUNK, slow * self.slow_pause) if slow else (1 << 20, 0.0)
            return await self.speech.send(reader, Pace(writer=writer, chunk=chunk, pause=pause), content)
        except (OSError, asyncio.IncompleteReadError):
            return False
        finally:
            if writer is not None:
                writer.close()

    async def _connect(self, source: str) -> tuple[Reader, Writer]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))

    async def around(self, work: Awaitable[object], watch: Callable[[], None], patience: float) -> None:
        """Do `work` while the silent and the hostile are there. Raises TimeoutError."""
        over = asyncio.Event()
        bad = [asyncio.ensure_future(self._silent(n, over)) for n in range(self.silent)]
        bad += [asyncio.ensure_future(self._hostile(n, over)) for n in range(self.hostile)]

        async def watching() -> None:
            while not over.is_set():
                watch()
                await pace(0.1)

        watcher = asyncio.ensure_future(watching())
        try:
            await asyncio.wait_for(work, patience)
        finally:
            over.set()
            await watcher
            await asyncio.gather(*bad, return_exceptions=True)

    async def _silent(self, number: int, over: asyncio.Event) -> None:
        """Connects again whenever it is let go."""
        while not over.is_set():
            try:
                reader, writer = await self._connect(f"127.0.3.{1 + number % 4}")
                ended = asyncio.ensure_future(reader.read(1))
                await asyncio.wait([ended, asyncio.ensure_future(over.wait())], return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
                writer.close()
            except OSError:
                pass
            if not over.is_set():
                await pace(0.5)

    async def _hostile(self, number: int, over: asyncio.Event) -> None:
        """Begins wrongly and goes on byte by byte; connects again whenever it is let go."""
        wrong = self.speech.wrong
        while not over.is_set():
            try:
                reader, writer = await self._connect(f"127.0.4.{1 + number % 4}")
                writer.write(wrong[number % len(wrong)])
                await writer.drain()
                while not over.is_set() and not reader.at_eof():
                    writer.write(b"A")
                    await writer.drain()
                    await pace(1.0)
                writer.close()
            except OSError:
                pass
            if not over.is_set():
                await pace(1.0)


def well_behaved(number: int) -> str:
    """The address of one."""
    return f"127.0.1.{1 + number % 200}"


def slow(number: int) -> str:
    """The address of one."""
    return f"127.0.2.{1 + number % 100}"
