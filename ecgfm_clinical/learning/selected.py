"""How a head's method was chosen, as frozen values: what records keep and reports show."""

from dataclasses import dataclass

from ecgfm_clinical.learning.documents import Notes, parse

SELECTION = "selection"  #: under which name the notes on a training hold it


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of one way to train a head."""

    name: str
    encoder: str
    auroc: float | None  #: mean over folds and labels; None where it was skipped
    folds: tuple[float, ...] = ()
    seconds: float
    skipped: str = ""  #: why


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was tried, what was chosen, and why."""

    chosen: str
    encoder: str
    why: str
    budget_seconds: float
    tried: tuple[Tried, ...]


def selection_of(training: Notes) -> Selection | None:
    """What the notes on a training say of it; None where the method was named. Raises LearningError."""
    told = training.get(SELECTION)
    return None if told is None else parse(Selection, told, what="how the method was chosen")


def without_selection(training: Notes) -> Notes:
    """The rest of the notes."""
    return {name: own for name, own in training.items() if name != SELECTION}
