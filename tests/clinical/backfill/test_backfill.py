"""`backfill`: the bits of `predict`, `embed` and the live path, refusals of another run, and what `verify` finds."""

import csv
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from ecgfm.predictor import Predictor
from ecgfm_clinical.pipeline.ingest import Ingest
from ecgfm_clinical.pipeline.scoring import Scorer
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.files import payload
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import dicom_writer, wfdb_writer
from tests.clinical.conftest import Run
from tests.helpers.fakes import Clock, make_ecg, wait_until
from tests.helpers.outside import Program
from tests.helpers.recordings import ECGS, write_different, write_recordings
from tests.helpers.tiny_models import write_tiny_bundle

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

pytestmark = pytest.mark.slow(18)

Backfill = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_bundle(path)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "ecgs")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def backfill(run: Run, bundle: Path, out: Path) -> Backfill:
    """Runs `backfill run` into `out`, four files a part."""

    def call(*words: object) -> tuple[int, str, str]:
        given = ("--model", bundle, "--device", "cpu", "--workers", 0, "--part-rows", 4)
        return run("backfill", "run", "--out", out, *given, *words)

    return call


def rows(folder: Path) -> list[dict[str, object]]:
    """Of a data set, in the order of its parts."""
    found: list[dict[str, object]] = []
    for path in sorted(folder.glob("*.parquet")):
        found += parquet.read_table(path).to_pylist()
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_predictions_and_embeddings_are_those_of_predict_and_embed(
    run: Run, backfill: Backfill, archive: Path, bundle: Path, out: Path, tmp_path: Path
) -> None:
    code, said, _ = backfill(archive, "--embeddings")
    assert code == 0
    assert "8 scored, 1 unreadable, 1 passed over" in said
    given = ("--model", bundle, "--device", "cpu", "--workers", 0, "--out")
    run("predict", archive, *given, tmp_path / "p.parquet")
    run("embed", archive, *given, tmp_path / "e.parquet")
    for name, single in (("predictions", "p.parquet"), ("embeddings", "e.parquet")):
        whole = parquet.read_table(tmp_path / single)
        assert rows(out / name) == whole.to_pylist(), "to the last bit"
        for part in (out / name).glob("*.parquet"):
            assert parquet.read_schema(part).equals(whole.schema, check_metadata=True)
    assert len(list((out / "predictions").iterdir())) == 3
    assert not (out / "identifiers").exists()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_live_scores_predict_and_backfill_agree_to_the_last_bit(
    run: Run, backfill: Backfill, bundle: Path, store: Store, clock: Clock, tmp_path: Path, out: Path
) -> None:
    """Forty recordings, more than a batch; what the live path scores has the same bits. `test_on_ray` scores such ones
    on a cluster.
    """
    folder, predictor = write_different(tmp_path / "forty", 40), Predictor.from_bundle(bundle, device="cpu")
    ingest = Ingest(store, read=read, clock=clock)
    live: dict[str, dict[str, tuple[float | None, float | None]]] = {}
    taken = {}
    for path in sorted(folder.iterdir()):
        received = Received(transport="dicom", source="cart", content=path.read_bytes(), received_at=clock())
        (taken[str(path)],) = ingest(received).ecg_ids
    scorer = Scorer(
        store,
        predictor,
        rules=lambda _: HeadRules(),
        worker="score",
        clock=clock,
        batch_size=32,
        lease=timedelta(minutes=5),
        max_attempts=2,
        run_for=0.0,
    )
    while scorer.run_batch():
        pass
    for name, number in taken.items():
        (scoring,) = store.ecgs.story(number).scorings
        live[name] = {f"{one.head}.{one.label}": (one.probability, one.logit) for one in scoring.scores}
    assert backfill(folder)[0] == 0
    found = rows(out / "predictions")
    assert [row["file"] for row in found] == sorted(live)
    run("predict", folder, "--model", bundle, "--device", "cpu", "--workers", 0, "--out", tmp_path / "p.parquet")
    assert parquet.read_table(tmp_path / "p.parquet").to_pylist() == found
    compared = 0
    for row in found:
        for label, (probability, logit) in live[str(row["file"])].items():
            if probability is not None:
                assert (row[f"{label}.probability"], row[f"{label}.logit"]) == (probability, logit)
                compared += 1
    assert compared > 200


