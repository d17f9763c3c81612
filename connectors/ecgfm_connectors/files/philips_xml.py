"""Read Philips (Sierra) ECG XML 1.03 and 1.04, plain or XLI-compressed.

Such a recording is 11 s long, and its end is a calibration pulse: `assemble` cuts what is the same in all leads.
"""

import base64
import binascii
from datetime import date
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors import ages
from ecgfm_connectors.assembly import Channel, assemble, signal_identity
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Filters, Finding, Order
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.files.xli import expand
from ecgfm_connectors.files.xml import attribute, parse, text
from ecgfm_connectors.leads import Lead, from_label
from ecgfm_connectors.numbers import parse_number
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.vocabularies import from_code
from ecgfm_connectors.times import acquired_at, parse_date

_TYPES = frozenset({"SierraECG", "PhilipsECG"})
_VERSIONS = frozenset({"1.03", "1.04", "1.04.01", "1.04.02"})
_STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_MEASUREMENTS = {"heartrate": "/min", "meanprint": "ms", "meanqrsdur": "ms", "meanqtint": "ms", "meanqtc": "ms"}
_MOST_CODES = 500
_Raw = dict[str, NDArray[np.int64]]


def read(content: bytes, context: ReadingContext) -> Contents:
    """The one recording of a Philips file.

    Raises Unreadable: `not-xml`, `sample-text`, `xli`, `waveform-length`, `sampling-frequency`; Refused:
    `unsupported-version`, `no-recording`, `no-sensitivity`, `sample-interpretation` and what `assemble` refuses.
    """
    root = parse(content)
    kind, version = text(root, "documentinfo/documenttype"), text(root, "documentinfo/documentversion")
    if kind not in _TYPES or version not in _VERSIONS:
        said = f"{kind} {version}".strip()[:40] or "(none)"
        raise Refused("unsupported-version", f"document type {said}; read are SierraECG and PhilipsECG 1.03 and 1.04")
    waveforms = root.find("waveforms/parsedwaveforms")
    if waveforms is None:
        raise Refused("no-recording", "the file holds no parsed waveforms")
    signal = _Signal(root, waveforms)
    assembled = assemble(signal.channels())
    acquired = _acquired(root, context)
    missing = () if acquired else (Finding(code="acquisition-time-missing", text="the file gives no usable time"),)
    ecg = Ecg(
        source_id=text(root, "documentinfo/documentname") or signal_identity(assembled.signal, signal.rate),
        format="philips-xml",
        patient=_patient(root, context.default_authority),
        acquired=acquired,
        sampling_rate=signal.rate,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        device=_device(root),
        filters=_filters(root),
        order=_order(root),
        statements=_statements(root),
        coded=(*_coded(root), *_pacing(root)),
        measurements=_measurements(root),
        findings=(*missing, *assembled.findings),
    )
    return Contents(ecgs=(ecg,))


