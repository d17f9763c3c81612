"""Read the XML that GE MUSE exports (`RestingECG`): eight stored leads, the other four derived, every lead's CRC
checked.

Own code: `ecgdatakit` 2.0 gives the same samples (the tests compare), but reads paths only and checks no CRC.
"""

import base64
import binascii
import math
import re
import zlib
from datetime import date
from xml.etree.ElementTree import Element

import numpy as np

from ecgfm_connectors import ages
from ecgfm_connectors.assembly import MINIMUM_LEADS, Channel, Signal, assemble, leads_given, signal_identity
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Filters, Finding, Order
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.files.xml import parse, text
from ecgfm_connectors.leads import Lead, from_label
from ecgfm_connectors.numbers import parse_number
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.vocabularies import from_code
from ecgfm_connectors.times import acquired_at
from ecgfm_connectors.units import millivolts

_MEASUREMENTS = {
    "VentricularRate": "/min",
    "AtrialRate": "/min",
    "PRInterval": "ms",
    "QRSDuration": "ms",
    "QTInterval": "ms",
    "QTCorrected": "ms",
    "PAxis": "deg",
    "RAxis": "deg",
    "TAxis": "deg",
}
_MONTH_FIRST = re.compile(r"(\d{2})-(\d{2})-(\d{4})")
_YEAR_FIRST = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


def read(content: bytes, context: ReadingContext) -> Contents:
    """The rhythm strip of one MUSE ECG; the median beat beside it is left out.

    Raises Unreadable: `not-xml`, `sample-text`, `waveform-length`, `checksum-mismatch`, `sampling-frequency`; Refused:
    `no-recording`, `no-sensitivity`, `unknown-unit`, `sample-interpretation` and what `assemble` refuses.
    """
    root = parse(content, doctype=True)
    waveform = _rhythm(root)
    rate = _sampling_rate(waveform)
    findings: list[Finding] = []
    leads = [(lead, data) for data in waveform.iterfind("LeadData") if (lead := from_label(text(data, "LeadID")))]
    assembled = assemble(
        [
            Channel(lead=lead, samples=_samples(data, lead, findings), skew=_late(data) / 1000.0 * rate)
            for lead, data in leads
        ]
    )
    acquired = _acquired(root, context)
    if acquired is None:
        findings.append(Finding(code="acquisition-time-missing", text="the file gives no usable date and time"))
    ecg = Ecg(
        source_id=signal_identity(assembled.signal, rate),
        format="muse-xml",
        patient=_patient(root, context.default_authority),
        acquired=acquired,
        sampling_rate=rate,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        device=_device(root),
        filters=_filters(waveform),
        order=_order(root),
        statements=_statements(root),
        coded=_pace_spikes(root),
        measurements=_measurements(root),
        findings=(*findings, *assembled.findings),
    )
    return Contents(ecgs=(ecg,))


def _rhythm(root: Element) -> Element:
    """The rhythm block, wherever it stands; where there are several, the longest of those that hold all leads (a longer
    rhythm strip of three leads may stand beside them).
    """
    blocks = [block for block in root.iterfind("Waveform") if text(block, "WaveformType").lower() == "rhythm"]
    if not blocks:
        raise Refused("no-recording", "the file holds no Rhythm waveform, at most a median beat")
    return max(blocks, key=lambda block: (_leads_of(block) >= MINIMUM_LEADS, _seconds(block), _samples_of(block)))


def _leads_of(block: Element) -> int:
    leads = (from_label(text(data, "LeadID")) for data in block.iterfind("LeadData"))
    return leads_given(frozenset(lead.name for lead in leads if lead))


def _seconds(block: Element) -> float:
    """0 where the block does not say."""
    base = parse_number(text(block, "SampleBase"))
    return _samples_of(block) / base if base and base > 0 else 0.0


def _samples_of(block: Element) -> float:
    return parse_number(text(block, "LeadData/LeadSampleCountTotal")) or 0.0


def _sampling_rate(waveform: Element) -> float:
    """SampleBase × 10^SampleExponent, Hz."""
    base = parse_number(text(waveform, "SampleBase"))
    exponent = parse_number(text(waveform, "SampleExponent")) or 0.0
    if base is None or not 0 < base < 1e6 or abs(exponent) > 6:
        raise Unreadable("sampling-frequency", "the rhythm block has no usable SampleBase")
    return base * math.pow(10.0, exponent)


