"""Many files: the numbers of one file at a time, in order, in files that are whole whatever happens to the run."""

import csv
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgfm.predictor import Predictor
from ecgfm.records import Record
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files import answers, outputs, tables
from ecgfm_clinical.files.preparing import Found
from ecgfm_clinical.files.reading import gather, read_ecgs
from ecgfm_connectors.testing import dicom_writer
from tests.clinical.conftest import Run
from tests.helpers.fakes import make_ecg, wait_until
from tests.helpers.outside import Program
from tests.helpers.recordings import ECGS, write_recordings
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = pytest.mark.slow(20)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_bundle(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "ecgs")


@pytest.fixture
def one_by_one(folder: Path, bundle: Path) -> dict[str, Any]:
    """File -> probabilities, each file read and scored by itself."""
    predictor = Predictor.from_bundle(bundle, device="cpu")
    found = {}
    for path in sorted(folder.glob("*.dcm")):
        try:
            (ecg,) = read_ecgs(path)
        except InputError:
            continue
        (prediction,) = predictor.predict([Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate)])
        found[str(path)] = [(one.probability, one.logit) for one in prediction.heads]
    assert len(found) == ECGS - 1
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("workers", [0, 2])
def test_many_files_have_the_bits_of_one_at_a_time(
    run: Run, folder: Path, bundle: Path, tmp_path: Path, one_by_one: dict[str, Any], workers: int
) -> None:
    out = tmp_path / "p.jsonl"
    code, said, _ = run("predict", folder, "--model", bundle, "--out", out, "--workers", workers, "--device", "cpu")
    assert code == 1
    found = lines(out)
    assert [Path(one["file"]).name for one in found] == [f"{number}.dcm" for number in range(ECGS)], "in order"
    assert "waveform-length" in found[4]["error"] or "4.dcm" in found[4]["error"]
    for one in found[:4] + found[5:]:
        assert [(head["probability"], head["logit"]) for head in one["heads"]] == one_by_one[one["file"]]
    assert "8 scored, 1 unreadable, 2 passed over" in said
    assert "4.dcm" in said


def test_a_named_file_that_is_no_recording_is_an_error(run: Run, folder: Path, bundle: Path) -> None:
    code, out, _ = run("predict", folder / "thumbnail.dat", folder / "1.dcm", "--model", bundle, "--json")
    assert code == 1
    assert ["error" in one for one in json.loads(out)] == [True, False]


def test_only_names_that_fit_are_taken(run: Run, folder: Path, bundle: Path) -> None:
    code, out, _ = run("predict", folder, "--model", bundle, "--glob", "[12].d*", "--json")
    assert code == 0
    assert [Path(one["file"]).name for one in json.loads(out)] == ["1.dcm", "2.dcm"]
    with pytest.raises(InputError, match="no files that fit"):
        gather([folder], "*.hl7")


@pytest.mark.parametrize(
    ("command", "name", "begins"),
    [
        ("predict", "OUT.CSV", b"file,ecg,"),
        ("predict", "OUT.JSONL", b"{"),
        ("embed", "OUT.NPY", b"\x93NUMPY"),
    ],
)
def test_the_ending_names_the_format_in_any_case(
    run: Run, folder: Path, bundle: Path, tmp_path: Path, command: str, name: str, begins: bytes
) -> None:
    out = tmp_path / name
    run(command, folder / "0.dcm", "--model", bundle, "--out", out, "--workers", 0)
    assert out.read_bytes().startswith(begins)


def test_all_tables_say_the_same(
    run: Run, folder: Path, bundle: Path, tmp_path: Path, one_by_one: dict[str, Any]
) -> None:
    reader = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    made = [tmp_path / f"p.{suffix}" for suffix in ("jsonl", "csv", "parquet")]
    for out in made:
        run("predict", folder, "--model", bundle, "--out", out, "--workers", 0, "--device", "cpu")
    documents = lines(made[0])
    with made[1].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = reader.read_table(made[2])
    assert [row["file"] for row in rows] == table["file"].to_pylist() == [one["file"] for one in documents]
    for document, row, typed in zip(documents, rows, table.to_pylist(), strict=True):
        if "error" in document:
            assert document["error"] == row["error"] == typed["error"]
            continue
        for head in document["heads"]:
            name = f"{head['head']}.{head['label']}.probability"
            assert float(row[name]) == typed[name] == head["probability"]
        assert (row["input_digest"], int(row["segments"])) == (typed["input_digest"], typed["segments"])
    about = table.schema.metadata
    assert about[b"schema"] == b"predictions/1"
    assert about[b"model_id"].decode() == documents[0]["model_id"] == rows[0]["model_id"]
    assert about[b"preprocessing"].decode() == documents[0]["preprocessing"]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("command", ["predict", "embed"])
