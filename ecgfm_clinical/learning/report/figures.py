"""The pictures of a judgement as SVG text: flow of exclusions, ROC, reliability, decision curve, subgroups, by month."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, LINE, PALE = "#1a1a1a", "#0b5394", "#9aa5b1"
OTHERS = {"champion": "#b45f06", "age and sex": "#999999", "random encoder": "#674ea7"}


def _svg(draw: Callable[["Axes"], None], *, width: float = 4.6, height: float = 4.0) -> str:
    """One set of axes, drawn and turned into text that an HTML page can hold; the same data give the same text."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "ecgfm", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def flow(told: Mapping[str, Any]) -> str:
    """Boxes from all ECGs down to the splits, each exclusion to the right with its count."""
    steps = [step for step in told["steps"] if step["excluded"]]
    rows = len(steps) + 2

    def draw(axes: "Axes") -> None:
        axes.axis("off")
        axes.set_xlim(0, 10)
        axes.set_ylim(-rows, 0.6)
        _box(axes, 0.2, 0, f"{told['considered']} ECGs")
        for number, step in enumerate(steps, 1):
            axes.annotate(
                "", (1.9, -number + 0.28), (1.9, -number + 0.75), arrowprops={"arrowstyle": "->", "color": PALE}
            )
            axes.text(4.0, -number + 0.5, f"{step['excluded']} left out: {step['text']} ({step['code']})", va="center")
            _box(axes, 0.2, -number, f"{step['left']} left")
        splits = "   ".join(_split(name, own) for name, own in told["splits"].items())
        axes.text(
            0.2, -rows + 0.9, f"{told['included']} ECGs of {told['patients']} patients:   {splits}", weight="bold"
        )

    return _svg(draw, width=9.5, height=0.5 * rows + 0.3)


def _box(axes: "Axes", x: float, y: float, text: str) -> None:
    axes.text(x + 1.7, y, text, ha="center", va="center", bbox={"boxstyle": "round", "fc": "white", "ec": LINE})


def _split(name: str, own: Mapping[str, Any]) -> str:
    positives = sum(own["positives"].values())
    return f"{name} {own['ecgs']} ({positives} positive)"


def roc(judged: Mapping[str, Any]) -> str:
    """Receiver operating characteristics of the candidate and everything it is compared with."""

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=PALE, lw=0.8, ls=":")
        for name, other in judged["compared"].items():
            label = f"{name} {_number(other['auroc'])}"
            axes.plot(*zip(*other["roc"], strict=True), color=OTHERS.get(name, PALE), lw=1.1, label=label)
        own = f"candidate {_number(judged['metrics']['auroc'])}"
        axes.plot(*zip(*judged["roc"], strict=True), color=LINE, lw=2, label=own)
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", title="Discrimination (AUROC)")
        axes.legend(loc="lower right", frameon=False)

    return _svg(draw)


def reliability(judged: Mapping[str, Any]) -> str:
    """Observed share against predicted probability, ten bins of equal count, 95 % intervals."""

    def draw(axes: "Axes") -> None:
        bins = judged["reliability"]
        x = [one["predicted"] for one in bins]
        y = [one["observed"] for one in bins]
        below = [one["observed"] - one["low"] for one in bins]
        above = [one["high"] - one["observed"] for one in bins]
        axes.plot([0, 1], [0, 1], color=PALE, lw=0.8, ls=":")
        axes.errorbar(x, y, yerr=[below, above], color=LINE, marker="o", ms=4, lw=1.2, capsize=2)
        slope, intercept = judged["metrics"]["calibration_slope"], judged["metrics"]["calibration_intercept"]
        axes.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
        axes.set_title(f"Calibration: slope {_number(slope)}\nintercept {_number(intercept)}")

    return _svg(draw)


def decision(judged: Mapping[str, Any]) -> str:
    """Net benefit over threshold probabilities, against treating all and none."""

    def draw(axes: "Axes") -> None:
        curve = judged["decision_curve"]
        x = [one["threshold"] for one in curve]
        axes.fill_between(
            x, [one["low"] for one in curve], [one["high"] for one in curve], color=LINE, alpha=0.15, lw=0
        )
        axes.plot(x, [one["model"] for one in curve], color=LINE, lw=2, label="candidate")
        axes.plot(x, [one["all"] for one in curve], color=PALE, lw=1, label="all positive")
        axes.axhline(0, color=INK, lw=0.8, label="none positive")
        top = max(0.05, 1.15 * judged["prevalence"])
        axes.set(xlabel="threshold probability", ylabel="net benefit", ylim=(-0.25 * top, top), title="Decision curve")
        axes.legend(frameon=False)

    return _svg(draw)


def histogram(judged: Mapping[str, Any]) -> str:
    """How probabilities are spread among negatives and positives, with the operating point."""

    def draw(axes: "Axes") -> None:
        edges = [0.05 * number for number in range(20)]
        for name, colour in (("negative", PALE), ("positive", LINE)):
            axes.bar(edges, judged["histogram"][name], width=0.05, align="edge", color=colour, alpha=0.7, label=name)
        if judged["threshold"] is not None:
            axes.axvline(judged["threshold"], color=INK, lw=1, label=f"operating point {judged['threshold']:.3f}")
        axes.set(xlabel="predicted probability", ylabel="test ECGs", xlim=(0, 1), title="Probabilities")
        axes.legend(frameon=False)

    return _svg(draw)


def subgroups(judged: Mapping[str, Any]) -> str:
    """AUROC of each subgroup that is large enough, with its interval."""
    shown = [group for group in judged["subgroups"] if group["auroc"]]

    def draw(axes: "Axes") -> None:
        overall = judged["metrics"]["auroc"]["value"]
        axes.axvline(overall, color=PALE, lw=0.8, ls=":")
        for place, group in enumerate(reversed(shown)):
            own = group["auroc"]
            axes.plot([own["low"], own["high"]], [place, place], color=LINE, lw=1.2)
            axes.plot([own["value"]], [place], "o", color=LINE, ms=4)
        axes.set_yticks(range(len(shown)))
        axes.set_yticklabels(
            [f"{g['attribute']} {g['value']} (n={g['ecgs']}, {g['positives']}+)" for g in reversed(shown)]
        )
        axes.set(xlabel="AUROC", title="Subgroups")

    return _svg(draw, width=7.0, height=0.8 + 0.28 * max(2, len(shown)))


def by_month(rows: Sequence[Mapping[str, Any]], name: str, *, low: str = "low", high: str = "high") -> str:
    """One figure over the months, with its interval."""

    def draw(axes: "Axes") -> None:
        known = [row for row in rows if row.get("value") is not None]
        x = [row["month"] for row in known]
        axes.plot(x, [row["value"] for row in known], color=LINE, marker="o", ms=4)
        if all(row.get(low) is not None for row in known):
            axes.fill_between(x, [row[low] for row in known], [row[high] for row in known], color=LINE, alpha=0.15)
        axes.set(title=name)
        axes.tick_params(axis="x", rotation=60)

    return _svg(draw, width=6.0, height=3.0)


def _number(interval: Mapping[str, float | None]) -> str:
    if interval["value"] is None:
        return "not defined"
    return f"{interval['value']:.3f} ({interval['low']:.3f}–{interval['high']:.3f})"
