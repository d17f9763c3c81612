"""A FHIR server of others takes our bundles, and shows them as they were meant: Medplum's router and repository, which
validates each resource against the official structure definitions; and the official JSON schema of R4.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from ecgfm_connectors.fhir import outcomes
from ecgfm_connectors.fhir.bundle import compose
from ecgfm_connectors.fhir.credentials import Fixed
from ecgfm_connectors.fhir.profile import FhirProfile
from ecgfm_connectors.fhir.server import FhirServer
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Result, ResultStatus
from tests.connectors.fhir.conftest import FIBRILLATION, MRN
from tests.helpers.json_schemas import json_schemas
from tests.helpers.ports import free_port

PEERS = Path(__file__).parents[1] / "peers"
NODE = shutil.which("node")
SCHEMA = PEERS / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4" / "fhir.schema.json"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.peer,
    pytest.mark.skipif(
        NODE is None or not SCHEMA.is_file(),
        reason="node and Medplum are not installed (npm install --prefix tests/connectors/peers --ignore-scripts)",
    ),
]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, str]]:
    """The bases of two running servers: one that resolves conditional references, one that leaves them as they come."""
    ports = [str(free_port()), str(free_port())]
    with subprocess.Popen([NODE or "node", str(PEERS / "fhir_server.mjs"), *ports], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert [running.stdout.readline() for _ in ports] == [b"listening\n"] * 2
        try:
            yield f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
        finally:
            running.terminate()


@pytest.fixture
def medplum(servers: tuple[str, str]) -> str:
    return servers[0]


@pytest.fixture
def known(medplum: str, result: Result, request: pytest.FixtureRequest) -> Result:
    """A result of a patient whom the server knows; each test has a patient and numbers of its own."""
    number = str(abs(hash(request.node.name)))
    patient = {"resourceType": "Patient", "identifier": [{"system": MRN, "value": number}]}
    assert httpx.post(f"{medplum}/Patient", json=patient).status_code == 201
    identifiers = (Identifier(authority="HOSP", value=number),)
    changed = replace(result, patient=replace(result.patient, identifiers=identifiers), model_digest=number)
    return replace(changed, filler_number=f"ECGFM-{number}", control_id=f"E{number}"[:20])


@pytest.fixture
def destination(medplum: str) -> Iterator[FhirServer]:
    one = FhirServer(name="fhir", url=medplum, credentials=Fixed(), clock=lambda: datetime.now(UTC))
    yield one
    one.close()


def shown(medplum: str, kind: str, query: str) -> list[dict[str, Any]]:
    """What the server's own search finds."""
    told = httpx.get(f"{medplum}/{kind}", params=httpx.QueryParams(query)).json()
    return [entry["resource"] for entry in told.get("entry", [])]


def report_of(medplum: str, result: Result, profile: FhirProfile) -> dict[str, Any]:
    (report,) = shown(medplum, "DiagnosticReport", f"identifier={profile.own('result')}|{result.filler_number}")
    return report


@pytest.mark.parametrize("prediction", ["Observation", "RiskAssessment"])
def test_a_result_lives_there_as_it_does_here(
    medplum: str, destination: FhirServer, known: Result, profile: FhirProfile, prediction: Any
) -> None:
    profile = replace(profile, prediction=prediction)
    (patient,) = shown(medplum, "Patient", f"identifier={MRN}|{known.patient.identifiers[0].value}")
    steps = {
        "final": known,
        "corrected": replace(known, status="C", control_id="C" + known.control_id[1:]),
        "entered-in-error": replace(known, status="W", control_id="W" + known.control_id[1:]),
    }
    for status, one in steps.items():
        body = compose(one, profile)
        for _ in range(2):  # a repeat
            ack = destination.send(body, control_id=one.control_id)
            assert (outcomes.reaction(ack), ack.text) == ("done", "")
        report = report_of(medplum, known, profile)
        assert report["status"] == status
        assert report["subject"]["reference"] == f"Patient/{patient['id']}"
        for head in ("reduced_lvef", "troponin", "interpretation"):
            number = f"{known.filler_number}.{head}"
            (predicted,) = shown(medplum, prediction, f"identifier={profile.own('result')}|{number}")
            assert predicted["status"] == status
            assert ("valueQuantity" in predicted) == (
                (prediction, head) == ("Observation", "reduced_lvef") and status != "entered-in-error"
            )
    (device,) = shown(medplum, "Device", f"identifier={profile.own('model')}|{known.model_digest}")
    assert device["deviceName"][0]["name"] == "ecg-fm"
    told = [
        one
        for one in shown(medplum, "Provenance", "_count=100")
        if one["target"][0]["reference"].endswith(report["id"])
    ]
    assert sorted(one["meta"]["tag"][0]["code"] for one in told) == sorted(
        steps[status].control_id for status in ("final", "corrected")
    )
    assert {one["agent"][0]["who"]["reference"] for one in told} == {f"Device/{device['id']}"}


