"""A feed of all results by MLLP: every valid message is acknowledged with AA, and gives what it holds."""

import socket
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ecgfm_clinical.pipeline.ingest import Ingest
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.hl7 import ack
from ecgfm_connectors.hl7.framing import Framer, frame
from ecgfm_connectors.hl7.listener import MllpListener
from ecgfm_connectors.reading import read
from tests.helpers import laboratory

pytestmark = pytest.mark.slow(2)

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
MESSAGES = 1000


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}", create=True)
    yield store
    store.close()


def test_a_thousand_mixed_messages_are_all_accepted(ward: Store) -> None:
    context = ReadingContext(default_authority="HOSP", zone=ZoneInfo("Europe/Berlin"))
    handler = Ingest(ward, read=partial(read, context=context), clock=lambda: NOW)
    listener = MllpListener(name="lab", host="127.0.0.1", port=0, handler=handler, clock=lambda: NOW)
    listener.start()
    sent = list(laboratory.messages(MESSAGES))
    try:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=120) as connection:
            codes = Counter(_exchange(connection, Framer(), content) for content, _ in sent)
    finally:
        listener.stop()
    assert codes == {"AA": MESSAGES}
    expected = Counter(value for _, values in sent for value in values)
    kept = Counter(
        one.outcome.value for one in ward.outcomes.newest(limit=MESSAGES) if one.outcome.status != "withdrawn"
    )
    assert kept == expected
    assert sum(expected.values()) > 50
    assert {one.left_out.reason for one in ward.outcomes.left_out(limit=MESSAGES)} == {
        "outcome-not-numeric",
        "troponin-change",
        "lvef-other-chamber",
        "troponin-other-specimen",
    }


def _exchange(connection: socket.socket, framer: Framer, content: bytes) -> str:
    connection.sendall(frame(content))
    while not (frames := framer.feed(connection.recv(65536))):
        pass
    return ack.parse(next(iter(frames))).code
