"""`auto` is the fastest exact runtime of this machine, measured once, kept with its figures, and the same at the next
opening.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgfm import runtimes
from ecgfm.checkpoint import Bundle
from ecgfm.errors import RuntimeUnavailable
from ecgfm.predictor import Predictor
from ecgfm.records import Record, Recordings
from ecgfm.runtimes import choosing, preparation
from ecgfm.runtimes.engines import EngineName, comparable
from ecgfm.runtimes.processors import driver_version, processor
from ecgfm.runtimes.runtime import Runtime
from tests.helpers.synthetic import synthetic_ecgs
from tests.helpers.tiny_models import copy_prepared_tiny


def few() -> Recordings:
    """What a runtime is measured on here."""
    return Recordings(
        records=tuple(Record(signal=signal, sampling_rate=500) for signal in synthetic_ecgs(2)), about="2 invented ECGs"
    )


class Paced:
    """A runtime that takes as long as it is told, on a clock of its own."""

    batch = 2
    one_record_a_call = True

    def __init__(self, name: str, seconds: float, clock: "Clock") -> None:
        self.name, self._seconds, self._clock = name, seconds, clock

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        assert segments.shape == (2, 12, 2500)
        self._clock.now += self._seconds
        return np.zeros((2, 4), np.float32)

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        raise AssertionError("timing needs no heads")


class Clock:
    """Seconds that pass only where a runtime says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Opened = dict[str, float | Exception]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Callable[[Opened, str], list[str]]:
    """A machine with these runtimes: seconds an ECG, or why one does not open; `inexact` names one that moves
    probabilities.
    """

    def made(seconds: Opened, inexact: str = "") -> list[str]:
        prepared: list[str] = []

        def engine(_: Bundle, name: str, *__: object) -> Runtime:
            own = seconds.get(name, RuntimeUnavailable("not on this machine"))
            if isinstance(own, Exception):
                raise own
            return Paced(f"{name}-cpu-fp32", own, clock)

        def prepare(bundle: Bundle, name: str, recordings: Recordings, **_: object) -> preparation.Measurement:
            prepared.append(name)
            measured = preparation.Measurement(
                model_id=bundle.model_id,
                runtime=name,
                engine="",
                largest_probability_change=1e-6,
                limit=runtimes.EXACT,
                segments=4,
                measured_on=recordings.about,
                inputs=(),
                versions={},
                processor="",
            )
            return preparation.accept(
                replace(measured, largest_probability_change=1.0) if name == inexact else measured
            )

        monkeypatch.setattr(choosing, "engine", engine)
        monkeypatch.setattr(choosing, "prepare", prepare)
        monkeypatch.setattr(
            choosing, "_installed", lambda module: module in {"onnx", "onnxscript", "onnxruntime", *seconds}
        )
        return prepared

    return made


def chosen(bundle: Bundle, cache: Path, clock: Clock, small: int = 0) -> choosing.Choice:
    return choosing.choose(bundle, device="cpu", threads=1, cache=cache, recordings=few, small=small, timer=clock)


@pytest.mark.parametrize(
    ("seconds", "fastest"),
    [
        ({"torch": 0.410, "onnx": 0.339, "openvino": 0.319}, "openvino"),
        ({"torch": 0.410, "onnx": 0.300, "openvino": 0.353}, "onnx"),  # as on a processor with AVX2 only
        ({"torch": 0.300, "onnx": 0.339, "openvino": 0.319}, "torch"),
        ({"torch": 0.300, "onnx": 0.295, "openvino": 0.299}, "torch"),  # too little to gain
        ({"torch": 0.410, "onnx": RuntimeUnavailable("no"), "openvino": 0.319}, "openvino"),
        ({"torch": 0.410, "onnx": 0.339}, "onnx"),  # OpenVINO is not installed
    ],
)
def test_the_fastest_one_is_chosen_and_kept_with_its_figures(
    bundle: Bundle, tmp_path: Path, clock: Clock, machine: Callable[[Opened], list[str]], seconds: Opened, fastest: str
) -> None:
    measured_exact = machine(seconds)
    found = chosen(bundle, tmp_path, clock)
    assert found.runtime == fastest
    assert measured_exact == ([] if fastest == "torch" else [fastest])
    figures = {one.runtime: one.milliseconds_per_ecg for one in found.trials}
    for name, own in seconds.items():
        assert figures[name] == (None if isinstance(own, Exception) else pytest.approx(1000 * own))
    (kept,) = tmp_path.rglob("auto-*.json")
    assert json.loads(kept.read_text())["runtime"] == fastest
    machine({name: RuntimeUnavailable("measured again") for name in seconds})
    assert chosen(bundle, tmp_path, clock) == found


