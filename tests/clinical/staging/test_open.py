"""Opening a store: the right schema or one clear sentence; and what its database says when it cannot."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from ecgfm_clinical.errors import SettingsError, StoreError, StoreNotReady, StoreTooNew, StoreUnavailable
from ecgfm_clinical.staging import engine, migrations
from ecgfm_clinical.staging.schema import metadata
from ecgfm_clinical.staging.store import Store

pytestmark = [pytest.mark.slow(3), pytest.mark.usefixtures("migrations_run")]


def test_an_empty_database_is_not_ready_until_it_is_migrated(empty_url: str) -> None:
    if empty_url.startswith("postgresql"):
        with pytest.raises(StoreNotReady, match="ecgfm-clinical migrate"):
            Store.open(empty_url)
    assert migrations.revision(empty_url) is None
    migrations.upgrade(empty_url)
    assert migrations.revision(empty_url) == migrations.HEAD
    migrations.upgrade(empty_url)  # nothing to do
    Store.open(empty_url).close()


def test_the_migrations_make_exactly_the_schema_the_program_uses(store: Store) -> None:
    with store.database.reader.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_list_of_revisions_is_what_the_scripts_say() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(migrations.REVISIONS)


def test_a_newer_store_is_left_alone(store: Store, store_url: str) -> None:
    with store.database.writer.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match="upgrade ecgfm-clinical"):
        Store.open(store_url)
    with pytest.raises(StoreTooNew, match="9999"):
        migrations.upgrade(store_url)


def test_two_processes_may_create_the_store_at_the_same_time(empty_url: str, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: Store.open(empty_url, create=True), range(4)))
    assert len({store.database.pepper for store in stores}) == 1
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("sqlite:////nowhere/at/all/store.db", StoreNotReady, "no store at"),
        ("sqlite://", SettingsError, "file"),
        ("mysql://root@localhost/x", SettingsError, "sqlite or postgresql"),
        ("not a url", SettingsError, "cannot be read"),
        ("postgresql://nobody@127.0.0.1:1/none", StoreUnavailable, "does not answer"),
    ],
)
def test_a_store_that_cannot_be_opened_says_why(url: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Store.open(url)


def test_the_folder_of_a_new_store_must_exist() -> None:
    with pytest.raises(StoreUnavailable, match="folder"):
        Store.open("sqlite:////nowhere/at/all/store.db", create=True)


def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(StoreError, match="not one of ours"):
        Store.open(f"sqlite:///{tmp_path / 'store.db'}")


def test_a_store_locked_by_another_program_is_unavailable_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ward_of: Any
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 50)
    ward = ward_of(Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True))
    received, ecg = ward.received(), ward.ecg()
    other = sqlite3.connect(tmp_path / "store.db")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="locked"):
        ward.take(ecg, received)
    other.rollback()
    other.close()
    assert ward.take(ecg, received).disposition.value == "staged"
    assert ward.store.care.audit_faults() == []
    ward.store.close()


def test_a_full_disk_is_unavailable_and_nothing_is_half_written(tmp_path: Path, ward_of: Any) -> None:
    ward = ward_of(Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True))
    with ward.store.database.writer.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StoreUnavailable, match="full"):
        _fill(ward)
    with ward.store.database.writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert ward.store.questions.counts().received == len(ward.claim(limit=1000))
    assert ward.store.care.audit_faults() == []
    ward.store.close()


def _fill(ward: Any) -> None:
    for size in range(20_000, 20_100):
        ward.take(received=ward.received(bytes(size)))


@pytest.mark.peer
def test_a_database_server_that_dies_loses_nothing_that_was_committed(ward_of: Any, own_postgresql: Any) -> None:
    store = Store.open(own_postgresql.create_database(), create=True)
    ward = ward_of(store)
    first = ward.take()
    own_postgresql.stop()
    with pytest.raises(StoreUnavailable):
        ward.take(received=ward.received(b"second"))
    with pytest.raises(StoreUnavailable):
        store.questions.counts()
    own_postgresql.start()
    assert store.questions.counts().received == 1
    assert ward.take(received=ward.received(b"second")).disposition.value == "staged"
    assert first.ecg_ids[0] in [job.ecg_id for job in ward.claim()]
    assert store.care.audit_faults() == []
    store.close()


def test_error_texts_quote_nothing_of_the_data(ward: Any) -> None:
    with pytest.raises(StoreError) as caught, engine.translated(), ward.store.database.writer.begin() as connection:
        connection.execute(text("INSERT INTO tally (day) VALUES (:name)"), {"name": "Testperson"})
    assert "Testperson" not in f"{caught.value}{caught.value.__cause__}"


def test_what_a_new_store_needs_once_is_dated_by_the_clock_it_is_given(empty_url: str) -> None:
    moment = datetime(2020, 2, 29, 12, tzinfo=UTC)
    with closing(Store.open(empty_url, create=True, clock=lambda: moment)) as store:
        trail = store.care.trail()
    assert {event.action for event in trail} >= {"store.epoch-began"}
    assert {event.at for event in trail} == {moment}
