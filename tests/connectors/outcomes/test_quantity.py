"""The grammar of quantities takes a text whole or not at all, and reads back what it prints."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgfm_connectors.outcomes import quantity, units
from ecgfm_connectors.outcomes.quantity import NoQuantity, Quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("35", "35"),
        ("0,045", "0.045"),
        (".03", "0.03"),
        ("1'234", "1234"),
        ("1’234.5", "1234.5"),
        ("1 234", "1234"),
        ("1\u00a0234,5", "1234.5"),
        ("1\u202f234", "1234"),
        ("1.234,5", "1234.5"),
        ("1,234,567.8", "1234567.8"),
        ("1.2E3", "1200"),
        ("1.2e+03", "1200"),
        ("1.2 x 10^3", "1200"),
        ("1,2·10³", "1200"),
        ("1.2 x 10*3", "1200"),
        ("250 H", "250"),
        ("2210 (HH)", "2210"),
        ("*250", "250"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    found = quantity.read(text)
    assert isinstance(found, Quantity), found
    assert (found.low, found.high, found.comparator) == (Decimal(expected), None, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<6", "<6"),
        ("< OR = 14", "<=14"),
        ("=< 14", "<=14"),
        ("&lt;4", "<4"),
        ("LESS THAN 0.01", "<0.01"),
        ("not less than 50", ">=50"),
        ("kleiner als 5", "<5"),
        ("größer 10000", ">10000"),
        ("inférieur à 4", "<4"),
        ("< à 5", "<5"),
        ("mayor de 100", ">100"),
        ("minore di 3", "<3"),
        ("groter dan 100", ">100"),
        ("maior que 100", ">100"),
        ("mindre än 5", "<5"),
    ],
)
def test_comparators_in_signs_and_words(text: str, expected: str) -> None:
    found = quantity.read(text)
    assert isinstance(found, Quantity), found
    assert quantity.write(found) == expected


@pytest.mark.parametrize("text", ["35-40 %", "35 – 40%", "35% - 40%", "35 to 40 percent", "35 bis 40 %", "35 à 40 %"])
def test_ranges(text: str) -> None:
    found = quantity.read(text)
    assert isinstance(found, Quantity), found
    assert (found.low, found.high, found.unit) == (Decimal(35), Decimal(40), units.PERCENT)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("see note", "no-number"),
        ("<-- specimen clotted", "no-number"),
        ("HEMOLYZED 45", "no-number"),
        ("45 HEMOLYZED", "not-a-unit"),
        ("2+", "not-a-unit"),
        ("12 -> 250", "several-numbers"),
        ("60/35", "several-numbers"),
        ("15\n250", "several-numbers"),
        ("15, 250", "several-numbers"),
        ("0h 14; 3h 250", "several-numbers"),
        ("25 (prev 250)", "several-numbers"),
        ("2 of 3 samples positive", "several-numbers"),
        ("1:128", "date-or-time"),
        ("08:15 250", "date-or-time"),
        ("01-03 250", "date-or-time"),
        ("20260301", "date-or-time"),
        ("1.3.2026", "date-or-time"),
        ("12.34.56", "date-or-time"),
        ("40-35", "several-numbers"),
        ("~250", "approximate"),
    ],
)
def test_what_is_no_quantity(text: str, code: str) -> None:
    found = quantity.read(text)
    assert isinstance(found, NoQuantity)
    assert found.code == code


@pytest.mark.parametrize("text", ["1.234", "1,234", "250.000"])
def test_a_number_that_can_be_read_two_ways_says_so(text: str) -> None:
    found = quantity.read(text)
    assert isinstance(found, Quantity)
    assert found.ambiguous


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=^23", "23"),
        ("^23", "23"),
        ("<^6", "<6"),
        ("<6", "<6"),
        (">=^70", ">=70"),
        ("^35^-^40", "35 - 40"),
        ("<>^23", None),
        ("^1^:^128", None),
        ("1^:^8", None),
        ("^2^+", None),
        ("^1^/^2", None),
        ("<^5^-^9", None),
    ],
)
def test_structured_numerics(text: str, expected: str | None) -> None:
    found = quantity.read_structured(text.split("^"))
    assert (quantity.write(found) if isinstance(found, Quantity) else None) == expected


_NUMBERS = st.decimals(min_value=0, max_value=Decimal(9999999), allow_nan=False, allow_infinity=False, places=4)
_UNITS = st.sampled_from(
    [None, units.PERCENT, units.NG_L, units.read("ng/mL"), units.read("µg/L"), units.read("mmol/L")]
)


@given(
    low=_NUMBERS,
    more=st.none() | _NUMBERS.filter(bool),
    comparator=st.sampled_from(["", "<", "<=", ">", ">="]),
    unit=_UNITS,
)
def test_what_is_printed_is_read_back_equal(
    low: Decimal, more: Decimal | None, comparator: str, unit: units.Unit | None
) -> None:
    high = None if more is None or comparator else low + more
    printed = Quantity(low=low, high=high, comparator=comparator, unit=unit)  # type: ignore[arg-type]  # one of the five
    assert quantity.read(quantity.write(printed)) == printed


@given(st.text(max_size=120))
def test_any_text_is_answered(text: str) -> None:
    assert isinstance(quantity.read(text), Quantity | NoQuantity)


@given(st.text(alphabet="0123456789.,' <>=-–%/:xEeH*~?ngmLbisto\u00a0", max_size=80))
def test_a_text_of_a_numbers_characters_gives_no_part_of_it(text: str) -> None:
    """Whatever is read holds every digit of the text: nothing is cut off."""
    found = quantity.read(text)
    if isinstance(found, Quantity) and not set("eExX") & set(text):
        digits = sorted("".join(char for char in text if char.isdigit()).strip("0"))
        told = f"{found.low:f}" + ("" if found.high is None else f"{found.high:f}")
        assert sorted(char for char in told if char in "123456789") == [char for char in digits if char != "0"]
