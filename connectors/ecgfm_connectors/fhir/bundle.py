"""Composes the transaction Bundle (R4 §2.36, §3.1.0.11) that carries one result.

Every entry is conditional, so that a repeat never doubles: what is told first is created where it is not there yet
(If-None-Exist), a correction and a withdrawal replace what stands under the same number (conditional update). Our
number is the filler order number, which a result has for as long as it lives; a head's answer adds the head's name. The
same result gives the same bytes.
"""

import base64
import json
from collections.abc import Iterator
from html import escape

from ecgfm_connectors.fhir import model
from ecgfm_connectors.fhir.elements import (
    DICOM_UID,
    TERMINOLOGY,
    Json,
    coding,
    concept,
    effective,
    full_url,
    identifier,
    instant,
    meta,
    numbered,
    order,
    patient_number,
    search,
    subject,
    system_of,
)
from ecgfm_connectors.fhir.predictions import Head, heads_of, model_number, number_of, prediction, status_of, summary
from ecgfm_connectors.fhir.profile import FhirProfile
from ecgfm_connectors.people import real_birth_date
from ecgfm_connectors.result import Result

_ELECTROCARDIAC = (f"{TERMINOLOGY}/v2-0074", "EC", "Electrocardiac (e.g., EKG, EEC, Holter)")
_GENDER = {"M": "male", "F": "female", "O": "other", "U": "unknown"}
_TAKEN_BACK = "Withdrawn: this result must not be used."


def compose(result: Result, profile: FhirProfile) -> bytes:
    """The Bundle as JSON in UTF-8.

    Raises Refused (`no-identifier`, `unmapped-authority`, `unwritable`: whose result it is cannot be said to the
    server) and Misconfigured.
    """
    entries = list(_entries(result, profile))
    bundle: Json = {
        "resourceType": "Bundle",
        "identifier": identifier(profile.own("message"), result.control_id),
        "type": "transaction",
        "timestamp": instant(result.composed_at, profile),
        "entry": entries,
    }
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode()


def _entries(result: Result, profile: FhirProfile) -> Iterator[Json]:
    if profile.create_patients:
        yield _patient(result, profile)
    if profile.model_card_url:
        yield _created(model.model_card(result, profile), profile.own("model-card"), model_number(result))
    yield _created(model.device(result, profile), profile.own("model"), model_number(result))
    heads = tuple(heads_of(result))
    for head in heads:
        yield _told(prediction(result, head, profile), number_of(result, head), result, profile)
    yield _told(_report(result, heads, profile), result.filler_number, result, profile)
    if result.status in ("F", "C"):
        targets = [full_url(profile.own("result"), number) for number in _numbers(result, heads)]
        yield _provenance(model.provenance(result, profile, targets), result, profile)


def _numbers(result: Result, heads: tuple[Head, ...]) -> list[str]:
    return [result.filler_number, *(number_of(result, head) for head in heads if not head.is_gone)]


def _told(resource: Json, number: str, result: Result, profile: FhirProfile) -> Json:
    """Part of the result: created where it is told first, replaced where it was told before."""
    system, kind = profile.own("result"), resource["resourceType"]
    if result.status == "F" and not result.revives:
        return _created(resource, system, number)
    request = {"method": "PUT", "url": f"{kind}?{search(system, number)}"}
    return {"fullUrl": full_url(system, number), "resource": resource, "request": request}


def _created(resource: Json, system: str, number: str) -> Json:
    """Created unless it is there (R4 §3.1.0.8.1)."""
    request = {"method": "POST", "url": str(resource["resourceType"]), "ifNoneExist": search(system, number)}
    return {"fullUrl": full_url(system, number), "resource": resource, "request": request}


def _provenance(resource: Json, result: Result, profile: FhirProfile) -> Json:
    system = profile.own("message")
    request = {"method": "POST", "url": "Provenance", "ifNoneExist": search(system, result.control_id, "_tag")}
    return {"fullUrl": full_url(system, result.control_id), "resource": resource, "request": request}


def _report(result: Result, heads: tuple[Head, ...], profile: FhirProfile) -> Json:
    """R4 DiagnosticReport."""
    stands = result.status in ("F", "C")
    found: dict[str, object] = {
        "resourceType": "DiagnosticReport",
        "meta": meta(result),
        "text": _narrative(result, heads, stands=stands),
        "identifier": [identifier(profile.own("result"), result.filler_number)],
        "status": status_of(result),
        "category": [{"coding": [coding(_ELECTROCARDIAC)]}],
        "code": concept("AI-ECG analysis", (profile.own("codes"), "ECGFM", "AI-ECG analysis"), profile.service),
        "subject": subject(result, profile),
        **effective(result, profile),
        "issued": instant(result.scored_at, profile),
    }
    if conclusion := "\n".join(result.notes) if stands else _TAKEN_BACK:
        found["conclusion"] = conclusion
    if (request := order(result, profile)) is not None:
        found["basedOn"] = [request]
    if profile.prediction == "Observation":
        found["result"] = [
            {"reference": full_url(profile.own("result"), number_of(result, head)), "type": "Observation"}
            for head in heads
            if not (stands and head.is_gone)
        ]
    if result.study_uid:
        study = identifier(DICOM_UID, f"urn:oid:{result.study_uid}")
        found["imagingStudy"] = [{"type": "ImagingStudy", "identifier": study}]
    if profile.page and stands and result.page is not None:
        page = base64.b64encode(result.page).decode("ascii")
        found["presentedForm"] = [{"contentType": "application/pdf", "data": page, "title": "AI-ECG result"}]
    return found


def _narrative(result: Result, heads: tuple[Head, ...], *, stands: bool) -> Json:
    """What a person reads where a program shows the resource as it is; it names nobody."""
    lines = [*result.notes, *summary(heads)] if stands else [_TAKEN_BACK]
    text = "".join(f"<p>{escape(line)}</p>" for line in ("AI-generated ECG analysis", *lines))
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'}


def _patient(result: Result, profile: FhirProfile) -> Json:
    """Created where the server knows nobody by this number; one whom it knows stays as they are."""
    number, patient = patient_number(result), result.patient
    system = system_of(number.authority, profile)
    resource: dict[str, object] = {
        "resourceType": "Patient",
        "identifier": [numbered(number, profile)],
        "gender": _GENDER[patient.sex],
    }
    name: dict[str, object] = {"family": patient.family_name} if patient.family_name else {}
    if patient.given_name:
        name["given"] = patient.given_name.split()
    if name:
        resource["name"] = [name]
    if (born := real_birth_date(patient.birth_date)) is not None:
        resource["birthDate"] = born.isoformat()
    return _created(resource, system, number.value)
