"""The pictures of a judgement as SVG text: flow of exclusions, ROC, reliability, decision curve, subgroups,
by month.
"""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfm.metrics import Interval
from ecgfm_clinical.learning.cohort.members import Flow, SplitCounts
from ecgfm_clinical.learning.judging.judgement import CHAMPION, LabelJudgement, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, LINE, PALE = "#1a1a1a", "#0b5394", "#9aa5b1"
OTHERS = {
    CHAMPION: "#b45f06",
    "age and sex": "#999999",
    "random encoder": "#674ea7",
    "random forest": "#38761d",
    "convolutional network": "#a64d79",
    "S4D network": "#134f5c",
}


def _svg(draw: Callable[["Axes"], None], *, width: float = 4.6, height: float = 4.0) -> str:
    """One set of axes, drawn and turned into text that an HTML page can hold; the same data give the same text."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "ecgfm", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout is found: to find it again took half of a report's time
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def flow(cohort: Flow) -> str:
    """Boxes from all ECGs down to the splits, each exclusion to the right with its count."""
    steps = [step for step in cohort.steps if step.excluded]
    rows = len(steps) + 2

    def draw(axes: "Axes") -> None:
        axes.axis("off")
        axes.set_xlim(0, 10)
        axes.set_ylim(-rows, 0.6)
        _box(axes, 0.2, 0, f"{cohort.considered} ECGs")
        for number, step in enumerate(steps, 1):
            axes.annotate(
                "", (1.9, -number + 0.28), (1.9, -number + 0.75), arrowprops={"arrowstyle": "->", "color": PALE}
            )
            axes.text(4.0, -number + 0.5, f"{step.excluded} left out: {step.text} ({step.code})", va="center")
            _box(axes, 0.2, -number, f"{step.left} left")
        splits = "   ".join(_split(name, own) for name, own in cohort.splits.items())
        axes.text(0.2, -rows + 0.9, f"{cohort.included} ECGs of {cohort.patients} patients:   {splits}", weight="bold")

    return _svg(draw, width=9.5, height=0.5 * rows + 0.3)


def _box(axes: "Axes", x: float, y: float, text: str) -> None:
    axes.text(x + 1.7, y, text, ha="center", va="center", bbox={"boxstyle": "round", "fc": "white", "ec": LINE})


def _split(name: str, own: SplitCounts) -> str:
    return f"{name} {own.ecgs} ({sum(own.positives.values())} positive)"


def roc(judged: LabelJudgement) -> str:
    """Receiver operating characteristics of the candidate and everything it is compared with."""

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=PALE, lw=0.8, ls=":")
        for name, other in judged.compared.items():
            label = f"{shown(name)} {_number(other.auroc)}"
            axes.plot(*zip(*other.roc, strict=True), color=OTHERS.get(name, PALE), lw=1.1, label=label)
        own = f"candidate {_number(judged.metrics['auroc'])}"
        axes.plot(*zip(*judged.roc, strict=True), color=LINE, lw=2, label=own)
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", title="Discrimination (AUROC)")
        axes.legend(loc="lower right", framealpha=0.85, edgecolor="none")

    return _svg(draw)


def reliability(judged: LabelJudgement) -> str:
    """Observed share against predicted probability, ten bins of equal count, 95 % intervals."""

    def draw(axes: "Axes") -> None:
        bins = judged.reliability
        x = [one.predicted for one in bins]
        y = [one.observed for one in bins]
        below = [one.observed - one.low for one in bins]
        above = [one.high - one.observed for one in bins]
        axes.plot([0, 1], [0, 1], color=PALE, lw=0.8, ls=":")
        axes.errorbar(x, y, yerr=[below, above], color=LINE, marker="o", ms=4, lw=1.2, capsize=2)
        slope, intercept = judged.metrics["calibration_slope"], judged.metrics["calibration_intercept"]
        axes.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
        axes.set_title(f"Calibration: slope {_number(slope)}\nintercept {_number(intercept)}")

    return _svg(draw)


def decision(judged: LabelJudgement) -> str:
    """Net benefit over threshold probabilities, against treating all and none."""

    def draw(axes: "Axes") -> None:
        curve = judged.decision_curve
        x = [one.threshold for one in curve]
        axes.fill_between(x, [one.low for one in curve], [one.high for one in curve], color=LINE, alpha=0.15, lw=0)
        axes.plot(x, [one.model for one in curve], color=LINE, lw=2, label="candidate")
        axes.plot(x, [one.all for one in curve], color=PALE, lw=1, label="all positive")
        axes.axhline(0, color=INK, lw=0.8, label="none positive")
        top = max(0.05, 1.15 * judged.prevalence)
        axes.set(xlabel="threshold probability", ylabel="net benefit", ylim=(-0.25 * top, top), title="Decision curve")
        axes.legend(loc="upper right", frameon=False)

    return _svg(draw)


def histogram(judged: LabelJudgement) -> str:
    """How probabilities are spread among negatives and positives, with the operating point."""

    def draw(axes: "Axes") -> None:
        edges = [0.05 * number for number in range(20)]
        for name, spread, colour in (
            ("negative", judged.histogram.negative, PALE),
            ("positive", judged.histogram.positive, LINE),
        ):
            axes.bar(edges, spread, width=0.05, align="edge", color=colour, alpha=0.7, label=name)
        if judged.threshold is not None:
            axes.axvline(judged.threshold, color=INK, lw=1, label=f"operating point {judged.threshold:.3f}")
        axes.set(xlabel="predicted probability", ylabel="test ECGs", xlim=(0, 1), title="Probabilities")
        axes.legend(loc="upper right", frameon=False)

    return _svg(draw)


def subgroups(judged: LabelJudgement) -> str:
    """AUROC of each subgroup that is large enough, with its interval."""
    shown = [(group, group.auroc) for group in judged.subgroups if group.auroc]

    def draw(axes: "Axes") -> None:
        overall = judged.metrics["auroc"].value
        axes.axvline(overall, color=PALE, lw=0.8, ls=":")
        for place, (_, own) in enumerate(reversed(shown)):
            axes.plot([own.low, own.high], [place, place], color=LINE, lw=1.2)
            axes.plot([own.value], [place], "o", color=LINE, ms=4)
        axes.set_yticks(range(len(shown)))
        axes.set_yticklabels([f"{g.attribute} {g.value} (n={g.ecgs}, {g.positives}+)" for g, _ in reversed(shown)])
        axes.set(xlabel="AUROC", title="Subgroups")

    return _svg(draw, width=7.0, height=0.8 + 0.28 * max(2, len(shown)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One month of one figure."""

    month: str
    value: float
    low: float | None
    high: float | None


def by_month(dots: Sequence[Dot], name: str) -> str:
    """One figure over the months, with its interval where every month has one."""

    def draw(axes: "Axes") -> None:
        x = [dot.month for dot in dots]
        axes.plot(x, [dot.value for dot in dots], color=LINE, marker="o", ms=4)
        low = [dot.low for dot in dots if dot.low is not None]
        high = [dot.high for dot in dots if dot.high is not None]
        if len(low) == len(high) == len(dots):
            axes.fill_between(x, low, high, color=LINE, alpha=0.15)
        axes.set(title=name)
        axes.tick_params(axis="x", rotation=60)

    return _svg(draw, width=6.0, height=3.0)


def _number(interval: Interval) -> str:
    if not math.isfinite(interval.value):
        return "not defined"
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"
