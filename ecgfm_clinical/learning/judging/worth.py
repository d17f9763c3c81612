"""Whether ECG-FM earns its keep: one plain sentence on a head and the best of its rivals."""

from ecgfm.metrics import Interval
from ecgfm_clinical.learning.judging.judgement import CHAMPION, Compared, Figures, interval_text


def best_rival(judged: Figures) -> tuple[str, Compared] | None:
    """The name of the best rival by AUROC, and how it compares; the live model is none. None where there are none."""
    rivals = [(name, other) for name, other in judged.compared.items() if name != CHAMPION]
    return max(rivals, key=lambda one: one[1].auroc.value) if rivals else None


def worth(judged: Figures) -> str:
    """One sentence; empty where there are no rivals."""
    best = best_rival(judged)
    if best is None:
        return ""
    name, other = best
    own, difference = judged.metrics["auroc"], other.difference
    figures = f"AUROC {own.value:.3f} against {other.auroc.value:.3f} of the best rival ({name}), {_by(difference)}"
    if difference.low > 0:
        return f"ECG-FM earns its keep here: {figures}."
    if difference.high < 0:
        return f"ECG-FM does not earn its keep here: {figures}; the rival is better."
    return (
        f"Whether ECG-FM earns its keep here cannot be told from {judged.positives} positive test ECGs: {figures}, "
        "which is compatible with none."
    )


def _by(difference: Interval) -> str:
    return f"a difference of {interval_text(difference)}"
