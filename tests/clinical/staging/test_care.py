"""Retention, change of keys, backup and restore: nothing needed goes, nothing identifying stays, nothing is lost."""

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical.errors import NotFound, StoreError
from ecgfm_clinical.staging.retry import refused
from ecgfm_clinical.staging.sealing import Keyring
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.result import Ack

pytestmark = pytest.mark.slow(3)

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
DAY = timedelta(days=1)


def _expire(ward: Any, **ages: timedelta) -> Any:
    ward.store.elapsed.vouch(now=ward.later(days=10), actor="operator")
    return ward.store.care.expire(now=ward.later(days=10), actor="retention", ages=ages)


class TestRetention:
    def test_what_was_delivered_goes_each_kind_at_its_own_age(self, ward: Any) -> None:
        (ecg_id,) = ward.take().ecg_ids
        ward.score_all()
        ward.send_all()
        gone = _expire(ward, payloads=9 * DAY, signals=11 * DAY)
        assert (gone.payloads, gone.signals, gone.messages) == (1, 0, 0)
        with pytest.raises(NotFound, match="retention"):
            ward.store.ecgs.payload(ecg_id)
        assert ward.store.ecgs.load([ecg_id])
        gone = _expire(ward, signals=9 * DAY, messages=9 * DAY)
        assert (gone.payloads, gone.signals, gone.messages) == (0, 1, 1)
        story = ward.store.ecgs.story(ecg_id)
        assert len(story.scorings) == 1
        assert story.messages[0].body is None
        assert ward.store.questions.counts().scored == 1
        assert ward.store.care.audit_faults() == []

    def test_nothing_goes_that_is_not_delivered(self, ward: Any) -> None:
        ward.take(patient=ward.patient("waits"))
        jobs = ward.claim()
        ward.take(patient=ward.patient("unsent"))
        ward.score_all()
        ward.take(patient=ward.patient("refused"))
        ward.score_all()
        for message in ward.claim_messages():
            if message.ecg_id == 3:
                retry = refused(Ack(code="AE", control_id=message.control_id), attempts=1, now=ward.now)
                ward.store.outbox.fail(ward.on_the_wire(message), retry, now=ward.now, worker="sender")
        gone = _expire(ward, payloads=DAY, signals=DAY, messages=DAY)
        assert (gone.payloads, gone.signals, gone.messages) == (0, 0, 0)
        assert jobs

    def test_the_same_bytes_are_known_even_after_they_are_gone(self, ward: Any) -> None:
        received, ecg = ward.received(b"old"), ward.ecg()
        first = ward.take(ecg, received)
        ward.score_all()
        ward.send_all()
        _expire(ward, payloads=DAY)
        assert ward.take(ecg, received).ecg_ids == first.ecg_ids
        assert ward.store.questions.counts().received == 1

    def test_refused_payloads_go_by_age_and_their_reason_stays(self, ward: Any) -> None:
        ward.take(Refused("not-simultaneous", "4 × 2.5 s"))
        assert _expire(ward, payloads=DAY).payloads == 1
        assert ward.store.questions.refusals() == {"not-simultaneous": 1}
        assert ward.store.ecgs.set_aside() == []


class TestKeys:
    @pytest.mark.parametrize(
        ("before", "after"), [({1: OLD}, {1: OLD, 2: NEW}), ({}, {1: OLD})], ids=["new key", "encryption turned on"]
    )
    def test_everything_comes_under_the_current_key(
        self, store_url: str, ward_of: Any, before: dict[int, bytes], after: dict[int, bytes]
    ) -> None:
        store = Store.open(store_url, create=True, keyring=Keyring(keys=before))
        self._fill(ward_of(store))
        told = store.ecgs.story(1)
        store.close()
        both = Store.open(store_url, keyring=Keyring(keys=after))
        assert both.care.reseal(now=told.ecg.received_at, actor="operator") > 8
        assert both.care.reseal(now=told.ecg.received_at, actor="operator") == 0
        both.close()
        newest = max(after)
        alone = Store.open(store_url, keyring=Keyring(keys={newest: after[newest]}))
        again = alone.ecgs.story(1)
        assert again.ecg.ecg.patient == told.ecg.ecg.patient
        assert again.ecg.ecg.signal.tobytes() == told.ecg.ecg.signal.tobytes()
        assert again.messages[0].body == told.messages[0].body
        assert again.messages[0].acknowledgement == told.messages[0].acknowledgement
        assert alone.ecgs.payload(1).content
        assert ward_of(alone).take(source_id="another", received=None).ecg_ids
        alone.close()

    def test_encryption_can_be_taken_off(self, store_url: str, ward_of: Any) -> None:
        store = Store.open(store_url, create=True, keyring=Keyring(keys={1: OLD}))
        self._fill(ward_of(store))
        store.care.reseal(now=ward_of.now, actor="operator", plain=True)
        store.close()
        plain = Store.open(store_url)
        assert plain.ecgs.story(1).ecg.ecg.patient.family_name == "Testperson"
        plain.close()

    def _fill(self, ward: Any) -> None:
        ward.take()
        ward.score_all()
        ward.send_all()
        ward.store.results.correct(1, patient=ward.patient("RIGHT"), reason="mix-up", now=ward.now, actor="operator")
        ward.merge("OLD", "NEW", demographics=(ward.patient("NEW"),))


class TestBackup:
    def test_an_sqlite_store_is_copied_while_others_write(self, tmp_path: Path, ward_of: Any) -> None:
        store = Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True)
        ward = ward_of(store)
        for _ in range(5):
            ward.take()
        ward.at_once([lambda: store.care.back_up(tmp_path / "copy.db"), *[lambda: ward.take() for _ in range(10)]])
        copy = Store.open(f"sqlite:///{tmp_path / 'copy.db'}")
        assert 5 <= copy.questions.counts().received <= 15
        assert copy.questions.counts().received == len(copy.ecgs.newest())
        assert copy.care.audit_faults() == []
        ward_of(copy).score_all()
        copy.close()
        store.close()

    def test_a_backup_never_overwrites(self, tmp_path: Path) -> None:
        store = Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True)
        with pytest.raises(StoreError, match="exists already"):
            store.care.back_up(tmp_path / "store.db")
        store.close()

    @pytest.mark.peer
    def test_a_postgresql_store_is_dumped_and_restored_as_the_runbook_says(
        self, postgresql_server: Any, tmp_path: Path, ward_of: Any
    ) -> None:
        url = postgresql_server.create_database()
        store = Store.open(url, create=True)
        ward = ward_of(store)
        for _ in range(3):
            ward.take()
        ward.score_all()
        with pytest.raises(StoreError, match="pg_dump"):
            store.care.back_up(tmp_path / "x")
        store.close()
        dump, plain = tmp_path / "ecgfm.dump", url.replace("+psycopg", "")
        subprocess.run(["pg_dump", "--format=custom", f"--file={dump}", plain], check=True)
        other = postgresql_server.create_database()
        subprocess.run(["pg_restore", f"--dbname={other.replace('+psycopg', '')}", str(dump)], check=True)
        restored = Store.open(other)
        assert restored.questions.counts().scored == 3
        assert restored.care.audit_faults() == []
        assert len(ward_of(restored).claim_messages()) == 1
        restored.close()
