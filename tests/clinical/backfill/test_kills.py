"""However a backfill ends, a repeat completes it: the same bytes as of a run that nothing happened to."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecgfm_connectors.testing import dicom_writer
from tests.clinical.backfill import victims
from tests.helpers.fakes import make_ecg

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

pytestmark = pytest.mark.slow(12)

FILES = 120
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 files of twelve ECGs, one of them cut off, and one file that is no recording."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(12):
        content = dicom_writer.write_ecg(make_ecg(number))
        (folder / f"{number:03}.dcm").write_bytes(content[:3000] if number == 7 else content)
    for number in range(12, FILES - 1):
        (folder / f"{number:03}.dcm").hardlink_to(folder / f"{number % 12:03}.dcm")
    (folder / "060x.dat").write_bytes(b"no recording")
    return folder


class Victims:
    """Runs backfills of one archive; something else becomes of each."""

    def __init__(self, archive: Path) -> None:
        self._process = subprocess.Popen(
            # Not as a script: the processes of a run that reads would load anew what that loads.
            [sys.executable, "-c", f"from {victims.__name__} import main; main()", str(archive)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "model", ROOT / "connectors")))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __call__(self, out: Path, what: str, number: int = 0) -> tuple[int, str]:
        """The exit code of one run, negative where a signal ended it; and what it said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{out} {what} {number}\n")
        self._process.stdin.flush()
        said = ""
        while line := self._process.stdout.readline():
            if ended := re.fullmatch(r"(-?\d+)\n", line):
                return int(ended[1]), said
            said += line
        raise AssertionError(said)

    def end(self) -> None:
        self._process.communicate(timeout=120)


@pytest.fixture(scope="module")
def run(archive: Path) -> Iterator[Victims]:
    started = Victims(archive)
    yield started
    started.end()


@pytest.fixture(scope="module")
def whole(run: Victims, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run(out, "run") == (0, "")
    return out


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_a_run_without_accident_answers_each_file_once(whole: Path) -> None:
    from pyarrow import dataset

    receipt = json.loads((whole / "receipt.json").read_text())
    assert receipt["outcomes"] == {"scored": 0, "not scored": 109, "unreadable": 10, "passed over": 1}
    names = dataset.dataset(whole / "predictions").to_table(columns=["file"])["file"].to_pylist()
    assert len(names) == len(set(names)) == FILES - 1
    assert len((whole / "unreadable.csv").read_text().splitlines()) == 1 + 10


def test_killed_at_any_step_a_repeat_completes_it_to_the_same_bytes(run: Victims, out: Path, whole: Path) -> None:
    chosen, kills = random.Random(1), 0
    while code := run(out, "kill", chosen.randint(1, 70))[0]:
        assert code == -signal.SIGKILL
        kills += 1
    assert kills > 5
    assert contents(out) == contents(whole)


def test_killed_at_each_of_the_last_steps_the_receipt_is_whole_or_not_there(
    run: Victims, out: Path, whole: Path
) -> None:
    assert run(out, "run")[0] == 0
    receipt = (whole / "receipt.json").read_bytes()
    for step in range(1, 15):
        (out / "receipt.json").unlink(missing_ok=True)
        assert run(out, "kill", step)[0] == -signal.SIGKILL
        assert not (out / "receipt.json").exists() or (out / "receipt.json").read_bytes() == receipt
    assert run(out, "run")[0] == 0
    assert contents(out) == contents(whole)


def test_a_process_that_reads_and_is_killed_costs_nothing(run: Victims, out: Path, whole: Path) -> None:
    assert run(out, "worker", 20)[0] == 0
    assert contents(out) == contents(whole)


@pytest.mark.parametrize(("step", "file"), [(1, "manifest.jsonl"), (20, "part-000001.parquet")])
def test_a_full_disk_is_said_and_gone_on_from(run: Victims, out: Path, whole: Path, step: int, file: str) -> None:
    code, said = run(out, "full", step)
    assert code == 1
    assert re.search(rf"{file}(\.tmp)? cannot be written: File too large; what is in it stays", said)
    assert [name for name in contents(out) if "tmp" in name] == [], "what could not be written whole is taken away"
    assert run(out, "run")[0] == 0
    assert contents(out) == contents(whole)
