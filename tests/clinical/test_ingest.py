"""What is read beside what: nobody waits for a large payload, and small ones go through one after the other."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecgfm_clinical.pipeline.ingest import SMALL, Ingest
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.errors import Unreadable
from tests.helpers import prepared

NOW = datetime(2031, 5, 6, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    prepared.copy_store(tmp_path / "store.db")
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True)
    yield store
    store.close()


def payload(content: bytes) -> Received:
    return Received(transport="mllp", source="hl7", content=content, received_at=NOW)


def test_nobody_waits_for_a_large_payload(store: Store) -> None:
    large_begun, small_done = threading.Event(), threading.Event()

    def read(content: bytes) -> Contents:
        if len(content) >= SMALL:
            large_begun.set()
            assert small_done.wait(60), "the small payload waits for the large one"
        raise Unreadable("damaged", "no recording")

    ingest = Ingest(store, read=read, clock=lambda: NOW)
    with ThreadPoolExecutor(1) as threads:
        large = threads.submit(ingest, payload(bytes(SMALL)))
        assert large_begun.wait(60)
        assert ingest(payload(b"small")).disposition is Disposition.UNREADABLE
        small_done.set()
        assert large.result(60).disposition is Disposition.UNREADABLE


def test_small_payloads_are_read_one_at_a_time_and_all_are_kept(store: Store) -> None:
    reading, most, lock = set[bytes](), [0], threading.Lock()

    def read(content: bytes) -> Contents:
        with lock:
            reading.add(content)
            most[0] = max(most[0], len(reading))
        sum(range(100_000))  # long enough for the others to come
        with lock:
            reading.discard(content)
        raise ValueError  # a decoder's own fault leaves the turn to the next

    ingest = Ingest(store, read=read, clock=lambda: NOW)
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(ingest, [payload(f"{number}".encode()) for number in range(40)]))
    assert {verdict.code for verdict in verdicts} == {"decoder-fault"}
    assert most == [1]
    assert store.questions.refusals() == {"decoder-fault": 40}
