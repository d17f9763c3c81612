"""Words for people: no raw dictionary reaches a screen or a report."""

from pathlib import Path

import pytest

from ecgfm.checkpoint import Bundle
from ecgfm.demo import demo_bundle
from ecgfm_clinical import wording
from ecgfm_clinical.learning.report.card import card
from tests.clinical.conftest import Run


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"what": "ppv", "at_least": 0.30000001}, "what ppv, at least 0.3"),
        ({"folds": {"train": 3, "test": ()}, "on": True}, "folds (train 3, test none), on yes"),
        (["a", {"b": 1}, None], "a, (b 1), none"),
        ({}, "none"),
        ({"before": "", "host": "a"}, "host a"),
    ],
)
def test_a_value_is_a_phrase(value: object, told: str) -> None:
    assert wording.phrase(value) == told


def test_what_is_too_long_is_counted() -> None:
    assert wording.brief({f"k{n}": "x" * 20 for n in range(10)}).startswith("10 entries, ")
    assert wording.brief("x" * 500) == "x" * 500


def test_no_command_prints_a_raw_dictionary(run: Run, recording: Path) -> None:
    demo = demo_bundle()
    shown = run("model", "show", demo)[1] + run("inspect", recording)[1] + card(Bundle.read(demo))
    assert "{" not in shown
    assert "()" not in shown
    assert len(run("model", "show", demo)[1]) < 6000
