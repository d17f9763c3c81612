"""A key is on the disk before anything rests on it: an audit key that `init` had made was empty after the disk's file
system broke off half a minute later, and an encryption key that is lost so takes what it sealed with it.
"""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ecgfm_clinical.cli import app
from ecgfm_clinical.staging.signed_heads import Signer
from tests.helpers.installation import Installation


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """Inode and size of what was told to reach the disk."""
    seen, fsync = set[tuple[int, int]](), os.fsync

    def noted(number: int) -> None:
        told = os.fstat(number)
        seen.add((told.st_ino, told.st_size))
        fsync(number)

    monkeypatch.setattr(os, "fsync", noted)
    return seen


def reached(path: Path, synced: set[tuple[int, int]]) -> bool:
    """Whether all of this file, and its name, are on the disk."""
    told = path.stat()
    return (told.st_ino, told.st_size) in synced and path.parent.stat().st_ino in {one for one, _ in synced}


def test_a_new_audit_key_reaches_the_disk(tmp_path: Path, synced: set[tuple[int, int]]) -> None:
    Signer.create(tmp_path / "audit-key")
    for name in ("audit-key", "audit-key.pub"):
        assert reached(tmp_path / name, synced)


def test_a_key_reaches_the_disk_before_anything_is_sealed_with_it(tmp_path: Path, synced: set[tuple[int, int]]) -> None:
    site = Installation(tmp_path)
    text = site.path.read_text(encoding="utf-8").replace("[store]\n", '[store]\nkey_file = "keys"\n')
    site.path.write_text(text, encoding="utf-8")
    for _ in range(2):
        done = CliRunner().invoke(app, ["keys", "new", "--settings", str(site.path)])
        assert done.exit_code == 0, done.output
        assert reached(tmp_path / "keys", synced)
    site.close()
