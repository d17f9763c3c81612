"""Read the XML of Mortara (Welch Allyn, Hillrom) ELI electrocardiographs and ELI Link:
the root `ECG` with one `CHANNEL` for each lead.

No specification is public; three independent open readers agree on the layout. Samples are 16-bit signed,
little-endian, in base64; a channel's value in mV is the sample divided by UNITS_PER_MV. What another export might mean
otherwise (an OFFSET other than 0, other encodings) is refused.
"""

import base64
import binascii
from datetime import date
from xml.etree.ElementTree import Element

import numpy as np

from ecgfm_connectors import ages
from ecgfm_connectors.assembly import Channel, Signal, assemble, signal_identity
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Filters, Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.files.xml import attribute, parse
from ecgfm_connectors.leads import Lead, from_label
from ecgfm_connectors.numbers import parse_number
from ecgfm_connectors.patient import Identifier, Patient, Sex
from ecgfm_connectors.times import acquired_at, parse_date

_MEASUREMENTS = {"VENT_RATE": "/min", "AVERAGE_RR": "ms"}
_OF_CYCLE = {
    "PR": "ms",
    "QRS_DURATION": "ms",
    "QT": "ms",
    "QTC": "ms",
    "P_AXIS": "deg",
    "QRS_AXIS": "deg",
    "T_AXIS": "deg",
}


def read(content: bytes, context: ReadingContext) -> Contents:
    """The rhythm of one ELI export; the typical cycle beside it is left out.

    Raises Unreadable: `not-xml`, `sample-text`, `waveform-length`, `sampling-frequency`; Refused: `no-recording`,
    `no-sensitivity`, `sample-interpretation`, `mixed-rates` and what `assemble` refuses.
    """
    root = parse(content)
    channels = [(lead, data) for data in root.iterfind("CHANNEL") if (lead := from_label(data.get("NAME", "")))]
    if not channels:
        raise Refused("no-recording", "the file holds no channel of a lead, at most a typical cycle")
    rates = {_rate(data) for _, data in channels}
    if len(rates) != 1:
        raise Refused("mixed-rates", "the channels have different sampling rates")
    rate = rates.pop()
    assembled = assemble([Channel(lead=lead, samples=_samples(data, lead, rate)) for lead, data in channels])
    acquired = _acquired(root, context)
    missing = () if acquired else (Finding(code="acquisition-time-missing", text="the file gives no usable time"),)
    ecg = Ecg(
        source_id=signal_identity(assembled.signal, rate),
        format="mortara-xml",
        patient=_patient(root, context.default_authority),
        acquired=acquired,
        sampling_rate=rate,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        device=_device(root),
        filters=Filters(low_pass=parse_number(attribute(root, "SOURCE", "LOW_PASS_FILTER"))),
        statements=_statements(root),
        measurements=_measurements(root),
        findings=(*missing, *assembled.findings),
    )
    return Contents(ecgs=(ecg,))


def _rate(data: Element) -> float:
    rate = parse_number(data.get("SAMPLE_FREQ", ""))
    if rate is None or rate <= 0:
        raise Unreadable("sampling-frequency", "a channel has no usable SAMPLE_FREQ")
    return rate


def _samples(data: Element, lead: Lead, rate: float) -> Signal:
    """One lead in mV. DURATION is met as the number of samples and as ms."""
    coding = tuple(data.get(name, usual).strip().upper() or usual for name, usual in _CODING.items())
    if coding != tuple(_CODING.values()):
        raise Refused("sample-interpretation", f"lead {lead.name} is stored as {' '.join(coding)[:60]}, not as 16 bits")
    if parse_number(data.get("OFFSET", "").strip() or "0") != 0:
        raise Refused("sample-interpretation", f"lead {lead.name} has an OFFSET, whose meaning is not documented")
    per_millivolt = parse_number(data.get("UNITS_PER_MV", ""))
    if per_millivolt is None or per_millivolt <= 0:
        raise Refused("no-sensitivity", f"lead {lead.name} has no UNITS_PER_MV")
    try:
        raw = base64.b64decode("".join(data.get("DATA", "").split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable("sample-text", f"lead {lead.name} is not base64") from error
    count = len(raw) // 2
    declared = parse_number(data.get("DURATION", "").strip() or str(count))
    if len(raw) % 2 or declared is None or round(declared) not in (count, round(count * 1000 / rate)):
        raise Unreadable("waveform-length", f"lead {lead.name} holds {len(raw)} bytes, which its DURATION contradicts")
    return np.frombuffer(raw, dtype="<i2").astype(np.float32) / np.float32(per_millivolt)


_CODING = {"BITS": "16", "FORMAT": "SIGNED", "ENCODING": "BASE64"}


def _acquired(root: Element, context: ReadingContext) -> AcquiredAt | None:
    """ACQUISITION_TIME, local time of the site."""
    return acquired_at(root.get("ACQUISITION_TIME", ""), site=context.zone)


def _patient(root: Element, default_authority: str) -> Patient:
    number = attribute(root, "SUBJECT", "ID")
    return Patient(
        identifiers=(Identifier(authority=default_authority, value=number),) if number else (),
        birth_date=_birth_date(root),
        sex=_sex(attribute(root, "SUBJECT", "GENDER")),
        family_name=attribute(root, "SUBJECT", "LAST_NAME"),
        given_name=attribute(root, "SUBJECT", "FIRST_NAME"),
    )


def _birth_date(root: Element) -> date | None:
    """DOB_XML (YYYY-MM-DD), else DOB where it is YYYYMMDD; a local form of DOB is not guessed at."""
    stated = attribute(root, "SUBJECT", "DOB_XML") or attribute(root, "SUBJECT", "DOB")
    return parse_date(stated)


def _sex(written: str) -> Sex:
    word = written.upper()
    return "M" if word in ("M", "MALE") else "F" if word in ("F", "FEMALE") else "U"


def _device(root: Element) -> Device:
    def said(name: str) -> str:
        return attribute(root, "SOURCE", name)

    return Device(
        manufacturer=said("MANUFACTURER") or "Mortara",
        model=said("MODEL") or said("ACQUIRING_DEVICE_EXTENDED_MODEL_DESCRIPTION"),
        serial=said("ACQUIRING_DEVICE_SERIAL_NUMBER"),
        software=said("ACQUIRING_DEVICE_SW_VERSION"),
        station=root.get("LOCATION", "").strip(),
        institution=said("ACQUIRING_DEVICE_SITE_NAME"),
    )


def _statements(root: Element) -> tuple[str, ...]:
    places = root.iterfind("AUTOMATIC_INTERPRETATION/STATEMENT")
    return tuple(filter(None, (place.get("TEXT", "").strip() for place in places)))


def _measurements(root: Element) -> tuple[tuple[str, str], ...]:
    found = [(name, root.get(name, "").strip(), unit) for name, unit in _MEASUREMENTS.items()]
    found += [(name, attribute(root, "TYPICAL_CYCLE", name), unit) for name, unit in _OF_CYCLE.items()]
    age = ages.measurement(root.get("AGE", ""), root.get("AGE_UNITS", ""))
    return (*age, *((name, f"{value} {unit}") for name, value, unit in found if parse_number(value) is not None))
