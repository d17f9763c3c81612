"""Every score that a calibration is fitted on comes from a training that saw nothing of the patient."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ecgfm.errors import TrainingError
from ecgfm.finetuning.split import Split
from ecgfm.finetuning.trained import Trained
from ecgfm.heads import Platt
from ecgfm_clinical.learning.cross_fitting import dealt
from ecgfm_clinical.learning.provenance import head_records
from ecgfm_clinical.learning.training import Training
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.settings import Learning

pytestmark = pytest.mark.slow(10)


def with_folds(workshop: Workshop, folds: int) -> Workshop:
    learning = Learning.model_validate(workshop.settings.learning.model_dump() | {"calibration_folds": folds})
    return replace(workshop, settings=workshop.settings.model_copy(update={"learning": learning}))


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
    done = with_folds(workshop, 5).retrain("reduced_lvef", replicates=2)
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
    done = with_folds(workshop, 0).retrain("reduced_lvef", replicates=2)
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
        with_folds(workshop, 200).retrain("reduced_lvef", replicates=2)
