"""The wheel holds exactly the files of the three packages: nothing forgotten, nothing stray."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"ecgfm_clinical": ROOT, "ecgfm": ROOT / "model", "ecgfm_connectors": ROOT / "connectors"}
LARGEST_WHEEL_MB = 12


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return zipfile.ZipFile(built)


def tracked(package: str) -> set[str]:
    """The package's files that are under version control, as they should lie in the wheel."""
    home = PACKAGES[package]
    listed = subprocess.run(["git", "ls-files", "-z", package], cwd=home, check=True, capture_output=True, text=True)
    return {name for name in listed.stdout.split("\0") if name}


def test_the_wheel_holds_exactly_the_tracked_files(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert inside == set().union(*(tracked(package) for package in PACKAGES))


def test_the_wheel_carries_licence_entry_point_and_types(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "ecgfm-clinical = ecgfm_clinical.cli:main" in wheel.read(entry_points).decode()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_the_wheel_stays_small(wheel: zipfile.ZipFile) -> None:
    assert sum(info.compress_size for info in wheel.infolist()) < LARGEST_WHEEL_MB * 1_000_000
