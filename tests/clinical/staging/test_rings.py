"""A store of the first release in which aliases run in a circle: it opens, says so, and the newest word counts."""

import gzip
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, insert, select

from ecgfm_clinical.staging import codec, migrations, seals
from ecgfm_clinical.staging.schema import identity_event, payload, store_meta
from ecgfm_clinical.staging.sealing import Keyring, keyed_digest, to_json
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.patient import Identifier, Patient
from tests.helpers.fakes import make_ecg

OLD = Path(__file__).parents[2] / "data" / "stores" / "dd64663"  # made by make_store.py beside it
AT = datetime(2031, 6, 1, tzinfo=UTC)
NAMES = (
    "sent",
    "right",
    "survivor",
)  #: three numbers of that store: each merged into the next, the last into the first


def _number(value: str) -> Identifier:
    return Identifier(authority="TESTHOSP", type="MR", value=value)


def _old_key(pepper: bytes, one: Identifier) -> str:
    """As that release computed it."""
    return keyed_digest(pepper, "patient", one.authority, one.type, one.value)


def _merge(engine: Engine, keyring: Keyring, pepper: bytes, retired: Identifier, surviving: Identifier) -> None:
    keys = {"retired_key": _old_key(pepper, retired), "surviving_key": _old_key(pepper, surviving)}
    both = to_json({"retired": codec.identifier_dict(retired), "surviving": codec.identifier_dict(surviving)})
    named = to_json(codec.identifier_dict(surviving))
    with engine.begin() as connection:
        payload_id = connection.scalar(select(payload.c.payload_id).limit(1))
        event = {"payload_id": payload_id, "at": AT, "trigger": "A40"}
        sealed = seals.IDENTITY_EVENT.seal(keyring, both, **keys)
        connection.execute(insert(identity_event).values(**event, **keys, **sealed))
        sealed = seals.IDENTITY_ALIAS.seal(keyring, named, retired_key=keys["retired_key"])
        connection.exec_driver_sql(
            "INSERT INTO identity_alias (retired_key, surviving_key, since, private, key_id) VALUES (?, ?, ?, ?, ?)",
            (*keys.values(), AT.replace(tzinfo=None).isoformat(" "), sealed["private"], sealed["key_id"]),
        )


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The old store, with a ring of three that no merge of today could make."""
    path = tmp_path / "store.sqlite"
    path.write_bytes(gzip.decompress((OLD / "store.sqlite.gz").read_bytes()))
    keyring = Keyring.read(OLD / "keys")
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        row = connection.execute(select(store_meta).where(store_meta.c.name == "pepper")).one()
    pepper = seals.STORE_META.open(keyring, row)
    numbers = [_number(name) for name in NAMES]
    for retired, surviving in zip(numbers, (*numbers[1:], numbers[0]), strict=True):
        _merge(engine, keyring, pepper, retired, surviving)
    engine.dispose()
    return f"sqlite:///{path}"


@pytest.mark.timeout(60)
def test_a_ring_is_found_reported_and_cut_by_the_newest_word(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    migrations.upgrade(url)
    store = Store.open(url, keyring=Keyring.read(OLD / "keys"))
    (told,) = (event for event in store.care.trail() if event.action == "identity.ring-cut")
    assert told.detail["numbers"] == 3
    assert "1" in str(told.detail["ecgs"]).split(","), "the ECG of one of them"
    assert store.care.audit_faults() == []
    states = [store.identities.show(_number(name)).state for name in NAMES]
    assert states == ["unmerged", "merged", "merged"], "the last was merged into the first, which therefore lives"
    store.close()


@pytest.mark.timeout(60)
def test_work_goes_on_for_the_people_of_a_ring(url: str) -> None:
    migrations.upgrade(url)
    store = Store.open(url, keyring=Keyring.read(OLD / "keys"))
    for seed, name in zip(count(1000), NAMES, strict=False):
        one = make_ecg(seed, patient=Patient(identifiers=(_number(name),)))
        received = Received(transport="dicom", source="carts", content=name.encode(), received_at=AT)
        store.intake.record(received, Contents(ecgs=(one,)), now=AT, actor="carts")
        newest = store.ecgs.newest()[0].ecg_id
        assert store.ecgs.story(newest).recording.patient.identifiers == (_number(NAMES[0]),)
    store.close()
