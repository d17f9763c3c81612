"""One table of codes: what the source says is in it, and what is in it is said somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecgfm_clinical.codes import CODES, REASONS
from ecgfm_clinical.ecg import evaluability

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "connectors" / "ecgfm_connectors", ROOT / "ecgfm_clinical")
#: Calls whose first argument, or `code=`, is a code; and which origin it then has.
CALLS = {
    "Unreadable": "unreadable",
    "Refused": "refused",
    "Reason": "judging",
    "_of_leads": "judging",
    "Exclusion": "cohort",
    "drop": "cohort",
    "NoQuantity": "outcome",
}
NO_ORIGIN = ("Finding",)  # of a reader, or of the drift report


def _said() -> Iterator[tuple[str, str, str]]:
    """(code, called, where) of every literal code in the source."""
    for path in (path for package in PACKAGES for path in package.rglob("*.py") if "testing" not in path.parts):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                given = [node.args[0]] if node.args and called in CALLS else []
                given += [one.value for one in node.keywords if one.arg == "code"]
                if called in (*CALLS, *NO_ORIGIN):
                    for one in given:
                        if isinstance(one, ast.Constant) and isinstance(one.value, str):
                            yield one.value, called, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_code_that_the_source_says_is_in_the_table_with_its_origin() -> None:
    said = list(_said())
    assert len({code for code, _, _ in said}) > 100
    assert not [(code, where) for code, _, where in said if code not in CODES]
    wrong = [
        (code, where) for code, called, where in said if called in CALLS and CALLS[called] not in CODES[code].origins
    ]
    assert not wrong


def test_every_code_of_the_table_is_said() -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for package in PACKAGES
        for path in package.rglob("*.py")
        if path.name != "codes.py"
    )
    assert not [code for code in CODES if f'"{code}"' not in text]


@pytest.mark.parametrize("code", CODES)
def test_a_code_has_a_short_name_and_a_clause(code: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", code)
    assert CODES[code].origins
    assert CODES[code].text
    assert not CODES[code].text.endswith(".")


def test_the_statement_lists_only_codes_of_the_table() -> None:
    statement = (ROOT / "connectors" / "CONFORMANCE.md").read_text(encoding="utf-8")
    part = statement[statement.index("| `edf-discontinuous`") : statement.index("| `patient-mismatch` |")]
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", part, re.MULTILINE))
    assert len(listed) > 50
    assert listed <= set(CODES)


def test_the_decoders_reasons_are_reasons() -> None:
    assert set(evaluability.DECODER_REASONS) <= REASONS
