"""One person is erased: nothing of theirs is left in the database, and every sum and chain is what it was."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical.errors import NotFound, StoreError
from ecgfm_clinical.staging.sealing import Keyring
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.ecg import AcquiredAt
from ecgfm_connectors.errors import Refused

pytestmark = pytest.mark.slow(3)

NUMBER, NAME = "CANARY4711", "Canaryfamily"
AT = AcquiredAt(at=datetime(2031, 5, 1, tzinfo=UTC), zone_source="offset", original="20310501000000+0000")


def _person(ward: Any, number: str = NUMBER) -> Any:
    from dataclasses import replace

    return replace(ward.patient(number), family_name=NAME)


def _fill(ward: Any) -> None:
    """The person by every way in, and another beside."""
    ward.take(patient=ward.patient("other"))
    content = f"PID|{NUMBER}|{NAME}".encode()
    ecg = ward.ecg(patient=_person(ward), acquired=AT, statements=(f"{NAME} has a rhythm",))
    ward.take(ecg, ward.received(content))
    ward.take(Refused("not-12-lead", "one lead only"), ward.received(content + b" refused"))
    ward.score_all()
    ward.send_all()
    ward.merge("CANARYOLD", NUMBER, demographics=(_person(ward),))
    ward.send_all()


def _erase(ward: Any, number: str = NUMBER) -> Any:
    return ward.store.erasing.erase(ward.identifier(number), reason="court order", now=ward.now, actor="operator")


def _state(store: Store) -> Any:
    table = store.questions.count_table()
    return table.total, table.by_source, table.by_head


def _dump(store: Store) -> str:
    """Every value of every table, sealed ones as they lie there."""
    from ecgfm_clinical.staging.schema import metadata

    with store.database.reading() as ask:
        return " ".join(
            str(tuple(row)) for table in metadata.sorted_tables for row in ask.connection.execute(table.select())
        )


def test_nothing_of_the_person_is_left_and_all_sums_and_chains_hold(ward: Any) -> None:
    _fill(ward)
    before = _state(ward.store)
    for canary in (NUMBER, NAME):
        assert canary in _dump(ward.store)
    preview = ward.store.erasing.preview(ward.identifier(NUMBER))
    assert (preview.ecgs, preview.payloads >= 2, preview.messages >= 1) == (1, True, True)
    assert _erase(ward) == preview
    for canary in (NUMBER, NAME, "CANARYOLD"):
        assert canary not in _dump(ward.store)
    assert _state(ward.store) == before
    assert ward.store.care.audit_faults() == []
    assert [one.detail["reason"] for one in ward.store.care.trail() if one.action == "patient.erased"] == [
        "court order"
    ]


def test_the_row_is_shown_without_the_person_and_the_other_person_is_untouched(ward: Any) -> None:
    _fill(ward)
    other = ward.store.ecgs.story(1)
    _erase(ward)
    assert ward.store.ecgs.story(1).ecg.ecg.patient == other.ecg.ecg.patient
    with pytest.raises(NotFound):
        ward.store.ecgs.payload(2)
    assert [row.kept for row in ward.store.cohorts.ecgs()] == [True, False]
    erased = ward.store.cohorts.ecgs()[1]
    assert (erased.identified, erased.acquired_at, erased.statements) == (False, None, ())
    assert _erase(ward).ecgs == 0


def test_the_same_bytes_sent_again_are_known_and_not_taken_anew(ward: Any) -> None:
    content, ecg = b"the payload", ward.ecg(patient=_person(ward))
    first = ward.take(ecg, ward.received(content))
    ward.score_all()
    ward.send_all()
    _erase(ward)
    assert ward.take(ecg, ward.received(content)).ecg_ids == first.ecg_ids
    assert NAME not in _dump(ward.store)


def test_nothing_is_erased_while_work_is_under_way(ward: Any) -> None:
    ward.take(patient=_person(ward))
    with pytest.raises(StoreError, match="waits for its score"):
        _erase(ward)
    ward.score_all()
    (message,) = ward.claim_messages()
    ward.begin(message)
    with pytest.raises(StoreError, match="on its way"):
        _erase(ward)
    ward.acknowledge(message)
    assert _erase(ward).ecgs == 1


def test_a_result_that_never_left_is_never_sent(ward: Any) -> None:
    ward.take(patient=_person(ward))
    ward.score_all()
    assert _erase(ward).messages == 1
    assert ward.send_all() == []


@pytest.mark.parametrize("sealed", [False, True])
def test_no_byte_is_left_in_the_files_of_an_sqlite_store(tmp_path: Path, ward_of: Any, sealed: bool) -> None:
    keyring = Keyring(keys={1: bytes(range(32))}) if sealed else Keyring()
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True, keyring=keyring)
    ward = ward_of(store)
    _fill(ward)
    _erase(ward)
    assert not [path for path in tmp_path.iterdir() if NAME.encode() in path.read_bytes()]
    assert store.care.reseal(now=ward.now, actor="operator", plain=True) >= 0
    assert NUMBER not in _dump(store)
    store.close()
