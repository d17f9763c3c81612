"""Every runtime gives torch's probabilities within its limit, the same bits in any company,
and is refused otherwise.
"""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ecgfm import runtimes
from ecgfm.checkpoint import Bundle
from ecgfm.config import EncoderConfig
from ecgfm.encoder import PositionalConv
from ecgfm.errors import BundleError, RuntimeTooInexact, RuntimeUnavailable
from ecgfm.predictor import Predictor
from ecgfm.provenance import Provenance
from ecgfm.records import Record, Recordings
from ecgfm.runtimes import opening, preparation, torch_runtime
from ecgfm.runtimes.onnx_runtime import choose_provider
from ecgfm.runtimes.openvino_runtime import OpenVinoRuntime
from ecgfm.signal import reasons_not_scored
from tests.helpers.processors import OPENVINO_RUNS, needs_bf16
from tests.helpers.synthetic import synthetic_ecgs
from tests.helpers.tiny_models import tiny_network

pytestmark = pytest.mark.slow(16)

NEEDS = {"onnx": "onnxruntime", "openvino": "openvino", "openvino-bf16": "openvino"}
ON_CPU = [name for name in runtimes.NAMES if name not in ("torch-fp16", "tensorrt")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared files of the bundle, exported once for all these tests."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of which reduced precision can keep a probability within its limit: random heads, a quarter as steep.

    A logit's rounding error follows the size of the head's weights; random ones are several times those of a trained
    head.
    """
    network = tiny_network()
    with torch.no_grad():
        for parameter in network.heads.parameters():
            parameter.mul_(0.25)
    folder = tmp_path_factory.mktemp("calm") / "bundle"
    return Bundle.write(
        folder, network, name="calm", version="1", demo=True, provenance=Provenance(origin={"training": "none"})
    )


def few() -> Recordings:
    """What a runtime is measured on here."""
    signals = [*synthetic_ecgs(2), np.zeros((12, 5000), np.float32)]
    return Recordings(
        records=tuple(Record(signal=signal, sampling_rate=500) for signal in signals),
        about="2 invented ECGs, 1 flat line",
    )


def opened(bundle: Bundle, name: str, cache: Path) -> Predictor:
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    try:
        return Predictor.from_bundle(bundle.path, runtime=name, device="cpu", threads=2, cache=cache, recordings=few)
    except RuntimeUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", ON_CPU)
def test_same_bits_alone_first_last_and_among_31_others(
    bundle: Bundle, cache: Path, records: list[Record], name: str
) -> None:
    predictor = opened(bundle, name, cache)
    alone = [predictor.predict([record])[0] for record in records]
    assert predictor.predict(records) == alone
    assert predictor.predict(records[::-1]) == alone[::-1]
    shuffled = [int(index) for index in np.random.default_rng(5).permutation(len(records))]
    assert predictor.predict([records[index] for index in shuffled]) == [alone[index] for index in shuffled]


@pytest.mark.parametrize("name", ON_CPU[1:])
def test_probabilities_within_the_limit(bundle: Bundle, cache: Path, records: list[Record], name: str) -> None:
    theirs = opened(bundle, "torch", cache).predict(records)
    ours = opened(bundle, name, cache).predict(records)
    changes = [
        abs(one.probability - other.probability)
        for mine, exact in zip(ours, theirs, strict=True)
        for one, other in zip(mine.heads, exact.heads, strict=True)
    ]
    assert 0 < max(changes) <= runtimes.LIMITS[name]


@pytest.mark.parametrize("name", ON_CPU)
def test_embeddings(bundle: Bundle, cache: Path, records: list[Record], name: str) -> None:
    expected = opened(bundle, "torch", cache).embed(records[:3])
    found = opened(bundle, name, cache).embed(records[:3])
    for mine, exact in zip(found, expected, strict=True):
        assert mine is not None
        assert exact is not None
        np.testing.assert_allclose(mine, exact, atol=0.05 if "bf16" in name else 1e-5)


@needs_bf16
def test_first_opening_measures_and_the_next_believes_it(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(bundle, "torch-bf16", tmp_path)
    (record,) = tmp_path.rglob("torch-bf16.json")
    kept = json.loads(record.read_text())
    assert kept["model_id"] == bundle.model_id
    assert kept["engine"] == "torch-cpu-bf16"
    assert 0 < kept["largest_probability_change"] <= kept["limit"] == runtimes.FAST
    assert kept["measured_on"] == "2 invented ECGs, 1 flat line"
    assert kept["inputs"] == [record.digest for record in few().records[:2]]  # a flat line cannot be scored
    assert kept["segments"] == 4
    monkeypatch.setattr(opening, "_measure", lambda *_: pytest.fail("measured again"))
    opened(bundle, "torch-bf16", tmp_path)


@needs_bf16
def test_a_runtime_is_not_opened_unmeasured(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="never measured"):
        opening.open_runtime(bundle, "torch-bf16", "cpu", cache=tmp_path)


@needs_bf16
def test_a_record_of_other_library_versions_is_measured_again(bundle: Bundle, tmp_path: Path) -> None:
    opened(bundle, "torch-bf16", tmp_path)
    (record,) = tmp_path.rglob("torch-bf16.json")
    kept = json.loads(record.read_text())
    record.write_text(json.dumps(kept | {"versions": {"torch": "1.0"}, "largest_probability_change": 0.5}))
    opened(bundle, "torch-bf16", tmp_path)
    assert json.loads(record.read_text())["versions"] == kept["versions"]


@needs_bf16
def test_a_runtime_above_its_limit_is_refused_each_time(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(runtimes.LIMITS, "torch-bf16", 1e-9)
    with pytest.raises(RuntimeTooInexact, match="more than the limit 1e-09"):
        opening.prepare(bundle, "torch-bf16", few(), device="cpu", cache=tmp_path)
    with pytest.raises(RuntimeTooInexact, match="2 invented ECGs"):
        opening.open_runtime(bundle, "torch-bf16", "cpu", cache=tmp_path)


@needs_bf16
def test_not_a_number_is_above_every_limit(bundle: Bundle, tmp_path: Path) -> None:
    measured = opening.prepare(bundle, "torch-bf16", few(), device="cpu", cache=tmp_path)
    with pytest.raises(RuntimeTooInexact):
        preparation.accept(replace(measured, largest_probability_change=float("nan")))


@needs_bf16
def test_nothing_scorable_measures_nothing(bundle: Bundle, tmp_path: Path) -> None:
    empty = Recordings(records=few().records[2:], about="1 flat line")
    with pytest.raises(BundleError, match=r"1 flat line.*nothing was measured"):
        opening.prepare(bundle, "torch-bf16", empty, device="cpu", cache=tmp_path)


def test_the_bundle_folder_is_left_alone(bundle: Bundle, cache: Path) -> None:
    opened(bundle, "torch-bf16", cache)
    assert sorted(path.name for path in bundle.path.iterdir()) == ["bundle.json", "model.safetensors"]
    Bundle.read(bundle.path)


@needs_bf16
def test_place_that_cannot_be_written(bundle: Bundle, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(BundleError, match="name another folder"):
        opening.open_runtime(bundle, "torch-bf16", "cpu", cache=blocked, recordings=few)


@needs_bf16
def test_reduced_precision_is_chosen_by_measuring(bundle: Bundle, tmp_path: Path) -> None:
    """On a CPU bfloat16 alone can be measured; float16 is for GPUs."""
    (found,) = opening.prepare_reduced(bundle, few(), device="cpu", threads=1, cache=tmp_path)
    assert (found.runtime, found.measured_on) == ("torch-bf16", few().about)


def test_the_nearer_of_two_reduced_precisions_comes_first(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(_: Bundle, name: str, *__: object, **___: object) -> SimpleNamespace:
        return SimpleNamespace(runtime=name, largest_probability_change={"torch-fp16": 4e-4, "torch-bf16": 3e-3}[name])

    monkeypatch.setattr(opening, "prepare", measured)
    found = opening.prepare_reduced(bundle, few(), cache=tmp_path)
    assert [one.runtime for one in found] == ["torch-fp16", "torch-bf16"]


def test_where_both_are_too_far_the_refusal_says_so(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Bundle, name: str, *__: object, **___: object) -> SimpleNamespace:
        raise RuntimeUnavailable("no float16") if name == "torch-fp16" else RuntimeTooInexact("too far")

    monkeypatch.setattr(opening, "prepare", refused)
    with pytest.raises(RuntimeTooInexact, match="too far"):
        opening.prepare_reduced(bundle, few(), cache=tmp_path)


def test_bfloat16_is_refused_where_the_processor_would_imitate_it(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_runtime, "has_bf16_instructions", lambda: False)
    with pytest.raises(
        RuntimeUnavailable, match=r"needs bfloat16 instructions.*slower than float32; choose runtime 'auto'"
    ):
        opening.open_runtime(bundle, "torch-bf16", "cpu", cache=tmp_path, recordings=few)


def test_devices_that_a_runtime_does_not_have(bundle: Bundle, cache: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="for CPUs"):
        opening.open_runtime(bundle, "openvino", "cuda", cache=cache)
    with pytest.raises(RuntimeUnavailable, match="float16 needs a CUDA device"):
        opening.open_runtime(bundle, "torch-fp16", "cpu", cache=cache)


CHANGE_MODELS_THEN_STOP = """
import os, signal, sys
from pathlib import Path
from ecgfm.runtimes.openvino_runtime import OpenVinoRuntime
first = OpenVinoRuntime(Path(sys.argv[1]))
second = OpenVinoRuntime(Path(sys.argv[1]))
del first
del second
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
os.kill(os.getpid(), signal.SIGTERM)
print("asked to stop", len(asked))
"""


def test_a_signal_reaches_its_handler_after_models_were_changed(bundle: Bundle, cache: Path) -> None:
    """OpenVINO installs a signal stack of its own, which must not be freed under a running service."""
    if find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    if not OPENVINO_RUNS:
        pytest.skip("OpenVINO does not bear ONEDNN_MAX_CPU_ISA")
    path = preparation.onnx_file(bundle, cache)
    done = subprocess.run(
        [sys.executable, "-c", CHANGE_MODELS_THEN_STOP, path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "asked to stop 1\n"), done.stderr


def test_openvino_is_refused_where_onednn_must_not_use_what_the_processor_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO would end the process with a segmentation fault in its first inference."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    with pytest.raises(RuntimeUnavailable, match=r"ONEDNN_MAX_CPU_ISA=AVX2.*unset it"):
        OpenVinoRuntime(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("device", "available", "chosen"),
    [
        ("auto", ["CPUExecutionProvider"], "CPUExecutionProvider"),
        ("auto", ["CUDAExecutionProvider", "CPUExecutionProvider"], "CUDAExecutionProvider"),
        ("cuda", ["TensorrtExecutionProvider", "CUDAExecutionProvider"], "CUDAExecutionProvider"),
        ("cuda:1", ["TensorrtExecutionProvider", "CUDAExecutionProvider"], "CUDAExecutionProvider"),
        ("cpu", ["CUDAExecutionProvider", "CPUExecutionProvider"], "CPUExecutionProvider"),
    ],
)
def test_provider(device: str, available: list[str], chosen: str) -> None:
    assert choose_provider(device, available) == chosen


def test_provider_that_is_absent() -> None:
    with pytest.raises(RuntimeUnavailable, match="no provider"):
        choose_provider("cuda", ["CPUExecutionProvider"])


def test_synthetic_ecgs_can_be_scored_and_keep_einthoven() -> None:
    for signal in synthetic_ecgs(8):
        assert signal.shape == (12, 5000)
        assert reasons_not_scored(signal, 500) == ()
        np.testing.assert_allclose(signal[0] + signal[2], signal[1], atol=1e-5)
        np.testing.assert_allclose(signal[3] + signal[4] + signal[5], 0, atol=1e-5)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("name", ["torch", "torch-bf16", "torch-fp16"])
def test_cuda_equals_cpu_and_keeps_its_bits(bundle: Bundle, cache: Path, records: list[Record], name: str) -> None:
    predictor = Predictor.from_bundle(bundle.path, runtime=name, device="cuda", cache=cache, recordings=few)
    exact = Predictor.from_bundle(bundle.path, device="cpu").predict(records)
    alone = [predictor.predict([record])[0] for record in records]
    assert predictor.predict(records) == alone
    limit = 1e-6 if name == "torch" else runtimes.FAST
    for mine, other in zip(alone, exact, strict=True):
        for one, two in zip(mine.heads, other.heads, strict=True):
            assert abs(one.probability - two.probability) <= limit


@pytest.mark.parametrize("name", ["torch", "torch-fp8", "nonsense", ""])
def test_a_runtime_that_nothing_can_be_measured_of_is_refused(name: str, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="choose one of torch-bf16, torch-fp16, onnx"):
        opening.prepare(bundle, name, few(), device="cpu", cache=tmp_path)


@pytest.mark.parametrize("name", ["torch-fp8", "nonsense", ""])
def test_an_unknown_runtime_is_refused_with_the_names_there_are(name: str, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="choose one of torch, torch-bf16"):
        opening.open_runtime(bundle, name, "cpu", cache=tmp_path)


@pytest.mark.parametrize("channels", [4, 8, 16])
def test_positions_in_bfloat16_are_those_of_float32_but_for_rounding(channels: int) -> None:
    torch.manual_seed(0)
    config = replace(EncoderConfig(), width=4 * channels, heads=4, conv_pos_kernel=16, conv_pos_groups=4)
    module = PositionalConv(config).eval()
    x = torch.randn(2, 156, config.width)
    with torch.inference_mode():
        exact = module(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = module(x.bfloat16()).float()
    assert float((found - exact).abs().max()) < 0.05 * float(exact.abs().max())
