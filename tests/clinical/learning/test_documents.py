"""What the version before this one wrote is read: its bundles, reports and drift reports; what is damaged is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ecgfm.checkpoint import Bundle
from ecgfm.config import EncoderConfig
from ecgfm.heads import HeadSpec
from ecgfm.provenance import Provenance
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.documents import FORMAT_VERSION, parse, plain
from ecgfm_clinical.learning.drift.report import DriftReport
from ecgfm_clinical.learning.drift.report import page as drift_page
from ecgfm_clinical.learning.judging.gate import refusals
from ecgfm_clinical.learning.provenance import head_records
from ecgfm_clinical.learning.report import document, page
from ecgfm_clinical.learning.report.card import card
from ecgfm_clinical.rules import GateRules

pytestmark = pytest.mark.slow(5)

#: Written by `retrain`, `model recalibrate` and `drift` as they were before their values had types.
BEFORE = Path(__file__).parents[2] / "data" / "learning" / "before_types"


def told(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BEFORE / name).read_text(encoding="utf-8"))
    return found


@pytest.fixture
def bundle() -> Bundle:
    """The manifest of a bundle with two heads, one of them recalibrated; its weights are not needed."""
    manifest = told("bundle.json")
    return Bundle(
        path=BEFORE,
        name=manifest["name"],
        version=manifest["version"],
        demo=manifest["demo"],
        preprocessing=manifest["preprocessing"],
        config=EncoderConfig.from_json(manifest["encoder"]),
        heads=tuple(HeadSpec.from_json(entry) for entry in manifest["heads"]),
        provenance=Provenance.from_json(manifest["provenance"]),
        weights_sha256=manifest["weights"]["sha256"],
    ).identified(manifest["provenance"])


def test_a_bundle_of_the_version_before_has_the_same_card(bundle: Bundle) -> None:
    """But for what a card says since of a calibration that came after the training."""
    told = card(bundle)
    anew = [line for line in told.splitlines(keepends=True) if "calibrated anew" in line]
    assert len(anew) == 1, "of the one head that was"
    assert "kept, operating point specificity >= 0.6, chosen on (South 20 validation ECGs of this site)" in anew[0]
    assert told.replace("\n" + anew[0], "") == (BEFORE / "card.txt").read_text(encoding="utf-8")


def test_what_a_bundle_says_of_its_heads_is_read_and_written_alike(bundle: Bundle) -> None:
    assert bundle.provenance.to_json() == told("bundle.json")["provenance"]
    found = head_records(bundle)
    assert {head: record.to_json() for head, record in found.items()} == bundle.provenance.heads
    trained, recalibrated = found["reduced_lvef"].trained, found["reduced_lvef"].recalibrated
    assert trained is not None
    assert trained.cohort.splits["test"].positives["reduced_lvef"] > 0
    assert trained.metrics["reduced_lvef"].metrics["auroc"].value > 0
    assert recalibrated is not None
    assert recalibrated.site == "Test clinic"
    assert bundle.provenance.lineage[0].name == "base"


def test_a_provenance_changed_by_hand_is_named_and_does_not_keep_a_model_from_its_place(bundle: Bundle) -> None:
    strange = replace(bundle, provenance=replace(bundle.provenance, heads={"reduced_lvef": {"as_of": "yesterday"}}))
    with pytest.raises(LearningError, match=r"the provenance of .*, reduced_lvef cannot be read: \w+: "):
        head_records(strange)
    assert strange.provenance.lineage == bundle.provenance.lineage


def test_a_report_of_the_version_before_is_read_judged_and_written_alike(tmp_path: Path) -> None:
    report = document.read(BEFORE)
    judged = report.labels["reduced_lvef"]
    assert refusals("x", judged, GateRules(min_positives=10_000))[0].endswith("10000 needed")
    shown = page.write(report, tmp_path).read_text(encoding="utf-8")
    assert shown.count("<svg") >= 5
    again = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert again == {"format_version": FORMAT_VERSION, **told("report.json")}
    assert document.read(tmp_path) == report


def test_a_drift_report_of_the_version_before_is_read() -> None:
    report = parse(DriftReport, told("drift.json"), what="drift.json")
    assert [plain(finding) for finding in report.findings] == told("drift.json")["findings"]
    assert drift_page(report).count("<svg") >= 5


def test_notes_of_a_training_are_kept_without_a_warning(bundle: Bundle, recwarn: pytest.WarningsRecorder) -> None:
    trained = head_records(bundle)["reduced_lvef"].trained
    assert trained is not None
    assert plain(replace(trained, training={"betas": (0.9, 0.98)}))["training"] == {"betas": [0.9, 0.98]}
    assert not recwarn.list


def test_what_is_not_defined_is_null_on_disk() -> None:
    report = told("report.json")
    report["labels"]["reduced_lvef"]["metrics"]["ppv"] = {"value": None, "low": None, "high": None}
    found = parse(document.Report, report, what="report.json")
    assert plain(found)["labels"]["reduced_lvef"]["metrics"]["ppv"] == {"value": None, "low": None, "high": None}
    assert "not defined" in page.page(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "has format version 2, this program reads 1; update it"),
        ({"labels": {"reduced_lvef": {}}}, r"report\.json cannot be read: labels\.reduced_lvef\.\w+: Field required"),
        ({"as_of": "yesterday"}, r"report\.json cannot be read: as_of: "),
    ],
)
def test_a_report_that_cannot_be_read_says_where(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (tmp_path / "report.json").write_text(json.dumps(told("report.json") | change))
    with pytest.raises(LearningError, match=words):
        document.read(tmp_path)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(LearningError, match=r"report\.json cannot be read as JSON"):
        document.read(tmp_path)
