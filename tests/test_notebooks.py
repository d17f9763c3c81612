"""The notebooks of docs/notebooks run from top to bottom, each at a tiny size, and say what their files say."""

import csv
import json
import runpy
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgfm.predictor import Predictor
from ecgfm.records import Record
from ecgfm_clinical.learning.judging import cross_validation
from ecgfm_connectors.testing import dicom_writer
from tests.helpers import data_sets
from tests.helpers.fakes import make_ecg
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = [pytest.mark.slow(25), pytest.mark.usefixtures("quick_judging")]

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("notebooks") / "tiny").path


def run(name: str, monkeypatch: pytest.MonkeyPatch, **parameters: object) -> dict[str, Any]:
    """The notebook's variables at its end."""
    for key, value in parameters.items():
        monkeypatch.setenv(f"ECG_{key.upper()}", str(value))
    return runpy.run_path(str(NOTEBOOKS / f"{name}.py"))


def rows_of(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


def test_every_notebook_is_in_the_percent_format_with_its_parameters_first() -> None:
    """A first cell of text, and a cell of parameters that the tags name, as jupytext and papermill read them."""
    files = sorted(NOTEBOOKS.glob("*.py"))
    assert [file.stem for file in files] == [
        "read_a_saliency_map", "reproduce_a_table", "score_my_folder", "train_a_head"
    ]  # fmt: skip
    for file in files:
        head, _, body = file.read_text(encoding="utf-8").partition("# %%")
        assert "format_name: percent" in head
        assert body.startswith(" [markdown]\n# # ")
        assert body.count('# %% tags=["parameters"]\n') == 1


def test_a_folder_is_scored_and_what_is_none_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecg = make_ecg(1)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.dcm").write_bytes(dicom_writer.write_ecg(ecg))
    (tmp_path / "in" / "damaged.dcm").write_bytes(dicom_writer.write_ecg(ecg)[:3000])
    run("score_my_folder", monkeypatch, folder=tmp_path / "in", model=bundle, out=tmp_path / "scores.csv")
    rows = rows_of(tmp_path / "scores.csv")
    assert {(row["file"], bool(row["reason"])) for row in rows} == {("one.dcm", False), ("damaged.dcm", True)}
    (expected,) = Predictor.from_bundle(bundle, device="cpu").predict(
        [Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate)]
    )
    found = [(row["head"], row["label"], float(row["probability"])) for row in rows if not row["reason"]]
    assert [one[:2] for one in found] == [(one.head, one.label) for one in expected.heads]
    assert [one[2] for one in found] == pytest.approx([one.probability for one in expected.heads], abs=2e-3)


def test_without_a_folder_generated_recordings_are_scored(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run("score_my_folder", monkeypatch, model=bundle, out=tmp_path / "scores.csv")
    assert list(found["ecgs"]) == ["one.hea", "two.hea"]
    assert list(found["reasons"]) == ["letter.txt"]


def test_a_head_is_trained_judged_and_opened(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exchanged arm electrodes are found by a linear head on random weights: they turn lead I over."""
    found = run("train_a_head", monkeypatch, model=bundle, out=tmp_path / "out")
    assert found["trained"].labels["my_head"] == ("arms_exchanged",)
    assert found["auroc"]["value"] > 0.8
    assert (found["report"].with_suffix(".html")).is_file()
    assert "140 recordings can be used, 0 cannot" in capsys.readouterr().out


def test_a_saliency_map_is_read_with_its_checks(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run("read_a_saliency_map", monkeypatch, model=bundle, picture=tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    told = capsys.readouterr().out
    for name, one in found["checks"].items():
        verdict = next(line for line in told.splitlines() if line.startswith(f"{name}: "))
        assert ("read nothing into it" in verdict) == (not (one.depends_on_the_weights and one.is_faithful))
    assert sum(found["share"]) == pytest.approx(1)


def test_the_table_is_made_from_a_folder_in_the_layout_of_ptb_xl(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data_sets.ptb_xl(tmp_path / "ptb-xl", patients=30)
    rows = rows_of(folder / "ptbxl_database.csv")
    for row in rows:  # each superclass has its patients
        row["scp_codes"] = f"{{'{('NORM', 'CRBBB', 'IMI', 'NDT', 'LVH')[int(float(row['patient_id'])) % 5]}': 100.0}}"
    data_sets.write_csv(folder / "ptbxl_database.csv", [list(rows[0]), *[list(row.values()) for row in rows]])
    # Its 500 trees a label and fold are tested where they stand, and take longer than all the rest here.
    monkeypatch.setattr(cross_validation, "forest", lambda train, truth, test: np.full(len(test), truth.mean()))
    other = write_tiny_bundle(tmp_path / "other", seed=1).path
    models = shlex.join([str(bundle), str(other)])
    found = run("reproduce_a_table", monkeypatch, folder=folder, models=models, folds=3, out=tmp_path / "out")
    assert found["agree"]
    lines = (tmp_path / "out" / "table.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "|  | positives | age and sex | random forest | linear, tiny | linear, other |"
    (result,) = (tmp_path / "out" / "tiny").glob("*-linear.json")
    labels = json.loads(result.read_text())["labels"]
    stated = {cells[1].strip(): cells for cells in (line.split("|") for line in lines[2:-1])}
    assert {name: int(cells[2]) for name, cells in stated.items()} == dict.fromkeys(
        ("NORM", "MI", "STTC", "CD", "HYP"), 12
    )
    for name, cells in stated.items():
        assert cells[5].startswith(f" {labels[name]['auroc']['model']['value']:.3f} (")


def test_without_ptb_xl_the_reader_is_told_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="Name the unpacked PTB-XL"):
        run("reproduce_a_table", monkeypatch)
