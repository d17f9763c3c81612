"""Patient, time, device and order of a DICOM ECG object, without its samples."""

from collections.abc import Iterator
from datetime import tzinfo

from ecgfm_connectors import ages
from ecgfm_connectors.dicom.elements import Elements
from ecgfm_connectors.ecg import AcquiredAt, Device, Finding, Order
from ecgfm_connectors.patient import Identifier, Patient, Sex
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements import mdc
from ecgfm_connectors.statements.vocabularies import SCHEMES, from_code
from ecgfm_connectors.times import acquired_at, parse_date, parse_offset, precision
from ecgfm_connectors.waveform_object import WaveformObject

#: Date and time pairs that stand in for a missing Acquisition DateTime, best first.
_FALLBACK_TIMES = (
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("StudyDate", "StudyTime"),
)
_MAX_TEXTS = 500  #: statements or measurements taken from one object


def patient(dataset: Elements, default_authority: str) -> Patient:
    """Patient ID with its issuer, Other Patient IDs, birth date, sex and name (PS3.3 C.7.1.1)."""
    identifiers = []
    for item in (dataset, *dataset.items("OtherPatientIDsSequence")):
        if value := item.text("PatientID"):
            identifiers.append(Identifier(authority=_issuer(item) or default_authority, value=value))
    sex = dataset.text("PatientSex").upper()
    family, given = _name(dataset)
    return Patient(
        identifiers=tuple(dict.fromkeys(identifiers)),
        birth_date=parse_date(dataset.text("PatientBirthDate")),
        sex=_sex(sex),
        family_name=family,
        given_name=given,
    )


def waveform_object(dataset: Elements, default_authority: str) -> WaveformObject:
    """The object by its own patient, study and UIDs."""
    return WaveformObject(
        sop_class_uid=dataset.text("SOPClassUID"),
        sop_instance_uid=dataset.text("SOPInstanceUID"),
        series_uid=dataset.text("SeriesInstanceUID"),
        study_uid=dataset.text("StudyInstanceUID"),
        study_date=dataset.text("StudyDate"),
        study_time=dataset.text("StudyTime"),
        study_id=dataset.text("StudyID"),
        accession=dataset.text("AccessionNumber"),
        referring_physician=dataset.text("ReferringPhysicianName"),
        patient_id=dataset.text("PatientID"),
        issuer=dataset.text("IssuerOfPatientID"),
        authority=_issuer(dataset) or default_authority,
        patient_name=dataset.text("PatientName"),
        birth_date=dataset.text("PatientBirthDate"),
        sex=dataset.text("PatientSex"),
    )


def _issuer(item: Elements) -> str:
    qualifiers = item.first("IssuerOfPatientIDQualifiersSequence")
    return item.text("IssuerOfPatientID") or qualifiers.text("UniversalEntityID")


def _sex(code: str) -> Sex:
    return "M" if code == "M" else "F" if code == "F" else "O" if code == "O" else "U"


def _name(dataset: Elements) -> tuple[str, str]:
    """Family and given name of the alphabetic group of (0010,0010), PS3.5 §6.2.1."""
    parts = dataset.text("PatientName").split("=")[0].split("^")
    return parts[0].strip(), parts[1].strip() if len(parts) > 1 else ""


def acquired(dataset: Elements, site: tzinfo) -> tuple[AcquiredAt | None, list[Finding]]:
    """Acquisition DateTime with its offset, else the object's Timezone Offset From UTC, else the site's zone.

    Where (0008,002A) is missing or holds only a date, other times of the object stand in, those of the same date only
    where the date is known; a finding says which.
    """
    zone = parse_offset(dataset.text("TimezoneOffsetFromUTC"))
    stated = dataset.text("AcquisitionDateTime")
    moment = acquired_at(stated, site=site, message=zone)
    if moment is not None and precision(stated) != "day":
        return moment, []
    lacks = "no Acquisition DateTime" if moment is None else "an Acquisition DateTime that is only a date"
    for day, time in _FALLBACK_TIMES:
        written = dataset.text(day) + dataset.text(time)
        other = acquired_at(written, site=site, message=zone)
        if other is None or (moment and (precision(written) == "day" or other.at.date() != moment.at.date())):
            continue
        note = f"the object has {lacks}; {day} and {time} stand in"
        return other, [Finding(code="acquisition-time-fallback", text=note)]
    if moment is not None:
        return moment, [Finding(code="acquisition-time-date-only", text="the object gives a date and no time")]
    return None, [Finding(code="acquisition-time-missing", text="the object says nowhere when it was recorded")]


