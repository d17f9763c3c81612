"""The trail tells every step, cannot be changed through the database, and shows when it was changed all the same."""

from typing import Any

import pytest
from sqlalchemy import text

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging.engine import translated
from ecgfm_clinical.staging.store import Store

DISARM = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": ["DROP TRIGGER audit_append_only ON audit"],
}


def _tamper(store: Store, statement: str) -> None:
    with store.database.writer.begin() as connection:
        for line in DISARM[connection.dialect.name]:
            connection.execute(text(line))
        connection.execute(text(statement))


def _walk(ward: Any) -> int:
    (ecg_id,) = ward.take().ecg_ids
    ward.score_all()
    ward.send_all()
    return int(ecg_id)


def test_the_whole_way_of_an_ecg_is_told(ward: Any) -> None:
    events = ward.store.ecgs.story(_walk(ward)).events
    assert [(event.actor, event.action) for event in events] == [
        ("carts", "ecg.staged"),
        ("scorer", "ecg.scored"),
        ("scorer", "message.created"),
        ("sender", "message.sending"),
        ("sender", "message.acknowledged"),
    ]
    assert ward.store.care.audit_faults() == []


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit WHERE action = 'ecg.scored'"]
)
def test_the_database_refuses_to_change_it(ward: Any, statement: str) -> None:
    _walk(ward)
    with pytest.raises(StoreError), translated(), ward.store.database.writer.begin() as connection:
        connection.execute(text(statement))
    assert ward.store.care.audit_faults() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody' WHERE action = 'ecg.scored'",
        "UPDATE audit SET detail = '{}' WHERE action = 'message.created'",
        "UPDATE audit SET ecg_id = 7 WHERE action = 'ecg.staged'",
        "DELETE FROM audit WHERE action = 'ecg.scored'",
        "DELETE FROM audit WHERE number = 1",
    ],
)
def test_a_change_behind_the_databases_back_shows(ward: Any, statement: str) -> None:
    _walk(ward)
    _tamper(ward.store, statement)
    assert ward.store.care.audit_faults()


def test_cutting_off_the_end_shows_once_another_process_has_written(ward: Any, store_url: str) -> None:
    _walk(ward)
    other = Store.open(store_url)
    type(ward)(other).take(received=ward.received(b"from another process"))
    other.close()
    assert ward.store.care.audit_faults() == []
    _tamper(ward.store, "DELETE FROM audit WHERE action = 'message.acknowledged'")
    assert ward.store.care.audit_faults()


def test_writers_at_once_each_spin_a_strand_that_holds(ward: Any) -> None:
    ward.at_once([lambda: ward.take() for _ in range(12)])
    assert ward.store.care.audit_faults() == []
    assert {"payload.received", "ecg.staged"} <= {event.action for event in ward.store.care.trail()}


def test_a_step_that_fails_leaves_no_trace_and_no_gap(ward: Any) -> None:
    (ecg_id,) = ward.take().ecg_ids
    (job,) = ward.claim()

    def no_number() -> str:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ward.with_telling(control_ids=no_number).jobs.finish(
            [(job, ward.scoring(ecg_id))], now=ward.now, worker="scorer"
        )
    ward.finish(job)
    assert [event.action for event in ward.store.ecgs.story(ecg_id).events].count("ecg.scored") == 1
    assert ward.store.care.audit_faults() == []
