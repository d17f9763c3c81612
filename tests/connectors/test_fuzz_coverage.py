"""A short run of the coverage-guided fuzzing; the long one is a command of its own, see fuzz_coverage.py."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_coverage.py")


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed (pip install atheris)"
)
@pytest.mark.parametrize("target", ["dicom", "hl7", "framer"])
def test_no_promise_breaks(target: str, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), target, "-runs=100", "-seed=7"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Done 100 runs" in done.stderr
    assert list(tmp_path.iterdir()) == []
