"""A bundle says which code wrote it: the version and the commit."""

import re
import subprocess
from pathlib import Path

import pytest

from ecgfm import version
from ecgfm.checkpoint import Bundle
from ecgfm.provenance import Provenance
from tests.helpers.tiny_models import tiny_network

ROOT = Path(__file__).parents[2]


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the package's folder in it and one commit; the package's folder."""
    package = tmp_path / "clone" / "model" / "ecgfm"
    package.mkdir(parents=True)
    (package / "code.py").write_text("a = 1\n")
    git(tmp_path / "clone", "init", "-q")
    git(tmp_path / "clone", "add", ".")
    git(tmp_path / "clone", "commit", "-q", "-m", "First")
    return package


def test_a_bundle_records_version_and_commit(tmp_path: Path) -> None:
    made = {"training": "none"}
    bundle = Bundle.write(
        tmp_path / "b", tiny_network(), name="x", version="1", demo=True, provenance=Provenance(origin=made)
    )
    assert bundle.provenance.to_json() == {**made, "code": {"version": version.version(), "commit": version.commit()}}
    assert bundle.provenance.code is not None
    assert re.match(r"\d+\.\d+|unknown$", bundle.provenance.code.version)


def test_a_clone_is_asked_for_its_commit(clone: Path) -> None:
    head = git(clone, "rev-parse", "HEAD")
    assert version.commit_of(clone) == head
    (clone / "code.py").write_text("a = 2\n")
    assert version.commit_of(clone) == f"{head}-dirty"


def test_an_installed_package_carries_the_commit_of_its_build(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "lib" / "ecgfm"
    package.mkdir(parents=True)
    assert version.commit_of(package) == "unknown"
    (package / "commit.txt").write_text("0123abcd\n")
    assert version.commit_of(package) == "0123abcd"
