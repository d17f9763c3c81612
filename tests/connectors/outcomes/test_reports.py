"""Sentences of reports that mislead: what each may give, and must never give; any text is answered in linear time."""

import json
import random
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgfm_connectors.outcomes.report import reader
from ecgfm_connectors.outcomes.report.reader import Reading

HERE = Path(__file__).parent
SENTENCES = [json.loads(line) for line in (HERE / "sentences.jsonl").read_text("utf-8").splitlines()]
KINDS = [json.loads(line) for line in (HERE / "kinds.jsonl").read_text("utf-8").splitlines()]
STUDY = date(2026, 3, 1)


@pytest.fixture(scope="module")
def sentences_read() -> dict[str, str]:
    """What each of the sentences gave."""
    return {row["text"]: told(reader.read(row["text"])) for row in SENTENCES}


def told(reading: Reading) -> str:
    found = reading.found
    if found is None:
        return "none"
    return f"{found.comparator}{float(found.low):g}" + ("" if found.high is None else f"-{float(found.high):g}")


def test_a_sentence_gives_what_it_says_or_nothing(sentences_read: dict[str, str]) -> None:
    """All of them in one test, which names each that is wrong: a test of its own takes longer than a sentence."""
    found = [(row["text"], sentences_read[row["text"]], row["allowed"]) for row in SENTENCES]
    assert [one for one in found if one[1] not in (*one[2], "none")] == []


def test_few_of_them_are_left_out(sentences_read: dict[str, str]) -> None:
    """A reader that says nothing would pass the test above."""
    wanted = [row for row in SENTENCES if "none" not in row["allowed"]]
    missed = [row["text"] for row in wanted if sentences_read[row["text"]] == "none"]
    assert len(missed) <= 0.05 * len(wanted), missed


def test_a_report_of_a_day_gives_its_own_value() -> None:
    """Courses, stays, stress tests, limits, drafts and reports from elsewhere, read as of the first of March 2026."""
    found = [(row["text"], told(reader.read(row["text"], STUDY)), row["allowed"]) for row in KINDS]
    assert [one for one in found if one[1] not in one[2]] == []


def test_words_of_the_site_may_stand_beside_a_value() -> None:
    text = "Echo Kardiomobil EF 35 %"
    assert reader.read(text).reason == "lvef-unknown-words"
    assert told(reader.read(text, None, frozenset(["kardiomobil"]))) == "35"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Echo 2019:\nLV dilated, EF 30%.\nToday: images non-diagnostic.", "none"),
        ("=== Report 12.03.2024 ===\nLVEF 35%\n=== Report 01.03.2026 ===\nLVEF 50%", "50"),
        ("Report of 12 March 2024\nLVEF 35%", "none"),
        ("Date of birth: 05.05.1955\nLVEF 35%", "35"),
        ("Comparison:\nEcho 12.03.2024\nFindings:\nLVEF 35%", "35"),
        ("UKG 2026-03-01 kl 09:45: EF 57 %", "57"),
        ("Echo 12.03.2024: EF 30 %. EF heute 45 %.", "45"),
    ],
)
def test_what_stands_below_an_older_date_is_an_earlier_report(text: str, value: str) -> None:
    assert told(reader.read(text, STUDY)) == value


@given(st.text(max_size=300))
def test_any_text_is_answered(text: str) -> None:
    assert isinstance(reader.read(text), Reading)


WORDS = [
    "LVEF",
    "EF",
    "is",
    "was",
    "35",
    "%",
    "35-40%",
    "from",
    "to",
    ",",
    ".",
    ";",
    "(",
    ")",
    "normal",
    "prior",
    "2021",
    "LV",
    "RV",
    "if",
    "<=",
    ">",
    "FEVG",
    "à",
    "de",
    "12.03.2022",
    "->",
    "not",
    "less",
    "than",
    "between",
    "and",
    "fraction",
    "d'éjection",
    "INDICATION:",
    "CONCLUSION:",
    "\n",
    "?",
    "/",
    "1'234",
    "<",
    "or",
]


@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_any_row_of_a_reports_words_is_answered(words: list[str]) -> None:
    found = reader.read(" ".join(words)).found
    assert found is None or 3 <= found.low <= 95


ADVERSARIAL = {
    "digits": "1" * 1000,
    "spaces": " " * 1000,
    "points": "1." * 500,
    "commas": "EF 1," * 200,
    "comparators": "<" * 1000,
    "or": "< or " * 200,
    "mentions": "EF " * 334,
    "values": "EF 35% " * 143,
    "brackets": "(" * 1000,
    "left atrium": "left " * 200,
    "ejection": "ejection fraction " * 56,
    "dashes": "35 - " * 200,
    "wraps": "EF of\n" * 167,
    "colons": "a:" * 500,
    "apostrophes": "1'" * 500,
    "less than": "less than " * 100,
    "between": "between 1 and " * 72,
    "equals": "= " * 500,
    "courses of dates": "Date | LVEF\nLVEF:\n03/2023: 45%\nEF 03/2024: 45%; 12 March 2025 " * 16,
    "limits": "Preliminary EF 32 %, below stage 3 stress echo 12.02.2026 bis 01.03.2026 Aufenthalt " * 12,
}


@pytest.mark.slow(6)
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_work_for_a_text_grows_as_its_length(name: str) -> None:
    """Calls are counted, not seconds: for a text eight times as long they are about eight times as many."""
    short, long = (_calls(ADVERSARIAL[name] * times) for times in (1, 8))
    assert long <= 10 * short + 500


def _calls(text: str) -> int:
    """How many lines of the readers run for one text: a loop counts each time round."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., object]:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]  # a trace function may return itself
    try:
        reader.read(text, STUDY)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.slow(6)
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_any_text_of_thirty_kilobytes_is_answered(name: str) -> None:
    """That the work for more of it grows as the length is what the test before says."""
    assert isinstance(reader.read(ADVERSARIAL[name] * 30, STUDY), Reading)


@pytest.mark.slow(6)
def test_a_hundred_kilobytes_of_shuffled_words_are_answered() -> None:
    assert isinstance(reader.read(" ".join(random.Random(5).choices(WORDS, k=25_000))), Reading)
