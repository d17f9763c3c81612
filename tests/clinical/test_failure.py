"""The last stop of the command line: no traceback, one sentence, the details in a file without the error's own text."""

from pathlib import Path

import pytest

from ecgfm_clinical.cli import failure, setup
from tests.clinical.conftest import Run


def test_an_unforeseen_error_is_one_sentence_and_its_details_lie_where_it_says(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def fails(_: object) -> None:
        try:
            raise KeyError("TESTFAMILY")
        except KeyError as error:
            raise RuntimeError("TESTFAMILY again") from error

    monkeypatch.setattr(setup, "settings_from", fails)
    code, _, err = run("migrate")
    assert code == 1
    (line,) = err.splitlines()
    (kept,) = tmp_path.glob("ecgfm-clinical-*.txt")
    assert line.startswith("error: unforeseen RuntimeError")
    assert str(kept) in line
    details = kept.read_text(encoding="utf-8")
    assert "builtins.KeyError" in details
    assert Path(__file__).name in details
    assert "TESTFAMILY again" not in err + details.replace('raise RuntimeError("TESTFAMILY again")', "")
    assert kept.stat().st_mode & 0o077 == 0


def test_an_import_that_an_extra_would_mend_says_so() -> None:
    told = failure.sentence(ModuleNotFoundError("No module named 'onnxscript'", name="onnxscript"))
    assert told.endswith("pip install 'ecgfm-clinical[onnx]'")


def test_a_file_that_cannot_be_written_is_named() -> None:
    assert failure.sentence(PermissionError(13, "Permission denied", "/etc/x.png")).startswith("/etc/x.png: Permission")


def test_version(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("ecgfm-clinical ")


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    code, out, _ = run()
    assert code in (0, 2)  # click's releases differ here
    assert "DICOM and HL7 in" in out
