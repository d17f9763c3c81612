"""Every verdict is answered as HL7 table 0008 and the sender's acknowledgement mode ask, and any ACK can be read."""

from datetime import UTC, datetime

import pytest

from ecgfm_connectors.base import Disposition, Verdict
from ecgfm_connectors.errors import ProtocolViolation
from ecgfm_connectors.hl7 import ack, message
from ecgfm_connectors.result import Ack

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
STAGED = Verdict(disposition=Disposition.STAGED)
LATER = Verdict(disposition=Disposition.TRY_LATER)
DAMAGED = Verdict(disposition=Disposition.UNREADABLE, code="base64", text="OBX-5 is cut off | here")
NO_ECG = Verdict(disposition=Disposition.REFUSED, code="no-ecg")
WRONG_PATIENT = Verdict(disposition=Disposition.REFUSED, code="patient-mismatch")
WRONG_TYPE = Verdict(disposition=Disposition.REFUSED, code="unsupported-type")


def inbound(accept: str = "", application: str = "", version: str = "2.5.1") -> bytes:
    head = f"MSH|^~\\&|CART|WARD^1.2^ISO|ENGINE|HOSP|20260301||ORU^R01|M-1|P|{version}|||{accept}|{application}"
    return f"{head}\rPID|1||1\r".encode()


def answers(content: bytes, verdict: Verdict) -> list[message.Message]:
    return [message.parse(item) for item in ack.build(content, verdict, now=NOW, control_id="A1")]


@pytest.mark.parametrize(
    ("verdict", "code", "condition"),
    [
        (STAGED, "AA", ""),
        (Verdict(disposition=Disposition.DUPLICATE), "AA", ""),
        (NO_ECG, "AA", ""),
        (DAMAGED, "AE", "102"),
        (WRONG_PATIENT, "AE", "204"),
        (LATER, "AE", "207"),
        (WRONG_TYPE, "AR", "200"),
        (Verdict(disposition=Disposition.REFUSED, code="unsupported-version"), "AR", "203"),
    ],
)
@pytest.mark.parametrize("version", ["2.3", "2.5.1", "2.8.2"])
def test_original_mode(verdict: Verdict, code: str, condition: str, version: str) -> None:
    (body,) = ack.build(inbound(version=version), verdict, now=NOW, control_id="A1")
    read = ack.parse(body)
    assert (read.code, read.control_id, read.error_code) == (code, "M-1", condition)
    answer = message.parse(body)
    assert (answer.msh.raw(3), answer.msh.raw(4), answer.msh.raw(5)) == ("ENGINE", "HOSP", "CART")
    assert answer.msh.raw(6) == "WARD^1.2^ISO"
    assert (answer.version, answer.control_id, answer.msh.value(9)) == (version, "A1", "ACK")


def test_the_reason_reaches_the_sender_and_cannot_break_the_message() -> None:
    (answer,) = answers(inbound(), DAMAGED)
    err = answer.first("ERR")
    assert err is not None
    assert (err.value(3), err.value(4), err.value(5), err.value(8)) == ("102", "E", "base64", "OBX-5 is cut off | here")


@pytest.mark.parametrize(
    ("accept", "application", "verdict", "codes"),
    [
        ("AL", "NE", STAGED, ["CA"]),
        ("AL", "", STAGED, ["CA"]),
        ("AL", "AL", STAGED, ["CA", "AA"]),
        ("NE", "NE", STAGED, []),
        ("NE", "AL", STAGED, ["AA"]),
        ("", "AL", LATER, ["AE"]),
        ("ER", "ER", STAGED, []),
        ("SU", "NE", STAGED, ["CA"]),
        ("AL", "AL", DAMAGED, ["CA", "AE"]),  # it is in safe storage, and it cannot be used
        ("AL", "ER", DAMAGED, ["CA", "AE"]),
        ("AL", "AL", LATER, ["CE"]),
        ("ER", "NE", LATER, ["CE"]),
        ("SU", "SU", LATER, []),
        ("AL", "AL", WRONG_TYPE, ["CR"]),
    ],
)
def test_enhanced_mode(accept: str, application: str, verdict: Verdict, codes: list[str]) -> None:
    built = answers(inbound(accept, application), verdict)
    assert [answer.segments[1].value(1) for answer in built] == codes
    assert all(answer.segments[1].value(2) == "M-1" for answer in built)
    assert len({answer.control_id for answer in built}) == len(built)


