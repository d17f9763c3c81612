"""The ONNX file is usable by a stranger: by name, with its meaning inside, at any batch, and equal to torch."""

import json
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ecgfm
from ecgfm.checkpoint import Bundle
from ecgfm.encoder import PositionalConv
from ecgfm.errors import BundleError, RuntimeTooInexact
from ecgfm.heads import INTERPRETATION, REDUCED_LVEF, TROPONIN, Beta, Isotonic, Platt
from ecgfm.predictor import Predictor
from ecgfm.prior_shift import PriorShift
from ecgfm.provenance import Provenance
from ecgfm.records import Record
from ecgfm.runtimes import onnx_export as export
from ecgfm.runtimes.positional_dft import PositionalDft
from tests.helpers.synthetic import synthetic_ecgs
from tests.helpers.tiny_models import TINY, tiny_network

pytestmark = pytest.mark.slow(10)

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
if find_spec("onnxscript") is None:  # to load it takes a second of every worker that only collects
    pytest.skip("onnxscript is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of every kind of calibration, and a prior shift."""
    kinds = (
        Isotonic(logits=(-1.0, 0.0, 1.0), probabilities_at=(0.1, 0.3, 0.9)),
        Platt(slope=1.5, intercept=-0.3),
        Beta(a=1.2, b=0.7, c=-0.4),
    )
    calibrated = replace(
        INTERPRETATION,
        calibration={label: kinds[column % 3] for column, label in enumerate(INTERPRETATION.labels)},
        prior_shifts={"Sinus rhythm": PriorShift(learnt=0.8, stated=0.3)},
    )
    network = tiny_network()
    network.specs = (REDUCED_LVEF, TROPONIN, calibrated)
    path = tmp_path_factory.mktemp("calibrated") / "bundle"
    return Bundle.write(path, network, name="tiny", version="1", demo=True, provenance=Provenance())


@pytest.fixture(scope="module")
def file(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    exported = export.export_onnx(bundle, path)
    assert exported.path == path
    assert exported.largest_logit_difference <= 1e-5
    return path


def test_only_what_the_file_says_is_needed_to_use_it(file: Path, bundle: Bundle) -> None:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    heads = {head["name"]: head["labels"] for head in json.loads(about["heads"])}
    assert heads["interpretation"][0] == "Poor data quality"
    assert json.loads(about["leads"])[:4] == ["I", "II", "III", "aVR"]
    assert (about["sampling_rate_hz"], about["segment_samples"]) == ("500", "2500")
    assert about["model_id"] == bundle.model_id
    assert about["preprocessing"] == bundle.preprocessing
    assert json.loads(about["demo"]) is True
    assert [output.name for output in session.get_outputs()] == ["embedding", *heads]
    network = ecgfm.load(bundle.path)
    for batch in (1, 2, 7):
        source = torch.randn(batch, 12, 2500, generator=torch.Generator().manual_seed(batch))
        embedding, *logits = session.run(None, {"source": source.numpy()})
        np.testing.assert_allclose(embedding, network.embed(source), atol=1e-5)
        np.testing.assert_allclose(np.concatenate(logits, axis=1), network(source), atol=1e-5)
        assert [values.shape for values in logits] == [(batch, len(labels)) for labels in heads.values()]


def test_the_documented_code_gives_the_programs_own_scores(file: Path, bundle: Bundle) -> None:
    document = (Path(__file__).parents[2] / "model" / "ONNX.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    documented: dict[str, Any] = {}
    exec(code, documented)  # noqa: S102  # our own document, run as a stranger would
    signal = synthetic_ecgs(1)[0]
    for rate, own in ((500, signal), (250, signal[:, ::2]), (400, signal[:, :4100])):
        (expected,) = Predictor.from_bundle(bundle.path, device="cpu").predict([Record(signal=own, sampling_rate=rate)])
        found = documented["score"](file, own, rate)
        assert [(one.head, one.label) for one in expected.heads] == [(h, label) for h in found for label in found[h]]
        for one in expected.heads:
            assert found[one.head][one.label] == pytest.approx(one.probability, abs=1e-5)


def test_metadata_is_read_back(file: Path, bundle: Bundle, tmp_path: Path) -> None:
    assert export.read_metadata(file) == export.metadata(bundle)
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(BundleError, match="not an ONNX file"):
        export.read_metadata(tmp_path / "text.onnx")


def test_an_export_that_disagrees_is_not_written(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_write", lambda *_: None)
    monkeypatch.setattr(export, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(RuntimeTooInexact, match="nothing was written"):
        export.export_onnx(bundle, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kernel", "groups"), [(16, 4), (15, 2), (128, 8), (3, 1)])
@pytest.mark.parametrize("frames", [156, 40])
def test_positions_by_transform_equal_the_convolution(kernel: int, groups: int, frames: int) -> None:
    positions = PositionalConv(replace(TINY, conv_pos_kernel=kernel, conv_pos_groups=groups))
    positions.fold()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, frames, TINY.width, generator=generator)
    with torch.no_grad():
        conv = positions.pos_conv[0]
        assert isinstance(conv, torch.nn.Conv1d)
        conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator))
        assert torch.allclose(PositionalDft(positions, frames)(x), positions(x), atol=2e-4, rtol=1e-5)
