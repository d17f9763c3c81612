"""A learning curve as a picture file: AUROC over the number of ECGs, of ECG-FM and its rivals."""

from collections.abc import Sequence
from pathlib import Path

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.learning.learning_curve import ECG_FM, LearningCurve
from ecgfm_clinical.learning.report.figures import LINE, OTHERS, PALE

SUFFIXES = (".png", ".svg")


def draw(curves: Sequence[LearningCurve], path: Path) -> None:
    """One panel a label. Raises InputError where the file cannot be written."""
    from matplotlib.figure import Figure  # not pyplot: no window system, no global state

    figure = Figure(figsize=(7, 4.5 * len(curves)), layout="constrained")
    panels = figure.subplots(len(curves), 1, squeeze=False)[:, 0]
    for axes, curve in zip(panels, curves, strict=True):
        at = [point.ecgs for point in curve.points]
        for name in curve.points[0].auroc:
            own = [point.auroc[name] for point in curve.points]
            colour = LINE if name == ECG_FM else OTHERS.get(name, PALE)
            axes.plot(at, [one.value for one in own], color=colour, marker="o", ms=3, label=name)
            axes.fill_between(at, [one.low for one in own], [one.high for one in own], color=colour, alpha=0.12, lw=0)
        title = curve.head if curve.head == curve.label else f"{curve.head}: {curve.label}"
        axes.set(xscale="log", ylabel="AUROC", title=title)
        axes.set_xticks(at, [str(size) for size in at], rotation=45)
        axes.set_xticks([], minor=True)
        axes.set_xlabel(
            "ECGs learnt from (logarithmic); bands hold 95 % of the "
            f"{curve.repeats} repeats\nMore ECGs with an outcome until the gate would pass: {curve.needed.why}",
            wrap=True,
        )
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
