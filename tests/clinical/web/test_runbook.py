"""The runbook speaks of the console as it is: its pages, where they are, and what is clicked there."""

import re
from pathlib import Path

import pytest

from ecgfm_clinical.web.pages import PAGES
from ecgfm_clinical.web.visit import MENU

pytest.importorskip("babel", reason="the package babel is not installed")

from tests.making.update_catalogues import texts

RUNBOOK = (Path(__file__).parents[3] / "deploy" / "RUNBOOK.md").read_text(encoding="utf-8")
TASKS = RUNBOOK.partition("\n## Task by task\n")[2].partition("\n## ")[0]
#: What an operator does, by the order of the console.
WANTED = (
    "Morning look",
    "A result that did not arrive",
    "Refused payloads and dead letters",
    "Merges and corrections",
    "Pause for maintenance",
    "Promote and roll back a model",
    "Drift",
    "Outcomes that are left out",
    "Audit",
    "Restore",
)


def test_each_task_says_the_page_first_and_the_command_beside_it() -> None:
    assert tuple(re.findall(r"^### (.*)$", TASKS, re.MULTILINE)) == WANTED
    for task in re.split(r"^### ", TASKS, flags=re.MULTILINE)[1:]:
        title, _, table = task.partition("\n")
        rows = re.findall(r"^\| (.*) \| (.*) \|$", table, re.MULTILINE)
        assert rows[0] == ("in the console", "by commands"), title
        assert any("**" in page for page, _ in rows), title
        assert any("`ecgfm-clinical " in command for _, command in rows), title


def test_every_page_has_that_name_and_that_address() -> None:
    named = re.findall(r"\*\*([^*]+)\*\*(?: \(`([^`]+)`\))?", TASKS)
    assert set(named) == {(name, path) for path, name in MENU}
    assert {path for _, path in named} <= {page.path for page in PAGES if page.method == "GET"}


def test_everything_that_is_clicked_stands_on_a_page() -> None:
    known = {one for text, _ in texts() for one in ((text,) if isinstance(text, str) else text)}
    clicked = re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", TASKS)
    assert len(clicked) > 20
    assert [one for one in clicked if one not in known and f"{one} …" not in known] == []
