"""ONNX Runtime on a GPU, by a stand-in for its module: which provider, told what, and never the CPU unasked."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ecgfm import runtimes
from ecgfm.errors import BundleError, DeviceLost, DeviceMemory, RuntimeUnavailable
from ecgfm.runtimes.engines import EngineName, tolerance_of
from ecgfm.runtimes.onnx_runtime import CPU, CUDA, TENSORRT, OnnxRuntime, choose_provider

GPU_BUILD = [TENSORRT, CUDA, CPU]


class Fail(Exception):
    """ONNX Runtime's exceptions derive from Exception only."""


class Library:
    """onnxruntime as far as it is used, with what it was asked for."""

    def __init__(self, *, loads: bool = True, opening: str = "", running: str = "") -> None:
        self.given: list[tuple[str, dict[str, str]]] = []
        self.loads, self.opening, self.running = loads, opening, running

    def get_available_providers(self) -> list[str]:
        return GPU_BUILD

    def SessionOptions(self) -> SimpleNamespace:
        return SimpleNamespace()

    def InferenceSession(self, path: str, options: Any, providers: list[tuple[str, dict[str, str]]]) -> "Library":
        if self.opening:
            raise Fail(self.opening)
        self.given = providers
        return self

    def get_providers(self) -> list[str]:
        return [*(name for name, _ in self.given if self.loads), CPU]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="embedding"), SimpleNamespace(name="troponin")]

    def run(self, names: list[str], given: dict[str, Any]) -> list[Any]:
        if self.running:
            raise Fail(self.running)
        return [np.zeros((len(given["source"]), 4), np.float32), np.zeros((len(given["source"]), 1), np.float32)]


def opened(monkeypatch: pytest.MonkeyPatch, library: Library, **settings: Any) -> OnnxRuntime:
    monkeypatch.setitem(sys.modules, "onnxruntime", library)
    return OnnxRuntime(Path("model.onnx"), device=settings.pop("device", "cuda"), **settings)


def test_float32_by_cuda_is_told_not_to_take_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    runtime = opened(monkeypatch, library, device="cuda:1", batch=8)
    assert library.given == [(CUDA, {"device_id": "1", "use_tf32": "0"})]
    named = EngineName.parse(runtime.name)
    assert named is not None
    assert (named.runtime, named.on, named.shape) == ("onnx", "cuda", 8)
    assert named.card.startswith("gpu1/")
    assert runtimes.LIMITS[named.runtime] == tolerance_of(runtime.name) == runtimes.EXACT


def test_tensorrt_keeps_its_engines_beside_the_bundle_and_is_no_exact_runtime(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = Library()
    monkeypatch.setitem(sys.modules, "onnxruntime", library)
    runtime = OnnxRuntime(tmp_path / "model.onnx", device="cuda", tensorrt=True)
    (first, told), (second, _) = library.given
    assert (first, second) == (TENSORRT, CUDA)
    assert (told["trt_engine_cache_enable"], told["trt_engine_cache_path"]) == ("1", str(tmp_path / "tensorrt"))
    named = EngineName.parse(runtime.name)
    assert named is not None
    assert named.runtime == "tensorrt"
    assert runtimes.LIMITS["tensorrt"] == tolerance_of(runtime.name) == runtimes.FAST


def test_falling_back_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeUnavailable, match="would compute on the CPU without a word"):
        opened(monkeypatch, Library(loads=False))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("CUDA failure 2: out of memory ; GPU=0", DeviceMemory),
        ("CUDA failure 719: unspecified launch failure ; GPU=0", DeviceLost),
        ("CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version", RuntimeUnavailable),
    ],
)
def test_its_failures_are_ours_when_it_opens_and_when_it_runs(
    monkeypatch: pytest.MonkeyPatch, said: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        opened(monkeypatch, Library(opening=said))
    runtime = opened(monkeypatch, Library(running=said))
    with pytest.raises(kind):
        runtime.embed(np.zeros((2, 12, 2500), np.float32))


def test_a_damaged_file_is_no_failure_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match="export it again"):
        opened(monkeypatch, Library(opening="INVALID_PROTOBUF : Load model from model.onnx failed"))


def test_tensorrt_never_means_the_cpu() -> None:
    for device in ("auto", "cpu", "cuda"):
        with pytest.raises(RuntimeUnavailable, match="TensorRT"):
            choose_provider(device, [CUDA, CPU], tensorrt=True)
