"""The HL7 tables of CONFORMANCE.md say what the program does."""

import ast
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from ecgfm_connectors.base import Disposition, Verdict
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import Unreadable
from ecgfm_connectors.hl7 import ack, adt, embedded, inbound, message
from ecgfm_connectors.hl7.profile import OUTGOING_VERSIONS, Profile
from ecgfm_connectors.hl7.result import compose
from ecgfm_connectors.outcomes import codes
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.reading import read
from ecgfm_connectors.result import Ack, Observation, Result

STATEMENT = Path(__file__).parents[3] / "connectors" / "CONFORMANCE.md"
PACKAGE = Path(message.__file__).parent


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = STATEMENT.read_text("utf-8").split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_versions() -> None:
    assert {row[0]: tuple(row[1].split(", ")) for row in rows("HL7: versions")} == {
        "read": message.VERSIONS,
        "sent": OUTGOING_VERSIONS,
    }


def test_message_types() -> None:
    assert tuple(row[0] for row in rows("HL7: messages read")) == inbound.MESSAGE_TYPES


def test_adt_events() -> None:
    events = [tuple(row[0].split(", ")) for row in rows("ADT events")]
    assert events == [adt.DEMOGRAPHICS, adt.MERGES, tuple(adt.LINKS), adt.MOVES, ("any other",)]


def test_outcome_codes() -> None:
    stated = {code: (kind, assay) for code, _, kind, _, assay in rows("Measured outcomes")}
    assert stated == {code: ("lvef", method) for code, method in codes.LVEF.items()} | {
        code: ("troponin", assay) for code, assay in codes.TROPONIN.items()
    }


VERDICTS = {
    "staged": Verdict(disposition=Disposition.STAGED),
    "seen before": Verdict(disposition=Disposition.DUPLICATE),
    "refused (any other reason)": Verdict(disposition=Disposition.REFUSED, code="pdf"),
    "unreadable": Verdict(disposition=Disposition.UNREADABLE, code="base64"),
    "store away: try later": Verdict(disposition=Disposition.TRY_LATER),
}


def verdicts(outcome: str) -> list[Verdict]:
    if outcome in VERDICTS:
        return [VERDICTS[outcome]]
    codes = re.findall(r"`([a-z0-9-]+)`", outcome)
    assert codes
    return [Verdict(disposition=Disposition.REFUSED, code=code) for code in codes]


@pytest.mark.parametrize("row", rows("HL7: acknowledgements sent"), ids=lambda row: row[0])
def test_acknowledgements(row: list[str]) -> None:
    outcome, original, accept, condition = row
    for verdict in verdicts(outcome):
        for modes, code in (("|", original), ("AL|NE", accept)):
            content = f"MSH|^~\\&|A|B|C|D|2026||ORU^R01|M1|P|2.5.1|||{modes}\rPID|1\r".encode()
            (answer,) = ack.build(content, verdict, now=datetime(2026, 3, 1, tzinfo=UTC), control_id="A1")
            read = ack.parse(answer)
            assert read.code == code
            if code not in ("AA", "CA"):
                assert read.error_code == condition


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"GET / HTTP/1.1\r\n", "unknown-format"),
        (b"PID|1||4711\r", "unknown-format"),
        (b"FHS|^~\\&|x\rPID|1\r", "not-hl7"),
        (b"MSH", "not-hl7"),
        (b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|M1|P|2.5.1 PID|1", "single-segment"),
    ],
)
def test_what_is_no_message_gets_the_code_that_is_stated(frame: bytes, code: str, context: ReadingContext) -> None:
    """As a listener reads a frame: by the common entrance of all formats, which looks at the first bytes."""
    with pytest.raises(Unreadable) as caught:
        read(frame, context)
    assert caught.value.code == code


def test_every_setting_that_is_mentioned_is_named() -> None:
    """A reader is never sent to look for the key: each paragraph or row that speaks of a setting names one."""
    parts = re.split(r"\n\n|\n(?=\|)", STATEMENT.read_text("utf-8"))
    spoken_of = [part for part in parts if re.search(r"\b(?:by setting|settings)\b", part) and not part.startswith("#")]
    assert spoken_of
    assert not [part for part in spoken_of if not re.search(r"`[^`]*(?:[a-z]+_[a-z]+|settings\.toml)[^`]*`", part)]


def raised_codes() -> set[str]:
    """Every reason code that the HL7 package can raise."""
    found = {code for code, _ in embedded.REFUSALS.values()}
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("Refused", "Unreadable")
            ):
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    return found


def test_reason_codes() -> None:
    assert {row[0] for row in rows("Reason codes")} == raised_codes()


@pytest.fixture
def composed() -> Callable[[str], message.Message]:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    observation = Observation(
        code="ECGFM-LVEF", name="LVEF", status="F", probability=0.8, threshold=0.5, positive=True, reasons=(("a", "b"),)
    )
    result = Result(
        control_id="M1",
        composed_at=moment,
        patient=Patient(
            identifiers=(Identifier(authority="HOSP", value="1"),),
            family_name="TEST",
            birth_date=moment.date(),
            sex="F",
        ),
        placer_number="P1",
        accession="A1",
        provider=((("77",), ("HOUSE",)),),
        filler_number="F1",
        ecg_filler_number="E1",
        acquired_at=moment,
        scored_at=moment,
        status="F",
        model_name="m",
        model_version="1",
        device_id="d",
        observations=(observation,),
        notes=("n",),
    )
    profile = {"sending_facility": "B", "receiving_application": "C", "receiving_facility": "D"}
    return lambda version: message.parse(compose(result, Profile(version=version, **profile)))  # type: ignore[arg-type]  # names of facilities


def test_fields_sent(composed: Callable[[str], message.Message]) -> None:
    stated = {field for row in rows("HL7: results sent") for field in row[0].split(", ")}
    populated = {
        f"{segment.name}-{number}"
        for segment in composed("2.5.1").segments
        for number in range(1, 40)
        if segment.raw(number)
    }
    assert populated == stated | {"MSH-1", "MSH-2"}


def test_fields_that_versions_lack(composed: Callable[[str], message.Message]) -> None:
    oldest = composed("2.3")
    assert oldest.msh.raw(9) == "ORU^R01"
    orc, obr, obx = (oldest.first(name) for name in ("ORC", "OBR", "OBX"))
    assert orc is not None
    assert obr is not None
    assert obx is not None
    assert orc.raw(7)
    assert obr.raw(27)
    assert not obx.raw(18)
    assert not obx.raw(19)


@pytest.mark.parametrize("row", rows("Reaction to acknowledgements"), ids="-".join)
def test_reactions(row: list[str]) -> None:
    code, condition, expected = row
    conditions = ["", "102", "200", "207"] if condition == "any" else [condition.replace("none", "")]
    for error_code in conditions:
        assert ack.reaction(Ack(code=as_code(code), control_id="M1", error_code=error_code)) == expected


def as_code(code: str) -> Literal["AA", "AE", "AR", "CA", "CE", "CR"]:
    known: tuple[Literal["AA", "AE", "AR", "CA", "CE", "CR"], ...] = ("AA", "AE", "AR", "CA", "CE", "CR")
    return next(one for one in known if one == code)
