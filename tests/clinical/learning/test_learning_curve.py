"""A learning curve leaves test patients alone, and what it extrapolates is told with its uncertainty or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning import learning_curve
from ecgfm_clinical.learning.documents import parse, plain
from ecgfm_clinical.learning.learning_curve import ECG_FM, LearningCurve
from ecgfm_clinical.learning.power_law import PowerLaw, fit, needed
from ecgfm_clinical.learning.report.curve_picture import draw
from ecgfm_clinical.learning.workshop import Workshop
from tests.helpers.learning import with_learning

SIZES = [50, 70, 100, 140, 200, 280, 400, 560, 800, 1100]


def curve(law: PowerLaw, noise: float, *, seed: int, repeats: int = 5) -> np.ndarray:
    stream = np.random.default_rng(seed)
    return np.asarray(law(np.array(SIZES, np.float64)) + noise * stream.normal(size=(repeats, len(SIZES))))


def test_a_power_law_is_found_again() -> None:
    law = PowerLaw(a=0.1, b=1.0, c=0.5)
    found = fit(SIZES, curve(law, 0.001, seed=1).mean(axis=0))
    far = np.array([2000.0, 8000.0])
    assert found(far) == pytest.approx(law(far), abs=0.01)


@pytest.mark.slow(3)
def test_how_many_more_are_needed_is_told_with_an_interval_that_holds_the_truth() -> None:
    slow, flat = PowerLaw(a=0.1, b=2.0, c=0.4), PowerLaw(a=0.17, b=0.3, c=1.0)
    grid = np.arange(1100, 20_000, dtype=np.float64)
    truth = int(grid[np.argmax(slow(grid) > flat(grid))]) - 1100
    found = needed(SIZES, curve(slow, 0.001, seed=2), [curve(flat, 0.001, seed=3)], now=1100, at_least=0, samples=80)
    assert found.more is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= truth <= found.high
    assert truth > 100
    assert f"{found.low} to {found.high}" in found.why


@pytest.mark.slow(3)
def test_where_curves_never_cross_or_are_noise_it_cannot_tell() -> None:
    low, high = PowerLaw(a=0.3, b=0.5, c=0.5), PowerLaw(a=0.1, b=0.5, c=0.5)
    for candidate in (curve(low, 0.001, seed=4), curve(low, 0.05, seed=5)):
        found = needed(SIZES, candidate, [curve(high, 0.001, seed=6)], now=1100, at_least=0, samples=80)
        assert (found.more, found.low, found.high) == (None, None, None)
        assert found.why.startswith("Cannot tell")


@pytest.mark.slow(3)
def test_other_rules_of_the_gate_count_too_and_none_may_be_needed() -> None:
    low, high = PowerLaw(a=0.3, b=0.5, c=0.5), PowerLaw(a=0.1, b=0.5, c=0.5)
    good, rival = curve(high, 0.001, seed=7), [curve(low, 0.001, seed=8)]
    assert needed(SIZES, good, rival, now=1100, at_least=0, samples=80).more == 0
    found = needed(SIZES, good, rival, now=1100, at_least=2200, samples=80)
    assert found.more == pytest.approx(1100, rel=0.03)


@pytest.mark.slow(20)
def test_a_curve_of_a_clinic(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    scores = learning_curve._Material.scores

    def watched(self: Any, learnt: list[int], judged: list[int], column: int) -> dict[str, float]:
        both = [{self.members[i].example.patient for i in part} for part in (learnt, judged)]
        assert not both[0] & both[1], "nobody who judges was learnt from"
        seen.update(*both)
        return scores(self, learnt, judged, column)

    monkeypatch.setattr(learning_curve._Material, "scores", watched)
    monkeypatch.setattr(learning_curve, "forest", lambda train, truth, test: test[:, 0])  # 500 trees a size take long
    (found,) = workshop.learning_curves("reduced_lvef", sizes=4, repeats=3)
    cohort, _ = workshop.cohort("reduced_lvef", workshop.clock())
    assert not seen & {member.example.patient for member in cohort.of("test")}
    sizes = [point.ecgs for point in found.points]
    assert sizes == sorted(set(sizes))
    assert set(found.points[0].auroc) == {ECG_FM, "age and sex", "random encoder", "random forest"}
    assert parse(LearningCurve, plain(found), what="it") == found
    draw([found], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow(2)
def test_too_few_outcomes_are_said(workshop: Workshop) -> None:
    few = with_learning(workshop, lvef={"threshold": 30})
    with pytest.raises(LearningError, match=r"too few for a learning curve|needed"):
        few.learning_curves("reduced_lvef", sizes=4, repeats=3)
