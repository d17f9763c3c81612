"""The sender knows the fate of a message or says that it does not, whatever the receiver does."""

import socket
from collections.abc import Iterator
from typing import Literal

import pytest

from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.hl7.ack import reaction
from ecgfm_connectors.hl7.sender import MllpDestination
from ecgfm_connectors.result import Ack
from ecgfm_connectors.testing.ehr import EhrReceiver, Fault


def body(control_id: str, modes: str = "|") -> bytes:
    head = f"MSH|^~\\&|ECGFM|H|EHR|H|20260301090000+0000||ORU^R01^ORU_R01|{control_id}|P|2.5.1|||{modes}"
    return f"{head}\rPID|1||1^^^H^MR\r".encode()


@pytest.fixture
def ehr() -> Iterator[EhrReceiver]:
    receiver = EhrReceiver()
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture
def destination(ehr: EhrReceiver) -> Iterator[MllpDestination]:
    sender = MllpDestination(name="ehr", host="127.0.0.1", port=ehr.port, ack_timeout=20)
    yield sender
    sender.close()


@pytest.fixture
def impatient(ehr: EhrReceiver) -> Iterator[MllpDestination]:
    sender = MllpDestination(name="ehr", host="127.0.0.1", port=ehr.port, ack_timeout=0.2)
    yield sender
    sender.close()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.NONE, "AA"),
        (Fault.AE, "AE"),
        (Fault.AR, "AR"),
        (Fault.CA, "CA"),
        (Fault.CE, "CE"),
        (Fault.CR, "CR"),
        (Fault.DUPLICATE_ACK, "AA"),
        (Fault.FOREIGN_ACK, "AA"),
        (Fault.DROP_AFTER_ACK, "AA"),
    ],
)
def test_the_answer_comes_back_and_the_next_message_gets_its_own(
    ehr: EhrReceiver, destination: MllpDestination, fault: Fault, code: str
) -> None:
    ehr.plan(fault)
    first = destination.send(body("M1"), control_id="M1")
    second = destination.send(body("M2"), control_id="M2")
    assert (first.code, first.control_id) == (code, "M1")
    assert (second.code, second.control_id) == ("AA", "M2")
    # A connection that closes just when M2 leaves makes M2 go twice, with the same bytes.
    assert list(dict.fromkeys(ehr.messages)) == [body("M1"), body("M2")]


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE_ACK, Fault.GARBAGE, Fault.HALF_ACK])
def test_an_unknown_fate_is_said_and_the_same_bytes_can_go_again(
    ehr: EhrReceiver, destination: MllpDestination, fault: Fault
) -> None:
    ehr.plan(fault)
    with pytest.raises(Unreachable):
        destination.send(body("M1"), control_id="M1")
    assert destination.send(body("M1"), control_id="M1").code == "AA"
    assert ehr.messages == (body("M1"), body("M1"))


@pytest.mark.parametrize("refusal", [Fault.AE, Fault.AR, Fault.CE, Fault.CR])
def test_a_refusal_of_a_repeat_does_not_say_what_became_of_the_first_try(
    ehr: EhrReceiver, destination: MllpDestination, refusal: Fault
) -> None:
    destination.send(body("M1"), control_id="M1")
    ehr.plan(Fault.DROP_BEFORE_ACK, refusal, refusal)
    with pytest.raises(Unreachable):  # M2 went over the open connection, then over a new one
        destination.send(body("M2"), control_id="M2")
    assert destination.send(body("M2"), control_id="M2").code == refusal.value.upper()
    assert ehr.messages == (body("M1"), *[body("M2")] * 3)


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.WRONG_CONTROL_ID, Fault.DELAY])
def test_no_matching_answer_in_time(ehr: EhrReceiver, impatient: MllpDestination, fault: Fault) -> None:
    ehr.plan(fault)
    with pytest.raises(Unreachable, match="no acknowledgement in time"):
        impatient.send(body("M1"), control_id="M1")


def test_a_late_answer_is_not_taken_for_the_next_one(ehr: EhrReceiver, impatient: MllpDestination) -> None:
    ehr.plan(Fault.DELAY)
    with pytest.raises(Unreachable):
        impatient.send(body("M1"), control_id="M1")
    ehr.release()
    assert impatient.send(body("M2"), control_id="M2").control_id == "M2"


def test_enhanced_mode_waits_for_the_application_acknowledgement(
    ehr: EhrReceiver, destination: MllpDestination
) -> None:
    ehr.plan(Fault.CA_THEN_AA, Fault.CA_THEN_AA)
    assert destination.send(body("M1", "AL|AL"), control_id="M1").code == "AA"
    assert destination.send(body("M2", "AL|NE"), control_id="M2").code == "CA"
    assert destination.send(body("M3"), control_id="M3").code == "AA"


def test_an_accept_acknowledgement_alone_is_reported_as_such(ehr: EhrReceiver, impatient: MllpDestination) -> None:
    ehr.plan(Fault.CA)
    assert impatient.send(body("M1", "AL|AL"), control_id="M1").code == "CA"


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match="cannot be reached"):
        MllpDestination(name="ehr", host="127.0.0.1", port=port).check()


@pytest.mark.parametrize(
    ("code", "error_code", "busy", "expected"),
    [
        ("AA", "", False, "done"),
        ("CA", "", False, "done"),
        ("AE", "", False, "dead"),
        ("AE", "102", False, "dead"),
        ("AE", "", True, "retry"),
        ("AE", "207", True, "retry"),
        ("AE", "102", True, "dead"),
        ("CE", "", False, "dead"),
        ("AR", "200", False, "dead"),
        ("AR", "203", False, "dead"),
        ("AR", "204", False, "dead"),
        ("AR", "206", False, "retry"),
        ("AR", "207", False, "retry"),
        ("AR", "", False, "retry"),
        ("CR", "201", False, "dead"),
        ("CR", "", False, "retry"),
    ],
)
def test_what_follows_from_an_acknowledgement(
    code: Literal["AA", "AE", "AR", "CA", "CE", "CR"], error_code: str, busy: bool, expected: str
) -> None:
    assert reaction(Ack(code=code, control_id="M1", error_code=error_code), ae_means_busy=busy) == expected
