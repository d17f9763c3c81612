"""SQLite's write-ahead log is emptied beside the work, by nobody who waits for a commit."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical.staging import checkpointing, engine
from ecgfm_clinical.staging.checkpointing import Checkpointer
from ecgfm_clinical.staging.store import Store
from tests.helpers.fakes import wait_until

FULL = 2  #: `PRAGMA synchronous`


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(checkpointing, "PAUSE", 0.01)
    return Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True)


def test_what_is_committed_reaches_the_file_without_another_commit(store: Store, ward_of: Any, tmp_path: Path) -> None:
    """The file alone, without its log, holds the ECG while the store is still open."""
    ward = ward_of(store)
    ward.take()

    def in_file() -> bool:
        alone = tmp_path / "alone.db"
        alone.write_bytes((tmp_path / "store.db").read_bytes())
        with sqlite3.connect(alone) as copy:
            try:
                return bool(copy.execute("SELECT count(*) FROM ecg").fetchone()[0])
            except sqlite3.DatabaseError:  # copied in the middle of a checkpoint, or before the first one
                return False

    wait_until(in_file)
    ward.store.close()


def test_a_new_file_has_large_pages_and_a_bound_on_its_log(store: Store) -> None:
    with store.database.writer.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA page_size").scalar() == engine.PAGE_BYTES
        pages = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()
    assert pages * engine.PAGE_BYTES == engine.LONGEST_LOG
    store.close()


def test_a_commit_is_on_the_disk_when_it_returns(
    without_power_cuts: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engine, "SYNCHRONOUS", without_power_cuts)  # as it is outside the tests
    opened = Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True)
    with closing(opened), opened.database.writer.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_closing_ends_the_thread_and_another_nudge_starts_none(store: Store, ward_of: Any) -> None:
    before = set(threading.enumerate())

    def started() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread not in before]

    ward = ward_of(store)
    ward.store.questions.counts()
    assert started() == []  # commands that only read have none
    ward.take()
    assert started() == ["checkpointer"]
    ward.store.close()
    assert started() == []
    ward.take()
    assert started() == []
    ward.store.close()


def test_a_locked_or_missing_file_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "PAUSE", 0.01)
    path = tmp_path / "folder" / "store.db"
    checkpointer = Checkpointer(path)
    checkpointer.nudge()
    wait_until(lambda: not checkpointer._written.is_set())  # it has tried, and failed: there is no such folder
    path.parent.mkdir()
    with sqlite3.connect(path) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t (a)")
        writer.execute("INSERT INTO t VALUES (randomblob(100000))")
    checkpointer.nudge()
    wait_until(lambda: path.stat().st_size > 100_000)
    writer.close()
    checkpointer.stop()
