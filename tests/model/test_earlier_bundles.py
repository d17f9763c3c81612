"""A bundle of the version before opens, scores and says of itself what it did in that version."""

import json
from pathlib import Path
from typing import Any

import pytest

import ecgfm
from ecgfm import errors, version
from ecgfm.checkpoint import Bundle
from ecgfm.predictor import Predictor
from ecgfm.records import Record
from tests.helpers.synthetic import synthetic_ecgs

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "data" / "bundles" / "dd64663"
TOLD: dict[str, dict[str, Any]] = json.loads((FOLDER / "told.json").read_text(encoding="utf-8"))
#: Of a probability or logit scored on another processor: sums of float32 in another order.
ROUNDING = 2e-5


@pytest.fixture(params=["tiny", "demo"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def bundle_named(name: str) -> Bundle:
    return Bundle.read("demo" if name == "demo" else FOLDER / name)


def test_it_is_the_same_model_to_the_last_word(name: str) -> None:
    bundle = bundle_named(name)
    assert bundle.model_id == TOLD[name]["model_id"]
    assert json.loads(json.dumps(bundle.manifest())) == TOLD[name]["manifest"]


def test_it_scores_as_it_did(name: str) -> None:
    records = [Record(signal=one, sampling_rate=500.0, site="North") for one in synthetic_ecgs(3)]
    predictions = Predictor.from_bundle(bundle_named(name).path, device="cpu", threads=1).predict(records)
    for prediction, before in zip(predictions, TOLD[name]["predictions"], strict=True):
        assert prediction.input_digest == before["input_digest"], "replay would speak of another ECG"
        assert (prediction.model_id, prediction.preprocessing) == (before["model_id"], before["preprocessing"])
        assert (prediction.runtime, prediction.segments) == (before["runtime"], before["segments"])
        for head, then in zip(prediction.heads, before["heads"], strict=True):
            assert (head.head, head.label, head.threshold) == (then["head"], then["label"], then["threshold"])
            assert head.probability == pytest.approx(then["probability"], abs=ROUNDING)
            assert head.logit == pytest.approx(then["logit"], abs=10 * ROUNDING)
            assert head.segment_probabilities == pytest.approx(then["segment_probabilities"], abs=ROUNDING)


def test_the_demo_bundle_goes_by_its_name() -> None:
    assert ecgfm.load("demo").labels == ecgfm.load(ecgfm.demo_bundle()).labels
    assert Predictor.from_bundle("demo", threads=1).demo
    assert ecgfm.__version__ == version.version()


def test_a_folder_called_demo_is_reached_as_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.BundleError, match="is not a model bundle"):
        Bundle.read(Path("demo"))
