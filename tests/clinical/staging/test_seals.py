"""Every sealed column is in one table, and a store that another version sealed opens, is resealed and works on."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, func, select

from ecgfm_clinical.staging import migrations, seals
from ecgfm_clinical.staging.schema import metadata
from ecgfm_clinical.staging.sealing import Keyring
from ecgfm_clinical.staging.seals import Seal
from ecgfm_clinical.staging.store import Store

OLD = Path(__file__).parents[2] / "data" / "stores" / "dd64663"  # made by make_store.py beside it
#: What came with a later schema: the old store cannot hold it.
LATER = (
    seals.LEFT_OUT,
    seals.IDENTITY_LINK,
    seals.RECORDING_EVENT,
    seals.HOLD,
    seals.SALIENCY,
    seals.DOCUMENT,
    seals.PLACED_ORDER,
    seals.ORDER_ANSWER,
)
NEW_KEY = 3


def test_every_sealed_column_of_the_schema_is_in_the_table_once() -> None:
    sealed = [str(column) for table in metadata.sorted_tables for column in table.c if _is_bytes(column)]
    assert sorted(str(one.value) for one in seals.ALL) == sorted(sealed)


def test_every_sealed_column_has_a_key_number_of_its_own() -> None:
    numbers = [str(c) for table in metadata.sorted_tables for c in table.c if c.name.endswith("key_id")]
    assert sorted(str(one.key_id) for one in seals.ALL) == sorted(numbers)
    assert all(one.key_id.table is one.table for one in seals.ALL)


def test_no_two_columns_share_a_binding() -> None:
    assert len({one.name for one in seals.ALL}) == len(seals.ALL)


def _is_bytes(column: Any) -> bool:
    return isinstance(column.type, LargeBinary)


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = tmp_path / "store.sqlite"
    path.write_bytes(gzip.decompress((OLD / "store.sqlite.gz").read_bytes()))
    migrations.upgrade(f"sqlite:///{path}")
    return f"sqlite:///{path}"


@pytest.fixture
def old(url: str) -> Iterator[Store]:
    store = Store.open(url, keyring=Keyring.read(OLD / "keys"))
    yield store
    store.close()


@pytest.fixture
def told() -> dict[str, Any]:
    """What the version that made the store read in it."""
    found: dict[str, Any] = json.loads((OLD / "told.json").read_text("utf-8"))
    return found


def _read(store: Store) -> dict[str, Any]:
    live, shadow = store.models.live(), store.models.shadow()
    assert live is not None
    assert shadow is not None
    counts = store.questions.counts()
    return {
        "counts": {
            name: getattr(counts, name) for name in ("received", "scored", "not_evaluable", "failed", "waiting")
        },
        "audit_entries": store.care.audit_length(),
        "live": live.model_id,
        "shadow": shadow[0].model_id,
        "shadow_pairs": [list(pair) for pair in store.shadow_answers.pairs("c" * 64, "reduced_lvef", "yes")],
        "set_aside": [received.content.decode() for _, received in store.ecgs.set_aside()],
        "ecgs": [_read_ecg(store, one.ecg_id) for one in reversed(store.ecgs.newest())],
    }


def _read_ecg(store: Store, ecg_id: int) -> dict[str, Any]:
    story, payload = store.ecgs.story(ecg_id), store.ecgs.payload(ecg_id)
    return {
        "ecg_id": ecg_id,
        "source_id": story.ecg.ecg.source_id,
        "version": story.ecg.version,
        "state": story.state.value,
        "patient": [one.value for one in story.ecg.ecg.patient.identifiers],
        "given_name": story.ecg.ecg.patient.given_name,
        "statements": list(story.ecg.ecg.statements),
        "signal_sha256": hashlib.sha256(story.ecg.ecg.signal.tobytes()).hexdigest(),
        "payload": payload.content.decode(),
        "location": payload.location,
        "probabilities": [score.probability for scoring in story.scorings for score in scoring.scores],
        "messages": [
            {
                "control_id": one.control_id,
                "kind": one.kind,
                "state": one.state.value,
                "body": one.body and one.body.decode(),
                "ack": one.acknowledgement and one.acknowledgement.text,
            }
            for one in story.messages
        ],
    }


def _values(store: Store, seal: Seal) -> int:
    with store.database.reading() as ask:
        query = select(func.count()).select_from(seal.table).where(seal.value.is_not(None))
        return ask.connection.scalar(query) or 0


def _under(store: Store, seal: Seal) -> set[int | None]:
    with store.database.reading() as ask:
        return set(ask.connection.scalars(select(seal.key_id).where(seal.value.is_not(None))))


def test_the_old_store_holds_every_kind_of_sealed_value(old: Store) -> None:
    assert [seal.name for seal in seals.ALL if not _values(old, seal) and seal not in LATER] == []


def test_a_store_of_the_version_before_reads_as_it_did(old: Store, told: dict[str, Any]) -> None:
    settled = {"audit_entries": told["audit_entries"] + 1}  # the keys of its identities were computed anew
    assert _read(old) == told | settled
    assert old.care.audit_faults() == []
    (outcome,) = old.cohorts.outcomes("lvef")
    assert outcome.value == 35.0


def test_work_in_a_store_of_the_version_before_goes_on(old: Store, ward_of: Any) -> None:
    ward = ward_of(old)
    ward.now = old.care.trail(limit=1000)[-1].at
    ward.score_all()
    assert ward.store.questions.counts().waiting == 0
    assert len(ward.send_all()) == 3, "the one that waited, and those of the two ECGs that were not scored"
    assert ward.addressed(_message_of_a_merged_patient(ward)).startswith("survivor^")
    ward.take(source_id="1.2.3.9")
    assert old.care.audit_faults() == []


def _message_of_a_merged_patient(ward: Any) -> Any:
    (ecg_id,) = ward.store.ecgs.find("1.2.3.6")
    ward.store.results.correct(ecg_id, reason="again", now=ward.now, actor="operator")
    ward.score_all()
    (message,) = ward.claim_messages()
    return message


def test_a_store_of_the_version_before_comes_under_a_new_key(url: str, told: dict[str, Any]) -> None:
    keys = Keyring.read(OLD / "keys").keys
    new = {NEW_KEY: bytes(range(32))}
    both = Store.open(url, keyring=Keyring(keys={**keys, **new}))
    assert both.care.reseal(now=both.care.trail()[-1].at, actor="operator") > 0
    filled = [seal for seal in seals.ALL if _values(both, seal)]
    assert {seal.name: _under(both, seal) for seal in filled} == {seal.name: {NEW_KEY} for seal in filled}
    both.close()
    alone = Store.open(url, keyring=Keyring(keys=new))
    found = _read(alone)
    assert found.pop("audit_entries") > told.pop("audit_entries")
    assert found == told
    assert alone.cohorts.outcomes("lvef")
    alone.close()
