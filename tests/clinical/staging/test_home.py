"""A store that was moved, copied or restored says so, and sends nothing until a person has said which it is."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.pipeline.reporting import Reporter
from ecgfm_clinical.staging.home import Adoption, Mark
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.hl7.ack import reaction
from ecgfm_connectors.result import Ack

pytestmark = pytest.mark.slow(8)

Open = Callable[[Path], Any]


class Ehr:
    """Acknowledges everything, and remembers filler numbers by what it got them for."""

    name = "ehr"

    def __init__(self) -> None:
        self.got: list[str] = []

    def send(self, body: bytes, *, control_id: str) -> Ack:
        self.got.append(control_id)
        return Ack(code="AA", control_id=control_id)

    def check(self) -> str:
        return "answers"

    def close(self) -> None:
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "site" / "store.sqlite"


@pytest.fixture
def opened(ward_of: Any, path: Path) -> Any:
    """The store at `path`, as a ward; made where it is not there."""
    path.parent.mkdir(exist_ok=True)
    wards: list[Any] = []

    def open_() -> Any:
        ward = ward_of(Store.open(f"sqlite:///{path}", create=True))
        if wards:  # as in life, numbers are never drawn twice
            ward._numbers = wards[0]._numbers
        wards.append(ward)
        return ward

    yield open_
    for ward in wards:
        ward.store.close()


def sender(ward: Any, ehr: Ehr, mark: Path | None = None) -> Reporter:
    return Reporter(
        ward.store,
        ehr,
        react=reaction,
        worker="sender",
        clock=lambda: ward.later(seconds=3),
        max_attempts=None,
        lease=timedelta(minutes=5),
        mark=mark,
    )


def fillers(ward: Any) -> set[str]:
    return {
        result.filler
        for one in ward.store.ecgs.newest()
        for result in ward.store.ecgs.story(one.ecg_id).recording.results
    }


def test_a_store_at_home_sends_and_marks_what_it_sent(opened: Any, path: Path) -> None:
    ward, ehr, mark = opened(), Ehr(), path.parent / "sent-ehr.mark"
    ward.take()
    ward.score_all()
    assert sender(ward, ehr, mark).run_batch() == 1
    (message,) = ward.store.ecgs.story(1).messages
    assert Mark.read(mark) == Mark(message_id=message.message_id, control_id=message.control_id)
    ward.store.close()
    again = opened()
    again.take()
    again.score_all()
    assert sender(again, ehr, mark).run_batch() == 1


@pytest.mark.parametrize("marked", [True, False])
def test_a_restored_backup_sends_nothing_until_adopted_and_uses_no_number_twice(
    opened: Any, path: Path, tmp_path: Path, marked: bool
) -> None:
    ward, ehr, mark = opened(), Ehr(), path.parent / "sent-ehr.mark"
    backup = tmp_path / "backup.sqlite"
    ward.take(patient=ward.patient("BEFORE"))
    ward.score_all()
    sender(ward, ehr, mark).run_batch()
    ward.store.care.back_up(backup)
    ward.take(patient=ward.patient("AFTER"))
    ward.score_all()
    sender(ward, ehr, mark).run_batch()
    given_out = fillers(ward)
    ward.store.close()
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(backup, path)
    if not marked:
        mark.unlink()

    restored = opened()
    restored.take(patient=restored.patient("ANOTHER"))
    restored.score_all()
    reporter = sender(restored, ehr, mark)
    assert reporter.run_batch() == 0
    assert restored.store.home.displaced() is not None
    assert len(ehr.got) == 2
    restored.store.home.adopt("restored", [mark], now=restored.now, actor="operator")
    restored.take(patient=restored.patient("LATER"))
    restored.score_all()
    while reporter.run_batch():
        pass
    new = fillers(restored) - given_out
    assert restored.store.home.displaced() is None
    later = {one.filler for one in restored.store.ecgs.story(3).recording.results}
    assert later <= new, "the number that AFTER's result had is not given out again"


def test_what_is_scored_before_a_backup_is_adopted_gets_a_number_of_its_own(
    opened: Any, path: Path, tmp_path: Path
) -> None:
    ward, ehr, mark, backup = opened(), Ehr(), path.parent / "sent-ehr.mark", tmp_path / "backup.sqlite"
    sender(ward, ehr, mark).run_batch()
    ward.store.care.back_up(backup)
    ward.take(patient=ward.patient("AFTER"))
    ward.score_all()
    assert sender(ward, ehr, mark).run_batch() == 1
    given_out = fillers(ward)
    ward.store.close()
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(backup, path)
    restored = opened()
    assert restored.store.home.look(mark, now=restored.now, actor="sender"), "a service looks as it starts"
    restored.take(patient=restored.patient("OTHER"))
    restored.score_all()
    restored.store.home.adopt("restored", [mark], now=restored.now, actor="operator")
    assert sender(restored, ehr, mark).run_batch() == 1
    assert given_out.isdisjoint(fillers(restored))


def test_overwriting_the_file_with_an_older_copy_is_seen_by_the_mark(opened: Any, path: Path, tmp_path: Path) -> None:
    """`cp backup store` keeps the file's inode."""
    ward, ehr, mark = opened(), Ehr(), path.parent / "sent-ehr.mark"
    ward.take()
    ward.score_all()
    ward.store.care.back_up(tmp_path / "backup.sqlite")
    sender(ward, ehr, mark).run_batch()
    ward.store.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes((tmp_path / "backup.sqlite").read_bytes())
    restored = opened()
    assert sender(restored, ehr, mark).run_batch() == 0
    why = restored.store.home.displaced()
    assert why is not None
    assert "before the last message sent" in why or "elsewhere" in why