def test_acknowledgements_are_not_acknowledged() -> None:
    (body,) = ack.build(inbound(), STAGED, now=NOW, control_id="A1")
    assert ack.build(body, STAGED, now=NOW, control_id="A2") == []


def test_a_batch_is_acknowledged_by_its_first_message() -> None:
    (body,) = ack.build(b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + inbound() + b"BTS|1\r", STAGED, now=NOW, control_id="A1")
    assert (ack.parse(body).code, ack.parse(body).control_id) == ("AA", "M-1")


@pytest.mark.parametrize("content", [b"", b"not hl7", b"\xff" * 40])
def test_what_has_no_header_is_answered_all_the_same(content: bytes) -> None:
    damaged = Verdict(disposition=Disposition.UNREADABLE, code="not-hl7", text="does not start with an MSH segment")
    (body,) = ack.build(content, damaged, now=NOW, control_id="A1")
    assert ack.parse(body).code == "AE"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"MSH|^~\\&|E|H|||2026||ACK|1|P|2.3\rMSA|AE|M-1|bad||| 102\r", ("AE", "bad", "102")),
        (b"MSH|^~\\&|E|H|||2026||ACK|1|P|2.3\rMSA|AR|M-1\rERR|^^^207&Application internal error&HL70357\r", None),
        (b"MSH|^~\\&|E|H\nMSA|CA|M-1\n", ("CA", "", "")),
    ],
)
def test_acknowledgements_of_others(body: bytes, expected: tuple[str, str, str] | None) -> None:
    read = ack.parse(body)
    assert (read.code, read.text, read.error_code) == (expected or ("AR", "Application internal error", "207"))


@pytest.mark.parametrize(
    "body",
    [b"", b"OK", b"MSH|^~\\&|E|H|||2026||ACK|1|P|2.3\rMSA|ZZ|M-1\r", b"MSH|^~\\&|E|H|||2026||ORU^R01|1|P|2.3\rPID|1\r"],
)
def test_what_is_no_acknowledgement_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        ack.parse(body)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"MSH|^~\\&|E|H\rMSA|AA|M1\r", "AA"),
        (b"MSH|^~\\&|E|H\rMSA|CA|M1||\rSFT|x\r", "CA"),
        (b"MSH#^~\\&#E#H\rMSA#AA#M1", "AA"),
        (b"MSH|^~\\&|E|H\rMSA|AA|M2\r", None),
        (b"MSH|^~\\&|E|H\rMSA|AA|M1|see remarks\r", None),
        (b"MSH|^~\\&|E|H\rMSA|AE|M1\r", None),
        (b"MSH|^~\\&|E|H\rMSA|AA|M1\rERR|||207\r", None),
        (b"MSH|^~\\&|E|H\rMSA|AA\r", None),
        (b"MSH|^~\\&|E|H\nMSA|AA|M1\n", None),
        (b"OK", None),
        (b"", None),
    ],
)
def test_a_plain_acceptance_is_known_at_sight_and_agrees_with_the_parser(answer: bytes, expected: str | None) -> None:
    found = ack.plain_acceptance(answer, "M1")
    assert (found and found.code) == expected
    if found is not None:
        assert found == ack.parse(answer)


@pytest.mark.parametrize(
    ("code", "shown"), [("AX", "AX"), ("TESTFAMILY^ADA", "something else"), ("", "something else")]
)
def test_an_answer_with_a_code_of_no_table_is_named_and_nothing_else_of_it(code: str, shown: str) -> None:
    with pytest.raises(ProtocolViolation, match=f"answered with {shown} in MSA-1, which is no code of HL7 table 0008"):
        ack.parse(f"MSH|^~\\&|A|B|C|D|20310101||ACK|1|P|2.5.1\rMSA|{code}|1\r".encode())


def test_the_order_that_a_receiver_placed_is_kept() -> None:
    answer = b"MSH|^~\\&|B|B|A|A|2031||ORA^R33^ORA_R33|9|P|2.5.1\rMSA|AA|E1\rORC|OK|P-9^LIS|ECGFM-7\r"
    assert ack.plain_acceptance(answer, "E1") is None
    assert ack.parse(answer) == Ack(code="AA", control_id="E1", placer="P-9^LIS")
    assert ack.parse(answer.replace(b"|AA|", b"|AE|")).placer == ""
