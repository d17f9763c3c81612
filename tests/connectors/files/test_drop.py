"""Results as files: whole or not there, one a control id, the same on every repeat."""

import os
from pathlib import Path

import pytest

from ecgfm_connectors.errors import Misconfigured, Unreachable
from ecgfm_connectors.files.drop import FileDrop

BODY = b"MSH|^~\\&|ECGFM\rPID|1||4711\r"


@pytest.fixture
def drop(tmp_path: Path) -> FileDrop:
    return FileDrop(name="archive", folder=tmp_path)


def test_a_result_becomes_one_file_named_by_its_control_id(drop: FileDrop, tmp_path: Path) -> None:
    ack = drop.send(BODY, control_id="E123ABC")
    assert (ack.code, ack.control_id) == ("CA", "E123ABC")
    (path,) = tmp_path.iterdir()
    assert (path.name, path.read_bytes()) == ("E123ABC.hl7", BODY)


def test_a_repeat_leaves_the_one_file_as_it_is(drop: FileDrop, tmp_path: Path) -> None:
    drop.send(BODY, control_id="E1")
    before = (tmp_path / "E1.hl7").stat()
    drop.send(BODY, control_id="E1")
    after = (tmp_path / "E1.hl7").stat()
    assert [path.name for path in tmp_path.iterdir()] == ["E1.hl7"]
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_what_a_killed_writer_left_half_done_is_no_hindrance(drop: FileDrop, tmp_path: Path) -> None:
    (tmp_path / ".E1.hl7.part").write_bytes(BODY[:5])
    drop.send(BODY, control_id="E1")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"E1.hl7": BODY}


def test_nothing_is_overwritten(drop: FileDrop, tmp_path: Path) -> None:
    (tmp_path / "E1.hl7").write_bytes(b"somebody else's")
    with pytest.raises(Misconfigured, match="other content"):
        drop.send(BODY, control_id="E1")
    assert (tmp_path / "E1.hl7").read_bytes() == b"somebody else's"


def test_a_control_id_never_leads_out_of_the_folder(drop: FileDrop, tmp_path: Path) -> None:
    drop.send(BODY, control_id="../../E1")
    assert [path.name for path in tmp_path.iterdir()] == ["______E1.hl7"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    missing = FileDrop(name="archive", folder=tmp_path / "none")
    for attempt in (missing.check, lambda: missing.send(BODY, control_id="E1")):
        with pytest.raises(Misconfigured, match="none cannot be written"):
            attempt()


def test_a_full_disk_is_met_again_later_and_leaves_nothing_half(
    drop: FileDrop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unreachable, match="No space left"):
        drop.send(BODY, control_id="E1")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    drop.send(BODY, control_id="E1")


def test_check_leaves_nothing_behind(drop: FileDrop, tmp_path: Path) -> None:
    assert "can be written" in drop.check()
    assert list(tmp_path.iterdir()) == []
