"""A store of the first schema, full of data, becomes one of today: nothing is lost, and the work in it goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData, create_engine, func, select, text

from ecgfm_clinical.errors import StoreNotReady
from ecgfm_clinical.staging import engine, migrations
from ecgfm_clinical.staging.compression import Packed, unpack_payload, unpack_signal
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.retry import refused
from ecgfm_clinical.staging.schema import metadata
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.result import Ack
from tests.clinical.staging.conftest import NOW

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("migrations_run")]


def _fill(ward: Any) -> None:
    """ECGs at every point of their way: failed, waiting, scored, sent, refused by the receiver, withdrawn, merged."""
    ward.take(Refused("not-12-lead", "one lead only"))
    for patient in ("sent", "dead", "withdrawn", "bytes", "no bytes"):
        ward.take(patient=ward.patient(patient))
        ward.score_all()
        if patient == "dead":
            (message,) = ward.claim_messages()
            retry = refused(Ack(code="AE", control_id=message.control_id), attempts=1, now=ward.now)
            ward.store.outbox.fail(ward.on_the_wire(message), retry, now=ward.now, worker="sender")
        elif patient in ("sent", "withdrawn"):
            ward.send_all()
        if patient == "withdrawn":
            ward.store.results.withdraw(3, reason="x", now=ward.now, actor="operator")
    ward.merge("sent", "survivor", demographics=(ward.patient("survivor"),))
    ward.take(patient=ward.patient("waits"))


def _copied_to_the_first_schema(source: Engine, target: Engine) -> None:
    """Every row, as far as the first schema had room for it."""
    first = MetaData()
    first.reflect(target)
    with source.connect() as old, target.begin() as new:
        for table in (one for one in metadata.sorted_tables if one.name in first.tables):
            there = first.tables[table.name]
            rows = [_as_it_came(table.name, row) for row in old.execute(select(*_columns(table, there)))]
            if rows:
                new.execute(table.insert(), rows)
        # The program of the first schema composed a message before its first send: until then it had no bytes.
        waiting = "SELECT max(message_id) FROM message"
        new.execute(text(f"DELETE FROM message_body WHERE message_id = ({waiting})"))
        new.execute(text(f"UPDATE message SET body_sha256 = NULL WHERE message_id = ({waiting})"))
        if target.dialect.name == "postgresql":
            for table in metadata.sorted_tables:
                if table.name in first.tables and table.autoincrement_column is not None:
                    _go_on_numbering(new, table)


def _columns(table: Any, there: Any) -> list[Any]:
    """Those that the first schema had, and how the row's signal or payload is packed."""
    coding = [table.c.coding] if "coding" in table.c else []
    return [*(table.c[column.name] for column in there.c), *coding]


def _as_it_came(table: str, row: Any) -> dict[str, Any]:
    """A row as the first version would have written it, which compressed nothing."""
    values = dict(row._mapping)
    coding = values.pop("coding", "")
    if table == "signal":
        values["samples"] = unpack_signal(Packed(coding=coding, value=values["samples"])).tobytes()
    elif table == "payload_content":
        values["content"] = unpack_payload(Packed(coding=coding, value=values["content"]))
    return values


def _go_on_numbering(connection: Any, table: Any) -> None:
    column = table.autoincrement_column
    newest = connection.scalar(select(func.max(column)))
    sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
    if newest and sequence:
        connection.execute(select(func.setval(sequence, newest)))


@pytest.fixture
def first(empty_url: str, ward_of: Any, tmp_path: Any) -> Iterator[tuple[str, Store]]:
    """The URL of a store at the first schema, and the store of today with the same data."""
    today = Store.open(f"sqlite:///{tmp_path / 'today.db'}", create=True)
    _fill(ward_of(today))
    migrations.upgrade(empty_url, to=migrations.REVISIONS[0])
    target = create_engine(engine.parse_url(empty_url))
    _copied_to_the_first_schema(today.database.reader, target)
    target.dispose()
    yield empty_url, today
    today.close()


