"""A short run of the coverage-guided fuzzing; the long one is a command of its own, see fuzz_coverage.py."""

import importlib.util
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow(12)

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed (pip install atheris)"
)
@pytest.mark.parametrize("target", ["dicom", "hl7", "framer"])
def test_no_promise_breaks(target: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.connectors.fuzz_coverage", target, "-runs=100", "-seed=7"]
    if target != "framer":  # for one of them the limit of memory is found out, by a process more
        command.append(f"-rss_limit_mb={resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 + 2048}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Done 100 runs" in done.stderr
    assert list(tmp_path.iterdir()) == []
