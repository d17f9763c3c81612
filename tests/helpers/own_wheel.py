"""This project's wheel, built once for all workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import prepared

ROOT = Path(__file__).parents[2]


def build(kind: str, source: Path, out: Path, **environment: str) -> Path:
    """A `wheel` or an `sdist` of `source`, with the build tools installed here."""
    done = subprocess.run(
        [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(out), str(source)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def own_wheel(factory: pytest.TempPathFactory) -> Path:
    """The wheel of what is checked out."""
    folder = prepared.once_for_all_workers(factory, "own-wheel", _build_own)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _build_own(folder: Path) -> None:
    build("wheel", ROOT, folder)
