"""A short run of the coverage-guided fuzzing; the long one is a command of its own, see fuzz_coverage.py."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow(6)

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed (pip install atheris)"
)
def test_no_promise_breaks(tmp_path: Path) -> None:
    """Of two readers and the framer, in one process that loads and instruments what they share."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.connectors.fuzz_coverage", "dicom,hl7,framer", "-runs=100", "-seed=7"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("Done 100 runs") == 3, done.stderr[-2000:]
    assert list(tmp_path.iterdir()) == []
