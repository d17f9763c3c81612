"""Where device and model disagree is named, and nothing else is."""

from dataclasses import replace

import pytest

from ecgfm_clinical.operate.differences import differences
from ecgfm_clinical.staging.records import Score
from tests.helpers.fakes import make_ecg


def score(label: str, probability: float, threshold: float | None = 0.5) -> Score:
    positive = None if threshold is None else probability >= threshold
    return Score(
        head="interpretation",
        label=label,
        probability=probability,
        logit=0.0,
        threshold=threshold,
        positive=positive,
    )


def found(statements: tuple[str, ...], *scores: Score) -> list[tuple[str, str, bool]]:
    ecg = replace(make_ecg(1), statements=statements, coded=())
    return [(one.label, one.device, one.is_positive) for one in differences(ecg, scores)]


@pytest.mark.parametrize(
    ("statements", "given", "expected"),
    [
        (("Atrial fibrillation",), score("Atrial fibrillation", 0.1), ("Atrial fibrillation", "states it", False)),
        (("Atrial fibrillation",), score("Atrial fibrillation", 0.9), None),
        (("No atrial fibrillation",), score("Atrial fibrillation", 0.9), ("Atrial fibrillation", "denies it", True)),
        (("Sinus rhythm",), score("Electronic pacemaker", 0.99), ("Electronic pacemaker", "does not say it", True)),
        (("Sinus rhythm",), score("Electronic pacemaker", 0.01), None),
        (("Sinus rhythm",), score("Sinus rhythm", 0.1, threshold=None), None),
        ((), score("Electronic pacemaker", 0.99), None),
        (("Sinus rhythm",), score("reduced_lvef", 0.99), None),
    ],
)
def test_what_differs_is_named(
    statements: tuple[str, ...], given: Score, expected: tuple[str, str, bool] | None
) -> None:
    assert found(statements, given) == ([expected] if expected else [])