def test_what_cannot_be_read_is_listed_with_code_and_sentence(backfill: Backfill, archive: Path, out: Path) -> None:
    backfill(archive)
    with (out / "unreadable.csv").open(encoding="utf-8", newline="") as file:
        (listed,) = csv.DictReader(file)
    assert (listed["file"], listed["code"]) == (str(archive / "4.dcm"), "truncated")
    assert "ends before its data set does" in listed["reason"]
    (archive / "4.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(4)))
    again = out.with_name("again")
    assert backfill(out / "unreadable.csv", "--out", again)[0] == 0, "the list is a manifest"
    (row,) = rows(again / "predictions")
    assert (row["file"], row["error"]) == (str(archive / "4.dcm"), "")


def test_identifiers_are_pseudonyms_by_a_key_and_absent_without_one(
    backfill: Backfill, archive: Path, out: Path, tmp_path: Path
) -> None:
    (archive / "again.dcm").write_bytes(
        dicom_writer.write_ecg(make_ecg(1, source_id="1.2.3.99"))
    )  # a second ECG of patient 1
    key, other = tmp_path / "key", tmp_path / "other"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    other.write_text("fedcba9876543210fedcba9876543210\n")
    assert backfill(archive, "--identifiers", key)[0] == 0
    found = {Path(str(row["file"])).name: row for row in rows(out / "identifiers")}
    assert len(found) == ECGS
    assert found["1.dcm"]["patient"] == found["again.dcm"]["patient"] != found["2.dcm"]["patient"]
    assert found["1.dcm"]["recording"] != found["again.dcm"]["recording"]
    assert (
        found["1.dcm"]["input_digest"]
        == {str(row["file"]): row for row in rows(out / "predictions")}[str(archive / "1.dcm")]["input_digest"]
    )
    whole = b"".join(content for name, content in contents(out).items() if not name.endswith(".parquet"))
    assert b"T1" not in whole
    assert b"T1" not in json.dumps(rows(out / "identifiers")).replace(str(archive), "").encode()
    assert b"0123456789abcdef" not in whole, "nor the key"
    backfill(archive, "--identifiers", other, "--out", out.with_name("others"))
    assert rows(out.with_name("others") / "identifiers")[0]["patient"] != rows(out / "identifiers")[0]["patient"]
    key.write_text("short")
    code, _, err = backfill(archive, "--identifiers", key)
    assert code == 1
    assert "a key has 16 at least" in err


def test_another_run_is_refused_with_the_next_step(
    backfill: Backfill, archive: Path, out: Path, tmp_path: Path
) -> None:
    assert backfill(archive)[0] == 0
    before = contents(out)
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef")
    write_tiny_bundle(tmp_path / "tiny-2", seed=2)
    site = tmp_path / "settings.toml"
    site.write_text('[site]\nauthority = "WARD"\n')
    for words, says in (
        (("--model", tmp_path / "tiny-2"), "begun with the model"),
        (("--part-rows", 5), "begun with --part-rows 4, and this is 5"),
        (("--embeddings",), "begun with --embeddings no, and this is yes"),
        (("--identifiers", tmp_path / "key"), "begun with the --identifiers key of digest none"),
        (("--settings", site), "begun with the site's authority and zone FILE UTC"),
    ):
        code, _, err = backfill(archive, *words)
        assert code == 1
        assert says in err
        assert "name another folder as --out" in err
    (archive / "5b.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(1)))
    code, _, err = backfill(archive)
    assert code == 1
    assert "they differ from row 7" in err
    assert f"backfill run --out {out}" in err
    assert contents(out) == before
    assert backfill()[0] == 0, "the files of then"
    assert contents(out) == before


def test_a_part_that_went_is_made_again_and_nothing_else(
    backfill: Backfill, run: Run, archive: Path, out: Path
) -> None:
    backfill(archive)
    before = contents(out)
    (out / "predictions" / "part-000001.parquet").unlink()
    code, said, _ = run("backfill", "verify", out)
    assert code == 1
    code, said, _ = backfill(archive, "--json")
    assert code == 0
    assert json.loads(said)["by_earlier_run"] == 6
    assert contents(out) == before


def test_verify_finds_what_is_not_as_the_receipt_says(backfill: Backfill, run: Run, archive: Path, out: Path) -> None:
    backfill(archive, "--embeddings")
    code, said, _ = run("backfill", "verify", out)
    assert code == 0
    assert "10 files in 3 parts, all as the receipt says" in said

    def found() -> str:
        code, said, _ = run("backfill", "verify", out, "--json")
        assert code == 1
        (problem,) = json.loads(said)["problems"]
        return str(problem)

    kept = contents(out)
    for name, says in (
        ("predictions/part-000000.parquet", "has other bytes"),
        ("embeddings/part-000002.parquet", "has other bytes"),
        ("unreadable.csv", "has other bytes"),
        ("manifest.jsonl", "is not the manifest of the receipt"),
    ):
        (out / name).write_bytes(kept[name][:-1] + bytes([kept[name][-1] ^ 1]))
        assert says in found()
        (out / name).write_bytes(kept[name])
    (out / "predictions" / "copy.parquet").write_bytes(kept["predictions/part-000000.parquet"])
    assert "is no part of this run" in found()
    (out / "predictions" / "copy.parquet").unlink()
    (out / "receipt.json").unlink()
    code, _, err = run("backfill", "verify", out)
    assert code == 1
    assert "repeat its `backfill run` to complete it" in err


@pytest.mark.parametrize("fault", ["twice", "left out"])
def test_verify_counts_each_row_of_the_manifest(
    backfill: Backfill, run: Run, archive: Path, out: Path, fault: str
) -> None:
    """A program that doubled or dropped an ECG would have given receipts for it."""
    from ecgfm.digest import sha256

    backfill(archive)
    path = out / "predictions" / "part-000000.parquet"
    table = parquet.read_table(path)
    order = [0, 1, 1, 3] if fault == "twice" else [0, 1, 3]
    parquet.write_table(table.take(order), path)
    receipt = json.loads((out / "receipt.json").read_text())
    receipt["parts"][0]["files"]["predictions"] |= {"sha256": sha256(path)}
    (out / "receipt.json").write_text(json.dumps(receipt))
    code, _, err = run("backfill", "verify", out)
    assert code == 1
    assert ("answers a file twice" if fault == "twice" else "does not answer as many files") in err


def test_an_archive_that_vanishes_costs_nothing(
    backfill: Backfill, archive: Path, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed"
    backfill(archive, "--out", undisturbed)
    load, elsewhere = payload.load, tmp_path / "elsewhere"

    def meanwhile(path: Path) -> bytes:
        if path.name == "6.dcm" and archive.exists():
            archive.rename(elsewhere)
        return load(path)

    monkeypatch.setattr(payload, "load", meanwhile)
    code, _, err = backfill(archive)
    assert code == 1
    assert f"{archive} is gone or empty" in err
    assert not (out / "receipt.json").exists()
    assert len(list((out / "parts").iterdir())) == 1
    archive.mkdir()  # as a place where nothing is mounted
    assert "is gone or empty" in backfill()[2]
    archive.rmdir()
    elsewhere.rename(archive)
    monkeypatch.undo()
    assert backfill(archive)[0] == 0
    assert contents(out) == contents(undisturbed)


def test_files_that_vanish_or_grow_are_listed_one_by_one(
    backfill: Backfill, archive: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = payload.load

    def meanwhile(path: Path) -> bytes:
        content = load(path)
        if path.name == "0.dcm":
            path.write_bytes(content + b"more")
            (archive / "1.dcm").unlink()
        return content

    monkeypatch.setattr(payload, "load", meanwhile)
    assert backfill(archive)[0] == 0
    with (out / "unreadable.csv").open(encoding="utf-8", newline="") as file:
        listed = [(Path(row["file"]).name, row["code"]) for row in csv.DictReader(file)]
    assert listed == [("0.dcm", "changed-while-read"), ("1.dcm", "missing-file"), ("4.dcm", "truncated")]


def test_one_per_cent_of_broken_files_is_listed_and_the_others_are_scored(
    backfill: Backfill, archive: Path, out: Path
) -> None:
    for number in range(300, 500):
        (archive / f"{number}.dcm").hardlink_to(archive / f"{number % 4}.dcm")
    for number, content in ((310, b""), (420, b"\x00" * 4000)):
        (archive / f"{number}.dcm").unlink()
        (archive / f"{number}.dcm").write_bytes(content)
    assert backfill(archive, "--part-rows", 50)[0] == 0
    receipt = json.loads((out / "receipt.json").read_text())
    assert receipt["outcomes"] == {"scored": 206, "not scored": 0, "unreadable": 3, "passed over": 1}


def test_a_name_that_is_no_text_is_scored_and_shown_escaped(backfill: Backfill, archive: Path, out: Path) -> None:
    name = os.fsdecode(b"\xe4lter.dcm")  # Latin-1
    try:
        (archive / name).write_bytes(dicom_writer.write_ecg(make_ecg(1)))
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    (archive / os.fsdecode(b"\xe4lter-still.dcm")).write_bytes(b"DICM")
    assert backfill(archive)[0] == 0
    assert rows(out / "predictions")[-1]["file"] == f"{archive}/\\xe4lter.dcm"
    assert "\\xe4lter-still.dcm" in (out / "unreadable.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("workers", [0, 2])
def test_what_urls_name_has_the_same_bits(
    backfill: Backfill, archive: Path, out: Path, tmp_path: Path, workers: int
) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    for name, content in wfdb_writer.write_record(make_ecg(11), "record").items():
        (archive / name).write_bytes(content)
    assert backfill(archive)[0] == 0
    (archive / "RECORDS").write_text("\n".join(f"file://{one}" for one in sorted(archive.glob("*.[dh][ce][ma]"))))
    remote = tmp_path / "remote"
    assert backfill(archive / "RECORDS", "--out", remote, "--workers", workers)[0] == 0
    local = [row for row in rows(out / "predictions") if str(row["file"]).endswith((".dcm", ".hea"))]
    assert len(local) == ECGS + 1
    for row in local:
        row["file"] = f"file://{row['file']}"
        row["error"] = str(row["error"]).replace(str(archive), f"file://{archive}")
    assert rows(remote / "predictions") == local


def test_a_store_that_does_not_answer_costs_nothing(
    backfill: Backfill, archive: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    store = fsspec.filesystem("memory")
    for one in archive.glob("*.dcm"):
        store.pipe_file(f"/ward/{one.name}", one.read_bytes())
    inner = type(store).cat_file

    def away(self: object, path: str, **given: object) -> bytes:
        if path.endswith("6.dcm"):
            raise ConnectionResetError("with a secret in its text")
        return bytes(inner(self, path, **given))

    monkeypatch.setattr(type(store), "cat_file", away)
    code, _, err = backfill("memory://ward")
    assert code == 1
    assert "memory://ward/6.dcm cannot be had now (ConnectionResetError); repeat the same command" in err.replace(
        "memory:///", "memory://"
    ).replace("unreachable: ", "")
    assert "secret" not in err
    assert not (out / "receipt.json").exists()
    monkeypatch.undo()
    assert backfill("memory://ward")[0] == 0
    assert len(rows(out / "predictions")) == ECGS
    store.rm("/ward", recursive=True)


def test_progress_and_counts_for_programs(backfill: Backfill, archive: Path, out: Path) -> None:
    code, said, _ = backfill(archive, archive / "1.dcm", "--json")
    assert code == 0
    told = json.loads(said)
    assert told["finished"]
    assert told["outcomes"] == {"scored": 8, "not scored": 0, "unreadable": 1, "passed over": 1}
    assert (told["files"], told["unreadable_files"], told["beside_recordings"], told["named_twice"]) == (10, 1, 1, 1)
    assert told["receipt"] == str(out / "receipt.json")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_state_that_a_repeat_completes(
    program: Program, archive: Path, bundle: Path, out: Path, tmp_path: Path, number: signal.Signals
) -> None:
    many, said = tmp_path / "many", tmp_path / "said.txt"
    many.mkdir()
    for count in range(3000):
        (many / f"{count:04}.dcm").hardlink_to(archive / "0.dcm")
    given = ("--model", bundle, "--device", "cpu", "--workers", 1, "--part-rows", 10, "--json")
    process = program.start(("backfill", "run", many, "--out", out, *given), output=said)
    wait_until(lambda: (out / "parts" / "part-000002.json").exists())
    os.kill(process, number)
    assert program.wait(process) == 128 + number, said.read_text()
    assert "the same command goes on after the last whole part" in said.read_text()
    (document,) = re.findall(r"^\{.*?^\}", said.read_text(), re.DOTALL | re.MULTILINE)
    assert not json.loads(document)["finished"]
    done = len(list((out / "parts").glob("part-*.json")))
    assert 3 <= done < 300
    assert not (out / "receipt.json").exists()
    assert len(rows(out / "predictions")) == 10 * done
    shutil.rmtree(many)
