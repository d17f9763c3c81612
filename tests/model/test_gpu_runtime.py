"""What drives a GPU: two calls under way, results in order, the same bits in any company, and failures in one sentence.

Where there is no GPU the CPU stands in: the same arrangement without graph, streams and pinned memory.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ecgfm import runtimes
from ecgfm.checkpoint import Bundle
from ecgfm.errors import DeviceError, DeviceLost, DeviceMemory, RuntimeUnavailable
from ecgfm.heads import REDUCED_LVEF
from ecgfm.predictor import Predictor
from ecgfm.records import Record
from ecgfm.runtimes.engines import EngineName
from ecgfm.runtimes.failures import device_errors, translated
from ecgfm.runtimes.gpu_runtime import GpuRuntime
from ecgfm.runtimes.transfers import HostLane, Lane, pipelined
from tests.helpers.tiny_models import tiny_network

CUDA = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


def drawn(segments: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((segments, 12, 2500), np.float32)


# --- transfers --------------------------------------------------------------------------------------------------------


class Watched:
    """A lane that refuses to be used out of turn, and keeps how many are under way."""

    under_way = 0
    most = 0

    def __init__(self) -> None:
        self._given: NDArray[np.float32] | None = None

    def submit(self, segments: NDArray[np.float32]) -> None:
        assert self._given is None, "submitted to while its last call is under way"
        self._given = segments.copy()
        Watched.under_way += 1
        Watched.most = max(Watched.most, Watched.under_way)

    def result(self) -> NDArray[np.float32]:
        assert self._given is not None
        found, self._given = self._given, None
        Watched.under_way -= 1
        return found


@pytest.fixture
def lanes() -> list[Lane]:
    Watched.under_way = Watched.most = 0
    return [Watched(), Watched()]


@pytest.mark.parametrize("calls", [0, 1, 2, 7])
def test_results_come_in_order_with_two_calls_under_way(lanes: list[Lane], calls: int) -> None:
    given = [np.full((1, 1, 1), index, np.float32) for index in range(calls)]
    found = [int(result[0, 0, 0]) for result in pipelined(lanes, iter(given))]
    assert found == list(range(calls))
    assert (Watched.under_way, Watched.most) == (0, min(calls, 2))


def test_one_who_stops_early_leaves_no_lane_busy(lanes: list[Lane]) -> None:
    results = pipelined(lanes, (np.zeros((1, 1, 1), np.float32) for _ in range(9)))
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator has it
    assert Watched.under_way == 0


def test_a_call_that_cannot_be_made_leaves_no_lane_busy(lanes: list[Lane]) -> None:
    def calls() -> Iterator[NDArray[np.float32]]:
        yield np.zeros((1, 1, 1), np.float32)
        raise ValueError("the next recording cannot be read")

    with pytest.raises(ValueError, match="next recording"):
        list(pipelined(lanes, calls()))
    assert Watched.under_way == 0


def test_a_lane_keeps_nothing_of_the_array_it_was_given() -> None:
    lane = HostLane(lambda source: source.flatten(1)[:, :3])
    given = np.ones((2, 12, 2500), np.float32)
    lane.submit(given)
    given[:] = 7
    np.testing.assert_array_equal(lane.result(), np.ones((2, 3)))


# --- the runtime ------------------------------------------------------------------------------------------------------


def opened(precision: str = "fp32", device: str = "cpu", shape: int = 4) -> GpuRuntime:
    return GpuRuntime(tiny_network(), precision=precision, device=torch.device(device), shape=shape)


@pytest.mark.parametrize("device", DEVICES)
def test_float32_equals_the_network_on_the_cpu(device: str) -> None:
    segments = drawn(4)
    network = tiny_network().fold().eval()
    with torch.inference_mode():
        embedding = network.embed(torch.from_numpy(segments))
        logits = {head: torch.sigmoid(values).numpy() for head, values in network.logits(embedding).items()}
    runtime = opened(device=device)
    np.testing.assert_allclose(runtime.embed(segments), embedding.numpy(), rtol=0, atol=1e-5)
    for head, found in runtime.logits(segments).items():
        assert np.abs(torch.sigmoid(torch.from_numpy(found)).numpy() - logits[head]).max() <= 1e-6


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["fp32", "bf16", pytest.param("fp16", marks=CUDA)])
def test_the_same_bits_alone_first_last_and_shuffled(device: str, precision: str) -> None:
    if (device, precision) == ("cpu", "fp16"):
        pytest.skip("float16 is for GPUs")
    runtime = opened(precision, device)
    segments = drawn(4)
    whole = runtime.embed(segments)
    order = [2, 0, 3, 1]
    assert np.array_equal(runtime.embed(segments[order]), whole[order])
    for row in range(4):
        alone = np.zeros_like(segments)
        alone[3 - row] = segments[row]
        if device == "cuda" or precision == "fp32":
            assert np.array_equal(runtime.embed(alone)[3 - row], whole[row]), (precision, row)


def test_streaming_gives_what_single_calls_give() -> None:
    runtime = opened()
    calls = [drawn(4, seed) for seed in range(5)]
    for found, call in zip(runtime.stream(iter(calls)), calls, strict=True):
        assert np.array_equal(found["embedding"], opened().embed(call))
        assert found[REDUCED_LVEF.name].shape == (4, len(REDUCED_LVEF.labels))


def test_shape_card_and_driver_are_part_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EngineName.parse(opened("bf16", shape=6).name) == EngineName(
        engine="torch", device="cpu", precision="bf16", shape=6
    )
    assert GpuRuntime(tiny_network(), device=torch.device("cpu")).batch == 64


def test_records_scored_by_the_stand_in_equal_those_of_the_cpu(bundle: Bundle, records: list[Record]) -> None:
    exact = Predictor.from_bundle(bundle.path, device="cpu")
    ours = Predictor(bundle, GpuRuntime(bundle.network(), device=torch.device("cpu"), shape=8))
    alone = [ours.predict([record])[0] for record in records[:5]]
    assert ours.predict(records[:5]) == alone
    for mine, other in zip(alone, exact.predict(records[:5]), strict=True):
        for one, two in zip(mine.heads, other.heads, strict=True):
            assert abs(one.probability - two.probability) <= 1e-6
    for one_row, two_row in zip(ours.embed(records[:5]), exact.embed(records[:5]), strict=True):
        assert one_row is not None
        assert two_row is not None
        np.testing.assert_allclose(one_row, two_row, rtol=0, atol=1e-5)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("shape", [2, 64])
@pytest.mark.parametrize("name", ["torch", "torch-bf16", "torch-fp16"])
def test_a_bundle_on_a_gpu(bundle: Bundle, records: list[Record], tmp_path: Path, name: str, shape: int) -> None:
    from ecgfm.runtimes import opening

    runtime = opening.engine(bundle, name, "cuda", None, tmp_path, shape)
    parsed = EngineName.parse(runtime.name)
    assert parsed is not None
    assert (parsed.runtime, parsed.shape, bool(parsed.card)) == (name, shape, True)
    ours = Predictor(bundle, runtime)
    alone = [ours.predict([record])[0] for record in records]
    assert ours.predict(records[::-1]) == alone[::-1]
    exact = Predictor.from_bundle(bundle.path, device="cpu").predict(records)
    limit = 1e-6 if name == "torch" else 10 * runtimes.FAST  # random heads are steep; real models are measured
    for mine, other in zip(alone, exact, strict=True):
        for one, two in zip(mine.heads, other.heads, strict=True):
            assert abs(one.probability - two.probability) <= limit


# --- failures ---------------------------------------------------------------------------------------------------------

SAID: list[tuple[str, type[Exception], str]] = [
    ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …", DeviceMemory, "set model.shape lower"),
    ("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`", DeviceMemory, "calls of 64 segments"),
    ("CUDA error: unspecified launch failure\nCUDA kernel errors might be …", DeviceLost, "unspecified launch failure"),
    ("CUDA error: uncorrectable ECC error encountered", DeviceLost, "names the Xid"),
    ("CUDA error: an illegal memory access was encountered", DeviceLost, "must be started again"),
    ("CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`", DeviceLost, "CUBLAS_STATUS_EXECUTION_FAILED"),
    (
        "CUDA error: no kernel image is available for execution on the device",
        RuntimeUnavailable,
        "no kernels for the GPU",
    ),
    ("The NVIDIA driver on your system is too old (found version 11040).", RuntimeUnavailable, "update the driver"),
]


@pytest.mark.parametrize(("said", "kind", "told"), SAID)
def test_each_failure_of_a_gpu_is_one_sentence(said: str, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind) as raised, device_errors("NVIDIA_X/1.2", 64):
        raise RuntimeError(said)
    sentence = str(raised.value)
    assert told in sentence
    assert "\n" not in sentence
    assert "TORCH_USE_CUDA_DSA" not in sentence


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), device_errors("X", 64):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert translated(RuntimeError("shapes"), "X", 64) is None


class Failing:
    """A lane whose GPU fails in its second call."""

    def __init__(self, said: str) -> None:
        self._said, self._calls = said, 0

    def submit(self, segments: NDArray[np.float32]) -> None:
        self._calls += 1

    def result(self) -> NDArray[np.float32]:
        if self._calls == 2:
            raise RuntimeError(self._said)
        return np.zeros((4, 32 + 19), np.float32)


def test_a_gpu_that_fails_while_records_are_scored_raises_ours(
    bundle: Bundle, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = GpuRuntime(bundle.network(), device=torch.device("cpu"), shape=4)
    lanes: Callable[[], list[Lane]] = lambda: [Failing("CUDA error: unspecified launch failure")]
    monkeypatch.setattr(runtime, "_lanes", lanes())
    with pytest.raises(DeviceError, match="must be started again"):
        Predictor(bundle, runtime).predict(records)
