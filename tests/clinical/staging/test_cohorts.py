"""What learning is told of staged ECGs is what scoring is told of them."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from ecgfm_clinical.ecg.evaluability import judge
from ecgfm_clinical.errors import StoreError
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
    """Who was tested on once must never be trained on:
    the key by which patients are split is that of the first schemas.
    """
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


class TestObjection:
    """Kept out of learning, under whatever number, from whenever on."""

    def _objected(self, ward: Any) -> list[bool]:
        return [row.objected for row in ward.store.cohorts.ecgs()]

    def _object(self, ward: Any, number: str) -> None:
        ward.store.objections.keep(ward.identifier(number), reason="asked to", now=ward.now, actor="operator")

    def test_the_ecgs_of_one_person_and_of_nobody_else(self, ward: Any) -> None:
        for number in ("ONE", "TWO"):
            ward.take(patient=ward.patient(number))
        self._object(ward, "ONE")
        ward.take(patient=ward.patient("ONE"))
        assert self._objected(ward) == [True, False, True]
        with pytest.raises(StoreError, match="already"):
            self._object(ward, "ONE")
        ward.store.objections.lift(ward.identifier("ONE"), reason="asked to", now=ward.now, actor="operator")
        assert not any(self._objected(ward))
        with pytest.raises(StoreError, match="not kept out"):
            ward.store.objections.lift(ward.identifier("ONE"), reason="x", now=ward.now, actor="operator")

    @pytest.mark.parametrize("number", ["OLD", "NEW"])
    def test_numbers_merged_before_and_after(self, ward: Any, number: str) -> None:
        for one in ("OLD", "NEW", "LATER", "OTHER"):
            ward.take(patient=ward.patient(one))
        ward.merge("OLD", "NEW")
        self._object(ward, number)
        assert self._objected(ward) == [True, True, False, False]
        ward.merge("NEW", "LATER")
        assert self._objected(ward) == [True, True, True, False]

    def test_linked_numbers_and_numbers_beyond_the_first(self, ward: Any) -> None:
        for one in ("ONE", "TWO", "THREE"):
            ward.take(patient=ward.patient(one))
        both = replace(ward.patient("FOUR"), identifiers=(ward.identifier("FOUR"), ward.identifier("ONE")))
        ward.take(patient=both)
        ward.store.identities.link(
            ward.identifier("ONE"), ward.identifier("TWO"), reason="x", now=ward.now, actor="operator"
        )
        self._object(ward, "ONE")
        assert self._objected(ward) == [True, True, False, True]

    def test_the_audit_names_nobody(self, ward: Any) -> None:
        ward.take(patient=ward.patient("SECRETNUMBER"))
        self._object(ward, "SECRETNUMBER")
        assert "patient.objected" in [one.action for one in ward.store.care.trail()]
        assert "SECRETNUMBER" not in str(ward.store.care.trail())
