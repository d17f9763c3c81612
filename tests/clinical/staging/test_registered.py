"""Age and sex, as gates and cohorts work with them, take the hospital's register (ADT) into account."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from ecgfm_connectors import ages
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import AcquiredAt

ACQUIRED = AcquiredAt(at=datetime(2026, 3, 1, 7, tzinfo=UTC), zone_source="offset", original="20260301070000+0000")
CHILD = date(2021, 3, 1)


def known(ward: Any) -> tuple[tuple[float, ...], float | None]:
    """Of the only ECG: every age that a gate looks at, and the one that cohorts and baselines take."""
    (row,) = ward.store.cohorts.ecgs()
    (loaded,) = ward.store.cohorts.recordings([row.key])
    found = ages.of(loaded).candidates
    return tuple(round(years) for years in found), row.age if row.age is None else round(row.age)


def register(ward: Any, number: str, born: date | None) -> None:
    ward.take(Contents(demographics=(ward.patient(number, birth_date=born),)))


@pytest.mark.parametrize("adt_first", [False, True])
def test_an_ecg_without_a_birth_date_has_the_register_s(ward: Any, adt_first: bool) -> None:
    if adt_first:
        register(ward, "A", CHILD)
    ward.take(patient=ward.patient("A"), acquired=ACQUIRED)
    if not adt_first:
        assert known(ward) == ((), None)
        register(ward, "A", CHILD)
    assert known(ward) == ((5,), 5)


def test_a_register_that_contradicts_the_cart_leaves_both_ages(ward: Any) -> None:
    ward.take(patient=ward.patient("A", birth_date=date(1960, 5, 17)), acquired=ACQUIRED)
    register(ward, "A", CHILD)
    assert known(ward) == ((66, 5), None)


def test_a_register_that_agrees_or_does_not_know_changes_nothing(ward: Any) -> None:
    ward.take(patient=ward.patient("A", birth_date=date(1960, 5, 17)), acquired=ACQUIRED)
    for born in (date(1960, 5, 17), None):
        register(ward, "A", born)
        assert known(ward) == ((66,), 66)


def test_a_retired_number_has_its_survivor_s_birth_date(ward: Any) -> None:
    ward.take(patient=ward.patient("B"), acquired=ACQUIRED)
    register(ward, "A", CHILD)
    ward.merge("B", "A")
    assert known(ward) == ((5,), 5)


def test_another_patient_s_birth_date_is_none_of_this_one_s(ward: Any) -> None:
    ward.take(patient=ward.patient("A"), acquired=ACQUIRED)
    register(ward, "B", CHILD)
    assert known(ward) == ((), None)


@pytest.mark.parametrize(
    ("cart", "register_says", "agreed"),
    [("U", "F", "F"), ("M", "U", "M"), ("F", "F", "F"), ("M", "F", "U"), ("U", "U", "U")],
)
def test_the_sex_is_what_cart_and_register_agree_on(ward: Any, cart: str, register_says: str, agreed: str) -> None:
    """Limits of troponin and the baselines go by it: a contradiction is no sex, never the one or the other."""
    ward.take(patient=ward.patient("A", sex=cart), acquired=ACQUIRED)
    ward.take(Contents(demographics=(ward.patient("A", sex=register_says),)))
    (row,) = ward.store.cohorts.ecgs()
    assert row.sex == agreed
