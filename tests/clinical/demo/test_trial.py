"""The demo's trial: who is held out, and its statistic on scores whose AUROC is known."""

from dataclasses import replace
from typing import Any

import pytest

from ecgfm.finetuning.dataset import Example
from ecgfm_clinical.learning.cohort.labelling import Labelled
from ecgfm_clinical.learning.cohort.members import AppliedRules, Cohort, Member, SplitName
from ecgfm_clinical.staging.cohort_rows import EcgRow
from tests.benchmarks.trial import calibration, held_out, pooled


def member(patient: str, split: SplitName) -> Member:
    row = EcgRow(
        key=f"ecg {patient}",
        patient=patient,
        patient_keys=(patient,),
        identified=True,
        acquired_at=None,
        sampling_rate=500.0,
        samples=5000,
    )
    example = Example(key=row.key, patient=patient, labels=(1.0,), segments=2)
    return Member(example=example, split=split, row=row, labelled=Labelled(labels=(1.0,)))


def test_whoever_was_not_fitted_on_is_held_out_and_splits_of_the_training_stay() -> None:
    first = Cohort(
        labels=("reduced_lvef",),
        members=(member("a", "train"), member("b", "validation"), member("c", "test")),
        considered=3,
        steps=(),
        outcomes_left_out={},
        rules=AppliedRules(labelling={}),
    )
    # d comes later; by its hash it would be trained on the next time
    everyone = replace(first, members=(*first.members, member("d", "train")), considered=4)
    found = held_out(first, everyone)
    assert {one.example.patient: one.split for one in found.members} == {
        "a": "train",
        "b": "validation",
        "c": "test",
        "d": "test",
    }


def judgement(slope: float = 1.0, intercept: float = 0.0, low: float = 0.01, *reasons: str) -> dict[str, Any]:
    difference = {"value": 0.1, "low": low, "high": 0.2}
    return {
        "gate": {"refusals": list(reasons)},
        "metrics": {"calibration_slope": {"value": slope}, "calibration_intercept": {"value": intercept}},
        "difference": {"age and sex": difference, "random encoder": difference},
    }


REFUSED = "reduced_lvef: calibration slope 0.5 (0.4 to 0.6) does not reach 0.8 to 1.25"


@pytest.mark.parametrize(
    ("part", "within", "better_but_refused"),
    [
        (judgement(), True, False),
        (judgement(1.3), False, False),
        (judgement(1.0, -0.31), False, False),
        (judgement(1.0, 0.0, 0.01, REFUSED), True, True),
        (judgement(1.0, 0.0, -0.01, REFUSED), True, False),
        (judgement(1.0, 0.0, 0.01, "reduced_lvef: no better than age and sex"), True, False),
    ],
)
def test_the_goals_of_calibration(part: dict[str, Any], within: bool, better_but_refused: bool) -> None:
    found = calibration(part)
    assert (found["within_goal"], found["better_but_refused"]) == (within, better_but_refused)


def hospital(seed: int, candidate: list[float], random: list[float]) -> dict[str, Any]:
    truth = [0.0, 0.0, 1.0, 1.0] * 10
    own = {"truth": truth, "candidate": candidate * 10, "baselines": {"random encoder": random * 10}, **judgement()}
    return {"seed": seed, "heads": {"reduced_lvef": own}}


def test_the_statistic_is_the_mean_difference_of_aurocs_inside_hospitals() -> None:
    perfect, half, tied = [0.1, 0.2, 0.8, 0.9], [0.1, 0.8, 0.2, 0.9], [0.5] * 4
    found = pooled("reduced_lvef", [hospital(1, perfect, half), hospital(2, perfect, tied)])
    assert [one["auroc"]["random encoder"] for one in found["hospitals"]] == pytest.approx([0.75, 0.5])
    difference = found["difference"]["random encoder"]
    assert difference["value"] == pytest.approx((0.25 + 0.5) / 2)
    assert 0 < difference["low"] < difference["value"] < difference["high"]


def test_the_same_scores_make_no_difference() -> None:
    same = [0.1, 0.8, 0.2, 0.9]
    found = pooled("reduced_lvef", [hospital(1, same, same)])
    assert found["difference"]["random encoder"] == {"value": 0.0, "low": 0.0, "high": 0.0}
