"""A network of several encoders: each head answers from its own, as it would alone, and nothing about it is guessed."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import ecgfm
from ecgfm import saliency_checks
from ecgfm.checkpoint import MANIFEST, Bundle
from ecgfm.errors import BundleError, NoHead, TrainingError
from ecgfm.explain import Explainer, explain, explain_leads
from ecgfm.finetuning.candidate import Model, fingerprints, joined, without
from ecgfm.finetuning.trained import with_head
from ecgfm.heads import REDUCED_LVEF, TROPONIN
from ecgfm.predictor import HeadPrediction, Predictor
from ecgfm.provenance import Provenance
from ecgfm.records import Record, Recordings
from ecgfm.runtimes import EXACT, LIMITS
from ecgfm.runtimes.gpu_runtime import GpuRuntime
from ecgfm.signal import BY_CLOCK
from tests.helpers.processors import OPENVINO_RUNS
from tests.helpers.synthetic import synthetic_ecgs
from tests.helpers.tiny_models import tiny_network, tiny_network_of_two

pytestmark = pytest.mark.slow(7)

SOURCE = torch.randn(2, 12, 2500, generator=torch.Generator().manual_seed(0))


def written(folder: Path, model: Model) -> Bundle:
    provenance = Provenance(origin={"training": "none"})
    return Bundle.write(folder, model.network, name="x", version="1", demo=True, provenance=provenance)


def model_of(network: ecgfm.network.EcgFm) -> Model:
    return Model(network=network, specs=network.specs, origin="x 1")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return written(tmp_path_factory.mktemp("two") / "bundle", model_of(tiny_network_of_two()))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, two: Bundle) -> tuple[Bundle, Bundle]:
    """The same heads in bundles of one encoder each."""
    model, folder = Model.of(two), tmp_path_factory.mktemp("alone")
    first, second = without(model, ["troponin"]), without(model, ["reduced_lvef", "interpretation"])
    return written(folder / "first", first), written(folder / "second", second)


def told(bundle: Bundle, records: list[Record]) -> list[dict[tuple[str, str], HeadPrediction]]:
    predictions = Predictor.from_bundle(bundle.path, device="cpu", threads=1).predict(records)
    return [{(one.head, one.label): one for one in prediction.heads} for prediction in predictions]


def test_it_is_written_and_read_back(two: Bundle) -> None:
    again = Bundle.read(two.path)
    assert (again.manifest(), again.model_id) == (two.manifest(), Bundle.read(two.path).model_id)
    assert [spec.encoder for spec in again.heads] == [0, 1, 0]
    assert json.loads((two.path / MANIFEST).read_text())["format_version"] == 3
    assert torch.equal(again.network().eval()(SOURCE), tiny_network_of_two().eval()(SOURCE))


def test_each_head_says_what_it_says_alone(two: Bundle, alone: tuple[Bundle, Bundle], records: list[Record]) -> None:
    """To the last bit, whatever stands beside the ECG."""
    apart = [first | second for first, second in zip(*(told(one, records[:6]) for one in alone), strict=True)]
    assert told(two, records[:6]) == apart
    assert told(two, records[5::-1]) == apart[::-1]


def test_the_network_of_load_says_the_same(two: Bundle, alone: tuple[Bundle, Bundle]) -> None:
    network, first, second = (ecgfm.load(one.path) for one in (two, *alone))
    assert network.labels == ("reduced_lvef", "troponin", *first.labels[1:])
    with torch.inference_mode():
        found, others, troponin = network(SOURCE), first(SOURCE), second(SOURCE)
        assert torch.equal(network.embed(SOURCE), first.embed(SOURCE)), "an embedding is the first encoder's"
    assert torch.equal(found[:, 1:2], troponin)
    assert torch.equal(torch.cat([found[:, :1], found[:, 2:]], dim=1), others)


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_other_runtimes_say_the_same(
    two: Bundle, records: list[Record], tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(name, name))
    if name == "openvino" and not OPENVINO_RUNS:
        pytest.skip("oneDNN is told to see less than this processor has")
    few, cache = records[:3], tmp_path_factory.getbasetemp() / "two-exported"  # exported once
    found = Predictor.from_bundle(
        two.path,
        runtime=name,
        device="cpu",
        threads=1,
        cache=cache,
        recordings=lambda: Recordings(records=tuple(few), about="3 invented ECGs"),
    )
    answers = found.predict(few)
    assert answers[::-1] == found.predict(few[::-1])
    for answer, expected in zip(answers, told(two, few), strict=True):
        assert [(one.head, one.label) for one in answer.heads] == list(expected)
        changes = [abs(one.probability - expected[one.head, one.label].probability) for one in answer.heads]
        assert max(changes) <= LIMITS[name]


def test_the_arrangement_for_a_gpu_says_the_same(two: Bundle, records: list[Record]) -> None:
    runtime = GpuRuntime(two.network(), device=torch.device("cpu"), shape=4)
    found = Predictor(two, runtime).predict(records[:2])
    for answer, expected in zip(found, told(two, records[:2]), strict=True):
        changes = [abs(one.probability - expected[one.head, one.label].probability) for one in answer.heads]
        assert max(changes) <= EXACT
    embedding = runtime.embed(SOURCE.repeat(2, 1, 1).numpy())
    with torch.inference_mode():
        np.testing.assert_allclose(embedding[:2], ecgfm.load(two.path).embed(SOURCE).numpy(), atol=1e-5)


def test_each_encoder_runs_once_a_call(two: Bundle) -> None:
    network = ecgfm.load(two.path)
    calls: list[object] = []
    for encoder in network.encoders:
        encoder.register_forward_hook(lambda *arguments: calls.append(arguments[0]))
    network(SOURCE)
    assert calls == list(network.encoders)


def test_a_head_is_the_same_head_wherever_its_encoder_stands(two: Bundle, alone: tuple[Bundle, Bundle]) -> None:
    """What was judged once needs no second judgement."""
    whole = fingerprints(Model.of(two))
    assert whole == fingerprints(Model.of(alone[0])) | fingerprints(Model.of(alone[1]))
    moved = copy.deepcopy(Model.of(two))
    with torch.no_grad():
        next(moved.network.encoders[1].parameters()).add_(1.0)
    changed = {head for head, one in fingerprints(moved).items() if one != whole[head]}
    assert changed == {"troponin"}


@pytest.mark.parametrize(
    ("heads", "message"), [([0, 2, 0], "encoder 2, the bundle has 2"), ([0, 0, 0], "no head stands on encoder 1")]
)
def test_heads_that_do_not_fit_the_encoders(two: Bundle, tmp_path: Path, heads: list[int], message: str) -> None:
    manifest = two.manifest() | {
        "heads": [replace(one, encoder=at).to_json() for one, at in zip(two.heads, heads, strict=True)]
    }
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=message):
        Bundle.read(tmp_path)
    with pytest.raises(BundleError, match="on other encoders"):
        Bundle.write(
            tmp_path / "b",
            tiny_network_of_two(),
            name="x",
            version="1",
            demo=True,
            provenance=Provenance(),
            heads=[replace(one, encoder=0) for one in two.heads],
        )


def test_a_head_trained_on_the_encoder_shares_it_and_any_other_brings_its_own() -> None:
    base = model_of(tiny_network())
    probe = joined(base, with_head(base.network, REDUCED_LVEF), REDUCED_LVEF)
    assert len(probe.network.encoders) == 1
    tuned = joined(base, with_head(tiny_network(seed=1), REDUCED_LVEF), REDUCED_LVEF)
    assert [(spec.name, spec.encoder) for spec in tuned.specs] == [
        ("troponin", 0),
        ("interpretation", 0),
        ("reduced_lvef", 1),
    ]
    kept = {head: one for head, one in fingerprints(base).items() if head != "reduced_lvef"}
    assert kept.items() <= fingerprints(tuned).items()
    again = joined(tuned, with_head(tiny_network(seed=1), TROPONIN), TROPONIN)
    assert {spec.name: spec.encoder for spec in again.specs} == {"interpretation": 0, "reduced_lvef": 1, "troponin": 1}
    alone = joined(without(tuned, ["interpretation", "troponin"]), with_head(tiny_network(seed=2), TROPONIN), TROPONIN)
    replaced = joined(alone, with_head(tiny_network(seed=3), REDUCED_LVEF), REDUCED_LVEF)
    assert {spec.name: spec.encoder for spec in replaced.specs} == {"troponin": 0, "reduced_lvef": 1}
    assert len(replaced.network.encoders) == 2, "the encoder of the head that was replaced is gone"


def test_encoders_that_read_ecgs_prepared_differently_are_not_joined() -> None:
    trained = with_head(tiny_network(seed=1), REDUCED_LVEF)
    base = tiny_network()
    base.preprocessing, trained.preprocessing = "z-score-5s", BY_CLOCK
    with pytest.raises(TrainingError, match="model renew"):
        joined(model_of(base), trained, REDUCED_LVEF)


@pytest.mark.parametrize("method", ["attention", "rollout", "gradient"])
def test_a_map_is_of_the_encoder_of_the_label(two: Bundle, alone: tuple[Bundle, Bundle], method: str) -> None:
    signal = synthetic_ecgs(1)[0]
    networks = [ecgfm.load(one.path) for one in (two, *alone)]
    for label, other in (("reduced_lvef", 1), ("troponin troponin", 2)):
        found, expected = (
            explain(network, signal, 500, method=method, label=label).weights  # type: ignore[arg-type]
            for network in (networks[0], networks[other])
        )
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(NoHead, match="say which label"):
        explain(networks[0], signal, 500, method=method)  # type: ignore[arg-type]
    question = Explainer(networks[0], method=method, label="troponin").question  # type: ignore[arg-type]
    assert "troponin" in question


def test_maps_of_leads_and_their_checks_are_of_that_encoder_too(
    two: Bundle, alone: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    signal, networks = synthetic_ecgs(1)[0][:, :2500], (ecgfm.load(two.path), ecgfm.load(alone[1].path))
    whole, own = (explain_leads(one, signal, 500, head="troponin", label="troponin").weights for one in networks)
    np.testing.assert_array_equal(whole, own)
    monkeypatch.setattr(saliency_checks, "FRACTIONS", (0.0, 0.5))
    monkeypatch.setattr(saliency_checks, "RANDOM_ORDERS", 1)
    checks = [saliency_checks.check(one, signal, 500, method="attention", label="troponin") for one in networks]
    assert checks[0] == checks[1]


def test_labels_of_one_name_are_told_apart_by_their_heads() -> None:
    twin = replace(TROPONIN, name="troponin_late")
    model = joined(model_of(tiny_network()), with_head(tiny_network(seed=1), twin), twin)
    with pytest.raises(NoHead, match="troponin troponin, troponin_late troponin"):
        explain(model.network, synthetic_ecgs(1)[0], 500, method="gradient", label="troponin")
    assert len(explain(model.network, synthetic_ecgs(1)[0], 500, label="troponin_late troponin").weights)
