"""One MLLP server to be measured, in a process of its own: python hl7_server.py KIND [STORE]; prints its port.

Kinds: `null` (our listener, nothing kept), `kept` (our listener, the bytes committed to SQLite before AA), `staged`
(our listener and the staging store: decoded and committed with its score job before AA), `python-hl7` and `hl7apy`
(their own servers, message parsed and acknowledged, nothing kept). Committed means: SQLite, WAL, synchronous = FULL.
"""

import asyncio
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ecgfm_clinical.staging.group_commit import GroupCommit
from ecgfm_connectors.base import Disposition, Handler, Received, Verdict
from ecgfm_connectors.hl7.listener import MllpListener

STAGED = Verdict(disposition=Disposition.STAGED)


def drop(received: Received) -> Verdict:
    return STAGED


def keeping(path: str) -> Handler:
    """The payload and nothing else, over a connection such as the store's and with its checkpoints."""
    from ecgfm_clinical.staging import engine
    from ecgfm_clinical.staging.checkpointing import Checkpointer

    checkpointer = Checkpointer(Path(path))
    connection: Any = engine.connect(engine.parse_url(f"sqlite:///{path}")).raw_connection().driver_connection
    connection.execute("CREATE TABLE payload (content BLOB)")

    def commit(contents: Sequence[bytes]) -> list[Verdict]:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO payload VALUES (?)", [(content,) for content in contents])
        connection.execute("COMMIT")
        checkpointer.nudge()
        return [STAGED] * len(contents)

    group_commit = GroupCommit(commit)
    return lambda received: group_commit(received.content)


def staging(path: str) -> Handler:
    from ecgfm_clinical.pipeline.ingest import Ingest
    from ecgfm_clinical.staging.store import Store
    from ecgfm_connectors.context import ReadingContext
    from ecgfm_connectors.reading import read

    store = Store.open(f"sqlite:///{path}", create=True)
    context = ReadingContext(default_authority="SITE", zone=UTC)
    return Ingest(store, read=partial(read, context=context), clock=lambda: datetime.now(UTC))


def ours(handler: Handler) -> None:
    listener = MllpListener(name="hl7", host="127.0.0.1", port=0, handler=handler, clock=lambda: datetime.now(UTC))
    listener.start()
    print(listener.port, flush=True)
    signal.sigwait({signal.SIGTERM})
    listener.stop()


def python_hl7() -> None:
    from hl7.mllp import HL7StreamReader, HL7StreamWriter, start_hl7_server

    async def talk(reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message = await reader.readmessage()
                writer.writemessage(message.create_ack())
                await writer.drain()

    async def serve() -> None:
        server = await start_hl7_server(talk, host="127.0.0.1", port=0, limit=2**24)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(serve())


def hl7apy() -> None:
    from hl7apy.core import Message
    from hl7apy.mllp import AbstractHandler, MLLPServer
    from hl7apy.parser import parse_message

    class Acknowledge(AbstractHandler):  # type: ignore[misc]  # hl7apy has no types
        def reply(self) -> str:
            received = parse_message(self.incoming_message, find_groups=False)
            ack = Message("ACK", version="2.5.1")
            ack.msh.msh_9 = "ACK^R01^ACK"
            ack.msa.msa_1 = "AA"
            ack.msa.msa_2 = received.msh.msh_10.to_er7()
            return str(ack.to_mllp())

    server = MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (Acknowledge,)})
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM} if sys.argv[1] != "python-hl7" else set())
    match sys.argv[1]:
        case "null":
            ours(drop)
        case "kept":
            ours(keeping(sys.argv[2]))
        case "staged":
            ours(staging(sys.argv[2]))
        case "python-hl7":
            python_hl7()
        case "hl7apy":
            hl7apy()
