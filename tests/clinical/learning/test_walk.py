"""A stranger's walk, by the lines of model/DATASETS.md: two folders of files, each with its table, to a judged head."""

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgfm_clinical.cli import app
from tests.helpers import data_sets
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = [pytest.mark.slow(12), pytest.mark.usefixtures("quick_judging")]

DOCUMENT = Path(__file__).parents[3] / "model" / "DATASETS.md"


def lines() -> list[list[str]]:
    """What the section tells a reader to type."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("## From two folders of one's own to a judged head")[2]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found
    return [shlex.split(line)[1:] for line in found[1].splitlines()]


def here(folder: Path, people: int = 120) -> None:
    """WFDB records of 10 s at 500 Hz, one a person; the label turns the chest leads over."""
    rows: list[tuple[object, ...]] = [("recording", "patient", "age", "sex", "abnormal")]
    for number in range(people):
        abnormal = number % 2
        data_sets.write_wfdb(folder / "HERE" / "ward" / f"{number:04}", number, planted=bool(abnormal))
        rows.append((f"ward/{number:04}.hea", f"person {number}", 30 + number % 40, "FM"[number % 3 % 2], abnormal))
    data_sets.write_csv(folder / "here.csv", rows)


def there(folder: Path, people: int = 20) -> None:
    """Arrays at 250 Hz under other names, two a person; one is too short, one has no label, one is not there."""
    rows: list[tuple[object, ...]] = [("file", "patient_id", "finding")]
    (folder / "THERE").mkdir()
    for number in range(2 * people):
        finding = number // 2 % 2
        signal = data_sets.tracing(1000 + number, 2500, planted=bool(finding)).astype(np.float32)
        short = signal[:, :1000] if number == 0 else signal
        np.savez(folder / "THERE" / f"ecg{number}.npz", signal=short, sampling_rate=250)
        rows.append((f"ecg{number}.npz", f"p{number // 2}", "" if number == 1 else finding))
    rows.append(("gone.npz", "p99", 1))
    data_sets.write_csv(folder / "there.csv", rows)


def test_two_folders_and_two_tables_become_a_judged_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here(tmp_path)
    there(tmp_path)
    # The document's defaults, the demonstration model and a method chosen among five, would take a minute.
    tiny = ["--from", str(write_tiny_bundle(tmp_path / "tiny").path), "--method", "linear"]
    retrain, evaluate = lines()
    done = CliRunner().invoke(app, [*retrain, *tiny])
    assert done.exit_code == 1, done.output  # so few patients pass no gate
    assert "positive test patients, 20 needed" in done.output
    (bundle,) = (path.parent for path in Path("RUN/bundles").glob("*/bundle.json"))
    judged = CliRunner().invoke(app, [one.replace("RUN/bundles/NAME", str(bundle)) for one in evaluate])
    assert judged.exit_code == 0, judged.output
    found = json.loads(Path("JUDGED/evaluation.json").read_text())
    (label,) = found["labels"].values()
    assert (label["ecgs"], label["positives"]) == (38, 20)
    assert label["metrics"]["auroc"]["value"] > 0.9  # a linear head finds leads that are turned over, at any rate
    left_out = {step["code"]: step["excluded"] for step in found["cohort"]["steps"] if step["excluded"]}
    assert left_out == {"too-short": 1, "no-label": 1}
    rows = list(csv.DictReader(Path("JUDGED/predictions.csv").read_text().splitlines()))
    assert {row["record"] for row in rows} == {f"ecg{number}.npz" for number in range(2, 40)}
    assert "shorter than 5 s" in Path("JUDGED/evaluation.html").read_text()
