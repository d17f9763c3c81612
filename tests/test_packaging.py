"""The wheel holds exactly the files of the three packages; its version and its extras are what the documents say."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.own_wheel import build, own_wheel

pytestmark = pytest.mark.slow(8)

ROOT = Path(__file__).parents[1]
PACKAGES = {"ecgfm_clinical": ROOT, "ecgfm": ROOT / "model", "ecgfm_connectors": ROOT / "connectors"}
LARGEST_WHEEL_MB = 12
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(own_wheel(tmp_path_factory))


def tracked(package: str) -> set[str]:
    """The package's files that are under version control, as they should lie in the wheel."""
    home = PACKAGES[package]
    listed = subprocess.run(["git", "ls-files", "-z", package], cwd=home, check=True, capture_output=True, text=True)
    return {name for name in listed.stdout.split("\0") if name}


def test_the_wheel_holds_exactly_the_tracked_files(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert inside == set().union(*(tracked(package) for package in PACKAGES)) | {"ecgfm/commit.txt"}


def test_the_wheel_carries_licence_entry_point_and_types(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "ecgfm-clinical = ecgfm_clinical.cli:main" in wheel.read(entry_points).decode()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_the_wheel_stays_small(wheel: zipfile.ZipFile) -> None:
    assert sum(info.compress_size for info in wheel.infolist()) < LARGEST_WHEEL_MB * 1_000_000


def head() -> str:
    """The commit that is checked out."""
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def version_of(wheel: zipfile.ZipFile) -> str:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    (version,) = re.findall(r"^Version: (.*)$", wheel.read(metadata).decode(), re.MULTILINE)
    return str(version)


def test_the_wheel_knows_its_version_and_commit_from_git(wheel: zipfile.ZipFile) -> None:
    assert wheel.read("ecgfm/commit.txt").decode().strip().removesuffix("-dirty") == head()
    version = version_of(wheel)
    assert version != "0.1.0"
    development = re.search(r"\.dev\d+\+g([0-9a-f]+)", version)
    assert development is None or head().startswith(development[1])


def test_a_wheel_made_of_a_source_distribution_is_of_the_same_version_and_commit(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = zipfile.ZipFile(build("wheel", source, tmp_path / "wheel"))
    assert version_of(again) == version_of(wheel)
    assert set(again.namelist()) >= {"ecgfm/commit.txt", "ecgfm/__init__.py"}
    assert again.read("ecgfm/commit.txt") == wheel.read("ecgfm/commit.txt")


def without_git(folder: Path) -> Path:
    """The files that the container image's build copies."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE):
        for name in line.split():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
    return folder


def test_where_there_is_no_git_the_build_says_what_it_was_told(tmp_path: Path) -> None:
    source = without_git(tmp_path / "source")
    unsaid = {"SETUPTOOLS_SCM_PRETEND_VERSION": "", "ECGFM_COMMIT": ""}  # an image built without arguments
    plain = zipfile.ZipFile(build("wheel", source, tmp_path / "plain", **unsaid))
    assert version_of(plain) == "0.2.0.dev0"
    assert "ecgfm/commit.txt" not in plain.namelist()
    told = {"SETUPTOOLS_SCM_PRETEND_VERSION": "7.8.9", "ECGFM_COMMIT": "0123abcd"}
    named = zipfile.ZipFile(build("wheel", source, tmp_path / "named", **told))
    assert version_of(named) == "7.8.9"
    assert named.read("ecgfm/commit.txt").decode() == "0123abcd\n"


def test_a_shallow_clone_without_tags_has_a_version(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=1", ROOT.as_uri(), str(clone)], check=True, capture_output=True)
    for tag in subprocess.run(["git", "tag"], cwd=clone, check=True, capture_output=True, text=True).stdout.split():
        subprocess.run(["git", "tag", "-d", tag], cwd=clone, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "version"], cwd=clone, check=True, capture_output=True, text=True
    )
    assert re.fullmatch(r"0\.2\.0\.dev\d+\+g[0-9a-f]+(\.d\d+)?\n", done.stdout)


def brought(extra: str) -> set[str]:
    """The names of all packages that an extra asks for, by way of other extras too."""
    names: set[str] = set()
    for line in EXTRAS[extra]:
        if inner := re.match(r"ecgfm-clinical\[(.*)\]", line):
            names |= set().union(*(brought(one) for one in inner[1].split(",")))
        else:
            names.add(re.split(r"[^\w-]", line)[0])
    return names


def test_all_is_every_extra_but_the_gpu_and_the_tests() -> None:
    others = set(EXTRAS) - {"all", "gpu", "ray", "docs", "test"}
    assert brought("all") == set().union(*map(brought, others))


def test_no_extra_mixes_the_two_onnx_runtimes() -> None:
    both = {"onnxruntime", "onnxruntime-gpu"}
    assert all(len(brought(extra) & both) < 2 for extra in EXTRAS)


def test_what_the_project_is_built_on_has_its_part() -> None:
    base = {re.split(r"[^\w-]", line)[0] for line in PROJECT["dependencies"]}
    assert {"numpy", "pydicom", "pynetdicom", "hl7apy", "sqlalchemy", "apscheduler"} <= base
    assert "torch" in brought("score")
    assert "wfdb" in brought("train")
    assert "onnx" in brought("onnx")
    assert "torch>=2.9,<2.14" in EXTRAS["score"]
