"""`model shift` from the stated share to both probabilities in the store, and the share checked as outcomes come."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from ecgfm.predictor import Predictor
from ecgfm.prior_shift import PriorShift
from ecgfm_clinical.errors import GateRefused, InputError, LearningError
from ecgfm_clinical.learning import governance, shifting
from ecgfm_clinical.learning.cohort.members import SplitName
from ecgfm_clinical.learning.drift import prevalence
from ecgfm_clinical.learning.drift.samples import Scored
from ecgfm_clinical.learning.provenance import head_record
from ecgfm_clinical.learning.report.card import card
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.pipeline.scoring import Scorer
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging.search import Wanted
from tests.helpers.fakes import Clock

pytestmark = pytest.mark.slow(5)

HEAD = "reduced_lvef"
CALIBRATED_ON: tuple[SplitName, ...] = ("train", "validation")


def test_a_stated_share_becomes_a_candidate_that_stands_as_its_base_and_tells_both_probabilities(
    workshop: Workshop,
) -> None:
    done = workshop.retrain(HEAD, replicates=20)
    assert done is not None
    live = workshop.registry.find(done.bundle.model_id)
    governance.promote(workshop.registry, live, now=workshop.clock(), actor="tester", reason="better")
    shifted = shifting.shift(workshop, HEAD, 0.04)

    labels = [member.example.labels[0] for split in CALIBRATED_ON for member in done.cohort.of(split)]
    assert shifted.shift.learnt == pytest.approx(np.mean(labels))
    assert shifted.shift.stated == 0.04
    record = head_record(shifted.bundle, HEAD)
    assert record is not None
    assert record.trained is not None
    assert record.shifted[HEAD].stated == 0.04
    assert "to 0.04" in card(shifted.bundle)
    later = Clock()
    later.now += timedelta(hours=2)
    again = shifting.shift(replace(workshop, clock=later), HEAD, 0.1, model=shifted.bundle.model_id)
    assert again.shift == replace(shifted.shift, stated=0.1), "from the calibration, not from the former shift"

    row = workshop.registry.find(shifted.bundle.model_id)
    governance.promote(workshop.registry, row, now=workshop.clock(), actor="tester", reason="screening")
    assert workshop.registry.live() == row
    scorer = Scorer(
        workshop.store,
        Predictor.from_bundle(shifted.bundle.path, device="cpu"),
        rules=lambda _: HeadRules(),
        worker="score",
        clock=workshop.clock,
        batch_size=4,
        lease=timedelta(minutes=5),
        max_attempts=3,
        run_for=0,
    )
    assert scorer.run_batch() > 0
    scorer.close()
    page = workshop.store.search.page(Wanted(), limit=400)
    scores = [one for ecg in page.found for one in ecg.scores if one.probability is not None]
    assert scores
    for one in scores:
        assert one.unshifted is not None
        assert one.probability == shifted.shift.probability(one.unshifted)


def test_a_share_that_nobody_knows_is_asked_for(workshop: Workshop) -> None:
    with pytest.raises(LearningError, match="--learnt"):
        shifting.shift(workshop, HEAD, 0.04)
    assert shifting.shift(workshop, HEAD, 0.04, learnt=0.3).shift == PriorShift(learnt=0.3, stated=0.04)
    with pytest.raises(InputError, match="no label 'troponin'"):
        shifting.shift(workshop, HEAD, 0.04, label="troponin", learnt=0.3)


def test_a_head_that_was_refused_stays_refused(workshop: Workshop) -> None:
    strict = workshop.settings.model_copy(deep=True)
    object.__setattr__(strict.learning.gate, "min_positives", 10_000)
    strictly = replace(workshop, settings=strict)
    done = strictly.retrain(HEAD, replicates=20)
    assert done is not None
    shifted = shifting.shift(strictly, HEAD, 0.04, model=done.bundle.model_id)
    with pytest.raises(GateRefused, match="positive"):
        governance.check_promotion(workshop.registry, workshop.registry.find(shifted.bundle.model_id))


SHIFT = PriorShift(learnt=0.3, stated=0.05)


def scored(true_share: float, count: int = 4000) -> list[Scored]:
    """Probabilities that would be right at the stated share, of people among whom the true one holds."""
    stream = np.random.default_rng(3)
    outcome = (stream.random(count) < true_share).astype(float)
    score = stream.normal(1.5 * outcome, 1)  # its log-odds at equal shares: 1.5 score - 1.125
    odds = 1.5 * score - 1.125 + np.log(SHIFT.stated / (1 - SHIFT.stated))
    return [
        Scored(
            month="2031-01", device="A", site="N", patient=str(n), probability=float(1 / (1 + np.exp(-o))), outcome=y
        )
        for n, (o, y) in enumerate(zip(odds, outcome, strict=True))
    ]


def test_the_share_is_found_that_fits_the_outcomes() -> None:
    right, wrong = (prevalence.recheck(SHIFT, scored(share), replicates=100) for share in (0.05, 0.12))
    assert right is not None
    assert wrong is not None
    assert not right.differs
    assert wrong.differs
    assert wrong.fits.low < wrong.positives / wrong.ecgs < wrong.fits.high


def test_people_who_are_measured_because_of_their_ecg_do_not_move_the_share() -> None:
    """Counted, they would: of those with a high probability far more are positive."""
    chosen = [one for one in scored(0.05, 20_000) if one.probability > 0.05]
    found = prevalence.recheck(SHIFT, chosen, replicates=100)
    assert found is not None
    assert found.positives / found.ecgs > 0.1
    assert not found.differs


def test_too_few_outcomes_say_nothing() -> None:
    assert prevalence.recheck(SHIFT, scored(0.05, 100)) is None
    assert prevalence.recheck(SHIFT, [replace(one, outcome=None) for one in scored(0.5)]) is None


def test_one_candidate_a_month_has_the_share_that_fits(workshop: Workshop) -> None:
    base = shifting.shift(workshop, HEAD, 0.05, learnt=0.3).bundle
    first = shifting.proposed(workshop, base, HEAD, HEAD, 0.12, "outcomes of 4000 ECGs")
    assert first.shift == PriorShift(learnt=0.3, stated=0.12)
    again = shifting.proposed(workshop, base, HEAD, HEAD, 0.13, "outcomes of 4001 ECGs")
    assert (again.bundle.model_id, again.shift) == (first.bundle.model_id, first.shift)
    later = Clock()
    later.now += timedelta(days=40)
    second = shifting.proposed(replace(workshop, clock=later), base, HEAD, HEAD, 0.13, "outcomes of 4100 ECGs")
    assert second.shift.stated == 0.13
    assert workshop.registry.live() != workshop.registry.find(second.bundle.model_id)
    found = prevalence.recheck(SHIFT, scored(0.12), replicates=100)
    assert found is not None
    said = prevalence.finding(HEAD, found, second.bundle.model_id)
    assert said.code == "prevalence"
    assert f"promote {second.bundle.model_id[:12]}" in said.text
