"""The shipped demo bundle: small, marked as what it is, and better than nothing on patients it never met."""

from datetime import UTC, datetime

import pytest

from ecgfm.checkpoint import Bundle
from ecgfm.predictor import Predictor
from ecgfm.records import Record
from ecgfm_clinical.demo.cases import CASES, ecg_of

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCORABLE = [case for case in CASES if case.alteration not in ("lead off", "lead missing", "too short", "noise")]

Probabilities = dict[str, float]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.read("demo")


@pytest.fixture(scope="module")
def scored() -> list[tuple[str, Probabilities]]:
    """(alteration, label -> probability) of every case that can be scored."""
    predictor = Predictor.from_bundle("demo", threads=1)
    ecgs = [ecg_of(case, NOW) for case in SCORABLE]
    predictions = predictor.predict([Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate) for ecg in ecgs])
    return [
        (case.alteration, {head.label: head.probability for head in prediction.heads})
        for case, prediction in zip(SCORABLE, predictions, strict=True)
    ]


def of(scored: list[tuple[str, Probabilities]], label: str, *alterations: str) -> list[float]:
    return [probabilities[label] for alteration, probabilities in scored if alteration in alterations]


def test_it_is_small_enough_for_the_wheel(bundle: Bundle) -> None:
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) <= 6_000_000
    assert sum(parameter.numel() for parameter in bundle.network().parameters()) <= 3_000_000


def test_it_says_everywhere_that_it_is_not_for_clinical_use(bundle: Bundle) -> None:
    assert bundle.demo
    assert "NOT FOR CLINICAL USE" in bundle.name
    assert "NOT FOR CLINICAL USE" in str(bundle.provenance.origin["intended_use"])
    assert "circular" in str(bundle.provenance.origin["outcomes"])
    card = (bundle.path / "CARD.md").read_text(encoding="utf-8")
    assert "NOT FOR CLINICAL USE" in card
    assert bundle.model_id in card


def test_it_has_the_three_heads_calibrated_and_with_thresholds(bundle: Bundle) -> None:
    assert [head.name for head in bundle.heads] == ["reduced_lvef", "troponin", "interpretation"]
    for head in bundle.heads[:2]:
        assert head.calibration is not None
        assert head.operating_points.keys() == set(head.labels)


@pytest.mark.parametrize(
    ("label", "alteration"),
    [
        ("reduced_lvef", "wide QRS"),
        ("troponin", "ST elevation"),
        ("Infarction", "ST elevation"),
        ("Atrial fibrillation", "atrial fibrillation"),
        ("Left bundle branch block", "wide QRS"),
        ("Electronic pacemaker", "paced"),
    ],
)
def test_it_tells_altered_from_plain_ecgs(scored: list[tuple[str, Probabilities]], label: str, alteration: str) -> None:
    assert min(of(scored, label, alteration)) > max(of(scored, label, ""))


def test_labels_without_a_rule_keep_their_prevalence_whatever_the_ecg(scored: list[tuple[str, Probabilities]]) -> None:
    everything = {alteration for alteration, _ in scored}
    for label, prevalence in {"Atrial flutter": 0.0180, "Right bundle branch block": 0.0825}.items():
        assert of(scored, label, *everything) == pytest.approx([prevalence] * len(scored), abs=1e-4)
