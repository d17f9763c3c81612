"""The life of a result at a FHIR server and in a folder of bundles, through the store's one outbox."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.staging.records import MessageState, WhySetAside
from tests.helpers.fhir_server import Fault, Refusal, StrictFhirServer
from tests.helpers.installation import AUTHORITY, Installation, ecg, merge, number

fhirkit = pytest.importorskip("fhirkit", reason="the package fhirkit-rs is not installed")

pytestmark = pytest.mark.slow(15)

MRN = "https://hospital.example/mrn"
SETTINGS = """
[[destinations.fhir]]
name = "fhir"
url = "{url}"
namespace = "https://hospital.example/fhir/ecgfm"
systems = {{ "{authority}" = "{mrn}" }}
timeout_seconds = 5
[[destinations.fhir_file]]
name = "bundles"
path = "bundles"
namespace = "https://hospital.example/fhir/ecgfm"
systems = {{ "{authority}" = "{mrn}" }}
prediction = "RiskAssessment"
"""


@pytest.fixture
def server() -> Iterator[StrictFhirServer]:
    with StrictFhirServer() as running:
        running.knows(MRN, "4711")
        yield running


@pytest.fixture
def house(tmp_path: Path, server: StrictFhirServer) -> Iterator[Installation]:
    (tmp_path / "bundles").mkdir()
    written = SETTINGS.format(url=server.url, authority=AUTHORITY, mrn=MRN)
    installation = Installation(tmp_path, more=written)
    yield installation
    installation.close()


def reports(server: StrictFhirServer) -> dict[str, str]:
    """Status by number."""
    return {one["identifier"][0]["value"]: one["status"] for one in server.all("DiagnosticReport")}


def at_server(house: Installation, ecg_id: int = 1) -> list[Any]:
    return [one for one in house.store.ecgs.story(ecg_id).messages if one.destination == "fhir"]


def test_a_result_lives_withdrawn_and_revived(house: Installation, server: StrictFhirServer, tmp_path: Path) -> None:
    house.dicom(ecg(1, "4711"))
    house.go_on()
    ((filler, status),) = reports(server).items()
    assert status == "final"
    (message,) = at_server(house)
    assert message.state is MessageState.ACKNOWLEDGED
    assert message.acknowledgement.code == "HTTP 200"
    heads = {one["identifier"][0]["value"] for one in server.all("Observation")}
    assert heads == {f"{filler}.{score.head}" for score in house.store.ecgs.story(1).scorings[0].scores}
    assert house.command("withdraw", "1", "--reason", "wrong gain", "--yes")[0] == 0
    house.go_on()
    assert reports(server) == {filler: "entered-in-error"}
    assert {one["status"] for one in server.all("Observation")} == {"entered-in-error"}
    assert house.command("correct", "1", "--reason", "it was right", "--yes")[0] == 0
    house.go_on()
    assert reports(server) == {filler: "final"}, "told again under its number, and seen"
    assert len(server.all("Device")) == 1
    files = sorted((tmp_path / "bundles").glob("*.json"))
    assert len(files) == 3
    for file in files:
        assert [str(issue) for issue in fhirkit.validate(file.read_bytes())] == []
    statuses = {
        entry["resource"]["status"]
        for file in files
        for entry in json.loads(file.read_bytes())["entry"]
        if entry["resource"]["resourceType"] == "RiskAssessment"
    }
    assert statuses == {"final", "entered-in-error"}


def test_the_wrong_patients_result_is_taken_back_and_the_right_one_gets_another(
    house: Installation, server: StrictFhirServer
) -> None:
    right = server.knows(MRN, "0815")
    house.dicom(ecg(1, "4711"))
    house.go_on()
    (wrong,) = reports(server)
    line = f"{AUTHORITY}|MR|0815\n"
    words = ("correct", "1", "--wrong-patient", "--force", "--reason", "mixed up", "--yes")
    assert house.command(*words, answer=line)[0] == 0
    house.go_on()
    (told,) = reports(server).keys() - {wrong}
    assert reports(server) == {wrong: "entered-in-error", told: "final"}
    (report,) = (one for one in server.all("DiagnosticReport") if one["status"] == "final")
    assert report["subject"]["reference"] == right


def test_a_merge_before_the_first_send_goes_to_the_survivor(house: Installation, server: StrictFhirServer) -> None:
    survivor = server.knows(MRN, "0815")
    house.dicom(ecg(1, "4711"))
    house.score()
    assert house.mllp(merge("4711", "0815")).code == "AA"
    house.send()
    (report,) = server.all("DiagnosticReport")
    assert report["subject"]["reference"] == survivor


def test_a_patient_whom_the_server_does_not_know_is_set_aside_and_told_once_it_does(
    house: Installation, server: StrictFhirServer, capfd: pytest.CaptureFixture[str]
) -> None:
    house.dicom(ecg(1, "NOBODY4711"))
    house.go_on()
    (message,) = at_server(house)
    assert (message.state, message.in_doubt) == (MessageState.DEAD, False)
    assert message.errors[0].text == "the receiver answered HTTP 412, code not-found"
    shown = house.command("show", "1")[1]
    assert "HTTP 412" in shown
    assert "CANARY" not in shown + house.command("replay", "--dead", "--list")[1], (
        "the server's words may name somebody"
    )
    in_full = house.command("show", "1", "--phi")[1]
    assert "CANARY" in in_full
    assert '"resourceType": "DiagnosticReport"' in in_full
    assert house.needs_a_person()
    assert house.store.questions.backlog().destinations["fhir"].set_aside == {WhySetAside.REFUSED: 1}
    server.knows(MRN, "NOBODY4711")
    assert house.command("replay", "--dead")[0] == 0
    house.send()
    assert len(reports(server)) == 1
    written = capfd.readouterr()
    assert "NOBODY4711" not in written.err + written.out
    assert "CANARY" not in written.err + written.out


def test_an_unmapped_authority_is_set_aside_unsent(house: Installation, server: StrictFhirServer) -> None:
    house.dicom(ecg(1, number("4711", authority="ELSEWHERE")))
    house.go_on()
    (message,) = at_server(house)
    assert (message.state, message.body, server.received) == (MessageState.DEAD, None, [])
    assert "unmapped-authority" in house.command("replay", "--dead", "--list")[1]


def test_nothing_is_lost_or_doubled_by_a_server_that_fails_in_every_way(
    house: Installation, server: StrictFhirServer
) -> None:
    faults = (Fault.DROP_AFTER, Refusal(500), Fault.CUT_OFF, Refusal(429), Fault.HTML, Fault.DROP_BEFORE)
    server.behaviour = list(faults)
    house.dicom(ecg(1, "4711"))
    house.score()
    message = _sent_in_the_end(house)
    assert message.state is MessageState.ACKNOWLEDGED
    assert len(server.received) == len(faults) + 1
    assert len(set(server.received)) == 1, "every repeat is the same bytes"
    assert list(reports(server).values()) == ["final"]
    assert len(server.all("Provenance")) == 1


def test_what_cannot_be_believed_stays_in_doubt_so_that_a_withdrawal_follows(
    house: Installation, server: StrictFhirServer
) -> None:
    server.behaviour = [Fault.OTHER_ID]
    house.dicom(ecg(1, "4711"))
    house.go_on()
    (message,) = at_server(house)
    assert (message.state, message.in_doubt) == (MessageState.DEAD, True)
    assert house.command("withdraw", "1", "--reason", "in doubt", "--yes")[0] == 0
    house.go_on()
    assert "entered-in-error" in {one["status"] for one in server.all("DiagnosticReport")}


def test_the_page_goes_along_and_is_shown_before_it_goes(tmp_path: Path, server: StrictFhirServer) -> None:
    pytest.importorskip("matplotlib", reason="pages cannot be drawn here")
    written = SETTINGS.format(url=server.url, authority=AUTHORITY, mrn=MRN).split("[[destinations.fhir_file]]")[0]
    house = Installation(tmp_path, more=written + "page = true\n")
    house.dicom(ecg(1, "4711"))
    house.score()
    shown = house.command("preview", "1", "--destination", "fhir")[1]
    assert '"contentType": "application/pdf"' in shown
    assert "letters)" in shown, "a page is not shown letter by letter"
    assert "4711" not in shown
    house.send()
    (report,) = server.all("DiagnosticReport")
    assert base64.b64decode(report["presentedForm"][0]["data"]).startswith(b"%PDF-")
    assert house.command("withdraw", "1", "--reason", "wrong gain", "--yes")[0] == 0
    house.send()
    (report,) = server.all("DiagnosticReport")
    assert "presentedForm" not in report
    house.close()


def test_check_tries_the_server(house: Installation, server: StrictFhirServer) -> None:
    told = house.command("check")[1]
    assert "Strict, FHIR 4.0.1, takes transactions" in told
    server.version = "3.0.2"
    told = house.command("check")[1]
    assert "3.0.2" in told
    assert "bundles can be written" in told


def _sent_in_the_end(house: Installation) -> Any:
    """Attempt after attempt, each an hour after the one before."""
    for hours in range(1, 20):
        later = datetime.now(UTC) + timedelta(hours=hours)
        for reporter in wiring.build_reporters(house.settings, house.store, clock=lambda now=later: now):  # type: ignore[misc]  # bound now
            reporter.run_batch()
        (message,) = at_server(house)
        if message.state is MessageState.ACKNOWLEDGED:
            break
    return message
