"""CONFORMANCE.md is true to the code: its DICOM tables and its lists of codes are the code's own."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pydicom.uid import UID

from ecgfm_connectors.dicom.query import STUDY_ROOT_FIND
from ecgfm_connectors.dicom.retrieve import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from ecgfm_connectors.dicom.sop_classes import DOCUMENT_SOP_CLASSES, STORED_SOP_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from ecgfm_connectors.dicom.storage import MAX_PDU, STATUS
from ecgfm_connectors.dicom.waveform import _NOTED
from ecgfm_connectors.reading import READERS
from ecgfm_connectors.statements.vocabularies import VOCABULARIES

CONNECTORS = Path(__file__).parents[2] / "connectors"
STATEMENT = (CONNECTORS / "CONFORMANCE.md").read_text(encoding="utf-8")
SOURCES = [
    path
    for path in (CONNECTORS / "ecgfm_connectors").rglob("*.py")
    if path.parent.name in ("dicom", "files", "ecgfm_connectors")
]


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, cells without backticks."""
    section = STATEMENT.split(f" {heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines is not None
    rows = [[cell.strip().strip("`") for cell in line.strip("|\n").split("|")] for line in lines[0].splitlines()]
    return rows[2:]


def column(heading: str, number: int = 0) -> set[str]:
    return {row[number] for row in table(heading)}


def constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from constants(node.body)
        yield from constants(node.orelse)


def calls(*names: str) -> Iterator[ast.Call]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield node


def codes(name: str) -> set[str]:
    return {code for call in calls(name) if call.args for code in constants(call.args[0])}


def test_storage_sop_classes() -> None:
    for heading, classes in (
        ("Storage SOP Classes (SCP)", STORED_SOP_CLASSES),
        ("Storage SOP Classes of documents", DOCUMENT_SOP_CLASSES),
    ):
        assert {(row[0], row[1]) for row in table(heading)} == {(name, uid) for uid, name in classes.items()}


def test_transfer_syntaxes() -> None:
    assert column("Transfer syntaxes", 1) == {str(uid) for uid in TRANSFER_SYNTAXES}


def test_statuses() -> None:
    assert {(row[0], row[1]) for row in table("C-STORE status")} == {
        (disposition.value, f"0x{status:04X}") for disposition, status in STATUS.items()
    }


def test_services_as_user() -> None:
    assert column("Services as user (SCU)", 1) == {VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET}
    assert all(UID(uid).is_valid for uid in column("Services as user (SCU)", 1))


def test_pdu_size() -> None:
    assert f"{MAX_PDU} bytes" in STATEMENT


def test_formats() -> None:
    assert column("Formats") == {*READERS, "hl7"}


def test_refusal_codes() -> None:
    assert column("Refused") == codes("Refused")
    assert column("Unreadable") == codes("Unreadable")


def test_finding_codes() -> None:
    said = {
        code
        for call in calls("Finding")
        for keyword in call.keywords
        if keyword.arg == "code"
        for code in constants(keyword.value)
    }
    assert column("Findings") == said | set(_NOTED)


def test_statement_codes() -> None:
    stated = {row[0]: int(row[2]) for row in table("Statement codes")}
    assert stated == {name: len(known) for name, known in VOCABULARIES.items()}