def test_a_repeat_completes_what_is_there_and_doubles_nothing(
    run: Run, folder: Path, bundle: Path, tmp_path: Path, command: str, suffix: str
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out, whole = tmp_path / f"o.{suffix}", tmp_path / f"whole.{suffix}"
    given = ("--model", bundle, "--workers", 0, "--device", "cpu")
    run(command, folder, *given, "--out", whole)
    run(command, folder, *given, "--glob", "[0-5].dcm", "--out", out)
    run(command, folder, *given, "--out", out)
    if suffix == "parquet":
        from pyarrow import parquet

        assert parquet.read_table(out).to_pylist() == parquet.read_table(whole).to_pylist()
    else:
        assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_line_that_was_cut_off_is_written_anew(
    run: Run, folder: Path, bundle: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"o.{suffix}"
    given = ("predict", folder, "--model", bundle, "--workers", 0, "--device", "cpu", "--out", out)
    run(*given)
    whole = out.read_bytes()
    for cut in (10, len(whole.splitlines(keepends=True)[-1]) + 5):
        out.write_bytes(whole[:-cut])
        run(*given)
        assert out.read_bytes() == whole


def test_npy_goes_on_after_a_kill(run: Run, folder: Path, bundle: Path, tmp_path: Path) -> None:
    out, index = tmp_path / "o.npy", tmp_path / "o.csv"
    given = ("embed", folder, "--model", bundle, "--workers", 0, "--device", "cpu", "--out", out)
    run(*given)
    whole, table = out.read_bytes(), index.read_bytes()
    assert np.load(out).shape == (ECGS - 1, 32)
    index.write_bytes(table[:-40])  # the array has more rows than the table: it is written first
    run(*given)
    assert (out.read_bytes(), index.read_bytes()) == (whole, table)
    out.write_bytes(whole[:200])
    code, _, err = run(*given)
    assert code == 1
    assert "fewer rows" in err


def test_answers_of_another_model_or_another_file_are_not_gone_on_with(
    run: Run, folder: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.jsonl"
    run("predict", folder, "--model", bundle, "--out", out, "--workers", 0)
    before = out.read_bytes()
    code, _, err = run("predict", folder, "--model", "demo", "--out", out, "--workers", 0)
    assert code == 1
    assert "another model" in err
    assert out.read_bytes() == before
    out.write_text("my notes\nof years\n")
    code, _, err = run("predict", folder, "--model", bundle, "--out", out)
    assert code == 1
    assert out.read_text() == "my notes\nof years\n"


def test_files_that_vanish_or_grow_are_told_one_by_one(
    folder: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    from ecgfm_connectors.files import payload

    load = payload.load

    def meanwhile(path: Path) -> bytes:
        content = load(path)
        if path.name == "1.dcm":
            shutil.rmtree(folder)
        elif path.name == "0.dcm":
            path.write_bytes(content + b"more")
        return content

    monkeypatch.setattr(payload, "load", meanwhile)
    out = tmp_path / "o.jsonl"
    code, _, _ = run("predict", folder, "--model", bundle, "--out", out, "--workers", 0)
    assert code == 1
    found = lines(out)
    assert "changed while it was read" in found[0]["error"]
    assert "changed while it was read" in found[1]["error"], "it went away"
    assert len(found) == ECGS + 1, "what had vanished cannot be told to be no recording"
    assert all("is not there" in one["error"] for one in found[2:])


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """More ECGs than are scored before a signal comes."""
    made = tmp_path / "many"
    made.mkdir()
    (made / "0000.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(1)))
    for number in range(1, 3000):
        (made / f"{number:04}.dcm").hardlink_to(made / "0000.dcm")
    return made


@pytest.mark.parametrize(("suffix", "number"), [("jsonl", signal.SIGINT), ("parquet", signal.SIGTERM)])
def test_a_signal_leaves_a_readable_file_that_a_repeat_completes(
    run: Run, program: Program, many: Path, bundle: Path, tmp_path: Path, number: signal.Signals, suffix: str
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out = tmp_path / f"o.{suffix}"
    given = ("predict", many, "--model", bundle, "--device", "cpu", "--out", out, "--workers")
    said = tmp_path / "said.txt"
    process = program.start([*given, 1], output=said)
    part = out if suffix == "jsonl" else out.with_name(f".{out.name}.part")
    wait_until(lambda: part.exists() and part.stat().st_size > 0)
    os.kill(process, number)
    assert program.wait(process) == 128 + number, said.read_text()
    assert "the same command goes on" in said.read_text()
    names = _files(out)
    assert len(names) == len(set(names)) < 3000
    for path in sorted(many.glob("*.dcm"))[len(names) + 3 :]:  # completing all takes too long here
        path.unlink()
    code, _, err = run(*given, 0)
    assert code == 0, err
    assert _files(out) == [str(path) for path in sorted(many.glob("*.dcm"))]


def _files(out: Path) -> list[str]:
    if out.suffix == ".jsonl":
        return [one["file"] for one in lines(out)]
    from pyarrow import parquet

    return [str(one) for one in parquet.read_table(out)["file"].to_pylist()]


def test_a_full_disk_is_said_and_gone_on_from(
    run: Run, program: Program, folder: Path, bundle: Path, tmp_path: Path
) -> None:
    out, said = tmp_path / "o.jsonl", tmp_path / "said.txt"
    given = ("predict", folder, "--model", bundle, "--out", out, "--workers", 0, "--device", "cpu")
    assert program.wait(program.start(given, output=said, room=6000)) == 1
    assert "cannot be written" in said.read_text()
    assert "Traceback" not in said.read_text()
    assert run(*given)[0] == 1  # one file is cut off
    assert [Path(one["file"]).name for one in lines(out)] == [f"{number}.dcm" for number in range(ECGS)]


def test_a_parquet_file_that_cannot_be_completed_stays_as_it_was(
    folder: Path, bundle: Path, tmp_path: Path, run: Run, program: Program
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    out = tmp_path / "o.parquet"
    given = ("predict", folder, "--model", bundle, "--out", out, "--workers", 0, "--device", "cpu")
    run(*given, "--glob", "[01].dcm")
    before, said = out.read_bytes(), tmp_path / "said.txt"
    assert program.wait(program.start(given, output=said, room=len(before) - 100)) == 1
    assert "cannot be written" in said.read_text()
    assert out.read_bytes() == before
    assert parquet.read_table(out).num_rows == 2
    assert list(tmp_path.glob(".*.part")) == []


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_name_that_is_no_text_stands_escaped(
    run: Run, folder: Path, bundle: Path, tmp_path: Path, suffix: str
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    try:
        (folder / "0.dcm").rename(folder / os.fsdecode(b"\xe4lter.dcm"))  # Latin-1
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    out = tmp_path / f"o.{suffix}"
    given = ("predict", folder, "--glob", "*lter*", "--model", bundle, "--workers", 0, "--device", "cpu", "--out", out)
    for _ in range(2):  # a repeat knows it again
        code, _, err = run(*given)
        assert code == 0, err
        assert (b"\\\\xe4lter.dcm" if suffix == "jsonl" else b"\\xe4lter.dcm") in out.read_bytes()


def test_numbers_in_csv_come_back_to_the_last_bit(tmp_path: Path) -> None:
    origin = answers.Origin(model_id="m", preprocessing="p", runtime="r")
    values = np.array([0.1, 1 / 3, -1e-30], np.float32)
    found = answers.Answer(found=Found(file='a "b", c\nd'), embedding=values)
    columns = (*answers.EMBEDDED, ("embedding", "vector"))
    table = tables.csv_table(tmp_path / "e.csv", columns, answers.embedded_row, origin, width=3)
    table.add([found])
    table.close()
    with (tmp_path / "e.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["file"] == 'a "b", c d'
    back = np.array([row[f"embedding.{number}"] for number in range(3)], np.float32)
    assert back.tobytes() == values.tobytes()


def test_a_stream_of_json_is_one_array_also_where_nothing_came(capsys: pytest.CaptureFixture[str]) -> None:
    output = outputs.JsonArray(sys.stdout, answers.predicted_document)
    output.close()
    assert json.loads(capsys.readouterr().out) == []
