"""The golden messages with measured outcomes: each rule has one, and this package reads it right."""

import json
from datetime import UTC
from pathlib import Path

import pytest

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import Refused
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
