"""The small parts of FHIR R4 resources (datatypes, R4 §2.24) and the terms of others that are used here."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from ecgfm_connectors.errors import Refused
from ecgfm_connectors.fhir.profile import Coded, FhirProfile
from ecgfm_connectors.patient import Identifier
from ecgfm_connectors.result import Result

Json: TypeAlias = Mapping[str, object]

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
UCUM = "http://unitsofmeasure.org"
DICOM_UID = "urn:dicom:uid"
ABSENT_URL = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
#: HL7 "AI Transparency on FHIR" (STU1 ballot, January 2026).
TRANSPARENCY = "http://hl7.org/fhir/uv/aitransparency"
AI_ASSERTED = (f"{TERMINOLOGY}/v3-ObservationValue", "AIAST", "Artificial Intelligence asserted")
TEST_DATA = (f"{TERMINOLOGY}/v3-ActReason", "HTEST", "test health data")

#: Letters that a FHIR search gives a meaning of its own (R4 §3.1.1.5.7); not every server reads them escaped, and a
#: number that is read otherwise is another patient's.
_SEARCH_MARKS = frozenset("|,$\\")


def coding(coded: Coded) -> Json:
    system, code, display = coded
    return {"system": system, "code": code, "display": display}


def concept(text: str, *codings: Coded) -> Json:
    """CodeableConcept."""
    return {"coding": [coding(one) for one in codings], "text": text}


def identifier(system: str, value: str) -> Json:
    return {"system": system, "value": value}


def meta(result: Result, *, asserted: bool = True) -> Json:
    """What every resource about a result is labelled with; `asserted`: its content is the model's word."""
    labels = [*([AI_ASSERTED] if asserted else []), *([TEST_DATA] if result.test else [])]
    return {"security": [coding(one) for one in labels]} if labels else {}


def instant(moment: datetime, profile: FhirProfile) -> str:
    """`moment`, aware, to the millisecond and with its zone (R4 datatype instant)."""
    shown = moment.astimezone(profile.zone) if profile.zone else moment
    return shown.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def effective(result: Result, profile: FhirProfile, name: str = "effectiveDateTime") -> Json:
    """When the ECG was recorded; where that is not known it is said."""
    if result.acquired_at is not None:
        return {name: instant(result.acquired_at, profile)}
    return {f"_{name}": {"extension": [{"url": ABSENT_URL, "valueCode": "unknown"}]}}


def probability(value: float) -> Json:
    """A Quantity without unit, UCUM 1."""
    return {"value": value, "unit": "1", "system": UCUM, "code": "1"}


def full_url(system: str, value: str) -> str:
    """The `fullUrl` of an entry: the same for the same number, so that a repeat is the same bytes."""
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{system}|{value}')}"


def search(system: str, value: str, parameter: str = "identifier") -> str:
    """`identifier=SYSTEM|VALUE` as it stands in a URL. Raises Refused (`unwritable`)."""
    if not value or _SEARCH_MARKS & set(value) or not value.isprintable() or value != value.strip():
        raise Refused(
            "unwritable", "a number holds a letter that a FHIR search reads otherwise; it cannot be asked for"
        )
    return f"{parameter}={system}|{quote(value, safe='')}"


def system_of(authority: str, profile: FhirProfile) -> str:
    """The URI of an assigning authority, compared without regard to case. Raises Refused (`unmapped-authority`)."""
    wanted = authority.strip().casefold()
    for name, system in profile.systems.items():
        if name.strip().casefold() == wanted:
            return system
    raise Refused(
        "unmapped-authority",
        f"assigning authority {authority} has no system in the destination's `systems`; add it, then `replay --dead`",
    )


def patient_number(result: Result) -> Identifier:
    """The number under which the result goes out. Raises Refused (`no-identifier`)."""
    if not result.patient.identifiers:
        raise Refused("no-identifier", "the ECG names no patient, so its result cannot be filed")
    return result.patient.identifiers[0]


def numbered(number: Identifier, profile: FhirProfile) -> Json:
    """A patient's number with the system of its authority, and its kind (HL7 table 0203)."""
    found: dict[str, object] = dict(identifier(system_of(number.authority, profile), number.value))
    if number.type:
        found["type"] = {"coding": [{"system": f"{TERMINOLOGY}/v2-0203", "code": number.type}]}
    return found


def subject(result: Result, profile: FhirProfile) -> Json:
    """A conditional reference (R4 §3.1.0.11.3): the server files the result under the one patient whom it knows by this
    number, or refuses it; no patient is ever guessed.
    """
    number = patient_number(result)
    system = system_of(number.authority, profile)
    where = f"Patient?{search(system, number.value)}"
    if profile.create_patients:
        where = full_url(system, number.value)
    return {"reference": where, "type": "Patient", "identifier": numbered(number, profile)}


def order(result: Result, profile: FhirProfile) -> Json | None:
    """The order that the result answers: ServiceRequest by the placer's number (`ID^NAMESPACE^OID^ISO`)."""
    if not result.placer_number or profile.orders == "none":
        return None
    value, namespace, *_ = [*result.placer_number.split("^"), ""]
    if not value:
        return None
    found: dict[str, object] = {"type": {"coding": [{"system": f"{TERMINOLOGY}/v2-0203", "code": "PLAC"}]}}
    system = system_of(namespace, profile) if namespace else ""
    found |= identifier(system, value) if system else {"value": value}
    reference: dict[str, object] = {"type": "ServiceRequest", "identifier": found}
    if profile.orders == "match" and system:
        reference["reference"] = f"ServiceRequest?{search(system, value)}"
    return reference


def recorded_as(result: Result, profile: FhirProfile) -> Json | None:
    """The ECG itself, by its study or by its sender's number."""
    if result.study_uid:
        return {"type": "ImagingStudy", "identifier": identifier(DICOM_UID, f"urn:oid:{result.study_uid}")}
    return {"identifier": {"value": result.ecg_filler_number.split("^")[0]}} if result.ecg_filler_number else None
