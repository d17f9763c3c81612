"""The MLLP port that carts and interface engines call: frames in, verdicts asked, acknowledgements out.

One asyncio loop in a thread of its own moves bytes; the handler, which waits for a disk, runs in worker threads so
that a slow store never stops the port. Messages of one connection are handled one after another, in their order, and
each is acknowledged only after the handler's verdict, that is after the commit.
"""

import asyncio
import ipaddress
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from ecgfm_connectors.base import Disposition, Handler, Received, Verdict
from ecgfm_connectors.errors import Misconfigured, ProtocolViolation, Unreadable
from ecgfm_connectors.hl7 import ack, message
from ecgfm_connectors.hl7.framing import DEFAULT_MAX_MESSAGE, Framer, frame
from ecgfm_connectors.tls import TlsFiles

_CHUNK = 256 * 1024
_WORKERS = 8  # handlers at work at once; the store behind them serialises writes anyway
_HELD_MESSAGES = 8  # longest messages that may be half received at once, over all connections
_HANDSHAKE = 5.0  # seconds a caller may take to start TLS
_TRY_LATER = Verdict(disposition=Disposition.TRY_LATER, code="try-later", text="the receiver cannot store now")
_UNKNOWN_SENDER = Verdict(disposition=Disposition.REFUSED, code="unknown-sender", text="MSH-3 is not on our list")


class MllpListener:
    """A port of ours for HL7 v2 (base.Listener)."""

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        handler: Handler,
        clock: Callable[[], datetime],
        allowed_hosts: Sequence[str] = (),
        allowed_senders: Sequence[str] = (),
        max_message_bytes: int = DEFAULT_MAX_MESSAGE,
        max_connections: int = 100,
        idle_timeout: float = 3600.0,
        frame_timeout: float = 60.0,
        tls: TlsFiles | None = None,
    ) -> None:
        """`allowed_hosts`: addresses or networks (`10.1.0.0/16`), empty = all. `allowed_senders`: MSH-3 or MSH-3|MSH-4.

        `idle_timeout` and `frame_timeout` are seconds without a byte between messages and inside one; the second is
        short, because a message that stops half-way holds memory. Raises Misconfigured for an unusable address.
        """
        self._name = name
        self._host = host
        self._port = port
        self._handler = handler
        self._clock = clock
        self._networks = [_network(text) for text in allowed_hosts]
        self._senders = frozenset(allowed_senders)
        self._max_message = max_message_bytes
        self._max_connections = max_connections
        self._idle_timeout = idle_timeout
        self._frame_timeout = frame_timeout
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._framers: set[Framer] = set()
        self._workers: ThreadPoolExecutor | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: Exception | None = None

    @property
    def port(self) -> int:
        """The bound port, also where 0 was asked for."""
        return self._port

    def start(self) -> None:
        """Bind and serve in the background. Raises Misconfigured: port taken, address not ours, TLS files unusable."""
        ready = threading.Event()
        self._failure = None
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix=f"mllp-{self._name}")
        self._thread = threading.Thread(target=self._run, args=(ready,), name=f"mllp-{self._name}", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            self._thread.join()
            self._workers.shutdown()
            self._thread = None
            if isinstance(self._failure, Misconfigured):
                raise self._failure
            raise Misconfigured(
                f"cannot listen for HL7 on {self._host}:{self._port}: {self._failure}; choose another port, or stop "
                "the program that holds it"
            ) from self._failure

    def stop(self) -> None:
        """Take no new message, let each one at work finish and be acknowledged, then close every connection."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        if self._workers is not None:
            self._workers.shutdown()
        self._thread = None

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            context = self._tls.server_context() if self._tls else None
            extra = {"ssl_handshake_timeout": _HANDSHAKE} if context else {}
            server = await asyncio.start_server(
                self._connected, self._host, self._port, ssl=context, limit=_CHUNK, **extra
            )
        except (OSError, Misconfigured, OverflowError) as error:
            self._failure = error
            ready.set()
            return
        self._port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stopping.wait()
        server.close()
        for connection in self._connections - self._busy:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert self._stopping is not None
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        self._connections.add(task)
        try:
            if self._allows(peer) and len(self._connections) <= self._max_connections and not self._stopping.is_set():
                await self._converse(reader, writer, peer, task)
        except (OSError, TimeoutError, ProtocolViolation, asyncio.CancelledError):
            pass  # the connection ends here; what was not acknowledged, its sender repeats
        finally:
            self._connections.discard(task)
            self._busy.discard(task)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str, task: "asyncio.Task[None]"
    ) -> None:
        framer = Framer(self._max_message)
        self._framers.add(framer)
        try:
            await self._receive(reader, writer, peer, task, framer)
        finally:
            self._framers.discard(framer)

    async def _receive(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        peer: str,
        task: "asyncio.Task[None]",
        framer: Framer,
    ) -> None:
        assert self._stopping is not None
        while not self._stopping.is_set():
            async with asyncio.timeout(self._frame_timeout if framer.inside else self._idle_timeout):
                data = await reader.read(_CHUNK)
            if not data or sum(held.held for held in self._framers) > _HELD_MESSAGES * self._max_message:
                return  # gone, or too much is half received already: the sender comes again
            for content in framer.feed(data):
                self._busy.add(task)
                for answer in await self._answer(content, peer):
                    writer.write(frame(answer))
                async with asyncio.timeout(self._frame_timeout):  # a peer that does not read cannot hold us
                    await writer.drain()
                self._busy.discard(task)
                if self._stopping.is_set():
                    return

    async def _answer(self, content: bytes, peer: str) -> list[bytes]:
        assert self._loop is not None
        return await self._loop.run_in_executor(self._workers, self._handle, content, peer)

    def _handle(self, content: bytes, peer: str) -> list[bytes]:
        """In a worker thread: the verdict and the acknowledgements that follow from it."""
        received_at = self._clock()
        received = Received(transport="mllp", source=self._name, content=content, received_at=received_at, peer=peer)
        try:
            verdict = self._handler(received) if self._knows(content) else _UNKNOWN_SENDER
        except Exception:  # noqa: BLE001  # outermost edge: not surely committed, so the sender must keep the message
            verdict = _TRY_LATER
        return ack.build(content, verdict, now=self._clock(), control_id=secrets.token_hex(10))

    def _allows(self, peer: str) -> bool:
        if not self._networks:
            return True
        try:
            address = ipaddress.ip_address(peer.split("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)

    def _knows(self, content: bytes) -> bool:
        if not self._senders:
            return True
        try:
            msh = message.parse_header(content)
        except Unreadable:
            return False
        return not self._senders.isdisjoint({msh.value(3), f"{msh.value(3)}|{msh.value(4)}"})


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise Misconfigured(f"allowed_hosts: {text!r} is no IP address or network such as 10.1.0.0/16") from error
