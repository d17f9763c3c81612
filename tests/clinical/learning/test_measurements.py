"""One rule for values, ranges and comparators; troponins only in multiples of their own assay's limit."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ecgfm_clinical.learning.cohort.measurements import Unusable, raised, reduced, times_limit
from ecgfm_clinical.rules import AssayLimit
from ecgfm_clinical.staging.cohort_rows import OutcomeRow


def echo(value: float, **changes: Any) -> OutcomeRow:
    given: dict[str, Any] = {"key": "e", "patient": "p", "kind": "lvef", "status": "final", "unit": "%"}
    return OutcomeRow(**(given | {"value": value, "observed_at": datetime(2031, 1, 1, tzinfo=UTC)} | changes))


def laboratory(value: float, **changes: Any) -> OutcomeRow:
    return echo(value, **({"kind": "troponin", "unit": "ng/L", "upper_reference_limit": 14.0} | changes))


@pytest.mark.parametrize(
    ("row", "threshold", "expected"),
    [
        (echo(40), 40, True),  # inclusive
        (echo(41), 40, False),
        (echo(35), 35, True),
        (echo(0.38, unit="1"), 40, True),
        (echo(35, upper_value=40), 40, True),
        (echo(40, upper_value=45), 40, False),  # middle 42.5
        (echo(38, upper_value=42), 40, True),  # middle 40, inclusive
        (echo(30, comparator="<"), 40, True),
        (echo(40, comparator="<="), 40, True),
        (echo(55, comparator=">"), 40, False),
        (echo(40, comparator=">"), 40, False),
        (echo(45, upper_value=75), 40, False),
        (echo(10, upper_value=38), 40, True),
    ],
)
def test_an_ejection_fraction_against_its_threshold(row: OutcomeRow, threshold: float, expected: bool) -> None:
    assert reduced(row, threshold) is expected


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (echo(350), "implausible"),
        (echo(-5), "implausible"),
        (echo(0), "implausible"),
        (echo(35, unit=""), "no-unit"),
        (echo(35, unit="mL"), "unknown-unit"),
        (echo(20, upper_value=55), "undecided"),
        (echo(50, comparator="<"), "undecided"),
        (echo(35, comparator=">="), "undecided"),
        (echo(45, upper_value=40), "range-reversed"),
        (echo(0.38, unit="%", upper_value=350), "implausible"),
    ],
)
def test_an_ejection_fraction_that_cannot_be_a_label(row: OutcomeRow, code: str) -> None:
    with pytest.raises(Unusable) as caught:
        reduced(row, 40)
    assert caught.value.code == code


HS_T = AssayLimit(assay="hs-cTnT", limit=14)
HS_I = (AssayLimit(assay="hs-cTnI", limit=16, sex="F"), AssayLimit(assay="hs-cTnI", limit=34, sex="M"))


@pytest.mark.parametrize(
    ("row", "sex", "expected"),
    [
        (laboratory(15), "M", True),
        (laboratory(14), "M", False),
        (laboratory(0.02, unit="ng/mL", upper_reference_limit=0.014), "U", True),
        (laboratory(5, comparator="<"), "F", False),
        (laboratory(10000, comparator=">"), "F", True),
        (laboratory(14, comparator=">"), "F", True),
        (laboratory(20, upper_reference_limit=None, assay="HS-cTnI"), "F", True),
        (laboratory(20, upper_reference_limit=None, assay="hs-cTnI"), "M", False),
        (laboratory(0.02, unit="ug/L", upper_reference_limit=None, code="L|hs-cTnT"), "U", True),
    ],
)
def test_a_troponin_against_its_own_limit(row: OutcomeRow, sex: Any, expected: bool) -> None:
    assert raised(row, sex, (HS_T, *HS_I)) is expected


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (laboratory(20, unit=""), "no-unit"),
        (laboratory(20, unit="mmol/L"), "unknown-unit"),
        (laboratory(20, upper_reference_limit=None, assay="another"), "no-limit"),
        (laboratory(20, upper_reference_limit=None, assay="hs-cTnI"), "no-limit"),  # sex unknown, limits by sex only
        (laboratory(20, comparator="<"), "undecided"),
        (laboratory(-1), "implausible"),
    ],
)
def test_a_troponin_that_cannot_be_a_label(row: OutcomeRow, code: str) -> None:
    with pytest.raises(Unusable) as caught:
        raised(row, "U", (HS_T, *HS_I))
    assert caught.value.code == code


def test_assays_are_compared_in_multiples_of_their_limits() -> None:
    one = times_limit(laboratory(28), "U", ())
    other = times_limit(laboratory(0.08, unit="ng/mL", upper_reference_limit=0.04), "U", ())
    assert one == pytest.approx(other)