class _Signal:
    """The samples of a file with their scale; versions 1.03 and 1.04 keep these in different places."""

    def __init__(self, root: Element, waveforms: Element) -> None:
        self._waveforms = waveforms
        self._about = root.find("dataacquisition/signalcharacteristics")
        rate = self._said("samplingrate", "samplespersecond")
        milliseconds = parse_number(waveforms.get("durationperchannel", ""))
        if rate is None or not 0 < rate < 1e5:
            raise Unreadable("sampling-frequency", "the file has no usable sampling rate")
        if milliseconds is None or not 0 < milliseconds < 3.6e6:
            raise Unreadable("waveform-length", "the file does not say how long its leads are")
        self.rate = rate
        self.samples = round(rate * milliseconds / 1000.0)

    def channels(self) -> list[Channel]:
        """mV. Raises Refused where amplitude or sample width are not what the format allows."""
        resolution = self._said("signalresolution", "resolution")
        if not resolution:
            raise Refused("no-sensitivity", "the file has no signal resolution (µV a unit)")
        if (self._said("bitspersample", "bitspersample") or self._said("bitspersample", "nbitspersample")) != 16:
            raise Refused("sample-interpretation", "the samples are not 16 bits wide")
        offset = self._said("signaloffset", "signaloffset") or 0.0
        raw = self._raw()
        return [
            Channel(lead=Lead(name), samples=((row - offset) * resolution / 1000.0).astype(np.float32))
            for name, row in raw.items()
            if Lead(name).canonical
        ]

    def _said(self, name: str, attribute_name: str) -> float | None:
        own = parse_number(self._waveforms.get(attribute_name, ""))
        about = next((text(self._about, tag) for tag in (name, attribute_name) if text(self._about, tag)), "")
        return own if own is not None else parse_number(about)

    def _raw(self) -> _Raw:
        try:
            data = base64.b64decode("".join(text(self._waveforms).split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise Unreadable("sample-text", "the waveforms are not base64") from error
        leads = self._labels()
        method = self._waveforms.get("compression", self._waveforms.get("compressmethod", "")).upper()
        if method in ("", "UNCOMPRESSED", "NONE") or self._waveforms.get("compressflag", "").lower() == "false":
            return self._plain(data, leads)
        if method != "XLI":
            raise Refused("sample-interpretation", "the waveforms are compressed by another method than XLI")
        if self.samples * 2 * len(leads) > 64 * len(data) + 2**20:
            raise Unreadable("waveform-length", "the file declares far more samples than its data can hold")
        rows = expand(data, samples=self.samples)
        if len(rows) < len(leads):
            raise Unreadable("waveform-length", f"{len(rows)} compressed leads where {len(leads)} are declared")
        raw = {lead: row.astype(np.int64) for lead, row in zip(leads, rows, strict=False)}
        return _limb_leads_from_differences(raw)

    def _plain(self, data: bytes, leads: list[str]) -> _Raw:
        if len(data) != 2 * self.samples * len(leads):
            raise Unreadable("waveform-length", f"{len(data)} bytes do not make {len(leads)} leads of {self.samples}")
        rows = np.frombuffer(data, dtype="<i2").astype(np.int64).reshape(len(leads), self.samples)
        return dict(zip(leads, rows, strict=True))

    def _labels(self) -> list[str]:
        """Lead names in their order of storage; a standard twelve-lead set where 1.03 names none."""
        written = self._waveforms.get("leadlabels", "").split()
        if written:
            return [lead.name if (lead := from_label(label)) else label for label in written]
        valid = int(self._said("numberchannelsvalid", "numberofleads") or 0)
        kind = text(self._about, "leadset") or text(self._about, "acquisitiontype")
        if valid != len(_STANDARD) or not kind.upper().startswith("STD-12"):
            raise Refused("lead-doubtful", f"{valid} channels without names, and not marked as a standard 12-lead set")
        return list(_STANDARD)


def _limb_leads_from_differences(raw: _Raw) -> _Raw:
    """III, aVR, aVL, aVF are stored as what I and II leave unexplained; halves are rounded down as the device does."""
    one, two = raw.get("I"), raw.get("II")
    if one is None or two is None:
        raise Refused("lead-doubtful", "compressed limb leads without I and II")
    changed = dict(raw)
    if "III" in raw:
        changed["III"] = two - one - raw["III"]
    three = changed.get("III", two - one)
    if "aVR" in raw:
        changed["aVR"] = -raw["aVR"] - (one + two) // 2
    if "aVL" in raw:
        changed["aVL"] = (one - three) // 2 - raw["aVL"]
    if "aVF" in raw:
        changed["aVF"] = (two + three) // 2 - raw["aVF"]
    return changed


def _acquired(root: Element, context: ReadingContext) -> AcquiredAt | None:
    """When the data were acquired, else when the report was made; local time of the site, the files write no zone."""
    for place in ("dataacquisition", "reportinfo"):
        day, clock = (root.find(place), root.find(place))
        written = "".join(part.get(name, "") for part, name in ((day, "date"), (clock, "time")) if part is not None)
        moment = acquired_at(written.replace("-", "").replace(":", ""), site=context.zone)
        if moment is not None:
            return moment
    return None


def _patient(root: Element, default_authority: str) -> Patient:
    person = root.find("patient/generalpatientdata")
    number = text(person, "patientid")
    sex = text(person, "sex").upper()
    return Patient(
        identifiers=(Identifier(authority=default_authority, value=number),) if number else (),
        birth_date=_birth_date(person),
        sex="M" if sex == "MALE" else "F" if sex == "FEMALE" else "U",
        family_name=text(person, "name/lastname"),
        given_name=text(person, "name/firstname"),
    )


def _birth_date(person: Element | None) -> date | None:
    return parse_date(text(person, "age/dateofbirth") or text(person, "dateofbirth"))


def _device(root: Element) -> Device:
    acquirer = root.find("dataacquisition/acquirer")
    return Device(
        manufacturer="Philips",
        model=text(root, "dataacquisition/machine"),
        serial=attribute(root, "dataacquisition/machine", "machineid"),
        software=_software(root),
        station=text(acquirer, "departmentid"),
        institution=text(acquirer, "institutionname"),
    )


def _filters(root: Element) -> Filters:
    """The filters of the stored signal; the filters of the printed report were not applied to it."""
    about = root.find("dataacquisition/signalcharacteristics")
    waveforms = root.find("waveforms/parsedwaveforms")
    band = text(about, "signalbandwidth").split("-")
    if waveforms is not None and waveforms.get("hipass") is not None:
        notched = waveforms.get("notchfiltered", "").lower() == "true"
        return Filters(
            high_pass=parse_number(waveforms.get("hipass", "")),
            low_pass=parse_number(waveforms.get("lowpass", "")),
            notch=parse_number(waveforms.get("notchfilterfreqs", "")) if notched else 0.0,
        )
    if len(band) == 2:
        return Filters(high_pass=parse_number(band[0]), low_pass=parse_number(band[1]))
    return Filters()


def _order(root: Element) -> Order:
    flag = attribute(root, "dataacquisition", "statflag").lower()
    return Order(
        placer=text(root, "orderinfo/ordernumber"),
        visit=text(root, "orderinfo/encounterid") or text(root, "patient/generalpatientdata/visitnumber"),
        stat=flag == "true",
    )


def _software(root: Element) -> str:
    """The cart's own version and that of the criteria, with which the wording of statements changes."""
    own = attribute(root, "dataacquisition/machine", "detaildescription")
    place = root.find("interpretations/interpretation")
    said = "" if place is None else (place.get("customcriteriaversion") or place.get("criteriaversion", ""))
    return " ".join(filter(None, (own, f"criteria {said}" if said else "")))


def _statements(root: Element) -> tuple[str, ...]:
    return tuple(filter(None, map(_wording, root.iterfind("interpretations/interpretation/statement"))))


def _wording(statement: Element) -> str:
    return ": ".join(filter(None, (text(statement, "leftstatement"), text(statement, "rightstatement"))))


def _coded(root: Element) -> tuple[Statement, ...]:
    """Statement codes of the DXL program; a statement that a person typed has none."""
    places = root.iterfind("interpretations/interpretation/statement")
    return tuple(from_code("DXL", code, _wording(place)) for place in places if (code := text(place, "statementcode")))[
        :_MOST_CODES
    ]


def _pacing(root: Element) -> tuple[Statement, ...]:
    """What the analysis (DXL) marks as paced: the mode, pulses, or beats that follow them. The typed `pacestatus` of
    the patient is no finding on this ECG and stays a measurement.
    """
    told = {name for name in ("pacemodes", "pacepulses") for place in root.iter(name) if text(place) not in ("", "0")}
    beats = {
        name
        for place in root.iter("groupmeasurement")
        for name in ("atrialpaceflag", "ventdualpaceflag")
        if place.get(name, "").strip().lower() == "true"
    }
    return tuple(Statement(concept="paced", source="DXL", code=name) for name in sorted(told | beats))


def _measurements(root: Element) -> tuple[tuple[str, str], ...]:
    place = root.find("interpretations/interpretation/interpretationmeasurements")
    found = [(name, f"{text(place, name)} {unit}") for name, unit in _MEASUREMENTS.items() if text(place, name)]
    person = root.find("patient/generalpatientdata")
    found += ages.measurement(text(person, "age/years"), "a")
    if pace := text(person, "pacestatus"):
        found.append(("pacestatus", pace))
    return tuple(found)
