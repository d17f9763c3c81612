"""A bundle judged on an archive that is not its own, and every run's predictions by recording."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgfm.datasets.catalogue import find
from ecgfm.predictor import Predictor
from ecgfm.records import Record
from ecgfm_clinical.cli import app
from ecgfm_clinical.files.dataset_tables import write_recordings
from tests.helpers import data_sets
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = [pytest.mark.slow(13), pytest.mark.usefixtures("quick_judging")]


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    return done.exit_code, done.output + ("" if done.exception is None else str(done.exception))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PTB-XL's layout with 20 patients, and its table; a random bundle beside them."""
    folder = tmp_path_factory.mktemp("external")
    data_sets.ptb_xl(folder / "ptb-xl", patients=20)
    write_recordings(find("ptb-xl").entries(folder / "ptb-xl"), folder / "table.csv")
    write_tiny_bundle(folder / "bundle")
    return folder


def test_a_bundle_is_judged_on_another_archive_recording_by_recording(published: Path, tmp_path: Path) -> None:
    """The figures are those of `Predictor` on the same recordings, and labels that only one of the two knows are
    named.
    """
    out = tmp_path / "out"
    code, told = run(
        "evaluate", "interpretation", "--archive", published / "ptb-xl", "--table", published / "table.csv",
        "--label", "Right bundle branch block=CD", "--label", "Infarction=MI", "--label", "NORM",
        "--model", published / "bundle", "--out", out, "--json",
    )  # fmt: skip
    assert code == 0, told
    found = json.loads(told[told.index("{") :])
    judged = found["labels"]["Right bundle branch block"]
    assert (judged["ecgs"], judged["positives"]) == (40, 20)
    assert found["not_judged"]["Infarction"] == "0 of 40 recordings are positive; both kinds are needed"
    assert found["not_judged"]["NORM"] == "the head has no such label"
    assert found["not_judged"]["Sinus rhythm"] == "the archive has no such label"
    page = (out / "evaluation.html").read_text()
    assert "NOT JUDGED: Infarction: 0 of 40" in page
    assert page.count("the archive has no such label") == 1, "one note a reason, not one a label"
    assert "Sinus rhythm" in page
    assert "Compared with" not in page, "no table without rows"
    assert "<th>sensitivity</th>" not in page, "the bundle has no threshold for it"
    assert "gate" not in page.lower()
    rows = list(csv.DictReader((out / "predictions.csv").read_text().splitlines()))
    assert [row["record"] for row in rows[:2]] == ["records500/00000/00001_hr", "records500/00000/00002_hr"]
    predictor = Predictor.from_bundle(published / "bundle", runtime="torch", device="cpu")
    (expected,) = predictor.predict([Record(signal=data_sets.tracing(2, 5000, planted=True), sampling_rate=500)])
    by_label = {one.label: one.probability for one in expected.heads if one.head == "interpretation"}
    (row,) = (row for row in rows if row["record"].endswith("00003_hr"))
    assert float(row["p Right bundle branch block"]) == pytest.approx(by_label["Right bundle branch block"], abs=2e-3)
    assert (row["true Right bundle branch block"], row["true Sinus rhythm"]) == ("1", "")


def test_the_official_test_split_can_be_asked_for(published: Path, tmp_path: Path) -> None:
    ask = (
        "evaluate", "interpretation", "--archive", published / "ptb-xl", "--table", published / "table.csv",
        "--label", "Sinus rhythm=NORM", "--model", published / "bundle", "--test-split",
    )  # fmt: skip
    code, told = run(*ask, "--out", tmp_path / "out")
    assert (code, "on 4 ECGs, 2 positive" in told) == (0, True), told
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").read_text().splitlines()))
    assert {row["split"] for row in rows} == {"test"}
    code, told = run(*ask[:6], "--label", "NORM", *ask[8:], "--out", tmp_path / "other")
    assert (code, "no label is the same" in told) == (1, True)
    code, told = run(*ask)
    assert (code, "--out" in told) == (1, True)


def test_labels_that_are_not_learnt_are_said_and_end_with_1(tmp_path: Path) -> None:
    """Two of five superclasses have both kinds in every split; the other three are named in report, screen and JSON."""
    folder = data_sets.ptb_xl(tmp_path / "ptb-xl", patients=60)
    table = tmp_path / "table.csv"
    write_recordings(find("ptb-xl").entries(folder), table)
    bundle = write_tiny_bundle(tmp_path / "bundle").path
    ask = [
        "retrain", "superclasses", "--archive", folder, "--table", table, "--from", bundle, "--method", "linear",
        *[word for name in ("NORM", "MI", "STTC", "CD", "HYP") for word in ("--label", name)],
    ]  # fmt: skip
    code, told = run(*ask, "--out", tmp_path / "out")
    assert code == 1
    for name in ("MI", "STTC", "HYP"):
        assert f"NOT LEARNT {name}: 0 positive" in told
    (report,) = (tmp_path / "out" / "runs").rglob("report.html")
    assert report.read_text().count('class="note">NOT LEARNT: ') == 3
    rows = list(csv.DictReader((report.parent / "predictions.csv").read_text().splitlines()))
    assert {row["label"] for row in rows} == {"NORM", "CD"}
    judged = json.loads((report.parent / "report.json").read_text())["labels"]["CD"]
    assert sum(row["label"] == "CD" for row in rows) == judged["ecgs"]
    truth = np.array([float(row["true"]) for row in rows if row["label"] == "CD"])
    scores = np.array([float(row["model"]) for row in rows if row["label"] == "CD"])
    (trained,) = (tmp_path / "out" / "bundles").iterdir()
    code, told = run("evaluate", *ask[1:6], "--label", "CD", "--model", trained, "--out", tmp_path / "again", "--json")
    again = json.loads(told[told.index("{") :])
    assert (code, again["labels"]["CD"]["ecgs"]) == (0, judged["ecgs"]), "its own test patients, nobody it learnt from"
    written = json.loads((tmp_path / "again" / "evaluation.json").read_text(encoding="utf-8"))
    assert "only those of test patients" in written["recordings"]
    wins = [float(a > b) + 0.5 * float(a == b) for a in scores[truth == 1] for b in scores[truth == 0]]
    assert np.mean(wins) == pytest.approx(judged["metrics"]["auroc"]["value"], abs=0.02)
