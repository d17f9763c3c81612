"""Every score that a calibration is fitted on comes from a training that saw nothing of the patient."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from ecgfm.errors import TrainingError
from ecgfm.finetuning.candidate import Model, segment_logits
from ecgfm.finetuning.dataset import Example
from ecgfm.finetuning.split import Split
from ecgfm.finetuning.trained import Trained
from ecgfm.heads import Platt
from ecgfm.operating_rule import OperatingRule
from ecgfm_clinical.demo import clinic
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning import out_of_fold, recalibration
from ecgfm_clinical.learning.cohort.folds import dealt
from ecgfm_clinical.learning.judged import Judged
from ecgfm_clinical.learning.provenance import head_records
from ecgfm_clinical.learning.report.card import card
from ecgfm_clinical.learning.training import Training
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.patient import Identifier
from tests.helpers.fakes import Clock
from tests.helpers.learning import with_learning

pytestmark = [pytest.mark.slow(15), pytest.mark.usefixtures("quick_judging", "without_pictures")]

HEAD = "reduced_lvef"
Take = Callable[[Store, Contents, bytes, datetime], None]
TakeMessage = Callable[[Store, bytes, datetime], None]


def test_each_fold_has_its_share_of_each_kind_and_each_patient_whole(workshop: Workshop) -> None:
    cohort, _ = workshop.cohort("reduced_lvef", workshop.clock())
    members = [*cohort.of("train"), *cohort.of("validation")]
    twice = [*members, replace(members[0], example=replace(members[0].example, key="ecg:again"))]
    folds = dealt(twice, 5)
    assert folds[0] == folds[-1], "both ECGs of a patient are in one fold"
    for split in ("train", "validation"):
        for label in (0.0, 1.0):
            own = [m.split == split and m.example.labels == (label,) for m in members]
            counts = np.bincount(folds[:-1][own], minlength=5)
            assert counts.max() - counts.min() <= 1
    assert (dealt(twice, 5) == folds).all()


def test_no_training_sees_a_patient_whom_it_scores(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    train = Training.train

    def watched(self: Training, network: Any, spec: Any, split: Split, *how: Any, **more: Any) -> Trained:
        seen.append({one.patient for one in (*split.train, *split.validation)})
        return train(self, network, spec, split, *how, **more)

    monkeypatch.setattr(Training, "train", watched)
    done = with_learning(workshop, calibration_folds=5).retrain("reduced_lvef", replicates=20)
    assert done is not None
    patients = {
        split: {one.patient for one in done.cohort.examples(split)} for split in ("train", "validation", "test")
    }
    whole, *folds = seen
    assert whole == patients["train"] | patients["validation"]
    held = [whole - fold for fold in folds]
    assert len(folds) == 5
    assert set().union(*held) == whole
    assert sum(len(own) for own in held) == len(whole), "each patient is held out once"
    assert not set().union(*seen) & patients["test"]
    record = head_records(done.bundle)["reduced_lvef"].trained
    assert record is not None
    assert record.calibration.fitted_on == "training and validation ECGs, out of 5 folds"
    assert isinstance((done.bundle.heads[0].calibration or {})["reduced_lvef"], Platt), "too few for a beta calibration"


def test_without_folds_the_validation_patients_calibrate(workshop: Workshop) -> None:
    done = with_learning(workshop, calibration_folds=0).retrain("reduced_lvef", replicates=20)
    assert done is not None
    record = head_records(done.bundle)["reduced_lvef"].trained
    assert record is not None
    assert record.calibration.fitted_on == "validation ECGs"


def test_a_recipe_is_repeated_with_what_its_training_chose() -> None:
    chosen: Any = Trained(network=None, record={"penalty_c": 0.03, "best_epoch": 7})  # type: ignore[arg-type]
    assert Training().as_chosen(chosen).penalties == (0.03,)
    again = Training(method="full").as_chosen(chosen).fine_tuning
    assert (again.max_epochs, again.patience) == (7, None)


def test_too_many_folds_for_the_patients_is_said(workshop: Workshop) -> None:
    with pytest.raises(TrainingError, match="ask for fewer"):
        with_learning(workshop, calibration_folds=200).retrain("reduced_lvef", replicates=20)


def retrained_and_found(workshop: Workshop) -> tuple[Judged, OperatingRule]:
    """A candidate, and the rule by which its threshold was chosen."""
    done = workshop.retrain(HEAD, replicates=20)
    assert done is not None
    return done, workshop.settings.learning.operating_point(HEAD)


def chosen_on(done: Judged) -> str:
    record = head_records(done.bundle)[HEAD].recalibrated
    assert record is not None
    return str(record.chosen_on)


def test_a_recalibration_on_the_same_patients_finds_what_the_training_found(workshop: Workshop) -> None:
    done, rule = retrained_and_found(workshop)
    again = workshop.recalibrate(HEAD, rule, model=done.bundle.model_id, replicates=20)
    before, after = done.bundle.heads[0], again.bundle.heads[0]
    assert after.calibration == before.calibration
    assert after.operating_points == before.operating_points
    count = len(done.cohort.of("train")) + len(done.cohort.of("validation"))
    assert chosen_on(again) == (
        f"training and validation ECGs ({count} out of the folds of the head's training, 0 of patients who came later)"
    )
    assert "0 of patients who came later" in again.report.read_text(encoding="utf-8")
    assert "calibrated anew" in card(again.bundle)
    assert isinstance(workshop.clock, Clock)
    workshop.clock.advance(hours=1)
    (kept,) = workshop.folders.runs.glob(f"*/{out_of_fold.FILE}")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:100])
    with pytest.raises(LearningError, match="cannot be read; remove it"):
        workshop.recalibrate(HEAD, rule, model=again.bundle.model_id, replicates=20)
    kept.unlink()
    alone = workshop.recalibrate(HEAD, rule, model=again.bundle.model_id, replicates=20)
    assert chosen_on(alone) == "validation ECGs", "nobody knows any more whom the head learnt from"
    assert alone.bundle.heads[0].calibration != before.calibration
    workshop.clock.advance(hours=1)
    kept.write_bytes(whole)
    third = workshop.recalibrate(HEAD, rule, model=alone.bundle.model_id, replicates=20)
    assert third.bundle.heads[0].calibration == before.calibration, "the scores of the lineage's training are found"


def test_who_came_later_is_scored_by_the_head_and_nobody_else_is(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, take: Take, take_message: TakeMessage
) -> None:
    done, rule = retrained_and_found(workshop)
    learnt_from = int(done.cohort.of("train")[0].example.key.removeprefix("ecg:"))
    (known_to_it,) = workshop.store.ecgs.load([learnt_from])
    now = workshop.clock()
    for place, visit in enumerate(clinic.visits(12, now=now, seed=9)):
        number = known_to_it.ecg.patient.identifiers[0].value if place == 0 else f"CAME-{place}"
        patient = replace(visit.ecg.patient, identifiers=(Identifier(authority="DEMO", value=number),))
        own = replace(visit, ecg=replace(visit.ecg, patient=patient))
        take(workshop.store, Contents(ecgs=(own.ecg,)), number.encode(), now)
        take_message(workshop.store, clinic.echo_message(own, sent_at=now).replace(b"ECHO0", b"ECHO9"), now)
    scored: list[set[str]] = []

    def watched(model: Model, head: str, examples: Sequence[Example], *how: Any) -> Any:
        scored.append({one.key for one in examples})
        return segment_logits(model, head, examples, *how)

    monkeypatch.setattr(recalibration, "segment_logits", watched)
    again = workshop.recalibrate(HEAD, rule, model=done.bundle.model_id, replicates=20)
    known = {member.example.patient for member in done.cohort.members}
    later = {
        split: {member.example.key for member in again.cohort.of(split) if member.example.patient not in known}
        for split in ("train", "validation", "test")
    }
    assert all(later.values()), "some of the new ones came into each split"
    assert scored == [later["train"] | later["validation"]]
    assert "; 1 later ones of patients it learnt from left out)" in chosen_on(again)
    assert f" {len(scored[0])} of patients who came later" in chosen_on(again)
