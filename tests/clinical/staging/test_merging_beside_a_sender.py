"""On a database server a merge and another process's sender meet at one message: its bytes are those that left."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from ecgfm_clinical.staging.schema import message
from ecgfm_clinical.staging.store import Store
from tests.helpers.fakes import wait_until

pytestmark = [pytest.mark.slow(5), pytest.mark.peer]


@pytest.fixture
def ward(postgresql_url: str, ward_of: Any) -> Iterator[Any]:
    store = Store.open(postgresql_url, create=True)
    yield ward_of(store)
    store.close()


def test_a_message_whose_sending_began_meanwhile_stays_as_it_is(ward: Any) -> None:
    ward.take(patient=ward.patient("RETIRED"))
    ward.score_all()
    engine = ward.store.database.writer
    with engine.connect() as sender, sender.begin() as begun:
        before = sender.execute(select(message)).one()
        sender.execute(update(message).values(state="running", in_doubt=1))  # as a sender does before the first byte
        merge = threading.Thread(target=ward.merge, args=("RETIRED", "SURVIVOR"))
        merge.start()
        wait_until(lambda: _somebody_waits(engine))
        begun.commit()
    merge.join(120)
    assert not merge.is_alive()
    with engine.connect() as looking:
        after = looking.execute(select(message)).one()
    assert (after.body_sha256, after.filed_key) == (before.body_sha256, before.filed_key)
    assert after.patient_key != before.patient_key  # what follows for the survivor comes after it


def _somebody_waits(engine: Any) -> bool:
    query = select(func.count()).select_from(text("pg_locks")).where(text("NOT granted"))
    with engine.connect() as looking:
        return bool(looking.scalar(query))
