"""Probabilities moved to another prevalence: Bayes' odds, the same ECGs positive, and nothing lost on the way."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecgfm.checkpoint import Bundle
from ecgfm.errors import BundleError
from ecgfm.finetuning.candidate import Model as Trainable
from ecgfm.finetuning.candidate import calibrated, fingerprints
from ecgfm.finetuning.dataset import Example
from ecgfm.heads import REDUCED_LVEF, HeadSpec, Platt
from ecgfm.predictor import Predictor
from ecgfm.prior_shift import PriorShift
from ecgfm.provenance import Provenance
from ecgfm.records import Record
from tests.helpers.synthetic import synthetic_ecgs
from tests.helpers.tiny_models import tiny_network

LABEL = "reduced_lvef"
SHIFT = PriorShift(learnt=0.3, stated=0.05)


def test_the_odds_are_multiplied_by_the_ratio_of_the_prior_odds() -> None:
    """Simulated: of 0.3 positive people and of 0.05, with the same score in either kind."""
    stream = np.random.default_rng(4)
    score = {kind: stream.normal(kind, 1, 400_000) for kind in (0.0, 1.5)}

    def share(prevalence: float) -> float:
        """Of positive people among those whose score lies about 1."""
        near = {kind: (abs(values - 1) < 0.05).mean() for kind, values in score.items()}
        return float(near[1.5] * prevalence / (near[1.5] * prevalence + near[0.0] * (1 - prevalence)))

    assert SHIFT.probability(share(0.3)) == pytest.approx(share(0.05), abs=1e-12)
    assert SHIFT.log_odds == pytest.approx(np.log(0.05 / 0.95) - np.log(0.3 / 0.7))


def test_nothing_is_moved_between_equal_shares_and_certainty_stays() -> None:
    assert PriorShift(learnt=0.2, stated=0.2).probability(0.37) == 0.37
    assert [SHIFT.probability(one) for one in (0.0, 1.0)] == [0.0, 1.0]
    assert SHIFT.corrected(0.0).stated == pytest.approx(SHIFT.stated)
    assert SHIFT.corrected(1.0).log_odds == pytest.approx(SHIFT.log_odds + 1)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.2, float("nan")])
def test_a_prevalence_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="no share"):
        PriorShift(learnt=0.3, stated=share)


def test_a_shift_is_of_a_label_that_the_head_has() -> None:
    with pytest.raises(ValueError, match="labels it does not have"):
        replace(REDUCED_LVEF, prior_shifts={"troponin": SHIFT})


def head(shift: bool) -> HeadSpec:
    return replace(
        REDUCED_LVEF,
        calibration={LABEL: Platt(slope=1.4, intercept=-0.2)},
        operating_points={LABEL: 0.45},
        site_operating_points={"South": {LABEL: 0.4}},
        prior_shifts={LABEL: SHIFT} if shift else {},
    )


def written(folder: Path, shift: bool) -> Bundle:
    network = tiny_network()
    network.specs = (head(shift), *network.specs[1:])
    return Bundle.write(folder, network, name="tiny", version="1", demo=True, provenance=Provenance())


def test_a_bundle_says_both_probabilities_and_calls_the_same_ecgs_positive(tmp_path: Path) -> None:
    before, after = (written(tmp_path / str(shift), shift) for shift in (False, True))
    records = [
        Record(signal=signal * (1 + n / 7), sampling_rate=500, site=("", "South")[n % 2])
        for n, signal in enumerate(synthetic_ecgs(6))
    ]
    plain, moved = (Predictor.from_bundle(one.path, device="cpu").predict(records) for one in (before, after))
    for one, other in zip(plain, moved, strict=True):
        (then, *rest), (now, *same) = one.heads, other.heads
        assert rest == same
        assert (then.unshifted, now.unshifted) == (None, then.probability)
        assert (now.logit, now.segment_probabilities) == (then.logit, then.segment_probabilities)
        assert now.probability == SHIFT.probability(then.probability)
        assert then.threshold is not None
        assert now.threshold == SHIFT.probability(then.threshold)
        assert (now.probability >= now.threshold) == (then.probability >= then.threshold)
    assert before.model_id != after.model_id
    assert fingerprints(Trainable.of(before))[LABEL] != fingerprints(Trainable.of(after))[LABEL]


def test_a_program_that_knows_of_no_shift_refuses_the_bundle(tmp_path: Path) -> None:
    """It would say the probability before. Bundles without one are written as before."""
    versions = []
    for shift in (False, True):
        path = written(tmp_path / str(shift), shift).path / "bundle.json"
        versions.append(json.loads(path.read_text())["format_version"])
    assert versions == [1, 2]
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 4'))
    with pytest.raises(BundleError, match="format version 4"):
        Bundle.read(path.parent)


def test_calibrating_anew_ends_the_shift() -> None:
    """It was one from the share among those on whom the former calibration was fitted."""
    examples = [Example(key=str(n), patient=str(n), labels=(float(n % 2),), segments=1) for n in range(20)]
    logits = [np.array([[n % 2 + n / 10]]) for n in range(20)]
    found = calibrated(head(shift=True), examples, logits, "platt")
    assert not found.prior_shifts
    assert found.calibration