def test_what_waits_in_a_restored_store_may_have_been_sent(opened: Any, path: Path, tmp_path: Path) -> None:
    ward, ehr, mark = opened(), Ehr(), path.parent / "sent-ehr.mark"
    (ecg_id,) = ward.take().ecg_ids
    ward.score_all()
    backup = tmp_path / "backup.sqlite"
    ward.store.care.back_up(backup)
    sender(ward, ehr, mark).run_batch()
    ward.store.close()
    path.unlink()
    shutil.copyfile(backup, path)
    restored = opened()
    sender(restored, ehr, mark).run_batch()
    restored.store.home.adopt("restored", [mark], now=restored.now, actor="operator")
    report = restored.store.results.withdraw(ecg_id, reason="test", now=restored.now, actor="operator")
    assert len(report.created) == 1, "a withdrawal of what may have left is told"


@pytest.mark.parametrize(("how", "sent"), [("moved", 1), ("copy", 0)])
def test_a_store_elsewhere(opened: Any, path: Path, how: Adoption, sent: int) -> None:
    ward, ehr = opened(), Ehr()
    sender(ward, ehr).run_batch()  # nothing to send, and at home from here on
    ward.take()
    ward.score_all()
    ward.store.close()
    elsewhere = path.with_name("elsewhere.sqlite")
    shutil.copyfile(path, elsewhere)
    moved = Store.open(f"sqlite:///{elsewhere}", telling=ward.store.database.telling)
    ward.store = moved
    reporter = sender(ward, ehr)
    assert reporter.run_batch() == 0
    moved.home.adopt(how, [], now=ward.now, actor="operator")
    assert reporter.run_batch() == sent
    moved.close()


@pytest.mark.parametrize("looked_beside_its_mark", [True, False])
def test_a_backup_is_not_adopted_as_moved(
    opened: Any, path: Path, tmp_path: Path, looked_beside_its_mark: bool
) -> None:
    ehr, mark, backup = Ehr(), tmp_path / "mark", tmp_path / "backup.sqlite"
    ward = opened()
    sender(ward, ehr, mark).run_batch()
    ward.store.care.back_up(backup)
    ward.take()
    ward.score_all()
    assert sender(ward, ehr, mark).run_batch() == 1, "sent after the backup was made"
    ward.store.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    backup.replace(path)  # the backup is another file, so that the place differs too
    restored = opened()
    assert restored.store.home.look(mark if looked_beside_its_mark else None, now=restored.now, actor="sender")
    with pytest.raises(StoreError, match="--as restored"):
        restored.store.home.adopt("moved", [mark], now=restored.now, actor="operator")
    assert restored.store.home.displaced() is not None, "nothing is sent until the right answer is given"
    restored.store.home.adopt("restored", [mark], now=restored.now, actor="operator")
    assert restored.store.home.displaced() is None


def test_a_store_at_home_is_not_adopted(opened: Any) -> None:
    ward = opened()
    with pytest.raises(StoreError, match="at home"):
        ward.store.home.adopt("moved", [], now=ward.now, actor="operator")


def test_a_database_server_is_a_home_too(ward: Any) -> None:
    assert ward.store.home.look(None, now=ward.now, actor="sender") is None
    unknown = Mark(message_id=99, control_id="CTRL000099")
    assert unknown.message_id == 99


def test_a_mark_that_was_cut_off_is_none(tmp_path: Path) -> None:
    (tmp_path / "mark").write_text('{"message_id": 1')
    assert Mark.read(tmp_path / "mark") is None
    Mark(message_id=1, control_id="E1").write(tmp_path / "missing" / "mark")
    assert replace(Mark(message_id=1, control_id="E1"), message_id=2).message_id == 2
