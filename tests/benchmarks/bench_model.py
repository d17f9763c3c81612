"""Model speed and memory at the published size, as ratios to a plain eager network: pytest -s
tests/benchmarks/bench_model.py

Random weights: speed does not depend on them; how far a reduced precision moves a probability does, so `model prepare`
measures that again on each real model.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ecgfm import runtimes
from ecgfm.bench.timing import EAGER, alternate, bench, eager, measure_load
from ecgfm.checkpoint import Bundle
from ecgfm.config import EncoderConfig
from ecgfm.digest import sha256
from ecgfm.heads import INTERPRETATION
from ecgfm.network import EcgFm
from ecgfm.runtimes.preparation import onnx_file
from ecgfm.signal import prepare
from ecgfm_clinical.shipped.measuring import shipped_recordings
from tests.benchmarks.full_size import write_full_bundle
from tests.helpers.synthetic import synthetic_ecgs

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

BATCHES = (1, 2, 8)  #: segments a call; 2 is one 10 s ECG
ROUNDS = 9


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """ECG-FM's size (90.4 M parameters), three heads, random weights."""
    return write_full_bundle(tmp_path_factory.mktemp("full") / "bundle")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finetuned fairseq-signals checkpoint of the published size with its two Adam moments: 1.09 GB."""
    network = EcgFm(EncoderConfig(), (INTERPRETATION,))
    tensors = {name.replace("heads.interpretation.", "proj."): value for name, value in network.state_dict().items()}
    moments = {
        index: {"step": 1, "exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.zeros_like(value)}
        for index, value in enumerate(tensors.values())
    }
    cfg = {"model": {"encoder_attention_heads": 12, "layer_norm_first": False}, "criterion": {}}
    path = tmp_path_factory.mktemp("checkpoint") / "mimic_iv_ecg_finetuned.pt"
    torch.save({"cfg": cfg, "model": tensors, "last_optimizer_state": {"state": moments}}, path)
    return path


def in_fresh_process(code: str, *arguments: str) -> dict[str, float]:
    """Run code that prints one JSON object."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("threads", [1, 2])
def test_speed(bundle: Bundle, threads: int, batch: int) -> None:
    """One thread: trust the ratio of processor time (x cpu). Two: the ratio of elapsed time, on an idle machine
    only.
    """
    shipped = shipped_recordings()
    few = replace(shipped, records=shipped.records[-4:])  # the real one among them; `model prepare` measures on more
    print(f"\n{'runtime':<15}{'batch':>6}{'ms/ECG':>9}{'ECG/s':>8}{'x eager':>9}{'x cpu':>7}{'dp':>9}")
    for one in bench(bundle, few, batches=[batch], rounds=ROUNDS, device="cpu", threads=threads, loads=False):
        if one.reason:
            print(f"{one.runtime:<15}{one.batch:>6}  {one.reason}")
            continue
        print(
            f"{one.runtime:<15}{one.batch:>6}{one.milliseconds_per_ecg:>9.0f}{one.ecgs_per_second:>8.2f}{one.ratio:>9.2f}"
            f"{one.processor_ratio:>7.2f}{one.largest_probability_change:>9.1e}"
        )


def test_loading_each_runtime(bundle: Bundle) -> None:
    onnx_file(bundle, None)  # exported before anything is timed
    print(f"\n{'runtime':<15}{'load s':>8}{'peak MB':>9}")
    for name in (EAGER, *(one for one in runtimes.NAMES if one != "torch-fp16")):
        seconds, megabytes = measure_load(bundle, name, "cpu", 2, None)
        print(f"{name:<15}{seconds:>8.1f}{megabytes:>9.0f}")


LOAD = """
import json, sys, time
import torch, ecgfm, ecgfm.checkpoint
def peak():
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
before = peak()
start = time.perf_counter()
network = ecgfm.load(sys.argv[1])
seconds = time.perf_counter() - start
weights = sum(p.numel() * p.element_size() for p in network.parameters()) / 2**20
print(json.dumps({"seconds": seconds, "weights_mb": weights, "above_weights_mb": peak() - before - weights}))
"""


def test_loading_a_checkpoint_with_optimiser_state(checkpoint: Path) -> None:
    print(f"\ncheckpoint of {checkpoint.stat().st_size / 2**20:.0f} MB")
    sha256(checkpoint)  # warms the page cache
    for _ in range(3):
        print(
            "  " + "  ".join(f"{name} {value:.2f}" for name, value in in_fresh_process(LOAD, str(checkpoint)).items())
        )


def test_loading_a_bundle(bundle: Bundle) -> None:
    print("\nbundle, its SHA-256 checked")
    for _ in range(3):
        print(
            "  " + "  ".join(f"{name} {value:.2f}" for name, value in in_fresh_process(LOAD, str(bundle.path)).items())
        )


IMPORT = """
import json, time
start = time.perf_counter()
import torch
middle = time.perf_counter()
import ecgfm
ecgfm.load, ecgfm.Predictor
print(json.dumps({"torch_s": middle - start, "ecgfm_beyond_torch_s": time.perf_counter() - middle}))
"""


def test_import() -> None:
    print()
    for _ in range(3):
        print("  " + "  ".join(f"{name} {value:.2f}" for name, value in in_fresh_process(IMPORT).items()))


def test_preparing_costs_little(bundle: Bundle) -> None:
    signal = synthetic_ecgs(1)[0]
    score = eager(bundle, threads=2)
    segments = prepare(signal, 500)
    calls = {
        "prepare, 500 Hz": lambda: prepare(signal, 500),
        "prepare, 250 Hz": lambda: prepare(signal[:, ::2], 250),
        "model, eager": lambda: score(segments),
    }
    print()
    for name, seconds in alternate(calls, ROUNDS).items():
        print(f"  {name:<16} {1000 * min(seconds.processor):9.2f} ms of processor time")
