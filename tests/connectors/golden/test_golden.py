"""The golden files: this package reads each one right, they are the same files everywhere, and other readers
can be checked.
"""

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.connectors.golden import conformance
from tests.connectors.golden.cases import Case, cases

MANIFEST = json.loads((Path(__file__).parent / "manifest.json").read_text(encoding="utf-8"))
CASES = {case.name: case for case in cases()}


@pytest.mark.parametrize("name", CASES)
def test_this_package_is_right(name: str) -> None:
    assert conformance.read_with_this_package(CASES[name]) == ""


def test_the_files_are_those_of_the_manifest() -> None:
    assert {case.name: conformance.manifest_entry(case) for case in CASES.values()} == MANIFEST


def test_cases_give_the_same_bytes_again() -> None:
    again = {case.name: case.content for case in cases()}
    assert {name for name, case in CASES.items() if again[name] != case.content} == set()


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda signal: signal * 1.02, "off by"),
        (lambda signal: signal[:, :-1], "shape"),
        (lambda signal: np.where(np.arange(1000) == 3, np.nan, signal), "missing"),
        (lambda signal: signal[::-1], "off by"),
    ],
)
def test_a_wrong_signal_is_found(change: Callable[[np.ndarray], np.ndarray], wrong: str) -> None:
    case = CASES["dicom-plain.dcm"]
    assert case.signal is not None
    assert wrong in conformance.compare(case, change(case.signal).astype(np.float32), 500.0)
    assert "Hz" in conformance.compare(case, case.signal, 499.0)


def test_reading_what_must_be_refused_is_found() -> None:
    case = CASES["dicom-refused-strip.dcm"]
    assert "to be refused" in conformance.compare(case, np.zeros((12, 1000), dtype=np.float32), 500.0)
    assert "refused as" in conformance.read_with_this_package(replace(case, refusal="another-reason"))


def test_write_and_check_another_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert conformance.main(["write", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8")) == MANIFEST
    copier = tmp_path / "reader.py"
    copier.write_text(
        "import shutil, sys, pathlib\n"
        "file = pathlib.Path(sys.argv[1])\n"
        f"known = pathlib.Path({str(tmp_path)!r}) / (file.name + '.npz')\n"
        "sys.exit(1) if not known.exists() else shutil.copy(known, sys.argv[2])\n",
        encoding="utf-8",
    )
    reader = conformance.read_with(f"{shlex.join([sys.executable, str(copier)])} {{file}} {{npz}}")
    some: list[Case] = [CASES[name] for name in ("muse.xml", "dicom-padding.dcm", "refused.pdf")]
    assert [reader(case) for case in some] == ["", "", ""]
    refuser = conformance.read_with(f"{shlex.quote(sys.executable)} -c raise(SystemExit(3))")
    assert [bool(refuser(case)) for case in some] == [True, True, False]
    assert "files" in capsys.readouterr().out
