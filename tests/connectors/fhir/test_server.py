"""What a FHIR server may answer, and what follows: never a silent loss, never a doubled result, never a guess."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from email.utils import format_datetime

import pytest

from ecgfm_connectors.errors import Misconfigured, NotReached, Unreachable
from ecgfm_connectors.fhir import outcomes
from ecgfm_connectors.fhir.bundle import compose
from ecgfm_connectors.fhir.credentials import Fixed
from ecgfm_connectors.fhir.http import retry_after
from ecgfm_connectors.fhir.profile import FhirProfile
from ecgfm_connectors.fhir.server import FhirServer
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Ack, Result
from tests.connectors.fhir.conftest import FIBRILLATION, MRN, NOW, OURS
from tests.helpers.fhir_server import Fault, Refusal, StrictFhirServer, references
from tests.helpers.ports import free_port

pytestmark = pytest.mark.slow(4)

Connect = Callable[..., FhirServer]


@pytest.fixture
def connect(server: StrictFhirServer) -> Iterator[Connect]:
    opened: list[FhirServer] = []

    def to(url: str = "", *, timeout: float = 20.0, **changes: object) -> FhirServer:
        given = {"name": "fhir", "url": url or server.url, "credentials": Fixed("Bearer s3cret"), "timeout": timeout}
        one = FhirServer(clock=lambda: NOW, **(given | changes))  # type: ignore[arg-type]  # arguments of FhirServer
        opened.append(one)
        return one

    yield to
    for one in opened:
        one.close()


@pytest.fixture
def body(result: Result, profile: FhirProfile) -> bytes:
    return compose(result, profile)


def verdict(ack: Ack) -> tuple[str, str, str, bool]:
    return ack.code, outcomes.reaction(ack), ack.error_code, ack.in_doubt


def stands(server: StrictFhirServer) -> dict[str, int]:
    return {
        kind: len(server.all(kind)) for kind in ("Patient", "DiagnosticReport", "Observation", "Device", "Provenance")
    }


ONE_RESULT = {"Patient": 1, "DiagnosticReport": 1, "Observation": 3, "Device": 1, "Provenance": 1}


def test_a_result_is_taken_and_filed_under_its_patient(server: StrictFhirServer, connect: Connect, body: bytes) -> None:
    ack = connect().send(body, control_id="E7QF3K")
    assert ack == Ack(code="HTTP 200", control_id="E7QF3K")
    assert outcomes.reaction(ack) == "done"
    assert stands(server) == ONE_RESULT
    (report,), (patient,) = server.all("DiagnosticReport"), server.all("Patient")
    assert report["subject"]["reference"] == f"Patient/{patient['id']}"
    assert set(references(report["result"])) == {f"Observation/{one['id']}" for one in server.all("Observation")}


def test_a_repeat_never_doubles(server: StrictFhirServer, connect: Connect, body: bytes) -> None:
    for _ in range(3):
        assert outcomes.reaction(connect().send(body, control_id="E7QF3K")) == "done"
    assert stands(server) == ONE_RESULT
    assert {one["meta"]["versionId"] for one in server.all("DiagnosticReport")} == {"1"}


def test_a_correction_and_a_withdrawal_replace_the_one_that_stands(
    server: StrictFhirServer, connect: Connect, result: Result, profile: FhirProfile
) -> None:
    other = replace(result, filler_number="ECGFM-8", control_id="OTHER")
    corrected = replace(result, status="C", control_id="E2", observations=(replace(FIBRILLATION, status="C"),))
    withdrawn = replace(result, status="W", control_id="E3", observations=(replace(FIBRILLATION, status="W"),))
    destination = connect()
    for one in (other, result, corrected):
        assert outcomes.reaction(destination.send(compose(one, profile), control_id=one.control_id)) == "done"
    statuses = {one["identifier"][0]["value"]: one["status"] for one in server.all("DiagnosticReport")}
    assert statuses == {"ECGFM-8": "final", "ECGFM-7": "corrected"}
    assert outcomes.reaction(destination.send(compose(withdrawn, profile), control_id="E3")) == "done"
    statuses = {one["identifier"][0]["value"]: one["status"] for one in server.all("DiagnosticReport")}
    assert statuses == {"ECGFM-8": "final", "ECGFM-7": "entered-in-error"}
    assert len(server.all("Device")) == 1
    assert len(server.all("Provenance")) == 3, "one of each message that told something"


def test_a_result_that_lives_again_is_seen(
    server: StrictFhirServer, connect: Connect, result: Result, profile: FhirProfile
) -> None:
    for one in (result, replace(result, status="W", control_id="E2"), replace(result, revives=True, control_id="E3")):
        connect().send(compose(one, profile), control_id=one.control_id)
    (report,) = server.all("DiagnosticReport")
    assert report["status"] == "final"


def test_a_first_result_that_arrives_late_does_not_undo_its_correction(
    server: StrictFhirServer, connect: Connect, result: Result, profile: FhirProfile
) -> None:
    """A server that took the first attempt only after the second and its correction, say."""
    first = compose(result, profile)
    for one in (first, compose(replace(result, status="C", control_id="E2"), profile)):
        connect().send(one, control_id="E")
    server.take(json.loads(first))
    (report,) = server.all("DiagnosticReport")
    assert report["status"] == "corrected"


@pytest.mark.parametrize("known", [0, 2])
def test_a_patient_whom_the_server_knows_not_or_twice_is_for_a_person(
    connect: Connect, server: StrictFhirServer, result: Result, profile: FhirProfile, known: int
) -> None:
    for _ in range(known):
        server.knows(MRN, "55")
    patient = Patient(identifiers=(Identifier(authority="HOSP", value="55"),))
    ack = connect().send(compose(replace(result, patient=patient), profile), control_id="E")
    assert verdict(ack) == ("HTTP 412", "dead", "multiple-matches" if known else "not-found", False)
    assert "CANARY" in ack.text, "what the server says is kept"
    assert server.all("DiagnosticReport") == []


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 412, 413, 415, 422])
def test_a_refusal_of_the_content_is_for_a_person(
    connect: Connect, server: StrictFhirServer, body: bytes, status: int
) -> None:
    server.behaviour = [Refusal(status)]
    assert verdict(connect().send(body, control_id="E")) == (f"HTTP {status}", "dead", "transient", False)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_server_that_is_unwell_gets_it_again_in_doubt(
    connect: Connect, server: StrictFhirServer, body: bytes, status: int
) -> None:
    server.behaviour = [Refusal(status, {"Retry-After": "120"})]
    with pytest.raises(Unreachable) as raised:
        connect().send(body, control_id="E")
    assert not isinstance(raised.value, NotReached), "it may have been taken all the same"
    assert raised.value.retry_after == timedelta(minutes=2)
    assert outcomes.reaction(connect().send(body, control_id="E")) == "done"
    assert stands(server) == ONE_RESULT


@pytest.mark.parametrize(
    "told", ["90", format_datetime((NOW + timedelta(seconds=90)).astimezone(UTC), usegmt=True)], ids=["seconds", "date"]
)
def test_a_server_that_is_busy_says_for_how_long(
    connect: Connect, server: StrictFhirServer, body: bytes, told: str
) -> None:
    server.behaviour = [Refusal(429, {"Retry-After": told})]
    with pytest.raises(NotReached, match="429") as raised:
        connect().send(body, control_id="E")
    assert raised.value.retry_after == timedelta(seconds=90)


@pytest.mark.parametrize("told", ["", "soon", "-5", "1e9", "9" * 400, "Sun, 99 Nov 2031 99:99:99 GMT"])
def test_a_time_that_is_none_is_no_time(told: str) -> None:
    found = retry_after(told, now=NOW)
    assert found is None or found <= timedelta(days=1)


@pytest.mark.parametrize(
    ("fault", "code", "error"),
    [
        (Fault.OTHER_ID, "HTTP 200", "other-resource"),
        (Fault.OTHER_PATIENT, "HTTP 200", "other-patient"),
        (Fault.ENTRY_FAILED, "HTTP 422", "invariant"),
        (Fault.FEWER_ENTRIES, "HTTP 200", "other-entries"),
    ],
)
def test_a_success_that_is_none_is_noticed_and_stays_in_doubt(
    connect: Connect, server: StrictFhirServer, body: bytes, fault: Fault, code: str, error: str
) -> None:
    server.behaviour = [fault]
    assert verdict(connect().send(body, control_id="E")) == (code, "dead", error, True)


def test_where_no_address_is_named_the_report_is_looked_for(
    connect: Connect, server: StrictFhirServer, body: bytes
) -> None:
    server.behaviour = [Fault.NO_LOCATION]
    assert outcomes.reaction(connect().send(body, control_id="E")) == "done"
    (report,) = server.all("DiagnosticReport")
    server.resources["DiagnosticReport/copy"] = report
    told = server._searched("DiagnosticReport", f"identifier={OURS}/result|ECGFM-7")
    assert outcomes.only_entry(told) is None, "several are none"


def test_without_reading_back_the_servers_word_is_taken(
    connect: Connect, server: StrictFhirServer, body: bytes
) -> None:
    assert outcomes.reaction(connect(read_back=False).send(body, control_id="E")) == "done"
    assert [request for request, _ in server.requests] == ["POST /r4"]


@pytest.mark.parametrize(
    "fault", [Fault.HTML, Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.CUT_OFF, Fault.SLOW, Fault.ENDLESS]
)
def test_an_answer_that_says_nothing_leaves_the_fate_unknown(
    connect: Connect, server: StrictFhirServer, body: bytes, fault: Fault
) -> None:
    server.behaviour = [fault]
    with pytest.raises(Unreachable) as raised:
        connect(timeout=1.0).send(body, control_id="E")
    assert not isinstance(raised.value, NotReached)
    assert "123" not in str(raised.value)
    assert outcomes.reaction(connect().send(body, control_id="E")) == "done"
    assert stands(server) == ONE_RESULT


def test_nobody_there_took_nothing(connect: Connect, body: bytes) -> None:
    with pytest.raises(NotReached):
        connect(f"http://127.0.0.1:{free_port()}/r4").send(body, control_id="E")


def test_a_wrong_path_is_the_settings_fault_and_took_nothing(
    connect: Connect, server: StrictFhirServer, body: bytes
) -> None:
    server.behaviour = [Refusal(404, body=b"<html>nothing here</html>")]
    with pytest.raises(NotReached, match="no FHIR"):
        connect().send(body, control_id="E")


def test_credentials_are_not_carried_elsewhere(connect: Connect, server: StrictFhirServer, body: bytes) -> None:
    with StrictFhirServer() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            server.behaviour = [Refusal(status, {"Location": elsewhere.url})]
            with pytest.raises(NotReached, match="leads elsewhere"):
                connect().send(body, control_id="E")
        assert elsewhere.requests == []


def test_a_refused_password_makes_everything_wait(server: StrictFhirServer, connect: Connect, body: bytes) -> None:
    server._guard = lambda headers: headers.get("authorization") == "Bearer another"
    with pytest.raises(NotReached, match="401") as raised:
        connect().send(body, control_id="E")
    assert "s3cret" not in str(raised.value)
    assert server.accepted == []


def test_no_secret_is_ever_shown(connect: Connect) -> None:
    assert "s3cret" not in repr(Fixed("Bearer s3cret"))
    with pytest.raises(NotReached) as raised:
        connect(f"http://ada:s3cret@127.0.0.1:{free_port()}/r4?key=s3cret").check()
    assert "s3cret" not in str(raised.value)


def test_check_asks_what_the_server_can_do(server: StrictFhirServer, connect: Connect) -> None:
    assert connect().check().endswith("Strict, FHIR 4.0.1, takes transactions")
    server.version = "5.0.0"
    with pytest.raises(Misconfigured, match=r"5\.0\.0"):
        connect().check()


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"resourceType": "Bundle", "type": "searchset", "entry": []},
        {"resourceType": "Bundle", "type": "transaction-response", "entry": "none"},
        {"resourceType": "Bundle", "type": "transaction-response", "entry": [{"response": "201"}]},
        {"resourceType": "Bundle", "type": "transaction-response", "entry": [{}]},
        {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "canary", "diagnostics": 5}]},
    ],
)
def test_whatever_a_server_says_is_an_answer(told: object) -> None:
    sent = (outcomes.Sent(kind="DiagnosticReport", number="a|b", status="final"),)
    ack, answered = outcomes.accepted(told, sent, control_id="E", status=200)
    assert (outcomes.reaction(ack), ack.in_doubt, answered) == ("dead", True, ())
    assert "canary" not in outcomes.refused(told, control_id="E", status=422).error_code, "codes are logged"
