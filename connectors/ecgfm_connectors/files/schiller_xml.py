"""Read the XML of Schiller electrocardiographs and SEMA: the root `com.xiriuz.sema.xml.schillerEDI.SchillerEDI`, whose
`wavedata` of the type ECG_RHYTHMS holds one `channel` for each lead.

No specification is public; three independent open readers agree on the layout. A value in mV is the sample times
`yres/unitperbit`, in the unit beside it. What they leave open is refused: an exponent of the sampling rate other than
1, samples that are not separated by commas. Where the device writes its statements they do not say, so none are read.
"""

from xml.etree.ElementTree import Element

import numpy as np

from ecgfm_connectors.assembly import Channel, Signal, assemble, signal_identity
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.files.xml import parse, text
from ecgfm_connectors.leads import Lead, from_label
from ecgfm_connectors.numbers import parse_number, parse_numbers
from ecgfm_connectors.patient import Identifier, Patient, Sex
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.vocabularies import from_code
from ecgfm_connectors.times import acquired_at, parse_date

_MILLIVOLTS = {"UV": 1e-3, "MV": 1.0}
_NONE = frozenset({"", "-", "0", "NO", "N", "NONE", "FALSE", "UNKNOWN", "NOT_DEFINED", "UNDEFINED"})


def read(content: bytes, context: ReadingContext) -> Contents:
    """The rhythm of one export; the averages beside it are left out.

    Raises Unreadable: `not-xml`, `sample-text`, `sampling-frequency`; Refused: `no-recording`, `multiple-recordings`,
    `no-sensitivity`, `unknown-unit`, `sample-interpretation` and what `assemble` refuses.
    """
    root = parse(content)
    waves = _rhythm(root)
    rate, millivolts = _rate(waves), _millivolts(waves)
    leads = [(lead, one) for one in waves.iterfind("channel") if (lead := from_label(text(one, "name")))]
    assembled = assemble([Channel(lead=lead, samples=_samples(one, lead, millivolts)) for lead, one in leads])
    acquired = _acquired(root, context)
    missing = () if acquired else (Finding(code="acquisition-time-missing", text="the file gives no usable time"),)
    ecg = Ecg(
        source_id=signal_identity(assembled.signal, rate),
        format="schiller-xml",
        patient=_patient(root.find("patdata"), context.default_authority),
        acquired=acquired,
        sampling_rate=rate,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        device=_device(root),
        coded=_pacemaker(root),
        findings=(*missing, *assembled.findings),
    )
    return Contents(ecgs=(ecg,))


def _rhythm(root: Element) -> Element:
    found = [one for one in root.iterfind("eventdata/event/wavedata") if text(one, "type").upper() == "ECG_RHYTHMS"]
    if not found:
        raise Refused("no-recording", "the file holds no wavedata of the type ECG_RHYTHMS, at most averages")
    if len(found) > 1:
        raise Refused("multiple-recordings", "the file holds more than one rhythm; export one recording to a file")
    return found[0]


def _rate(waves: Element) -> float:
    rate = parse_number(text(waves, "resolution/samplerate/value"))
    if rate is None or rate <= 0:
        raise Unreadable("sampling-frequency", "the rhythm has no usable sampling rate")
    if parse_number(text(waves, "resolution/samplerate/exponent") or "1") != 1:
        raise Refused("sample-interpretation", "the sampling rate has an exponent, whose meaning is not documented")
    return rate


def _millivolts(waves: Element) -> float:
    """mV for one unit of the samples."""
    step = parse_number(text(waves, "resolution/yres/unitperbit"))
    if step is None or step <= 0:
        raise Refused("no-sensitivity", "the rhythm has no unitperbit")
    unit = text(waves, "resolution/yres/units").upper()
    if unit not in _MILLIVOLTS:
        raise Refused("unknown-unit", "the rhythm is not in µV or mV, or does not say which")
    return step * _MILLIVOLTS[unit]


def _samples(channel: Element, lead: Lead, millivolts: float) -> Signal:
    """One lead in mV."""
    if text(channel, "datastype").upper() not in ("", "COMMASEPARATE"):
        raise Refused("sample-interpretation", f"the samples of lead {lead.name} are not separated by commas")
    return (parse_numbers(text(channel, "data")) * millivolts).astype(np.float32)


def _acquired(root: Element, context: ReadingContext) -> AcquiredAt | None:
    """`startdatetime`, local time of the site; a day that is not written from year to day is not guessed at."""
    place = root.find("examdescript/startdatetime")
    day, clock = text(place, "date").replace("-", ""), text(place, "time").replace(":", "")
    return (
        acquired_at(f"{day}{clock}", site=context.zone) if len(day) == 8 and len(clock.partition(".")[0]) == 6 else None
    )


def _patient(about: Element | None, default_authority: str) -> Patient:
    number = text(about, "id")
    return Patient(
        identifiers=(Identifier(authority=default_authority, value=number),) if number else (),
        birth_date=parse_date(text(about, "birthdate")),
        sex=_sex(text(about, "gender")),
        family_name=text(about, "lastname"),
        given_name=text(about, "firstname"),
    )


def _sex(written: str) -> Sex:
    word = written.upper()
    return "M" if word in ("M", "MALE") else "F" if word in ("F", "FEMALE") else "U"


def _device(root: Element) -> Device:
    hardware = root.find("examdescript/aquiringdevice/hardware")  # the format's own spelling
    return Device(manufacturer=text(hardware, "vendor") or "Schiller", model=text(hardware, "model"))


def _pacemaker(root: Element) -> tuple[Statement, ...]:
    """The patient has a pacemaker, which need not pace now."""
    if text(root, "patdata/pacemaker/value").upper() in _NONE:
        return ()
    return (from_code("Schiller", "pacemaker", certainty="possible"),)
