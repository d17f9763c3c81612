"""Read the XML that GE CardioSoft exports (`CardiologyXML`): the ten-second strip, not the medians or the full
disclosure.

Own code: no library that we know of reads it (`ecgdatakit` 2.0 does not).
"""

from xml.etree.ElementTree import Element

import numpy as np

from ecgfm_connectors import ages
from ecgfm_connectors.assembly import Channel, assemble, signal_identity
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Filters, Finding, Order
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.files.xml import parse, text
from ecgfm_connectors.leads import from_label
from ecgfm_connectors.numbers import parse_number, parse_numbers
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.times import acquired_at, parse_date
from ecgfm_connectors.units import millivolts

_MEASUREMENTS = ("VentricularRate", "PQInterval", "PDuration", "QRSDuration", "QTInterval", "QTCInterval", "RRInterval")


def read(content: bytes, context: ReadingContext) -> Contents:
    """The StripData of one resting ECG.

    Raises Unreadable: `not-xml`, `sample-text`, `waveform-length`, `sampling-frequency`; Refused: `no-recording`,
    `no-sensitivity`, `unknown-unit` and what `assemble` refuses.
    """
    root = parse(content, doctype=True)
    strip = root.find("StripData")
    if strip is None:
        raise Refused("no-recording", "the file holds no StripData, at most medians or a full disclosure")
    rate = parse_number(text(strip, "SampleRate"))
    if rate is None or rate <= 0:
        raise Unreadable("sampling-frequency", "the strip has no usable SampleRate")
    assembled = assemble(_channels(strip))
    acquired = _acquired(root, context)
    missing = () if acquired else (Finding(code="acquisition-time-missing", text="the file gives no usable time"),)
    ecg = Ecg(
        source_id=signal_identity(assembled.signal, rate),
        format="cardiosoft-xml",
        patient=_patient(root, context.default_authority),
        acquired=acquired,
        sampling_rate=rate,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        device=Device(
            manufacturer="GE",
            model=text(root, "ClinicalInfo/DeviceInfo/Desc"),
            software=text(root, "ClinicalInfo/DeviceInfo/SoftwareVer"),
            institution=text(root, "PatientVisit/ServicingFacility/Name"),
        ),
        filters=_filters(root),
        order=Order(placer=text(root, "PatientVisit/OrderNumber"), study_uid=text(root, "UID/DICOMStudyUID")),
        statements=tuple(
            filter(None, (text(line) for line in root.iterfind("Interpretation/Diagnosis/DiagnosisText")))
        ),
        measurements=_measurements(root),
        findings=(*missing, *assembled.findings),
    )
    return Contents(ecgs=(ecg,))


def _channels(strip: Element) -> list[Channel]:
    resolution = strip.find("Resolution")
    step = parse_number(text(resolution))
    if resolution is None or not step:
        raise Refused("no-sensitivity", "the strip has no Resolution")
    unit = millivolts(resolution.get("units", "").removesuffix("perLsb"))
    if unit is None:
        raise Refused("unknown-unit", "the strip's Resolution is not in a unit of voltage for each bit")
    declared = parse_number(text(strip, "ChannelSampleCountTotal"))
    channels = []
    for data in strip.iterfind("WaveformData"):
        lead = from_label(data.get("lead", ""))
        if lead is None or not lead.canonical:
            continue
        samples = parse_numbers(text(data))
        if declared is not None and len(samples) != declared:
            note = f"lead {lead.name}: {len(samples)} samples where {declared:.0f} are declared"
            raise Unreadable("waveform-length", note)
        channels.append(Channel(lead=lead, samples=(samples * step * unit).astype(np.float32)))
    return channels


def _acquired(root: Element, context: ReadingContext) -> AcquiredAt | None:
    """Local time of the site; 1 January 2000, 00:00:00 is what an anonymised or never-set file says, and no time."""
    parts = [parse_number(text(root, f"ObservationDateTime/{part}")) for part in ("Year", "Month", "Day")]
    parts += [parse_number(text(root, f"ObservationDateTime/{part}")) or 0.0 for part in ("Hour", "Minute", "Second")]
    if any(part is None or not 0 <= part < 10000 for part in parts) or parts == [2000, 1, 1, 0, 0, 0]:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    return acquired_at(f"{year:04d}{month:02d}{day:02d}{hour:02d}{minute:02d}{second:02d}", site=context.zone)


def _patient(root: Element, default_authority: str) -> Patient:
    info = root.find("PatientInfo")
    number = text(info, "PID")
    gender = text(info, "Gender").upper()
    born = [text(info, f"BirthDateTime/{part}").zfill(2) for part in ("Year", "Month", "Day")]
    return Patient(
        identifiers=(Identifier(authority=default_authority, value=number),) if number else (),
        birth_date=parse_date("".join(born)),
        sex="M" if gender == "MALE" else "F" if gender == "FEMALE" else "U",
        family_name=text(info, "Name/FamilyName"),
        given_name=text(info, "Name/GivenName"),
    )


def _filters(root: Element) -> Filters:
    notch = next((hz for hz in (50.0, 60.0) if text(root, f"FilterSetting/Filter{hz:.0f}Hz").lower() == "yes"), 0.0)
    has_setting = root.find("FilterSetting") is not None
    return Filters(low_pass=parse_number(text(root, "FilterSetting/LowPass")), notch=notch if has_setting else None)


def _measurements(root: Element) -> tuple[tuple[str, str], ...]:
    found = []
    for name in _MEASUREMENTS:
        element = root.find(f"RestingECGMeasurements/{name}")
        if element is not None and text(element):
            found.append((name, f"{text(element)} {element.get('units', '')}".strip()))
    if text(root, "PatientInfo/PaceMaker"):
        found.append(("PaceMaker", text(root, "PatientInfo/PaceMaker")))
    return (*_age(root), *found)


def _age(root: Element) -> tuple[tuple[str, str], ...]:
    """The stated age; none where the file gives no unit, as months read as years score a child as an adult."""
    age = root.find("PatientInfo/Age")
    return () if age is None else ages.measurement(text(age), age.get("units", ""))