def _samples(data: Element, lead: Lead, findings: list[Finding]) -> Signal:
    """One lead in mV: little-endian integers in base64, checked against their length and CRC-32."""
    raw = _decoded(text(data, "WaveFormData"), lead)
    size = int(parse_number(text(data, "LeadSampleSize")) or 2)
    count = int(parse_number(text(data, "LeadSampleCountTotal")) or len(raw) // 2)
    if size != 2:
        raise Refused("sample-interpretation", f"lead {lead.name} has samples of {size} bytes, not 2")
    if len(raw) != count * size:
        raise Unreadable("waveform-length", f"lead {lead.name}: {len(raw)} bytes where {count * size} are declared")
    declared = text(data, "LeadDataCRC32")
    if declared.isdigit() and int(declared) != zlib.crc32(raw):
        raise Unreadable("checksum-mismatch", f"lead {lead.name}: samples and LeadDataCRC32 do not agree")
    gain = parse_number(text(data, "LeadAmplitudeUnitsPerBit"))
    unit = millivolts(text(data, "LeadAmplitudeUnits"))
    if not gain:
        raise Refused("no-sensitivity", f"lead {lead.name} has no LeadAmplitudeUnitsPerBit")
    if unit is None:
        raise Refused("unknown-unit", f"lead {lead.name} is not in a unit of voltage, or does not say which")
    if text(data, "LeadOff").upper() == "TRUE":
        findings.append(Finding(code="lead-off", text=f"lead {lead.name} is marked LeadOff: it counts as not recorded"))
        return np.full(count, np.nan, dtype=np.float32)
    return np.frombuffer(raw, dtype="<i2").astype(np.float32) * np.float32(gain * unit)


def _late(data: Element) -> float:
    """LeadTimeOffset, taken as ms; it is 0 in every export met so far."""
    return parse_number(text(data, "LeadTimeOffset")) or 0.0


def _decoded(encoded: str, lead: Lead) -> bytes:
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable("sample-text", f"lead {lead.name} is not base64") from error


def _date(written: str) -> date | None:
    """MM-DD-YYYY as MUSE writes it everywhere, YYYY-MM-DD as order interfaces do."""
    if match := _MONTH_FIRST.fullmatch(written):
        parts = (int(match[3]), int(match[1]), int(match[2]))
    elif match := _YEAR_FIRST.fullmatch(written):
        parts = (int(match[1]), int(match[2]), int(match[3]))
    else:
        return None
    try:
        return date(*parts)
    except ValueError:
        return None


def _acquired(root: Element, context: ReadingContext) -> AcquiredAt | None:
    """Local time of the site; MUSE writes no zone."""
    day = _date(text(root, "TestDemographics/AcquisitionDate"))
    clock = text(root, "TestDemographics/AcquisitionTime").replace(":", "")
    return acquired_at(f"{day:%Y%m%d}{clock}", site=context.zone) if day else None


def _patient(root: Element, default_authority: str) -> Patient:
    number = text(root, "PatientDemographics/PatientID")
    gender = text(root, "PatientDemographics/Gender").upper()
    return Patient(
        identifiers=(Identifier(authority=default_authority, value=number),) if number else (),
        birth_date=_date(text(root, "PatientDemographics/DateofBirth")),
        sex="M" if gender in ("MALE", "M") else "F" if gender in ("FEMALE", "F") else "U",
        family_name=text(root, "PatientDemographics/PatientLastName"),
        given_name=text(root, "PatientDemographics/PatientFirstName"),
    )


def _device(root: Element) -> Device:
    return Device(
        manufacturer="GE Healthcare",
        model=text(root, "TestDemographics/AcquisitionDevice"),
        serial=text(root, "TestDemographics/CartNumber"),
        software=_software(root),
        station=text(root, "TestDemographics/LocationName"),
        institution=text(root, "TestDemographics/SiteName"),
    )


def _software(root: Element) -> str:
    """The cart's version and that of the 12SL program, with which the wording of statements changes."""
    own = text(root, "TestDemographics/AcquisitionSoftwareVersion")
    program = text(root, "TestDemographics/AnalysisSoftwareVersion")
    return " ".join(filter(None, (own, f"12SL {program}" if program else "")))


def _filters(waveform: Element) -> Filters:
    """The high-pass corner is written in hundredths of Hz (16 = 0.16 Hz), the others in Hz."""
    high_pass = parse_number(text(waveform, "HighPassFilter"))
    return Filters(
        high_pass=high_pass / 100.0 if high_pass is not None else None,
        low_pass=parse_number(text(waveform, "LowPassFilter")),
        notch=0.0 if text(waveform, "ACFilter").upper() == "NONE" else parse_number(text(waveform, "ACFilter")),
    )


def _order(root: Element) -> Order:
    return Order(
        placer=text(root, "Order/RequisitionNumber"),
        visit=text(root, "Order/HISAccountNumber"),
        stat=text(root, "TestDemographics/Priority").upper() == "STAT",
    )


def _statements(root: Element) -> tuple[str, ...]:
    """The confirmed diagnosis; its pieces are joined up to the piece that ends a line."""
    lines, line = [], ""
    for statement in root.iterfind("Diagnosis/DiagnosisStatement"):
        line = f"{line} {text(statement, 'StmtText')}".strip()
        if any(text(flag) == "ENDSLINE" for flag in statement.iterfind("StmtFlag")):
            lines.append(line)
            line = ""
    return tuple(filter(None, [*lines, line]))


def _pace_spikes(root: Element) -> tuple[Statement, ...]:
    """The cart's own detector of pacing spikes: `PaceSpikes` with at least one place or type in it."""
    for element in root.iter("PaceSpikes"):
        told = " ".join(text(part) for part in element.iter() if text(part))
        if told and "NONE" not in told.upper().split():
            return (from_code("MUSE", "PaceSpikes"),)
    return ()


def _measurements(root: Element) -> tuple[tuple[str, str], ...]:
    found = [(name, text(root, f"RestingECGMeasurements/{name}"), unit) for name, unit in _MEASUREMENTS.items()]
    age = ages.measurement(text(root, "PatientDemographics/PatientAge"), text(root, "PatientDemographics/AgeUnits"))
    return (*age, *((name, f"{value} {unit}".strip()) for name, value, unit in found if value))
