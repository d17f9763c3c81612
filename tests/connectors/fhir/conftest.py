"""One result of two single heads and one of several labels, for a server that knows its patient."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from ecgfm_connectors.fhir.profile import FhirProfile
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Observation, Result
from tests.helpers.fhir_server import StrictFhirServer

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
MRN = "https://hospital.example/mrn"
OURS = "https://hospital.example/fhir/ecgfm"

LVEF = Observation(
    code="ECGFM-LVEF",
    name="AI-ECG probability of reduced LVEF",
    status="F",
    probability=0.8312,
    threshold=0.5,
    positive=True,
    head="reduced_lvef",
    head_code="ECGFM-LVEF",
    head_name="AI-ECG probability of reduced LVEF",
)
PACED = replace(
    LVEF,
    code="ECGFM-TROP",
    name="AI-ECG probability of abnormal troponin",
    status="X",
    probability=None,
    threshold=None,
    positive=None,
    reasons=(("paced-rhythm", "The ECG is paced."), ("noise", "Lead V1 is noisy; repeat the ECG.")),
    head="troponin",
    head_code="ECGFM-TROP",
)
FIBRILLATION = replace(
    LVEF,
    code="ECGFM-INT-AF",
    name="AI-ECG probability: Atrial fibrillation",
    probability=0.02,
    positive=False,
    head="interpretation",
    head_code="ECGFM-INT",
    head_name="AI-ECG probability",
)
SINUS = replace(
    FIBRILLATION,
    code="ECGFM-INT-SINUS",
    name="AI-ECG probability: Sinus rhythm",
    probability=0.97,
    positive=True,
    abnormal=False,
)


@pytest.fixture
def result() -> Result:
    return Result(
        control_id="E7QF3K",
        composed_at=NOW,
        patient=Patient(
            identifiers=(Identifier(authority="HOSP", value="123"), Identifier(authority="1.2.3.4", value="987")),
            birth_date=date(1950, 4, 5),
            sex="F",
            family_name="CANARY",
            given_name="BIRD MARIE",
        ),
        placer_number="ORD1^CPOE",
        filler_number="ECGFM-7",
        ecg_filler_number="ECG9^MUSE",
        study_uid="1.2.3",
        acquired_at=datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=1))),
        scored_at=NOW - timedelta(minutes=1),
        status="F",
        model_name="ecg-fm",
        model_version="1.0 ffffffffffff",
        model_digest="f" * 64,
        device_id="ecgfm-clinical 0.1",
        observations=(LVEF, PACED, FIBRILLATION, SINUS),
        notes=("Not a measurement & not a <stand-alone> diagnosis.",),
    )


@pytest.fixture
def profile() -> FhirProfile:
    systems = {"hosp": MRN, "CPOE": "https://hospital.example/orders"}
    return FhirProfile(namespace=OURS, systems=systems, model_card_url="https://hospital.example/card.md")


@pytest.fixture
def server() -> Iterator[StrictFhirServer]:
    """Knows the patient."""
    with StrictFhirServer() as running:
        running.knows(MRN, "123")
        yield running
