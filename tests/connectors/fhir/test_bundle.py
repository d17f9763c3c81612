"""The bundle is FHIR R4, says everything about the ECG and nothing about who the patient is, and is conditional in
every entry.
"""

import base64
import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from ecgfm_connectors.errors import Misconfigured, Refused
from ecgfm_connectors.fhir.bundle import compose
from ecgfm_connectors.fhir.predictions import rounded
from ecgfm_connectors.fhir.profile import FhirProfile
from ecgfm_connectors.outcomes import codes
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Result
from tests.connectors.fhir.conftest import FIBRILLATION, LVEF, MRN, OURS, PACED, SINUS

fhirkit = pytest.importorskip("fhirkit", reason="the package fhirkit-rs is not installed")

AIAST = ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "AIAST")
HTEST = ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST")


def entries(result: Result, profile: FhirProfile) -> dict[str, list[dict[str, Any]]]:
    """Entries by resource type."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in json.loads(compose(result, profile))["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry)
    return found


def one(kind: str, result: Result, profile: FhirProfile) -> dict[str, Any]:
    (entry,) = entries(result, profile)[kind]
    resource: dict[str, Any] = entry["resource"]
    return resource


def by_head(result: Result, profile: FhirProfile, kind: str = "Observation") -> dict[str, dict[str, Any]]:
    return {
        entry["resource"]["identifier"][0]["value"].rpartition(".")[2]: entry["resource"]
        for entry in entries(result, profile)[kind]
    }


@pytest.mark.parametrize("status", ["F", "C", "W", "D"])
@pytest.mark.parametrize("prediction", ["Observation", "RiskAssessment"])
@pytest.mark.parametrize("bare", [False, True])
def test_every_kind_of_bundle_is_valid_r4(
    result: Result, profile: FhirProfile, status: Any, prediction: Any, bare: bool
) -> None:
    if bare:  # what a sender may leave out
        result = replace(result, placer_number="", ecg_filler_number="", study_uid="", acquired_at=None, notes=())
        profile = replace(profile, model_card_url="")
    profile = replace(profile, prediction=prediction, create_patients=not bare, page=True)
    observations = tuple(replace(one, status=status if status in "WD" else one.status) for one in result.observations)
    body = compose(replace(result, status=status, observations=observations, page=b"%PDF-1.7", test=bare), profile)
    assert [str(issue) for issue in fhirkit.validate(body)] == []
    for entry in json.loads(body)["entry"]:
        assert [str(issue) for issue in fhirkit.validate(entry["resource"])] == []


def test_the_validator_can_fail(result: Result, profile: FhirProfile) -> None:
    bundle = json.loads(compose(result, profile))
    del bundle["entry"][2]["resource"]["status"]
    bundle["entry"][2]["resource"]["valueString"] = "0.8"
    found = " ".join(str(issue) for issue in fhirkit.validate(bundle))
    assert "status: required" in found
    assert "value[x]: only one type" in found


def test_the_same_result_gives_the_same_bytes(result: Result, profile: FhirProfile) -> None:
    assert compose(result, profile) == compose(result, profile)


def test_the_bundle_holds_the_patients_number_and_no_name(result: Result, profile: FhirProfile) -> None:
    body = compose(result, profile).decode()
    assert "CANARY" not in body
    assert "MARIE" not in body
    assert "1950" not in body
    report = one("DiagnosticReport", result, profile)
    assert report["subject"]["reference"] == f"Patient?identifier={MRN}|123"
    assert report["subject"]["identifier"]["system"] == MRN


def test_a_first_result_is_created_and_what_follows_replaces_it(result: Result, profile: FhirProfile) -> None:
    first = entries(result, profile)["DiagnosticReport"][0]["request"]
    assert first == {"method": "POST", "url": "DiagnosticReport", "ifNoneExist": f"identifier={OURS}/result|ECGFM-7"}
    wanted = {"method": "PUT", "url": f"DiagnosticReport?identifier={OURS}/result|ECGFM-7"}
    for later in (replace(result, status="C"), replace(result, status="W"), replace(result, revives=True)):
        assert entries(later, profile)["DiagnosticReport"][0]["request"] == wanted


def test_the_report_says_what_it_is(result: Result, profile: FhirProfile) -> None:
    report = one("DiagnosticReport", result, profile)
    assert report["status"] == "final"
    assert report["category"][0]["coding"][0]["code"] == "EC"
    assert [coding["code"] for coding in report["code"]["coding"]] == ["ECGFM", "11524-6"]
    assert report["effectiveDateTime"] == "2026-03-01T08:30:00.000+01:00"
    assert report["issued"] == "2026-03-01T08:59:00.000Z"
    assert report["conclusion"] == result.notes[0]
    assert report["imagingStudy"][0]["identifier"] == {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}
    (order,) = report["basedOn"]
    assert order["identifier"]["value"] == "ORD1"
    assert order["identifier"]["system"] == "https://hospital.example/orders"
    assert {entry["fullUrl"] for entry in entries(result, profile)["Observation"]} == {
        one["reference"] for one in report["result"]
    }
    text = "".join(ElementTree.fromstring(report["text"]["div"]).itertext())
    assert "AI-generated" in text
    assert "not a <stand-alone> diagnosis" in text


def test_one_observation_a_head_with_its_operating_point(result: Result, profile: FhirProfile) -> None:
    found = by_head(result, profile)
    assert set(found) == {"reduced_lvef", "troponin", "interpretation"}
    lvef = found["reduced_lvef"]
    assert lvef["valueQuantity"] == {"value": 0.8312, "unit": "1", "system": "http://unitsofmeasure.org", "code": "1"}
    assert lvef["interpretation"][0]["coding"][0]["code"] == "H"
    assert lvef["referenceRange"][0]["high"]["value"] == 0.5
    assert "at or above" in lvef["referenceRange"][0]["text"]
    components = {part["code"]["coding"][0]["code"]: part for part in found["interpretation"]["component"]}
    assert components["ECGFM-INT-AF"]["interpretation"][0]["coding"][0]["code"] == "N"
    assert "interpretation" not in components["ECGFM-INT-SINUS"], "a sinus rhythm is neither high nor normal"
    assert found["interpretation"]["code"]["coding"][0]["code"] == "ECGFM-INT"


def test_what_could_not_be_judged_says_why(result: Result, profile: FhirProfile) -> None:
    troponin = by_head(result, profile)["troponin"]
    assert troponin["status"] == "final"
    assert "valueQuantity" not in troponin
    codings = troponin["dataAbsentReason"]["coding"]
    assert [coding["code"] for coding in codings] == ["not-performed", "paced-rhythm", "noise"]
    assert [note["text"] for note in troponin["note"]] == ["The ECG is paced.", "Lead V1 is noisy; repeat the ECG."]


def test_risk_assessments_lead_to_the_report(result: Result, profile: FhirProfile) -> None:
    profile = replace(profile, prediction="RiskAssessment")
    found = by_head(result, profile, "RiskAssessment")
    report = entries(result, profile)["DiagnosticReport"][0]
    assert found["reduced_lvef"]["prediction"][0]["probabilityDecimal"] == 0.8312
    assert {one["parent"]["reference"] for one in found.values()} == {report["fullUrl"]}
    assert "result" not in report["resource"], "a report's result takes Observations alone"
    assert "prediction" not in found["troponin"]
    assert "paced-rhythm" in found["troponin"]["note"][0]["text"]


@pytest.mark.parametrize("status", ["W", "D"])
def test_what_is_taken_back_shows_no_value(result: Result, profile: FhirProfile, status: Any) -> None:
    taken_back = replace(
        result,
        status=status,
        page=b"%PDF",
        observations=tuple(replace(one, status=status) for one in (LVEF, FIBRILLATION)),
    )
    found = entries(taken_back, replace(profile, page=True))
    resources = [entry["resource"] for kind in ("DiagnosticReport", "Observation") for entry in found[kind]]
    assert {one["status"] for one in resources} == {"entered-in-error"}
    assert not any(name in one for one in resources for name in ("valueQuantity", "component", "presentedForm"))
    assert "0.8312" not in json.dumps(resources)
    assert "Provenance" not in found, "what the model said is not said again"


def test_a_correction_takes_back_what_it_holds_no_longer(result: Result, profile: FhirProfile) -> None:
    gone, kept = replace(LVEF, status="D"), (replace(FIBRILLATION, status="C"), replace(SINUS, status="D"))
    corrected = replace(result, status="C", observations=(gone, *kept))
    found = by_head(corrected, profile)
    assert found["reduced_lvef"]["status"] == "entered-in-error"
    assert found["interpretation"]["status"] == "corrected"
    assert [part["code"]["coding"][0]["code"] for part in found["interpretation"]["component"]] == ["ECGFM-INT-AF"]
    report = one("DiagnosticReport", corrected, profile)
    assert report["status"] == "corrected"
    assert len(report["result"]) == 1


def test_the_model_is_named_as_the_guide_has_it(result: Result, profile: FhirProfile) -> None:
    """HL7 AI Transparency on FHIR: AI Device, AI Model-Card, AI Provenance, the label AIAST."""
    found = entries(result, profile)
    device, card, provenance = (found[kind][0] for kind in ("Device", "DocumentReference", "Provenance"))
    guide = "http://hl7.org/fhir/uv/aitransparency"
    assert device["resource"]["type"]["coding"][0]["system"] == f"{guide}/CodeSystem/AIdeviceTypeCS"
    assert device["resource"]["type"]["coding"][0]["code"] == "Artificial-Intelligence"
    extensions = {one["url"].rpartition(".")[2]: one for one in device["resource"]["extension"]}
    assert extensions["modelCardDescription"]["valueReference"]["reference"] == card["fullUrl"]
    assert device["resource"]["udiCarrier"][0]["extension"][0]["valueCode"] == "not-applicable"
    assert device["resource"]["version"][0]["value"] == "1.0 ffffffffffff"
    assert card["resource"]["content"][0]["attachment"]["contentType"] == "text/markdown"
    told = provenance["resource"]
    assert told["agent"][0]["who"]["reference"] == device["fullUrl"]
    assert told["reason"][0]["coding"][0]["code"] == "AIAST"
    report = found["DiagnosticReport"][0]["fullUrl"]
    observed = [entry["fullUrl"] for entry in found["Observation"]]
    assert [one["reference"] for one in told["target"]] == [report, *observed]
    assert provenance["request"]["ifNoneExist"] == f"_tag={OURS}/message|E7QF3K"
    assert told["meta"]["tag"][0]["code"] == "E7QF3K"


@pytest.mark.parametrize("test", [False, True])
def test_labels_say_that_it_is_ai_and_whether_it_is_a_test(result: Result, profile: FhirProfile, test: bool) -> None:
    found = entries(replace(result, test=test), profile)
    for entry in (*found["DiagnosticReport"], *found["Observation"]):
        labels = {(one["system"], one["code"]) for one in entry["resource"]["meta"]["security"]}
        assert labels == ({AIAST, HTEST} if test else {AIAST})


def test_the_page_goes_along_where_it_is_wanted(result: Result, profile: FhirProfile) -> None:
    with_page = replace(result, page=b"%PDF-1.7 page")
    (form,) = one("DiagnosticReport", with_page, replace(profile, page=True))["presentedForm"]
    assert base64.b64decode(form["data"]) == b"%PDF-1.7 page"
    assert form["contentType"] == "application/pdf"
    assert "presentedForm" not in one("DiagnosticReport", with_page, profile)
    assert "presentedForm" not in one("DiagnosticReport", result, replace(profile, page=True))


def test_an_authority_without_a_system_is_never_guessed(result: Result, profile: FhirProfile) -> None:
    for changed in (
        replace(result, patient=Patient(identifiers=(Identifier(authority="OTHER", value="1"),))),
        replace(result, placer_number="ORD1^ELSEWHERE"),
    ):
        with pytest.raises(Refused) as refused:
            compose(changed, profile)
        assert refused.value.code == "unmapped-authority"
    with pytest.raises(Refused, match="no-identifier"):
        compose(replace(result, patient=Patient()), profile)


@pytest.mark.parametrize("number", ["1,2", "1|2", "1$2", "1\\2", "1\n2", " 1"])
def test_a_number_that_a_search_reads_otherwise_is_set_aside(result: Result, profile: FhirProfile, number: str) -> None:
    """`identifier=SYSTEM|1,2` asks for patient 1 or patient 2 on a server that reads no escapes."""
    patient = Patient(identifiers=(Identifier(authority="HOSP", value=number),))
    with pytest.raises(Refused) as refused:
        compose(replace(result, patient=patient), profile)
    assert refused.value.code == "unwritable"
    assert number.strip() not in str(refused.value)


def test_letters_with_a_meaning_in_urls_are_encoded(result: Result, profile: FhirProfile) -> None:
    patient = Patient(identifiers=(Identifier(authority="HOSP", value="Ä 1&b=2+#%/"),))
    subject = one("DiagnosticReport", replace(result, patient=patient), profile)["subject"]
    assert subject["reference"] == f"Patient?identifier={MRN}|%C3%84%201%26b%3D2%2B%23%25%2F"
    assert subject["identifier"]["value"] == "Ä 1&b=2+#%/"


def test_an_order_without_a_namespace_is_named_without_a_system(result: Result, profile: FhirProfile) -> None:
    (order,) = one("DiagnosticReport", replace(result, placer_number="ORD1"), profile)["basedOn"]
    assert "system" not in order["identifier"]
    assert "reference" not in order
    matched = replace(profile, orders="match")
    (order,) = one("DiagnosticReport", result, matched)["basedOn"]
    assert order["reference"] == "ServiceRequest?identifier=https://hospital.example/orders|ORD1"
    assert "basedOn" not in one("DiagnosticReport", result, replace(profile, orders="none"))


def test_a_patient_is_created_only_where_a_site_says_so(result: Result, profile: FhirProfile) -> None:
    assert "Patient" not in entries(result, profile)
    long_name = replace(result.patient, family_name="Ł" * 300, given_name="Żółć 名前")
    found = entries(replace(result, patient=long_name), replace(profile, create_patients=True))
    (patient,) = found["Patient"]
    assert patient["request"]["ifNoneExist"] == f"identifier={MRN}|123"
    assert patient["resource"]["name"] == [{"family": "Ł" * 300, "given": ["Żółć", "名前"]}]
    assert patient["resource"]["birthDate"] == "1950-04-05"
    assert found["DiagnosticReport"][0]["resource"]["subject"]["reference"] == patient["fullUrl"]


def test_a_rounded_probability_stays_on_its_side() -> None:
    just_below = replace(LVEF, probability=0.49999999, threshold=0.5, positive=False)
    assert rounded(just_below, 4) == 0.49999999
    assert rounded(replace(LVEF, probability=0.723456), 4) == 0.7235


def test_a_probability_is_never_filed_as_a_measurement(result: Result, profile: FhirProfile) -> None:
    measured = replace(PACED, code=next(iter(codes.MEASURED)))
    with pytest.raises(Misconfigured, match="measured"):
        compose(replace(result, observations=(measured,)), profile)
