"""The table of faults is whole and true: RELIABILITY.md shows it, each cell names tests that are there."""

import re
from pathlib import Path

import pytest

from tests.helpers.fault_cells import Row
from tests.helpers.fault_matrix import MATRIX, page

ROOT = Path(__file__).parents[1]
NAMES = re.compile(r"`([^`]+)`")


def test_the_page_shows_the_table() -> None:
    text = (ROOT / "deploy" / "RELIABILITY.md").read_text(encoding="utf-8")
    assert page() in text, "write tests.helpers.fault_matrix.page() into it"


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.what)
def test_each_cell_names_tests_that_are_there(row: Row) -> None:
    for one in row.cells:
        assert one.said
        assert one.tried
        for tried in one.tried:
            file, _, name = tried.partition("::")
            found = [path for path in (ROOT / "tests").rglob(file) if f"def {name}(" in path.read_text("utf-8")]
            assert found, tried


def test_every_thread_that_is_watched_has_a_row() -> None:
    """The page of bounds names what lives; `test_watch` holds it to the threads of a running service."""
    watched = (ROOT / "deploy" / "LIMITS.md").read_text(encoding="utf-8").partition("## What is watched")[2]
    rows = [line.strip("|").split(" | ")[0] for line in watched.splitlines() if line.startswith("| `")]
    lives = {name for row in rows for name in NAMES.findall(row.partition(" (of ")[0].partition(" (processes")[0])}
    ours = {name for row in MATRIX for name in NAMES.findall(row.what)}
    #: peers and conditions of the outside, which are no thread of ours
    outside = {"stop", "destination", "audit repository", "certificate", "clock"}
    assert lives - outside <= ours
