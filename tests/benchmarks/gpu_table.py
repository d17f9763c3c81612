"""On a machine with a GPU: equality tests, benchmarks, and the table in model/BENCHMARKS.md, in one go, in minutes.

    python -m tests.benchmarks.gpu_table --write

Needs this repository with its extras `score`, `train` and `test`, and a torch that sees the GPU; no network, no data.
The weights are random, of the published size. Stops where an equality test fails: a figure of a wrong result is no
figure. Without a GPU, or without `--write`, BENCHMARKS.md stays as it is; `--render` prints the table as it is
without figures.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from ecgfm.bench.step import TRAINED, StepFigures, measure_step
from ecgfm.bench.timing import Timing, bench
from ecgfm.checkpoint import Bundle
from ecgfm.pretraining.batches import TrainingBatches
from ecgfm_clinical.shipped.measuring import shipped_recordings
from tests.benchmarks.bench_pretraining import full_size, shard_set
from tests.benchmarks.full_size import write_full_bundle

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "model" / "BENCHMARKS.md"
BEGIN, END = "<!-- GPU table: begin -->", "<!-- GPU table: end -->"
NOT_TAKEN = "not taken"
REDUCED = ("torch-fp16", "torch-bf16")
SHAPES = (2, 64, 256)
PAIRS = (8, 32, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything that one run found; empty where it was not taken."""

    timings: Sequence[Timing] = ()
    steps: Sequence[StepFigures] = ()
    pipeline: float | None = None  #: pairs a second of the data pipeline, all worker processes together
    where: str = ""  #: card, driver, torch and date

    def at(self, names: Sequence[str], batch: int) -> list[Timing]:
        """The runtimes of these names at one shape that have figures."""
        return [one for one in self.timings if one.runtime in names and one.batch == batch and one.figures]

    def step(self, pairs: int, precision: str = "bf16") -> StepFigures | None:
        return next((one for one in self.steps if (one.pairs, one.precision) == (pairs, precision)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal of the table and how it is read out of a run's figures; None where they do not tell."""

    text: str
    reached: Callable[[Figures], float | None]
    form: str = "{:.2f}"

    def row(self, figures: Figures) -> str:
        found = self.reached(figures)
        return f"| {self.text} | {NOT_TAKEN if found is None else self.form.format(found)} |"


def _best(values: Sequence[float | None], choose: Callable[[Sequence[float]], float] = max) -> float | None:
    known = [value for value in values if value is not None]
    return choose(known) if known else None


def _share(batch: int, names: Sequence[str] = REDUCED) -> Callable[[Figures], float | None]:
    return lambda found: _best([one.figures.share_of_product for one in found.at(names, batch) if one.figures])


def _own(batch: int) -> Callable[[Figures], float | None]:
    return lambda found: _best([one.figures.share_of_own_products for one in found.at(REDUCED, batch) if one.figures])


def _transfers(found: Figures) -> float | None:
    """The largest part of the rate that transfers cost."""
    parts = [
        1 - one.figures.segments_per_second / one.figures.on_device
        for batch in (64, 256)
        for one in found.at(REDUCED, batch)
        if one.figures and one.figures.on_device
    ]
    return _best(parts)


def _step_share(pairs: int) -> Callable[[Figures], float | None]:
    def read(found: Figures) -> float | None:
        step = found.step(pairs)
        return step.share_of_product if step else None

    return read


def _pipeline(found: Figures) -> float | None:
    """How many times what the goal consumes at 64 pairs."""
    step = found.step(64)
    return None if step is None or found.pipeline is None else 5 * found.pipeline / step.pipeline_pairs_per_second


GOALS = (
    Goal(text="batch 64, share of the 8192³ product ≥ 0.50", reached=_share(64)),
    Goal(text="batch 256, share of the 8192³ product ≥ 0.55", reached=_share(256)),
    Goal(text="batch 256, share of the network's own products alone ≥ 0.85", reached=_own(256)),
    Goal(text="transfers cost ≤ 0.05 of the rate", reached=_transfers),
    Goal(text="`torch` (fp32, exact), share of the fp32 product ≥ 0.85", reached=_share(64, ("torch",))),
    Goal(
        text="`torch`, largest Δp against the CPU ≤ 1e-6",
        reached=lambda found: _best([one.largest_probability_change for one in found.at(("torch",), 64)]),
        form="{:.0e}",
    ),
    Goal(
        text="one ECG at a shape of 2, p50 ≤ 3 ms",
        reached=lambda found: _best(
            [one.figures.one_ecg_milliseconds for one in found.at(REDUCED, 2) if one.figures], min
        ),
        form="{:.1f} ms",
    ),
    Goal(
        text="load ≤ 5 s",
        reached=lambda found: _best([one.load_seconds for one in found.at(REDUCED, 64)]),
        form="{:.1f} s",
    ),
    Goal(
        text="GPU memory at batch 256 ≤ 4000 MB",
        reached=lambda found: _best([one.figures.gpu_megabytes for one in found.at(REDUCED, 256) if one.figures]),
        form="{:.0f} MB",
    ),
    Goal(text="pretraining, 64 pairs, share of the bf16 product ≥ 0.35", reached=_step_share(64)),
    Goal(text="pretraining, 32 pairs, share of the bf16 product ≥ 0.30", reached=_step_share(32)),
    Goal(text="data pipeline ≥ 5 × what 64 pairs at 0.35 consume", reached=_pipeline, form="{:.1f} ×"),
)


def table(figures: Figures) -> str:
    """The goals with what was reached, and under them every figure of the run."""
    lines = [f"Taken on: {figures.where or NOT_TAKEN}. `python -m tests.benchmarks.gpu_table --write`", ""]
    lines += ["| goal (one H100) | reached |", "|---|---|", *(goal.row(figures) for goal in GOALS)]
    told = [_line(one) for one in figures.timings if one.figures]
    if told:
        head = "| runtime, shape | segments/s | without transfers | share of product, of own | Δp | one ECG, ms |"
        lines += ["", head, "|---|---|---|---|---|---|", *told]
    if figures.steps:
        lines += ["", "| pretraining step | ms | segments/s | share of product | MB |", "|---|---|---|---|---|"]
        lines += [
            f"| {one.pairs} pairs, {one.precision} | {one.milliseconds:.1f} | {one.segments_per_second:.0f} | "
            f"{one.share_of_product:.2f} of {one.product_tflops:.0f} TFLOP/s | {one.gpu_megabytes or 0:.0f} |"
            for one in figures.steps
        ]
    return "\n".join(lines)


def _line(one: Timing) -> str:
    found = one.figures
    assert found is not None
    alone = f"{found.on_device:.0f}" if found.on_device else "–"
    ecg = f"{found.one_ecg_milliseconds:.1f}" if found.one_ecg_milliseconds else "–"
    return (
        f"| {one.runtime}, {one.batch} | {found.segments_per_second:.0f} | {alone} | {found.share_of_product:.2f}, "
        f"{found.share_of_own_products:.2f} | {one.largest_probability_change:.0e} | {ecg} |"
    )


def put_into(document: str, told: str) -> str:
    """The document with the table between its two marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{told}\n{END}{after}"


def take(bundle: Bundle, device: str, *, shapes: Sequence[int], pairs: Sequence[int], rounds: int) -> Figures:
    """Every figure, on one device in one run."""
    shipped = shipped_recordings()
    few = replace(shipped, records=shipped.records[-6:])
    names = ("torch", *REDUCED)
    timings = bench(bundle, few, names=names, batches=shapes, rounds=rounds, device=device, limits=True)
    chosen = torch.device(device)
    steps = [measure_step(TRAINED, chosen, pairs=count, rounds=rounds) for count in pairs]
    steps.append(measure_step(TRAINED, chosen, precision="fp32", pairs=pairs[-1], rounds=rounds))
    figures = next(one.figures for one in timings if one.figures)
    return Figures(
        timings=timings,
        steps=steps,
        pipeline=pipeline(pairs[-1], workers=8 if device == "cuda" else 0),
        where=f"{figures.device}, driver {figures.driver}, torch {figures.torch}, {datetime.now(UTC).date()}",
    )


def pipeline(pairs: int, *, workers: int, updates: int = 40) -> float:
    """Pairs a second that the data pipeline gives with so many processes reading ahead."""
    with tempfile.TemporaryDirectory() as scratch:
        recipe, _ = full_size(pairs)
        batches = TrainingBatches(shard_set(Path(scratch), 4 * pairs), recipe)
        numbers = range(updates + max(1, workers))
        loader = torch.utils.data.DataLoader(batches, sampler=numbers, batch_size=None, num_workers=workers)
        read = iter(loader)
        for _ in range(max(1, workers)):  # processes start, and each reads its first batch
            next(read)
        began = time.perf_counter()
        for _ in range(updates):
            next(read)
        return updates * pairs / (time.perf_counter() - began)


def equal_on_the_gpu() -> bool:
    """Whether every test that needs a CUDA device passes here."""
    tests = ["-q", "-n0", "-m", "cuda", "tests/model"]
    return subprocess.run([sys.executable, "-m", "pytest", *tests], cwd=ROOT, check=False).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into model/BENCHMARKS.md")
    parser.add_argument("--render", action="store_true", help="print the table without figures, and do nothing else")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.render:
        print(table(Figures()))
        return
    if not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device: nothing was taken, and the table stays as it is")
    if not equal_on_the_gpu():
        sys.exit("a test of equality failed on this GPU: no figure was taken")
    with tempfile.TemporaryDirectory() as scratch:
        bundle = write_full_bundle(Path(scratch) / "bundle")
        told = table(take(bundle, "cuda", shapes=SHAPES, pairs=PAIRS, rounds=arguments.rounds))
    print(told)
    if arguments.write:
        DOCUMENT.write_text(put_into(DOCUMENT.read_text(encoding="utf-8"), told), encoding="utf-8")


if __name__ == "__main__":
    main()
