"""A write-ahead log that can grow no more while a reader holds an old view: nothing is accepted, nothing is lost."""

import resource
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.staging.records import Telling
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.contents import Contents
from tests.helpers.fakes import Clock, make_ecg

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of a Unix")


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """As a full volume, for every file that this process writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_log_that_cannot_grow_turns_senders_away_until_it_can(tmp_path: Path) -> None:
    path, clock = tmp_path / "store.db", Clock()
    log = path.with_name("store.db-wal")
    store = Store.open(f"sqlite:///{path}", create=True, telling=Telling())

    def take(number: int) -> Verdict:
        received = Received(transport="dicom", source="cart", content=b"%d" % number, received_at=clock(), peer="CART")
        return store.intake.record(received, Contents(ecgs=(make_ecg(number),)), now=clock(), actor="cart")

    take(1)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM ecg").fetchone()
        taken, refused = 1, 0
        with no_file_beyond(log.stat().st_size + 300_000):
            while refused < 3:
                try:
                    take(1 + taken + refused)
                except StoreUnavailable:
                    refused += 1
                else:
                    taken += 1
            assert store.questions.counts().received == taken
        assert take(1000).disposition is Disposition.STAGED
    assert store.questions.counts().received == taken + 1
    assert store.care.audit_faults() == []
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
