"""`model …`, `embed` and `explain` as a user runs them."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from ecgfm.bench import timing
from ecgfm.checkpoint import Bundle
from ecgfm.errors import EcgFmError
from ecgfm.records import Record
from ecgfm.signal import BY_CLOCK
from ecgfm_clinical.cli import app
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.reading import read_ecgs
from ecgfm_clinical.scorers import open_predictor
from ecgfm_clinical.settings import Model, Settings
from tests.helpers.processors import needs_bf16
from tests.helpers.tiny_models import copy_prepared_tiny, write_tiny_bundle

pytestmark = pytest.mark.slow(12)

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("model") / "tiny").path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared files of that bundle."""
    folder = tmp_path_factory.mktemp("cache") / "prepared"
    copy_prepared_tiny(tmp_path_factory, folder)
    return folder


@pytest.fixture(scope="module")
def ecg() -> Path:
    """The real recording that pydicom carries."""
    pydicom_data = pytest.importorskip("pydicom.data")
    return Path(str(pydicom_data.get_testdata_file("waveform_ecg.dcm")))


def test_renew_writes_another_model_that_cuts_by_the_clock(tmp_path: Path, bundle: Path) -> None:
    before = json.loads(run("model", "show", bundle, "--json").stdout)
    done = run("model", "renew", bundle, "--out", tmp_path / "renewed", "--json")
    assert done.exit_code == 0, done.output
    renewed = json.loads(done.stdout)
    assert renewed["preprocessing"] == BY_CLOCK
    assert (renewed["heads"], renewed["weights"]) == (before["heads"], before["weights"])
    assert renewed["model_id"] != before["model_id"] == renewed["provenance"]["lineage"][-1]["model_id"]
    assert json.loads(run("model", "show", bundle, "--json").stdout) == before
    again = run("model", "renew", tmp_path / "renewed", "--out", tmp_path / "again")
    assert isinstance(again.exception, InputError)


def test_import_and_show(tmp_path: Path) -> None:
    out = tmp_path / "b"
    done = run(
        "model",
        "import",
        REFERENCE / "tiny_finetuned.pt",
        "--out",
        out,
        "--name",
        "mine",
        "--labels",
        "a,b,c,d,e",
        "--json",
    )
    assert done.exit_code == 0, done.output
    imported = json.loads(done.stdout)
    assert imported["heads"][0]["labels"] == list("abcde")
    shown = json.loads(run("model", "show", out, "--json").stdout)
    assert shown == imported
    text = run("model", "show", out).stdout
    assert imported["model_id"] in text
    assert "not calibrated" in text


def test_import_of_what_is_no_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_text("not a model")
    done = run("model", "import", tmp_path / "notes.pt", "--out", tmp_path / "b")
    assert done.exit_code != 0
    assert isinstance(done.exception, EcgFmError)
    assert "not a readable torch checkpoint" in str(done.exception)
    assert not (tmp_path / "b").exists()


