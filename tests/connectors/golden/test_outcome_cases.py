"""The golden messages with measured outcomes: each rule has one, and this package reads it right."""

import json
import re
from datetime import UTC
from pathlib import Path
from typing import get_args

import pytest

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.decision import Rule
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.outcomes.report.surroundings import Role
from ecgfm_connectors.reading import read
from tests.connectors.golden import conformance
from tests.connectors.golden.outcome_cases import Expected, OutcomeCase, outcome_cases

CASES = list(outcome_cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_this_package_is_right(case: OutcomeCase) -> None:
    try:
        contents = read(case.content, ReadingContext(default_authority="GOLDEN", zone=UTC))
    except Refused as refusal:
        if refusal.code != "no-ecg":
            raise
        contents = Contents()
    found = tuple(
        Expected(
            kind=one.kind,
            value=one.value,
            upper_value=one.upper_value,
            comparator=one.comparator,
            limit=one.upper_reference_limit,
        )
        for one in contents.outcomes
    )
    assert found == case.outcomes
    assert tuple(dict.fromkeys(one.reason for one in contents.left_out)) == case.reasons


def test_they_are_written_with_what_they_must_give(tmp_path: Path) -> None:
    conformance.write(tmp_path)
    told = json.loads((tmp_path / "outcomes.json").read_text("utf-8"))
    assert list(told) == [case.name for case in CASES]
    assert all((tmp_path / name).is_file() for name in told)
    assert len(told) == len(set(told)) >= 45


def test_no_rule_is_without_a_file() -> None:
    """Every reason and meaning that CONFORMANCE states, every rule and every role of a report's number."""
    read_ones = [_contents(case) for case in CASES]
    left_out = [one for contents in read_ones for one in contents.left_out]
    outcomes = [one for contents in read_ones for one in contents.outcomes]
    decisions = [one.decision for one in outcomes if one.decision]
    reasons = {one.reason for one in left_out}
    # of kinds and findings that a site's settings declare
    declared = {
        "death-doubtful",
        "death-without-time",
        "outcome-ambiguous",
        "outcome-answer",
        "outcome-implausible",
        "outcome-unit",
    }
    assert _stated(r"^\| `([a-z-]+)` \|") - declared <= reasons
    meanings = {reason.partition("-")[2] for reason in reasons if reason.startswith(("lvef-", "troponin-"))}
    assert set(re.findall(r"`([a-z-]+[a-z])`", _section().splitlines()[-1])) <= meanings
    rules = {one.rule for one in decisions}
    assert set(get_args(Rule)) - {"site-code", "table", ""} == rules  # those two need a site's settings beside the file
    unused = {one.reason for decision in decisions for one in decision.unused}
    unused |= {number.reason for one in left_out for number in one.unused}
    assert set(get_args(Role)) - {"present", "narrated"} <= unused  # both are told as `other-value`
    assert "other-value" in unused


def _contents(case: OutcomeCase) -> Contents:
    try:
        return read(case.content, ReadingContext(default_authority="GOLDEN", zone=UTC))
    except Refused:
        return Contents()


def _section() -> str:
    text = (Path(__file__).parents[3] / "connectors" / "CONFORMANCE.md").read_text("utf-8")
    return text.split("#### Why an outcome is left out\n", 1)[1].split("\n#", 1)[0]


def _stated(pattern: str) -> set[str]:
    return set(re.findall(pattern, _section(), flags=re.MULTILINE))
