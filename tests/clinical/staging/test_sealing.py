"""With a key file nothing that identifies a person lies in the store in the clear; keys can be changed."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical.errors import SettingsError, StoreError
from ecgfm_clinical.staging.sealing import Keyring
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.ecg import Order
from ecgfm_connectors.errors import Refused

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
CANARIES = (b"Canarybird", b"CANARY4711", b"CANARYORDER", b"canary.dcm", b"CANARYBYTES", b"CANARYTEXT")


def _fill(ward: Any) -> None:
    ecg = ward.ecg(
        patient=ward.patient("CANARY4711", birth_date=None),
        order=Order(placer="CANARYORDER"),
        statements=("CANARYTEXT",),
    )
    ecg = type(ecg)(**{f: getattr(ecg, f) for f in ecg.__slots__} | {"patient": _named(ward)})
    ward.take(ecg, ward.received(b"CANARYBYTES", location="/drop/canary.dcm"))
    ward.take(Refused("x", "y"), ward.received(b"CANARYBYTES refused"))
    ward.merge("CANARY4711", "CANARY4711-NEW", demographics=(_named(ward),))
    ward.score_all()


def _named(ward: Any) -> Any:
    from ecgfm_connectors.patient import Patient

    return Patient(identifiers=(ward.identifier("CANARY4711"),), family_name="Canarybird")


def _stored_bytes(url: str, tmp_path: Path) -> bytes:
    if url.startswith("sqlite"):
        return b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    plain = url.replace("+psycopg", "")
    dumped = subprocess.run(["pg_dump", "--inserts", plain], check=True, capture_output=True).stdout
    import re

    return dumped + b"".join(bytes.fromhex(found.decode()) for found in re.findall(rb"\\x([0-9a-f]+)", dumped))


def test_without_a_key_everything_is_readable(store_url: str, tmp_path: Path, ward_of: Any) -> None:
    store = Store.open(store_url, create=True)
    _fill(ward_of(store))
    stored = _stored_bytes(store_url, tmp_path)
    assert [canary for canary in CANARIES if canary not in stored] == []
    store.close()


def test_with_a_key_nothing_identifying_lies_in_the_clear(store_url: str, tmp_path: Path, ward_of: Any) -> None:
    store = Store.open(store_url, create=True, keyring=Keyring(keys={1: OLD}))
    ward = ward_of(store)
    _fill(ward)
    stored = _stored_bytes(store_url, tmp_path)
    assert [canary for canary in CANARIES if canary in stored] == []
    assert store.ecgs.story(1).ecg.ecg.order.placer == "CANARYORDER"
    assert store.ecgs.payload(1).content == b"CANARYBYTES"
    store.close()
    with pytest.raises(StoreError, match="encrypted with key 1"):
        Store.open(store_url)
    with pytest.raises(StoreError, match="does not open"):
        Store.open(store_url, keyring=Keyring(keys={1: NEW}))


def test_a_sealed_value_opens_only_in_its_own_place() -> None:
    keyring = Keyring(keys={1: OLD})
    number, sealed = keyring.seal(b"4711", bound_to="ecg:1")
    assert keyring.open(number, sealed, "ecg:1") == b"4711"
    with pytest.raises(StoreError):
        keyring.open(number, sealed, "ecg:2")


def test_two_sealings_of_the_same_value_differ() -> None:
    keyring = Keyring(keys={1: OLD})
    assert keyring.seal(b"4711", "x") != keyring.seal(b"4711", "x")


@pytest.mark.parametrize("content", ["", "1 abcd", "x " + OLD.hex(), f"1 {OLD.hex()}\n1 {NEW.hex()}", "1", "\x00\xff"])
def test_a_key_file_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys").write_text(content)
    with pytest.raises(SettingsError, match="key"):
        Keyring.read(tmp_path / "keys")


def test_a_key_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"1 {OLD.hex()}\n2 {NEW.hex()}\n")
    keyring = Keyring.read(tmp_path / "keys")
    assert keyring.current == 2
    assert OLD.hex() not in repr(keyring)