def test_one_that_moves_a_probability_too_far_is_passed_over_and_the_record_says_why(
    bundle: Bundle, tmp_path: Path, clock: Clock, machine: Callable[..., list[str]]
) -> None:
    assert machine({"torch": 0.4, "onnx": 0.3, "openvino": 0.2}, inexact="openvino") == []
    found = chosen(bundle, tmp_path, clock)
    assert found.runtime == "onnx"
    (passed_over,) = (one for one in found.trials if one.runtime == "openvino")
    assert "more than the limit 1e-05" in passed_over.reason


def test_another_number_of_threads_is_measured_apart(
    bundle: Bundle, tmp_path: Path, clock: Clock, machine: Callable[..., list[str]]
) -> None:
    machine({"torch": 0.4, "onnx": 0.3})
    chosen(bundle, tmp_path, clock)
    assert choosing.kept(bundle, device="cpu", threads=1, cache=tmp_path) is not None
    assert choosing.kept(bundle, device="cpu", threads=2, cache=tmp_path) is None


def test_a_choice_of_other_versions_or_of_a_runtime_that_is_gone_counts_no_more(
    bundle: Bundle, tmp_path: Path, clock: Clock, machine: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine({"torch": 0.4, "openvino": 0.3})
    assert chosen(bundle, tmp_path, clock).runtime == "openvino"
    machine({"torch": 0.4})
    assert choosing.kept(bundle, device="cpu", threads=1, cache=tmp_path) is None, "OpenVINO was removed"
    machine({"torch": 0.4, "openvino": 0.3})
    monkeypatch.setattr(preparation, "versions", lambda: {"torch": "0.1"})
    assert choosing.kept(bundle, device="cpu", threads=1, cache=tmp_path) is None, "torch was changed"


def test_a_small_network_is_not_measured_and_leaves_nothing_on_disk(bundle: Bundle, tmp_path: Path) -> None:
    predictor = Predictor.from_bundle(bundle.path, runtime="auto", device="cpu", cache=tmp_path, recordings=few)
    assert predictor.runtime == "torch-cpu-fp32"
    assert "unmeasured" in str(predictor.choice)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_kept_it_is_torch_and_says_so(
    bundle: Bundle, tmp_path: Path, clock: Clock, machine: Callable[..., list[str]]
) -> None:
    machine({"torch": 0.4, "onnx": 0.1})
    blocked = tmp_path / "file"
    blocked.write_text("")
    found = chosen(bundle, blocked, clock)
    assert found.runtime == "torch"
    assert "no choice could be kept" in found.why


def test_the_lean_install_has_one_candidate(
    bundle: Bundle, tmp_path: Path, clock: Clock, machine: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine({"torch": RuntimeUnavailable("opened without need")})
    monkeypatch.setattr(choosing, "_installed", lambda _: False)
    assert chosen(bundle, tmp_path, clock).why == "torch is the one exact runtime installed for this device"


def test_a_kept_runtime_that_does_not_open_any_more_is_chosen_anew(
    bundle: Bundle, tmp_path: Path, clock: Clock, machine: Callable[..., list[str]]
) -> None:
    machine({"torch": 0.4, "openvino": 0.1})
    chosen(bundle, tmp_path, clock)
    machine({"torch": 0.4, "openvino": RuntimeUnavailable("the environment forbids it")})
    attempts: Iterator[int] = count()

    def open_runtime(_: Bundle, name: str, *__: object) -> Runtime:
        next(attempts)
        if name == "openvino":
            raise RuntimeUnavailable("the environment forbids it")
        return Paced(name, 0.0, clock)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "open_runtime", open_runtime)
        opened, choice = choosing.open_chosen(bundle, device="cpu", threads=1, cache=tmp_path, recordings=few)
    assert (opened.name, choice.runtime, next(attempts)) == ("torch", "torch", 2)


@pytest.mark.slow(2)
def test_the_real_runtimes_of_this_machine(
    bundle: Bundle, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    cache = tmp_path / "prepared"
    copy_prepared_tiny(tmp_path_factory, cache)
    choice = choosing.choose(bundle, device="cpu", threads=1, cache=cache, recordings=few, small=0)
    assert choice.runtime in ("torch", "onnx", "openvino")
    predictor = Predictor.from_bundle(bundle.path, runtime="auto", device="cpu", threads=1, cache=cache, recordings=few)
    assert predictor.choice == choice
    named = EngineName.parse(predictor.runtime)
    assert named is not None
    assert named.runtime == choice.runtime
    exact = Predictor.from_bundle(bundle.path, device="cpu", threads=1).predict(records[:4])
    for mine, other in zip(predictor.predict(records[:4]), exact, strict=True):
        for one, two in zip(mine.heads, other.heads, strict=True):
            assert abs(one.probability - two.probability) <= runtimes.EXACT


# --- the name in a score ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "runtime", "device", "shape"),
    [
        ("torch-cpu-fp32", "torch", "cpu", None),
        ("torch-cpu-bf16", "torch-bf16", "cpu", None),
        ("openvino-cpu-fp32", "openvino", "cpu", None),
        ("onnxruntime-cpu-fp32", "onnx", "cpu", None),
        ("onnxruntime-tensorrt-fp32-x64@NVIDIA_L4/550.1", "tensorrt", "cuda", 64),
        ("torch-cuda-fp32", "torch", "cuda", None),  # before shape and card were named
        ("torch-cuda-fp16-x256@NVIDIA_H100_80GB_HBM3/570.86.15", "torch-fp16", "cuda", 256),
    ],
)
def test_a_name_tells_what_to_open_again(name: str, runtime: str, device: str, shape: int | None) -> None:
    parsed = EngineName.parse(name)
    assert parsed is not None
    assert (parsed.runtime, parsed.on, parsed.shape, str(parsed)) == (runtime, device, shape, name)


@pytest.mark.parametrize("name", ["null", "r", "", "torch", "torch-tpu-fp32", "torch-cpu-fp32-x0"])
def test_what_is_no_name_of_ours(name: str) -> None:
    assert EngineName.parse(name) is None


def test_only_the_same_computation_on_another_card_is_comparable() -> None:
    h100, l4 = "torch-cuda-fp16-x64@H100/570.1", "torch-cuda-fp16-x64@L4/550.1"
    assert comparable(h100, l4)
    assert comparable(h100, "torch-cuda-fp16-x2@H100/570.1")
    assert not comparable(h100, h100)
    assert not comparable(h100, "torch-cuda-bf16-x64@H100/570.1")
    assert not comparable("torch-cpu-fp32", "openvino-cpu-fp32")
    assert not comparable("null", h100)


def test_the_driver_as_the_system_tells_it(tmp_path: Path) -> None:
    told = tmp_path / "version"
    told.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23\nGCC version: gcc 12\n")
    assert driver_version(told) == "570.86.15"
    told.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n")
    assert driver_version(told) == "580.65.06"
    assert driver_version(tmp_path / "absent") == "unknown"


def test_the_processor_by_its_name(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nmodel name\t: AMD EPYC 7763 64-Core Processor\n")
    assert processor(told).startswith("AMD EPYC 7763 64-Core Processor, ")
    assert processor(tmp_path / "absent")
