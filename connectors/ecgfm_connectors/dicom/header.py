"""Who, when, where and on whose order: the identifying part of a DICOM ECG object, without its samples."""

from datetime import tzinfo

from pydicom.dataset import Dataset

from ecgfm_connectors.dicom.values import first, items, number, text
from ecgfm_connectors.ecg import AcquiredAt, Device, Finding, Order
from ecgfm_connectors.patient import Identifier, Patient, Sex
from ecgfm_connectors.times import acquired_at, parse_date, parse_offset

#: Date and time pairs that stand in for a missing Acquisition DateTime, best first.
_FALLBACK_TIMES = (
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("StudyDate", "StudyTime"),
)
_MAX_TEXTS = 500  #: statements or measurements kept of one object


def patient(dataset: Dataset, default_authority: str) -> Patient:
    """Patient ID with its issuer, Other Patient IDs, birth date, sex and name (PS3.3 C.7.1.1)."""
    identifiers = []
    for item in (dataset, *items(dataset, "OtherPatientIDsSequence")):
        if value := text(item, "PatientID"):
            identifiers.append(Identifier(authority=_issuer(item) or default_authority, value=value))
    sex = text(dataset, "PatientSex").upper()
    family, given = _name(dataset)
    return Patient(
        identifiers=tuple(dict.fromkeys(identifiers)),
        birth_date=parse_date(text(dataset, "PatientBirthDate")),
        sex=_sex(sex),
        family_name=family,
        given_name=given,
    )


def _issuer(item: Dataset) -> str:
    qualifiers = first(item, "IssuerOfPatientIDQualifiersSequence")
    return text(item, "IssuerOfPatientID") or text(qualifiers, "UniversalEntityID")


def _sex(code: str) -> Sex:
    return "M" if code == "M" else "F" if code == "F" else "O" if code == "O" else "U"


def _name(dataset: Dataset) -> tuple[str, str]:
    """Family and given name of the alphabetic group of (0010,0010), PS3.5 §6.2.1."""
    parts = text(dataset, "PatientName").split("=")[0].split("^")
    return parts[0].strip(), parts[1].strip() if len(parts) > 1 else ""


def acquired(dataset: Dataset, site: tzinfo) -> tuple[AcquiredAt | None, list[Finding]]:
    """Acquisition DateTime with its offset, else the object's Timezone Offset From UTC, else the site's zone.

    Where (0008,002A) is missing, other dates of the object stand in, and a finding says which.
    """
    zone = parse_offset(text(dataset, "TimezoneOffsetFromUTC"))
    moment = acquired_at(text(dataset, "AcquisitionDateTime"), site=site, message=zone)
    if moment is not None:
        return moment, []
    for day, time in _FALLBACK_TIMES:
        moment = acquired_at(text(dataset, day) + text(dataset, time), site=site, message=zone)
        if moment is not None:
            note = f"the object has no Acquisition DateTime; {day} and {time} stand in"
            return moment, [Finding(code="acquisition-time-fallback", text=note)]
    return None, [Finding(code="acquisition-time-missing", text="the object says nowhere when it was recorded")]


def device(dataset: Dataset) -> Device:
    """General equipment (PS3.3 C.7.5.1)."""
    return Device(
        manufacturer=text(dataset, "Manufacturer"),
        model=text(dataset, "ManufacturerModelName"),
        serial=text(dataset, "DeviceSerialNumber"),
        software=text(dataset, "SoftwareVersions"),
        station=text(dataset, "StationName"),
        institution=text(dataset, "InstitutionName"),
    )


def order(dataset: Dataset) -> Order:
    """Order numbers from the object, its Referenced Request Sequence, or its Request Attributes Sequence."""
    places = (dataset, first(dataset, "ReferencedRequestSequence"), first(dataset, "RequestAttributesSequence"))

    def found(keyword: str) -> str:
        return next((value for place in places if (value := text(place, keyword))), "")

    return Order(
        placer=found("PlacerOrderNumberImagingServiceRequest"),
        filler=found("FillerOrderNumberImagingServiceRequest"),
        accession=found("AccessionNumber"),
        study_uid=text(dataset, "StudyInstanceUID"),
        visit=text(dataset, "AdmissionID"),
        stat=found("RequestedProcedurePriority").upper() in ("STAT", "HIGH"),
    )


def annotations(dataset: Dataset) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The device's statements and measurements (Waveform Annotation Module, PS3.3 C.10.10).

    Marks of single beats (temporal ranges with sample positions) are left out: they describe the trace, not the ECG.
    """
    statements: dict[str, None] = {}
    measurements: dict[tuple[str, str], None] = {}
    for item in items(dataset, "WaveformAnnotationSequence"):
        name = _meaning(first(item, "ConceptNameCodeSequence"))
        value = number(item, "NumericValue")
        if unformatted := text(item, "UnformattedTextValue"):
            statements[unformatted] = None
        elif value is not None:
            unit = text(first(item, "MeasurementUnitsCodeSequence"), "CodeValue")
            measurements[(name, f"{value:g} {unit}".strip())] = None
        elif coded := _meaning(first(item, "ConceptCodeSequence")):
            statements[f"{name}: {coded}" if name else coded] = None
    return tuple(statements)[:_MAX_TEXTS], tuple(measurements)[:_MAX_TEXTS]


def _meaning(code: Dataset) -> str:
    return text(code, "CodeMeaning") or text(code, "CodeValue")
