"""`pretrain`, `model probe`, `model map` and `model from-checkpoint` on the command line:
from a folder or the store to a bundle.
"""

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from ecgfm.checkpoint import Bundle
from ecgfm.loading import load
from ecgfm.pretraining.shards import ShardSet
from ecgfm.signal import prepare
from ecgfm_clinical.cli import pretrain as commands
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.operate.setup import write_installation
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.wiring import open_store
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents
from tests.helpers.fakes import Clock, make_ecg
from tests.helpers.tiny_models import encoder_table, write_tiny_bundle

pytestmark = pytest.mark.slow

RECIPE = f"""
name = "tiny"
{encoder_table()}[objective]
codes = 8
code_width = 16
negatives = 10
[training]
epochs = 2
pairs_per_micro_batch = 4
log_every = 1
"""


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer(pretty_exceptions_enable=False)
    made.command("pretrain")(commands.pretrain)
    made.command("from-checkpoint")(commands.from_checkpoint)
    made.command("probe")(commands.probe)
    made.command("map")(commands.embedding_map)
    return made


@pytest.fixture
def run(app: typer.Typer) -> Callable[..., str]:
    def invoke(*arguments: str | Path) -> str:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())  # a narrow terminal folds lines

    return invoke


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Thirty recordings of thirty patients; half of them carry a fast rhythm that any embedding shows."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    stream = np.random.default_rng(0)
    time = np.arange(5000) / 500
    signal = stream.normal(size=(30, 12, 5000)) * 0.1
    signal += np.sin(2 * np.pi * np.where(np.arange(30) % 2, 3.0, 1.0)[:, None, None] * time)
    np.savez(folder / "all.npz", signal=signal, sampling_rate=500.0)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = [(f"all.npz#{number}", f"p{number}", number % 2, "") for number in range(30)]
        csv.writer(file).writerows([("recording", "patient", "fast", "unknown"), *rows])
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return folder


def test_a_folder_becomes_a_bundle_and_a_fairseq_file(
    run: Callable[..., str], recordings: Path, tmp_path: Path
) -> None:
    pytest.importorskip("lightning.fabric", reason="optional extra `train`")
    recipe, out = tmp_path / "recipe.toml", tmp_path / "run"
    told = run("pretrain", "--recipe", recipe, "--data", recordings, "--out", out, "--prepare-only")
    assert "30 of 30 recordings, 60 segments" in told
    assert not (out / "checkpoints").exists()
    told = run("pretrain", "--recipe", recipe, "--out", out, "--device", "cpu", "--bundle", tmp_path / "bundle")
    assert "update 14/14 epoch 2" in told
    assert Bundle.read(tmp_path / "bundle").provenance.origin["updates"] == 14
    (checkpoint,) = (out / "checkpoints").glob("update-*.pt")
    run("from-checkpoint", checkpoint, "--fairseq", tmp_path / "exported.pt")
    assert load(tmp_path / "exported.pt").config.width == 16


def test_sigterm_keeps_a_checkpoint_and_writes_no_half_trained_bundle(
    app: typer.Typer, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightning.fabric", reason="optional extra `train`")
    monkeypatch.setattr(commands, "_report", lambda news: os.kill(os.getpid(), signal.SIGTERM))
    named = {"--recipe": tmp_path / "recipe.toml", "--data": recordings, "--out": tmp_path / "run"}
    given = [str(one) for pair in named.items() for one in pair] + [
        "--device",
        "cpu",
        "--bundle",
        str(tmp_path / "bundle"),
    ]
    done = CliRunner().invoke(app, ["pretrain", *given], catch_exceptions=False)
    assert "start the same command again" in done.output
    assert not (tmp_path / "bundle").exists()
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["update-00000001.pt"]
    (tmp_path / "bundle").mkdir()
    with pytest.raises(InputError, match="never overwritten"):
        CliRunner().invoke(app, ["pretrain", *given], catch_exceptions=False)


def test_the_probe_reports_every_label_and_what_it_left_out(
    run: Callable[..., str], recordings: Path, tmp_path: Path
) -> None:
    write_tiny_bundle(tmp_path / "bundle")
    told = json.loads(run("probe", tmp_path / "bundle", "--labels", recordings / "labels.csv", "--json"))
    (found,) = told["labels"]
    assert found["label"] == "fast"
    assert found["positives"] == 15
    assert 0.5 < found["auroc"]["low"] <= found["auroc"]["value"] <= found["auroc"]["high"] <= 1
    assert "0 patients with" in told["skipped"]["unknown"]
    assert "fast" in run("probe", tmp_path / "bundle", "--labels", recordings / "labels.csv")


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".html", b"<!doctype html>")])
def test_the_map_is_a_picture_or_a_page(
    run: Callable[..., str], recordings: Path, tmp_path: Path, suffix: str, start: bytes
) -> None:
    write_tiny_bundle(tmp_path / "bundle")
    out = tmp_path / f"map{suffix}"
    run("map", tmp_path / "bundle", "--labels", recordings / "labels.csv", "--out", out)
    assert out.read_bytes().startswith(start)


def test_a_map_of_another_kind_is_refused(app: typer.Typer, recordings: Path, tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "bundle")
    arguments = ["map", tmp_path / "bundle", "--labels", recordings / "labels.csv", "--out", tmp_path / "map.pdf"]
    with pytest.raises(InputError, match=r"ends in \.png or \.svg or \.html"):
        CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)


def test_recordings_of_the_store_are_paired_by_patient_and_prepared_in_place(
    run: Callable[..., str], recordings: Path, tmp_path: Path
) -> None:
    settings = write_installation(tmp_path / "site")
    store = open_store(read_settings(settings))
    clock = Clock()
    alike = make_ecg(1).patient
    ecgs = [make_ecg(1), make_ecg(2, patient=alike), make_ecg(3), make_ecg(4, test_data=True)]
    for ecg in ecgs:
        content = ecg.source_id.encode()
        received = Received(transport="dicom", source="cart", content=content, received_at=clock(), peer="CART")
        store.intake.record(received, Contents(ecgs=(ecg,)), now=clock(), actor="cart")
    store.close()
    source = ("--from-store", "--settings", settings)
    out = tmp_path / "run"
    told = run("pretrain", "--recipe", tmp_path / "recipe.toml", "--out", out, *source, "--prepare-only")
    assert "3 of 3 recordings, 6 segments" in told
    shards = ShardSet.open(out / "shards")
    first, second, other = (shards.index["patient"][row] for row in (0, 2, 4))
    assert first == second != other
    np.testing.assert_array_equal(shards.read(0), prepare(ecgs[0].signal, 500.0)[0])
    kept = b"".join(path.read_bytes() for path in (out / "shards").iterdir() if path.suffix != ".bin")
    assert alike.identifiers[0].value.encode() not in kept
    assert ecgs[0].source_id.encode() not in kept
