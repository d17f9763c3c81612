"""Results and reports that other systems read wrongly, read in place: what each must give, or must never give."""

import json
from pathlib import Path

import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.reading import read

CASES = Path(__file__).parents[3].parent / "shared" / "cases"

#: What `hl7` and `hl7b` must give: the values, without a comparator's sign those that are exact.
MESSAGES = {
    "hl7/h01_citation_tropI_st_lt": ["<40"],
    "hl7/h02a_sn_eq": ["23"],
    "hl7/h02b_sn_ne": [],
    "hl7/h02c_sn_gt": [">10000"],
    "hl7/h03b_lf_plain": ["30"],
    "hl7/h04_mdm_x0a": ["30"],
    "hl7/h05_tx_tilde": ["30"],
    "hl7/h06_html_ft_troponin": ["88"],
    "hl7/h08_dateonly_obx14": ["88"],
    "hl7/h09_double_escape": ["30"],
    "hl7/h10_indented": ["88"],
    "hl7/h11_two_patients": ["88", "5"],
    "hl7/h12_quest_or_eq": ["18"],
    "hl7/h13_obr25_prelim": [],
    "hl7b/b07_obr25_P": [],
    "hl7b/b12_two_lab_codes_same_value": ["88", "88"],
    **{
        f"hl7b/{name}": ["88"]
        for name in (
            "b01_ts_precision", "b02_double_cr", "b03_trailing_lf", "b04_blank_line_lf", "b05_no_final_cr",
            "b06_escaped_unit", "b08_delim_hash", "b09_units_ucum_ng_L", "b10_units_text_only", "b11_units_ngdotL",
        )
    },
    "lt/l02_crp_lt5_nm": [],
    "lt/l05_less_or_eq": [],
    "lt/l07_html_HTML": [],
}  # fmt: skip
NOTHING = ("none", "left out", "doubtful", "ambiguous", "not 60", "withdrawn")


def outcomes(name: str, context: ReadingContext) -> tuple[Outcome, ...]:
    path = CASES / f"{name}.hl7"
    if not path.exists():
        pytest.skip(f"the case {name} is not on this machine")
    try:
        contents = read(path.read_bytes(), context)
    except Refused as error:
        if error.code != "no-ecg":
            raise
        return ()
    return tuple(one for one in contents.outcomes if one.status != "withdrawn")


def told(one: Outcome) -> str:
    return f"{one.comparator}{one.value:g}" + ("" if one.upper_value is None else f"-{one.upper_value:g}")


def expectations() -> list[tuple[str, str]]:
    return [
        (f"{folder}/{name.removesuffix('.hl7')}", text)
        for folder in ("trop", "lvef")
        if (CASES / folder / "expected.json").exists()
        for name, text in json.loads((CASES / folder / "expected.json").read_text("utf-8")).items()
    ]


@pytest.mark.parametrize(("name", "expected"), expectations())
def test_a_case_gives_what_is_expected(context: ReadingContext, name: str, expected: str) -> None:
    found = outcomes(name, context)
    text = expected.split("; never")[0]
    if not found:
        assert any(word in expected for word in NOTHING), expected
        return
    (one,) = found
    limit = text.partition("url ")[2].split(" ")[0]
    if text.startswith("14 by sex"):
        assert one.upper_reference_limit in (14, None)
    elif limit:
        assert one.upper_reference_limit == (None if limit.startswith("none") else float(limit))
    first = text.split(" ")[0].rstrip(";,")
    if first[:1].isdigit() or first[:1] in "<>":
        assert told(one) == first or limit
    else:
        assert limit, expected  # only the limit is named


@pytest.mark.parametrize(("name", "expected"), MESSAGES.items())
def test_a_message_gives_its_values(context: ReadingContext, name: str, expected: list[str]) -> None:
    assert [told(one) for one in outcomes(name, context)] == expected


def test_the_limit_and_the_time_of_messages(context: ReadingContext) -> None:
    (quest,) = outcomes("hl7/h12_quest_or_eq", context)
    assert quest.upper_reference_limit == 14
    (day,) = outcomes("hl7/h08_dateonly_obx14", context)
    assert (day.observed_at.strftime("%H:%M"), day.precision) == ("20:15", "second")
    first, second = outcomes("hl7/h11_two_patients", context)
    assert [one.patient.identifiers[0].value for one in (first, second)] == ["BHH11A", "BHH11B"]
