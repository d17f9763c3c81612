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
