"""Linkage, exclusions in order, splits that stay, and every known way in which a test patient leaks into training."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecgfm_clinical.learning.cohort.building import build
from ecgfm_clinical.learning.cohort.labelling import Given, Labelled, Labelling, RaisedTroponin, ReducedLvef, usable
from ecgfm_clinical.learning.cohort.members import SPLITS, Cohort, CohortRules, split_of
from ecgfm_clinical.learning.cohort.statements import Statements, from_codes, from_statements, from_words
from ecgfm_clinical.learning.documents import plain
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeRow

NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)
NOW = datetime(2032, 1, 1, tzinfo=UTC)


def ecg(number: int = 1, patient: str = "p1", at: datetime | None = NOON, **changes: Any) -> EcgRow:
    given: dict[str, Any] = {
        "key": f"ecg:{number}",
        "patient": patient,
        "patient_keys": (patient,),
        "identified": True,
        "acquired_at": at,
        "sampling_rate": 500.0,
        "samples": 5000,
        "age": 60.0,
        "recording": f"recording {number}",
    }
    return EcgRow(**(given | changes))


def echo(value: float, *, days: float = 1, patient: str = "p1", **changes: Any) -> OutcomeRow:
    given: dict[str, Any] = {"key": f"echo {value} {days}", "kind": "lvef", "status": "final", "unit": "%"}
    return OutcomeRow(
        **(given | {"patient": patient, "value": value, "observed_at": NOON + timedelta(days=days)} | changes)
    )


def draw(value: float, *, hours: float, patient: str = "p1", **changes: Any) -> OutcomeRow:
    given: dict[str, Any] = {"kind": "troponin", "unit": "ng/L", "upper_reference_limit": 14.0}
    given |= {"key": f"draw {value} {hours}"}
    return echo(value, patient=patient, **(given | {"observed_at": NOON + timedelta(hours=hours)} | changes))


def all_evaluable(rows: Sequence[EcgRow]) -> list[tuple[str, ...]]:
    return [()] * len(rows)


def noise_of_p2(rows: Sequence[EcgRow]) -> list[tuple[str, ...]]:
    return [("noise", "flat-lead") if row.patient == "p2" else () for row in rows]


def lvef_cohort(ecgs: list[EcgRow], echoes: list[OutcomeRow], rules: CohortRules | None = None, **more: Any) -> Cohort:
    outcomes, left_out = usable(echoes, now=NOW)
    return build(
        ecgs,
        ReducedLvef(),
        rules or CohortRules(),
        now=NOW,
        evaluable=more.get("evaluable", all_evaluable),
        outcomes=outcomes,
        outcomes_left_out=left_out,
    )


def label_of(rule: Labelling, results: Sequence[OutcomeRow] = (), row: EcgRow | None = None) -> float | str:
    row = row or ecg()
    found = rule.label(row, usable(results, now=NOW)[0].get(row.patient, ()))
    return found.labels[0] if isinstance(found, Labelled) else found.code


@pytest.mark.parametrize(
    ("echoes", "rules", "expected"),
    [
        ([echo(35, days=1)], {}, 1.0),
        ([echo(60, days=2), echo(30, days=-1)], {}, 1.0),  # the nearest, before or after
        ([echo(60, days=1), echo(30, days=-2)], {}, 0.0),
        ([echo(60, days=7)], {}, 0.0),
        ([echo(60, days=7.01)], {}, "outside-window"),
        ([echo(60, days=20)], {"window": timedelta(days=30)}, 0.0),
        ([echo(45)], {"threshold": 50.0}, 1.0),
        ([echo(45)], {"threshold": 35.0}, 0.0),
        ([echo(350), echo(30, days=3)], {}, 1.0),  # the nearest with a usable value
        ([echo(350)], {}, "outcome-implausible"),
        ([echo(35, unit="")], {}, "outcome-no-unit"),
        ([echo(35, status="withdrawn")], {}, "no-outcome"),
        ([echo(35, patient="p2")], {}, "no-outcome"),
        ([echo(35, days=4000)], {}, "no-outcome"),  # future: not yet measured at all
    ],
)
def test_the_nearest_usable_echo_gives_the_label(
    echoes: list[OutcomeRow], rules: dict[str, Any], expected: float | str
) -> None:
    assert label_of(ReducedLvef(**rules), echoes) == expected


@pytest.mark.parametrize(
    ("draws", "rules", "expected"),
    [
        ([draw(10, hours=1), draw(100, hours=5)], {}, 1.0),  # peak
        ([draw(10, hours=1), draw(100, hours=5)], {"select": "first"}, 0.0),
        ([draw(100, hours=-1.5), draw(10, hours=5)], {"select": "first"}, 1.0),
        ([draw(100, hours=7)], {}, "outside-window"),
        ([draw(100, hours=-3)], {}, "outside-window"),
        ([draw(100, hours=7)], {"after": timedelta(hours=12)}, 1.0),
        ([draw(500, hours=-10), draw(100, hours=1)], {"drop_after_peak": True}, "after-peak"),
        ([draw(500, hours=-10), draw(100, hours=1)], {}, 1.0),
        ([draw(20, hours=1), draw(100, hours=3)], {"drop_after_peak": True}, 1.0),
        ([draw(20, hours=1, upper_reference_limit=None)], {}, "outcome-no-limit"),
        ([draw(100, hours=1, observed_precision="day")], {}, "day-only"),
        ([draw(100, hours=1, observed_precision="day"), draw(10, hours=2)], {}, 0.0),
        ([draw(100, hours=1, observed_precision="minute")], {}, 1.0),
        # where the laboratory has measured, the bedside does not count; where it has not, it does
        ([draw(100, hours=1, assay="I POC"), draw(10, hours=2, assay="hs-I")], {}, 0.0),
        ([draw(100, hours=1, assay="I POC")], {}, 1.0),
        # 30 of an assay with limit 40 is below it; 20 of one with limit 14 is above: raw numbers would choose wrongly
        ([draw(30, hours=1, upper_reference_limit=40.0), draw(20, hours=2)], {}, 1.0),
    ],
)
def test_troponins_near_the_ecg_give_the_label(
    draws: list[OutcomeRow], rules: dict[str, Any], expected: float | str
) -> None:
    assert label_of(RaisedTroponin(**rules), draws) == expected


def test_exclusions_are_counted_in_order_and_add_up() -> None:
    ecgs = [
        ecg(1),
        ecg(2, test_data=True),
        ecg(3, superseded=True),
        ecg(4, identified=False),
        ecg(5, at=None),
        ecg(6, at=NOW + timedelta(days=1)),
        ecg(7, samples=2499),
        ecg(8, age=12.0),
        ecg(9, patient="nobody"),
        ecg(10, at=NOON + timedelta(days=30)),
        ecg(11, patient="odd"),
        ecg(12, recording="recording 1", at=NOON + timedelta(days=1)),
        ecg(13, at=NOON + timedelta(hours=1)),
        ecg(14, patient="p2"),
        ecg(15, patient="unknown age", age=None),
        ecg(16, kept=False),
        ecg(17, doubtful=True),
        ecg(18, objected=True),
    ]
    echoes = [
        echo(35),
        echo(350, patient="odd"),
        echo(60, patient="p2"),
        echo(60, patient="unknown age"),
        echo(20, status="withdrawn"),
    ]
    cohort = lvef_cohort(ecgs, echoes, evaluable=noise_of_p2)
    assert {step.code: step.excluded for step in cohort.steps} == {
        "test-data": 1,
        "superseded": 1,
        "patient-doubtful": 1,
        "patient-objects": 1,
        "no-signal": 1,
        "no-patient": 1,
        "no-time": 1,
        "future": 1,
        "too-short": 1,
        "age": 1,
        "no-outcome": 1,
        "outside-window": 1,
        "outcome-implausible": 1,
        "duplicate": 1,
        "serial": 1,
        "not-evaluable: noise": 1,
    }
    assert cohort.considered - sum(step.excluded for step in cohort.steps) == len(cohort.members) == 2
    assert [step.left for step in cohort.steps][-1] == 2
    assert cohort.outcomes_left_out == {"withdrawn": 1, "future": 0}
    told = plain(cohort.flow)
    assert sum(part["ecgs"] for part in told["splits"].values()) == told["included"] == 2
    assert "p1" not in str(told)


def test_of_one_day_the_ecg_nearest_to_the_outcome_stays() -> None:
    ecgs = [ecg(1, at=NOON), ecg(2, at=NOON + timedelta(hours=5)), ecg(3, at=NOON + timedelta(days=2))]
    kept = {one.example.key for one in lvef_cohort(ecgs, [echo(35, days=0.25)]).members}
    assert kept == {"ecg:2", "ecg:3"}
    first = lvef_cohort(ecgs, [echo(35, days=0.25)], CohortRules(serial="first"))
    assert [one.example.key for one in first.members] == ["ecg:1"]
    assert len(lvef_cohort(ecgs, [echo(35, days=0.25)], CohortRules(serial="all")).members) == 3


def test_an_ecg_recorded_when_the_outcome_was_known_can_be_left_out() -> None:
    ecgs, echoes = [ecg(1), ecg(2, patient="p2")], [echo(35, days=-1), echo(60, days=1, patient="p2")]
    assert [one.labelled.outcome_first for one in lvef_cohort(ecgs, echoes).members] == [True, False]
    rules = CohortRules(drop_if_outcome_first=True)
    assert [one.example.key for one in lvef_cohort(ecgs, echoes, rules).members] == ["ecg:2"]


def test_splits_are_stable_disjoint_and_of_the_stated_size() -> None:
    where = {f"patient {n}": split_of([f"patient {n}"]) for n in range(4000)}
    shares = {split: list(where.values()).count(split) / 4000 for split in SPLITS}
    assert shares == pytest.approx({"train": 0.70, "validation": 0.15, "test": 0.15}, abs=0.02)
    assert [split_of([f"patient {n}"]) for n in range(8)] == [where[f"patient {n}"] for n in range(8)]
    # Written down once: a change would test models on patients they were trained on.
    assert [split_of([key]) for key in "abcdefgh"] == [
        "test",
        "test",
        "train",
        "train",
        "train",
        "train",
        "train",
        "validation",
    ]


def test_a_patient_merged_midway_is_tested_on_only_if_never_trained_on() -> None:
    keys = {split: next(f"k{n}" for n in range(100) if split_of([f"k{n}"]) == split) for split in SPLITS}
    assert split_of([keys["test"], keys["train"]]) == "train"
    assert split_of([keys["test"], keys["validation"]]) == "validation"
    merged = ecg(1, patient=keys["test"], patient_keys=(keys["test"], keys["train"]))
    assert lvef_cohort([merged], [echo(35, patient=keys["test"])]).members[0].split == "train"


def test_the_digest_names_the_cohort() -> None:
    ecgs, echoes = [ecg(1), ecg(2, patient="p2")], [echo(35), echo(60, patient="p2")]
    cohort = lvef_cohort(ecgs, echoes)
    assert cohort.digest == lvef_cohort(ecgs[::-1], echoes[::-1]).digest
    assert cohort.digest != lvef_cohort(ecgs[:1], echoes).digest
    assert cohort.digest != lvef_cohort(ecgs, [echo(60), echo(60, patient="p2")]).digest


def test_given_labels_of_a_table() -> None:
    rule = Given(
        table={"ecg:1": (1.0, float("nan")), "ecg:2": (float("nan"), float("nan"))},
        labels=("a", "b"),
        source="t",
        meaning="m",
    )
    cohort = build([ecg(1), ecg(2), ecg(3)], rule, CohortRules(), now=NOW, evaluable=all_evaluable)
    assert [one.example.key for one in cohort.members] == ["ecg:1"]
    assert next(step.excluded for step in cohort.steps if step.code == "no-label") == 2


def labels_named(found: tuple[float, ...] | None) -> set[str]:
    assert found is not None
    return {label for label, value in zip(Statements().labels, found, strict=True) if value == 1}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (("SCP:SR", "SCP:NORM"), {"Sinus rhythm"}),
        (
            ("SCP:1AVB", "SCP:SBRAD"),
            {"Sinus rhythm", "Bradycardia", "Atrioventricular block", "1st degree atrioventricular block"},
        ),
        (("SCP:CRBBB", "SCP:LAFB"), {"Right bundle branch block", "Bifascicular block"}),
        (("SCP:LAFB",), set()),
        (("SNOMED:164889003", "SNOMED:164909002"), {"Atrial fibrillation", "Left bundle branch block"}),
        (("SNOMED:999",), set()),
    ],
)
def test_coded_statements(codes: tuple[str, ...], expected: set[str]) -> None:
    assert labels_named(from_codes(codes)) == expected


def test_what_a_coding_system_cannot_say_is_not_known() -> None:
    found = dict(zip(Statements().labels, from_codes(("SCP:SR",)) or (), strict=True))
    assert math.isnan(found["Poor data quality"])
    assert found["Infarction"] == 0


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (
            ("Sinus tachycardia", "Left bundle branch block"),
            {"Sinus rhythm", "Tachycardia", "Left bundle branch block"},
        ),
        (("Ventricular-paced rhythm",), {"Electronic pacemaker"}),
        (("Incomplete right bundle branch block",), set()),
        (("No evidence of infarct",), set()),
        (("Normal ECG",), set()),
    ],
)
def test_the_words_of_a_cart(statements: tuple[str, ...], expected: set[str]) -> None:
    assert labels_named(from_words(statements)) == expected


@pytest.mark.parametrize(
    ("codes", "statements", "expected"),
    [
        (("MUSE:PaceSpikes",), ("Undetermined rhythm",), {"Electronic pacemaker"}),
        (("SNOMED:164854000",), ("Vorhofflimmern",), {"Atrial fibrillation"}),
        (("Minnesota:6-8", "Minnesota:7-1-1"), (), {"Electronic pacemaker", "Left bundle branch block"}),
        ((), ("Sinusrhythmus", "Kein Infarkt", "Kein Schrittmacher"), {"Sinus rhythm"}),
        ((), ("Rytm ze stymulatora komorowego",), {"Electronic pacemaker"}),
    ],
)
def test_codes_marks_and_words_together(
    codes: tuple[str, ...], statements: tuple[str, ...], expected: set[str]
) -> None:
    assert labels_named(from_statements(codes, statements)) == expected


def test_a_cart_that_wrote_nothing_gives_no_label() -> None:
    assert label_of(Statements(), row=ecg(statements=("", " "))) == "no-label"
