"""`explain` of many files: the weights of one file at a time, in order, and pictures that a repeat completes."""

import json
from pathlib import Path

import numpy as np
import pytest

import ecgfm
from ecgfm.explain import explain
from ecgfm_clinical.files.reading import read_ecgs
from ecgfm_connectors.testing import dicom_writer
from tests.clinical.conftest import Run
from tests.helpers.fakes import make_ecg
from tests.helpers.recordings import ECGS, write_recordings
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = pytest.mark.slow(6)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_bundle(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "ecgs")


@pytest.mark.parametrize(("workers", "question"), [(2, ()), (0, ("--method", "gradient", "--label", "troponin"))])
def test_many_files_have_the_weights_of_one_at_a_time(
    run: Run, folder: Path, bundle: Path, tmp_path: Path, question: tuple[str, ...], workers: int
) -> None:
    reader = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    out = tmp_path / "w.parquet"
    given = ("explain", folder, "--model", bundle, "--out", out, "--workers", workers, "--device", "cpu", *question)
    code, said, _ = run(*given)
    assert code == 1, "one file is cut off"
    assert "8 scored, 1 unreadable, 2 passed over" in said
    table = reader.read_table(out)
    found = table.to_pylist()
    assert [Path(one["file"]).name for one in found] == [f"{number}.dcm" for number in range(ECGS)], "in order"
    assert "truncated" in found[4]["error"]
    network = ecgfm.load(bundle)
    method, label = ("gradient", "troponin") if question else ("attention", None)
    for one in found[:4] + found[5:]:
        (ecg,) = read_ecgs(Path(one["file"]))
        alone = explain(network, ecg.signal, ecg.sampling_rate, method=method, label=label)  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.array(one["saliency"], np.float32), alone.weights.astype(np.float32))
        assert one["most_at"] == alone.seconds[alone.weights.argmax()]
        if not question:  # attention knows neither leads nor a scale that two segments share
            assert (one["lead_shares"], one["beats_at"], one["beat_shares"]) == (None, None, None)
            continue
        assert sum(one["lead_shares"]) == pytest.approx(1, abs=1e-5)
        by_beat = np.array(one["beat_lead_shares"]).reshape(len(one["beats_at"]), 12)
        np.testing.assert_allclose(by_beat.sum(axis=1), one["beat_shares"], atol=1e-6)
        assert 0.7 < sum(one["beat_shares"]) <= 1 + 1e-5
        assert len(one["beats_at"]) > 5
    assert table.schema.metadata[b"question"].decode().startswith(method)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_repeat_completes_the_weights(run: Run, folder: Path, bundle: Path, tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out, whole = tmp_path / f"o.{suffix}", tmp_path / f"whole.{suffix}"
    (folder / "short.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(50, make_ecg(50).signal[:, :1500])))
    given = ("explain", folder, "--model", bundle, "--workers", 0, "--device", "cpu")
    run(*given, "--out", whole)
    run(*given, "--glob", "[0-5].dcm", "--out", out)
    _, said, _ = run(*given, "--out", out)
    assert "files were there already" in said
    if suffix == "jsonl":
        assert out.read_bytes() == whole.read_bytes()
        last = json.loads(out.read_text().splitlines()[-1])
        assert (last["not_scored"], last["saliency"], last["beats"]) == (["too-short"], None, None)
    else:
        from pyarrow import parquet

        assert parquet.read_table(out).to_pylist() == parquet.read_table(whole).to_pylist()
    code, _, err = run(*given, "--out", out, "--method", "gradient", "--label", "troponin")
    assert code == 1
    assert "another model" in err


def test_pictures_of_a_folder_are_completed_and_not_drawn_twice(
    run: Run, folder: Path, bundle: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "other"
    twin.mkdir()
    (twin / "0.dcm").write_bytes((folder / "1.dcm").read_bytes())
    for number in range(1, ECGS):
        (folder / f"{number}.dcm").unlink()
    pictures = tmp_path / "pictures"
    given = ("explain", folder, twin, "--model", bundle, "--png", pictures, "--workers", 0)
    code, said, _ = run(*given)
    assert code == 0
    assert "2 scored" in said
    made = {path.name: path.read_bytes() for path in pictures.iterdir()}
    assert len(made) == 2, "two files of one name have pictures of their own"
    removed = min(made)
    (pictures / removed).unlink()
    before = {path.name: path.stat().st_mtime_ns for path in pictures.iterdir()}
    code, said, _ = run(*given)
    assert "1 scored; 1 files were there already" in said.replace(", 2 passed over", "")
    assert {path.name: path.read_bytes() for path in pictures.iterdir()} == made
    assert {path.name: path.stat().st_mtime_ns for path in pictures.iterdir() if path.name != removed} == before


def test_one_picture_of_many_files_is_refused_and_what_has_none_is_an_error(
    run: Run, folder: Path, bundle: Path, tmp_path: Path
) -> None:
    png = tmp_path / "one.png"
    for words, said in (
        ((folder, "--png", png), "name a folder"),
        ((folder,), "one of them"),
        ((folder, "--png", png, "--out", tmp_path / "o.jsonl"), "one of them"),
        ((folder / "4.dcm", "--png", png), "truncated"),
    ):
        code, _, err = run("explain", *words, "--model", bundle)
        assert code == 1
        assert said in err
    assert not png.exists()
