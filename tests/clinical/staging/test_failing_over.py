"""A PostgreSQL server that ends in the middle of a migration, and one that follows another and takes its place."""

from typing import Any

import pytest
from alembic import command
from sqlalchemy import create_engine, text

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.staging import migrations
from ecgfm_clinical.staging.store import Store
from tests.helpers.fakes import wait_until
from tests.helpers.postgresql import PostgresqlServer

pytestmark = [pytest.mark.slow(12), pytest.mark.peer]

FIRST, MIDDLE = migrations.REVISIONS[0], migrations.REVISIONS[len(migrations.REVISIONS) // 2]


def test_a_server_that_ends_in_a_migration_leaves_a_whole_schema_and_a_repeat_completes_it(
    own_postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own_postgresql.create_database()
    migrations.upgrade(url, to=FIRST)
    upgrade = command.upgrade
    for reached in (MIDDLE, migrations.HEAD):  # in the middle of the steps, and after all of them, before the commit

        def ends(config: Any, to: str, reached: str = reached) -> None:
            upgrade(config, reached)
            own_postgresql.stop()
            if reached != to:
                upgrade(config, to)

        monkeypatch.setattr(command, "upgrade", ends)
        with pytest.raises(StoreUnavailable, match="run `ecgfm-clinical migrate` again") as told:
            migrations.upgrade(url)
        assert "one transaction" in str(told.value)
        own_postgresql.start()
        assert migrations.revision(url) == FIRST
    monkeypatch.setattr(command, "upgrade", upgrade)
    migrations.upgrade(url)
    assert migrations.revision(url) == migrations.HEAD
    Store.open(url).close()


def test_a_standby_takes_nothing_until_it_is_promoted_and_then_holds_what_was_acknowledged(
    own_postgresql: PostgresqlServer, ward_of: Any
) -> None:
    url = own_postgresql.create_database(template=own_postgresql.schema)
    ward = ward_of(Store.open(url))
    standby = own_postgresql.standby()
    try:
        standby.start()
        ward.take()
        ward.score_all()
        there = standby.url(url.rpartition("/")[2])
        following = Store.open(there)
        wait_until(lambda: following.questions.counts() == ward.store.questions.counts())
        assert following.questions.counts().received == 1
        with pytest.raises(StoreUnavailable, match="is read-only, as a standby is"):
            following.coordination.release("check", "nobody")
        own_postgresql.stop()
        with pytest.raises(StoreUnavailable):
            ward.take(patient=ward.patient("meanwhile"))
        with create_engine(there, isolation_level="AUTOCOMMIT").connect() as connection:
            assert connection.scalar(text("SELECT pg_promote()"))
        ward.store.close()
        ward.store = following
        ward.take(patient=ward.patient("afterwards"))
        assert following.questions.counts().received == 2
        assert following.care.audit_faults() == []
    finally:
        ward.store.close()
        standby.close()