def test_everything_is_there_after_all_migrations_and_work_goes_on(first: tuple[str, Store], ward_of: Any) -> None:
    url, today = first
    with pytest.raises(StoreNotReady, match="run `ecgfm-clinical migrate`"):
        Store.open(url)
    migrations.upgrade(url)
    store = Store.open(url)
    ward = ward_of(store)

    assert store.questions.counts() == today.questions.counts()
    assert store.questions.count_table() == today.questions.count_table()
    assert store.questions.refusals() == today.questions.refusals()
    assert store.care.trail() == today.care.trail()
    assert store.care.audit_faults() == []
    for one in today.ecgs.newest():
        before, after = today.ecgs.story(one.ecg_id), store.ecgs.story(one.ecg_id)
        assert after.ecg.ecg.patient == before.ecg.ecg.patient
        assert after.ecg.ecg.signal.tobytes() == before.ecg.ecg.signal.tobytes()
        assert (after.state, after.scorings, after.events) == (before.state, before.scorings, before.events)
        assert [message.control_id for message in after.messages] == [message.control_id for message in before.messages]
        assert store.ecgs.payload(one.ecg_id) == today.ecgs.payload(one.ecg_id)
    with store.database.reader.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []

    (without,) = store.ecgs.find(today.ecgs.newest(limit=2)[1].source_id)
    assert store.ecgs.story(without).messages[0].body is None
    ward.score_all()
    assert len(ward.send_all()) == 4, (
        "the withdrawal, two results that waited, and the one of the ECG that was not scored"
    )
    body = store.ecgs.story(without).messages[0].body
    assert body is not None
    assert b"no bytes^MR^TESTHOSP" in body, "composed before its first send, as the version that made it would have"
    assert [one.state for one in store.ecgs.story(without).messages] == [MessageState.ACKNOWLEDGED]
    store.close()


def test_what_later_schemas_allow_is_allowed_in_a_migrated_store(first: tuple[str, Store], ward_of: Any) -> None:
    url, _ = first
    migrations.upgrade(url)
    store = Store.open(url)
    ward = ward_of(store)
    (message_id,) = ward.store.results.withdraw(1, reason="x", delete=True, now=ward.now, actor="operator").created
    assert [one.kind for one in store.ecgs.story(1).messages if one.message_id == message_id] == ["D"]
    ward.take()
    store.close()


def test_what_was_stored_as_it_came_is_compressed_and_comes_back_to_the_last_bit(
    first: tuple[str, Store], ward_of: Any
) -> None:
    url, today = first
    migrations.upgrade(url)
    store = Store.open(url)
    everything = [one.ecg_id for one in today.ecgs.newest()]
    with store.database.writing(NOW, "test") as tx:
        tx.connection.execute(text("UPDATE signal SET samples = :some"), {"some": np.ones((12, 5000), "<f4").tobytes()})
    done = store.care.compress(now=NOW, actor="operator")
    assert done.values == 2 * len(everything) + 2, "signals and payloads; one was refused, one merged patients"
    assert done.bytes_after < done.bytes_before / 100
    for ecg_id in everything:
        assert np.array_equal(store.ecgs.story(ecg_id).ecg.ecg.signal, np.ones((12, 5000), np.float32))
        assert store.ecgs.payload(ecg_id) == today.ecgs.payload(ecg_id)
    assert store.care.compress(now=NOW, actor="operator").values == 0
    assert store.care.audit_faults() == []
    store.close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    first: tuple[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, today = first

    def fail(_connection: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(migrations, "_check_foreign_keys", fail)
    with pytest.raises(ZeroDivisionError):
        migrations.upgrade(url)
    assert migrations.revision(url) == migrations.REVISIONS[0]
    monkeypatch.undo()
    migrations.upgrade(url)
    store = Store.open(url)
    assert store.questions.counts() == today.questions.counts()
    store.close()


def test_every_revision_is_one_file_and_follows_the_one_before() -> None:
    files = sorted((Path(migrations.__file__).parent / "versions").glob("0*.py"))
    assert tuple(file.name[:4] for file in files) == migrations.REVISIONS