def test_bench_names_every_runtime(bundle: Path, ecg: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch is loaded in a new process, as every runtime is; the others here: each process would import torch anew."""
    in_a_process = timing.measure_load

    def load(model: Bundle, name: str, device: str, threads: int | None, cache: Path | None) -> tuple[float, float]:
        if name == "torch":
            return in_a_process(model, name, device, threads, cache)
        return timing._load_here(str(model.path), name, device, threads, str(cache))

    monkeypatch.setattr(timing, "measure_load", load)
    done = run(
        *("model", "bench", bundle, ecg, "--rounds", 1, "--threads", 1, "--cache", cache, "--json"),
        *("--device", "cpu"),
    )
    assert done.exit_code == 0, done.output
    timings = {one["runtime"]: one for one in json.loads(done.stdout)}
    assert {"eager", "torch", "torch-bf16", "onnx", "openvino", "openvino-bf16", "torch-fp16"} <= set(timings)
    assert timings["torch"]["largest_probability_change"] <= 1e-6
    assert timings["torch"]["peak_megabytes"] > 100
    assert "CUDA" in timings["torch-fp16"]["reason"]


RUNTIMES = pytest.mark.parametrize("runtime", ["onnx", pytest.param("torch-bf16", marks=needs_bf16)])


@RUNTIMES
def test_prepare_measures_on_the_recordings_given(bundle: Path, ecg: Path, cache: Path, runtime: str) -> None:
    done = run("model", "prepare", bundle, ecg, "--runtime", runtime, "--cache", cache, "--device", "cpu", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["segments"] == 2
    assert 0 < found["largest_probability_change"] <= found["limit"]
    assert found["measured_on"] == "1 recordings given (0 more files could not be read)"


@RUNTIMES
def test_prepare_without_recordings_takes_those_of_the_package(
    bundle: Path, ecg: Path, cache: Path, runtime: str
) -> None:
    done = run("model", "prepare", bundle, "--runtime", runtime, "--cache", cache, "--device", "cpu", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert "real ECG of a Mortara ELI 250" in found["measured_on"]
    (real,) = read_ecgs(ecg)
    assert Record(signal=real.signal, sampling_rate=real.sampling_rate).digest in found["inputs"]
    assert found["segments"] == 2 * len(found["inputs"]) == 24


@needs_bf16
def test_the_service_measures_a_new_runtime_on_the_recordings_of_the_package(bundle: Path, tmp_path: Path) -> None:
    model = Model(bundle=str(bundle), runtime="torch-bf16", cache=tmp_path, device="cpu")
    assert open_predictor(Settings(model=model)).runtime == "torch-cpu-bf16"
    (record,) = tmp_path.rglob("torch-bf16.json")
    assert "real ECG of a Mortara ELI 250" in json.loads(record.read_text())["measured_on"]


def test_embed_npy_and_parquet_hold_the_same_rows(bundle: Path, ecg: Path, tmp_path: Path) -> None:
    npy, parquet = tmp_path / "e.npy", tmp_path / "e.parquet"
    assert run("embed", ecg, ecg, "--model", bundle, "--out", npy).exit_code == 0
    values = np.load(npy)
    assert values.shape == (2, 32)
    assert values.dtype == np.float32
    assert (tmp_path / "e.csv").read_text().splitlines()[1].startswith(f"0,{ecg},0,")
    reader = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    assert run("embed", ecg, ecg, "--model", bundle, "--out", parquet).exit_code == 0
    table = reader.read_table(parquet)
    np.testing.assert_array_equal(np.stack(table["embedding"].to_numpy(zero_copy_only=False)), values)
    assert len(table.schema.metadata[b"model_id"]) == 64


def test_embed_says_what_it_left_out(bundle: Path, ecg: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.dcm").write_text("not an ECG")
    done = run("embed", ecg, tmp_path / "notes.dcm", "--model", bundle, "--out", tmp_path / "e.npy", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["rows"] == 1
    assert found["left_out"][0]["file"].endswith("notes.dcm")


def test_embed_to_an_unknown_format(bundle: Path, ecg: Path, tmp_path: Path) -> None:
    done = run("embed", ecg, "--model", bundle, "--out", tmp_path / "e.xlsx")
    assert isinstance(done.exception, InputError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra", [(), ("--method", "gradient", "--label", "troponin")])
def test_explain_draws_a_picture(bundle: Path, ecg: Path, tmp_path: Path, extra: tuple[str, ...]) -> None:
    png = tmp_path / "e.png"
    done = run("explain", ecg, "--model", bundle, "--png", png, *extra)
    assert done.exit_code == 0, done.output
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "looked most at" in done.stdout


def test_explain_of_an_unknown_method_or_label(bundle: Path, ecg: Path, tmp_path: Path) -> None:
    done = run("explain", ecg, "--model", bundle, "--png", tmp_path / "e.png", "--method", "oracle")
    assert isinstance(done.exception, InputError)
    done = run(
        "explain", ecg, "--model", bundle, "--png", tmp_path / "e.png", "--method", "gradient", "--label", "luck"
    )
    assert isinstance(done.exception, EcgFmError)
    assert not (tmp_path / "e.png").exists()