def test_a_patient_whom_it_does_not_know_is_refused_and_nothing_is_kept(
    medplum: str, destination: FhirServer, known: Result, profile: FhirProfile
) -> None:
    stranger = replace(known, patient=Patient(identifiers=(Identifier(authority="HOSP", value="nobody"),)))
    ack = destination.send(compose(stranger, profile), control_id=known.control_id)
    assert outcomes.reaction(ack) == "dead"
    assert ack.text
    assert shown(medplum, "DiagnosticReport", f"identifier={profile.own('result')}|{known.filler_number}") == []


def test_a_server_that_leaves_the_patient_open_is_noticed(
    servers: tuple[str, str], known: Result, profile: FhirProfile
) -> None:
    """It says 201 and keeps a report of nobody."""
    one = FhirServer(name="fhir", url=servers[1], credentials=Fixed(), clock=lambda: datetime.now(UTC))
    ack = one.send(compose(known, profile), control_id=known.control_id)
    one.close()
    assert (outcomes.reaction(ack), ack.error_code, ack.in_doubt) == ("dead", "subject-unresolved", True)


def test_a_patient_is_created_once_where_a_site_says_so(
    medplum: str, destination: FhirServer, known: Result, profile: FhirProfile
) -> None:
    number = known.filler_number
    newcomer = replace(known, patient=replace(known.patient, identifiers=(Identifier(authority="HOSP", value=number),)))
    for control_id in ("N1" + number, "N2" + number):
        one = replace(newcomer, control_id=control_id[:20])
        body = compose(one, replace(profile, create_patients=True))
        assert outcomes.reaction(destination.send(body, control_id=one.control_id)) == "done"
    (patient,) = shown(medplum, "Patient", f"identifier={MRN}|{number}")
    assert patient["name"] == [{"family": "CANARY", "given": ["BIRD", "MARIE"]}]


def test_it_says_that_it_speaks_r4(destination: FhirServer) -> None:
    assert "Medplum, FHIR 4.0.1, takes transactions" in destination.check()


@pytest.fixture(scope="module")
def schema() -> Any:
    """The official JSON schema, part by part: its whole `oneOf` over all resources takes seconds a bundle."""
    jsonschema = json_schemas()
    told = json.loads(SCHEMA.read_text(encoding="utf-8"))
    told["definitions"]["ResourceList"] = {}

    def problems(resource: dict[str, Any]) -> list[str]:
        one = {"$ref": f"#/definitions/{resource['resourceType']}", "definitions": told["definitions"]}
        return [error.message for error in jsonschema.Draft6Validator(one).iter_errors(resource)]

    return problems


@pytest.mark.parametrize("status", sorted({"F", "C", "W", "D"} & set(get_args(ResultStatus))))
@pytest.mark.parametrize("prediction", ["Observation", "RiskAssessment"])
def test_every_kind_of_bundle_meets_the_official_schema(
    schema: Any, result: Result, profile: FhirProfile, status: Any, prediction: Any
) -> None:
    profile = replace(profile, prediction=prediction, create_patients=True, page=True)
    one = replace(result, status=status, page=b"%PDF-1.7", test=True)
    if status in ("W", "D"):
        one = replace(one, observations=(replace(FIBRILLATION, status=status),))
    bundle = json.loads(compose(one, profile))
    for resource in (bundle, *(entry["resource"] for entry in bundle["entry"])):
        assert schema(resource) == [], resource["resourceType"]


def test_the_schema_can_fail(schema: Any, result: Result, profile: FhirProfile) -> None:
    report = next(
        entry["resource"]
        for entry in json.loads(compose(result, profile))["entry"]
        if entry["resource"]["resourceType"] == "DiagnosticReport"
    )
    assert schema({**report, "status": "finished"})
