"""Where a device and a model say different things of one recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ecgfm_clinical.ecg.labels import LABELS
from ecgfm_clinical.staging.records import Score
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.statements.understanding import understood


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One label on which the two do not agree."""

    label: str
    device: Literal["states it", "thinks it possible", "denies it", "does not say it"]
    is_positive: bool  #: the model's answer at its operating point
    probability: float


def differences(ecg: Ecg, scores: Sequence[Score]) -> tuple[Difference, ...]:
    """In the order of `scores`. A device that states nothing we understand differs from nobody, and neither does an
    answer without an operating point. That a device does not say something counts only beside a yes of the model.
    """
    said = _said(ecg)
    if not said:
        return ()
    found = []
    for score in scores:
        if score.positive is None or score.probability is None or score.label not in _EXPRESSIBLE:
            continue
        device = said.get(score.label, "does not say it")
        if score.positive == (device in ("states it", "thinks it possible")):
            continue
        found.append(
            Difference(label=score.label, device=device, is_positive=score.positive, probability=score.probability)
        )
    return tuple(found)


_EXPRESSIBLE = {label for labels in LABELS.values() for label in labels}
_WORDS: dict[str, Literal["states it", "thinks it possible", "denies it"]] = {
    "denied": "denies it",
    "possible": "thinks it possible",
    "stated": "states it",
}


def _said(ecg: Ecg) -> dict[str, Literal["states it", "thinks it possible", "denies it", "does not say it"]]:
    """Label -> what the device says of it; the surer of two statements counts."""
    found: dict[str, Literal["states it", "thinks it possible", "denies it", "does not say it"]] = {}
    statements = understood(ecg)
    for certainty, words in _WORDS.items():
        for one in statements:
            if one.certainty == certainty:
                found |= dict.fromkeys(LABELS.get(one.concept, ()), words)
    return found
