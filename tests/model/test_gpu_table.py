"""The table of the GPU's figures: every goal stands in it, with what was reached or that nothing was taken."""

from pathlib import Path

import pytest

from ecgfm.bench.device import DeviceFigures
from ecgfm.bench.limits import Limits
from ecgfm.bench.timing import Timing
from tests.benchmarks import gpu_table
from tests.benchmarks.gpu_table import BEGIN, END, GOALS, NOT_TAKEN, Figures, put_into, table

DOCUMENT = Path(__file__).parents[2] / "model" / "BENCHMARKS.md"


def timing(runtime: str, batch: int, rate: float) -> Timing:
    limits = Limits(side=8192, product_tflops=760, at_product=26000, at_own_products=15000, batch=batch)
    figures = DeviceFigures(
        device="NVIDIA X",
        driver="1.2",
        torch="2",
        limits=limits,
        segments_per_second=rate,
        on_device=1.02 * rate,
        share_of_product=rate / 26000,
        share_of_own_products=rate / 15000,
        one_ecg_milliseconds=2.5,
        gpu_megabytes=3000,
    )
    return Timing(runtime=runtime, batch=batch, largest_probability_change=3e-7, load_seconds=4.0, figures=figures)


def test_without_figures_every_goal_says_so() -> None:
    told = table(Figures())
    assert told.count(NOT_TAKEN) == len(GOALS) + 1
    for goal in GOALS:
        assert f"| {goal.text} | {NOT_TAKEN} |" in told


def test_the_better_of_the_reduced_precisions_counts() -> None:
    taken = [timing("torch-bf16", 64, 12000), timing("torch-fp16", 64, 13000), timing("torch", 64, 1500)]
    told = table(Figures(timings=taken, where="NVIDIA X, driver 1.2"))
    assert "| batch 64, share of the 8192³ product ≥ 0.50 | 0.50 |" in told
    assert "| batch 256, share of the 8192³ product ≥ 0.55 | not taken |" in told
    assert "| transfers cost ≤ 0.05 of the rate | 0.02 |" in told
    assert "| `torch`, largest Δp against the CPU ≤ 1e-6 | 3e-07 |" in told
    assert "Taken on: NVIDIA X, driver 1.2." in told


def test_the_document_holds_the_table_between_its_marks() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert (document.count(BEGIN), document.count(END)) == (1, 1)
    for goal in GOALS:
        assert f"| {goal.text} |" in document, "the goals were changed: write the table again"
    other = put_into(document, "| figures |")
    assert put_into(other, document.partition(BEGIN)[2].partition(END)[0].strip("\n")) == document


def test_without_a_gpu_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gpu_table", "--write"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = DOCUMENT.read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="no CUDA device"):
        gpu_table.main()
    assert DOCUMENT.read_text(encoding="utf-8") == before