def device(dataset: Elements) -> Device:
    """General equipment (PS3.3 C.7.5.1)."""
    return Device(
        manufacturer=dataset.text("Manufacturer"),
        model=dataset.text("ManufacturerModelName"),
        serial=dataset.text("DeviceSerialNumber"),
        software=dataset.text("SoftwareVersions"),
        station=dataset.text("StationName"),
        institution=dataset.text("InstitutionName"),
    )


def order(dataset: Elements) -> Order:
    """Order numbers from the object, its Referenced Request Sequence, or its Request Attributes Sequence."""
    places = (dataset, dataset.first("ReferencedRequestSequence"), dataset.first("RequestAttributesSequence"))

    def found(keyword: str) -> str:
        return next((value for place in places if (value := place.text(keyword))), "")

    return Order(
        placer=found("PlacerOrderNumberImagingServiceRequest"),
        filler=found("FillerOrderNumberImagingServiceRequest"),
        accession=found("AccessionNumber"),
        study_uid=dataset.text("StudyInstanceUID"),
        visit=dataset.text("AdmissionID"),
        stat=found("RequestedProcedurePriority").upper() in ("STAT", "HIGH"),
    )


def annotations(dataset: Elements) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The device's statements and measurements (Waveform Annotation Module, PS3.3 C.10.10).

    Marks of single beats (temporal ranges with sample positions) are left out: they describe the trace, not the ECG.
    """
    statements: dict[str, None] = {}
    measurements: dict[tuple[str, str], None] = {}
    for item in dataset.items("WaveformAnnotationSequence"):
        named, coded_value = item.first("ConceptNameCodeSequence"), item.first("ConceptCodeSequence")
        name = _meaning(named)
        value = item.number("NumericValue")
        if unformatted := item.text("UnformattedTextValue"):
            statements[unformatted] = None
        elif value is not None:
            unit = item.first("MeasurementUnitsCodeSequence").text("CodeValue")
            measurements[(name, f"{value:g} {unit}".strip())] = None
        elif said := _wording(named, coded_value):
            statements[said] = None
    age = dataset.text("PatientAge")  # AS: 042Y, 006M, 003W, 010D
    return tuple(statements)[:_MAX_TEXTS], (*ages.measurement(age[:-1], age[-1:]), *measurements)[:_MAX_TEXTS]


def coded(dataset: Elements) -> tuple[Statement, ...]:
    """The annotations that are codes: SNOMED CT (or its older ids), MDC or any other scheme as value, MDC also as name,
    which marks of beats and pacing spikes carry (CID 3335). Of single beats only what one beat is enough for. A code of
    a scheme without a table here is kept under the scheme's name; its words are read all the same.
    """
    found: dict[Statement, None] = {}
    for item in dataset.items("WaveformAnnotationSequence"):
        name, value = item.first("ConceptNameCodeSequence"), item.first("ConceptCodeSequence")
        for one in (*_coded(name, _wording(name, value)), *_coded(value, _wording(name, value)), *_foreign(item)):
            found[one] = None
    return tuple(found)[:_MAX_TEXTS]


def _coded(place: Elements, wording: str) -> Iterator[Statement]:
    source, code = SCHEMES.get(place.text("CodingSchemeDesignator").upper()), place.text("CodeValue")
    if not source or not code:
        return
    one = from_code(source, code, wording)
    if source == "MDC" and not mdc.is_statement(code):
        return
    if source != "MDC" or not mdc.is_beat(code) or one.concept in mdc.OF_ONE_BEAT:
        yield one


def _foreign(item: Elements) -> Iterator[Statement]:
    """The value's code where its scheme has no table here and `annotations` takes its words for a statement."""
    value = item.first("ConceptCodeSequence")
    scheme, code = value.text("CodingSchemeDesignator"), value.text("CodeValue")
    told = item.text("UnformattedTextValue") or item.number("NumericValue") is not None
    if scheme and code and not told and scheme.upper() not in SCHEMES:
        yield from_code(scheme, code, _wording(item.first("ConceptNameCodeSequence"), value))


def _wording(name: Elements, value: Elements) -> str:
    """As `annotations` puts it."""
    named, told = _meaning(name), _meaning(value)
    return f"{named}: {told}" if named and told else told


def _meaning(code: Elements) -> str:
    return code.text("CodeMeaning") or code.text("CodeValue")
