"""What learning is told of staged ECGs is what scoring is told of them."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from ecgfm_clinical.ecg.evaluability import judge
from ecgfm_clinical.settings import HeadRules
from ecgfm_connectors.ecg import AcquiredAt

AT = AcquiredAt(at=datetime(2031, 5, 1, tzinfo=UTC), zone_source="offset", original="20310501000000+0000")


@pytest.mark.parametrize(
    ("birth_date", "stated", "years"),
    [
        (date(1991, 5, 1), None, 40),
        (None, "5 a", 5),
        (date(1991, 5, 1), "39 a", 40),
        (date(1991, 5, 1), "5 a", None),
        (date(1, 1, 1), "42 a", 42),
        (date(2032, 1, 1), None, None),
        (None, None, None),
    ],
    ids=["born", "stated", "both agree", "both disagree", "placeholder", "born after the ECG", "unknown"],
)
def test_an_ecgs_age_is_the_one_that_its_heads_go_by(
    ward: Any, birth_date: date | None, stated: str | None, years: float | None
) -> None:
    measurements = (("age", stated),) if stated else ()
    ecg = ward.ecg(patient=ward.patient(birth_date=birth_date), acquired=AT, measurements=measurements)
    ward.take(ecg)
    (row,) = ward.store.cohorts.ecgs()
    assert (row.age and round(row.age)) == years
    adult = HeadRules(min_age=18, max_age=None, unknown_age="refuse")
    refused = any(reason.code.startswith("age-") for reason in judge(ecg, adult))
    assert refused == (row.age is None or row.age < 18)


def test_a_patient_stays_in_its_split_over_versions_of_this_program(ward: Any) -> None:
    """Who was tested on once must never be trained on: the key by which patients are split is that of the first schemas."""
    ward.take(patient=ward.patient("OLD"))
    ward.take(patient=ward.patient("NEW"))
    with ward.store.database.reading() as ask:
        keys = [ask.key("patient", "TESTHOSP", "MR", number) for number in ("OLD", "NEW")]
    assert [row.patient_keys for row in ward.store.cohorts.ecgs()] == [(key,) for key in keys]
    ward.merge("OLD", "NEW")
    assert {row.patient_keys for row in ward.store.cohorts.ecgs()} == {tuple(sorted(keys))}


def test_what_is_held_or_was_taken_back_is_doubtful(ward: Any) -> None:
    ward.take(source_id="1.2.3")
    ward.take(source_id="1.2.3", patient=ward.patient("another"))
    assert [row.doubtful for row in ward.store.cohorts.ecgs()] == [True, True]
    (held,) = ward.store.results.holds()
    ward.store.results.release(held.hold_id, reason="test", now=ward.now, actor="operator")
    rows = ward.store.cohorts.ecgs()
    assert [(row.doubtful, row.superseded) for row in rows] == [(False, True), (False, False)]
    assert rows[0].patient == rows[1].patient, "both versions are of the patient who was decided"
