"""Read the HL7 v3 Annotated ECG (aECG, Implementation Guide of 2005-03-21) as carts, core laboratories and exporters
write it.

Own code: `ecgdatakit` 2.0 gives the same samples (the tests compare), but reads paths only and tells no dialect apart.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors import ages
from ecgfm_connectors.assembly import Channel, assemble
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Filters, Finding, Order
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.files.xml import attribute, parse, text
from ecgfm_connectors.leads import Lead, from_code, from_label
from ecgfm_connectors.numbers import parse_number, parse_numbers
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.skew import MOST_CORRECTED
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements import mdc, vocabularies
from ecgfm_connectors.times import acquired_at, parse_date, parse_timestamp
from ecgfm_connectors.units import millivolts

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6}
_SNOMED_CT = "2.16.840.1.113883.6.96"  #: HL7 v3 code system
_MDC = "2.16.840.1.113883.6.24"
_OF_BEATS = ("MDC_ECG_BEAT", "MDC_ECG_WAVC")
_FILTER = "MDC_ECG_CTL_VBL_ATTR_FILTER_"


def read(content: bytes, context: ReadingContext) -> Contents:
    """One ECG for each RHYTHM series; representative beats (derivedSeries) are left out.

    Raises Unreadable: `not-xml`, `sample-text`, `sampling-frequency`, `length-mismatch`, `no-samples`; Refused:
    `no-recording`, `not-12-lead`, `not-simultaneous`, `lead-doubtful`, `unknown-unit`, `no-sensitivity`,
    `xml-entities`.
    """
    root = parse(content)
    recordings = [series for series in root.iterfind("component/series") if _is_recording(series)]
    if not recordings:
        raise Refused("no-recording", "the annotated ECG holds no rhythm series")
    root_id = _instance_id(root.find("id")) or f"sha256:{hashlib.sha256(content).hexdigest()}"
    ecgs = []
    for index, series in enumerate(recordings):
        source_id = root_id if index == 0 else f"{root_id}#{_instance_id(series.find('id')) or index}"
        ecgs.append(_ecg(root, series, source_id, context))
    return Contents(ecgs=tuple(ecgs))


def _is_recording(series: Element) -> bool:
    """Everything but a representative beat: some exporters leave the series' code out or use their own."""
    return attribute(series, "code", "code").upper() != "REPRESENTATIVE_BEAT"


def _instance_id(identifier: Element | None) -> str:
    """HL7 v3 II: a root (OID or UUID) alone, or with an extension."""
    if identifier is None:
        return ""
    return "^".join(
        part for part in (identifier.get("root", "").strip(), identifier.get("extension", "").strip()) if part
    )


def _ecg(root: Element, series: Element, source_id: str, context: ReadingContext) -> Ecg:
    table = _recorded_table(series)
    assembled = assemble(table.channels)
    acquired = _acquired(root, series, table.head, context)
    missing = (
        () if acquired else (Finding(code="acquisition-time-missing", text="the file gives no time of recording"),)
    )
    statements, measurements = _annotations(root)
    return Ecg(
        source_id=source_id,
        format="aecg",
        patient=_patient(root, context.default_authority),
        acquired=acquired,
        sampling_rate=round(1.0 / table.interval, 6),
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        device=_device(root, series),
        filters=_filters(series),
        order=Order(),
        statements=statements,
        coded=_coded(root),
        measurements=measurements,
        findings=assembled.findings + missing,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One sequenceSet: sequences of one length over one time axis."""

    head: str  #: where the time axis starts: a timestamp, or seconds where it is relative
    interval: float  #: s
    channels: list[Channel] = field(repr=False)

    @property
    def samples(self) -> int:
        return len(self.channels[0].samples) if self.channels else 0


def _recorded_table(series: Element) -> _Table:
    """The sequence sets of one series as one table.
    Sets that start further apart than a skew that can be put right are no simultaneous recording.
    """
    tables = [_table(element) for element in series.iterfind("component/sequenceSet")]
    tables = [table for table in tables if table.channels]
    if not tables:
        raise Refused("not-12-lead", "no sequence is one of the 12 standard leads")
    skews = [_late(table, tables[0]) for table in tables]
    together = max(skews) - min(skews) <= MOST_CORRECTED
    if not together or len({(table.interval, table.samples) for table in tables}) > 1:
        longest = max(tables, key=lambda table: (len(table.channels), table.samples))
        if len(longest.channels) < 8:
            raise Refused("not-simultaneous", "the leads lie in several sequence sets recorded one after another")
        return longest
    channels = [
        replace(channel, skew=skew) for table, skew in zip(tables, skews, strict=True) for channel in table.channels
    ]
    return _Table(head=tables[0].head, interval=tables[0].interval, channels=channels)


def _late(table: _Table, first: _Table) -> float:
    """How many samples after `first` a table starts; infinitely many where its start is another and cannot be read."""
    if table.head == first.head:
        return 0.0
    moment, other = parse_timestamp(table.head), parse_timestamp(first.head)
    if moment is not None and other is not None and (moment.tzinfo is None) == (other.tzinfo is None):
        return (moment - other).total_seconds() / table.interval
    seconds, others = parse_number(table.head), parse_number(first.head)
    return math.inf if seconds is None or others is None else (seconds - others) / table.interval


def _table(sequence_set: Element) -> _Table:
    head, interval = "", 0.0
    channels = []
    for sequence in sequence_set.iterfind("component/sequence"):
        code = attribute(sequence, "code", "code")
        value = sequence.find("value")
        if value is None:
            continue
        if code.upper().startswith("TIME"):
            head, interval = _time_axis(value)
            continue
        lead = from_code(code) or from_label(code) or from_label(attribute(sequence, "code", "displayName"))
        if lead is not None and lead.canonical:
            channels.append(Channel(lead=lead, samples=_samples(value, lead)))
    if channels and interval <= 0:
        raise Unreadable("sampling-frequency", "a sequence set has no time sequence with an increment")
    return _Table(head=head, interval=interval, channels=channels)


def _time_axis(value: Element) -> tuple[str, float]:
    """Head and increment in s of a GLIST_TS or GLIST_PQ; (head, 0) where the increment is unusable."""
    increment = value.find("increment")
    step = parse_number(increment.get("value", "")) if increment is not None else None
    unit = _SECONDS.get(increment.get("unit", "s").strip()) if increment is not None else None
    if step is None or unit is None or step <= 0:
        return attribute(value, "head", "value"), 0.0
    return attribute(value, "head", "value"), step * unit


def _samples(value: Element, lead: Lead) -> NDArray[np.float32]:
    """SLIST_PQ in mV: origin + digit × scale, each with its own unit (HL7 v3 data types, SLIST)."""
    origin = _quantity(value, "origin", lead)
    scale = _quantity(value, "scale", lead)
    if not scale:
        raise Refused("no-sensitivity", f"lead {lead.name} has no usable scale")
    digits = parse_numbers(text(value, "digits"))
    return (origin + digits * scale).astype(np.float32)


def _quantity(value: Element, path: str, lead: Lead) -> float:
    """An element's quantity in mV; 0 where it is absent or, being an origin, 0 in whatever unit."""
    amount = parse_number(attribute(value, path, "value")) or 0.0
    if amount == 0:
        return 0.0
    factor = millivolts(attribute(value, path, "unit"))
    if factor is None:
        raise Refused("unknown-unit", f"lead {lead.name} is not in a unit of voltage, or does not say which")
    return amount * factor


def _patient(root: Element, default_authority: str) -> Patient:
    """trialSubject: in trials a pseudonym under the sponsor's OID, in clinical exports the hospital's patient."""
    subject = root.find("componentOf/timepointEvent/componentOf/subjectAssignment/subject/trialSubject")
    if subject is None:
        subject = next(root.iter("trialSubject"), None)
    if subject is None:
        return Patient()
    person = subject.find("subjectDemographicPerson")
    family, given = _name(person)
    gender = attribute(person, "administrativeGenderCode", "code").upper()
    return Patient(
        identifiers=tuple(_identifiers(subject, default_authority)),
        birth_date=parse_date(attribute(person, "birthTime", "value")),
        sex="M" if gender == "M" else "F" if gender == "F" else "O" if gender == "UN" else "U",
        family_name=family,
        given_name=given,
    )


def _identifiers(subject: Element, default_authority: str) -> list[Identifier]:
    found = []
    for element in subject.iterfind("id"):
        root, extension = element.get("root", "").strip(), element.get("extension", "").strip()
        if extension:
            found.append(Identifier(authority=root or default_authority, value=extension))
        elif root:
            found.append(Identifier(authority=default_authority, value=root))
    return found


def _name(person: Element | None) -> tuple[str, str]:
    name = person.find("name") if person is not None else None
    if name is None:
        return "", ""
    return text(name, "family") or text(name), text(name, "given")


def _acquired(root: Element, series: Element, head: str, context: ReadingContext) -> AcquiredAt | None:
    """The head of an absolute time axis, else the start of the series, else the time of the whole document."""
    places = [head]
    places += [attribute(series, f"effectiveTime/{edge}", "value") for edge in ("low", "center", "high")]
    places += [attribute(root, f"effectiveTime/{edge}", "value") for edge in ("low", "center", "high")]
    places.append(attribute(root, "effectiveTime", "value"))
    found = (acquired_at(place, site=context.zone) for place in places if place)
    return next((moment for moment in found if moment is not None), None)


def _device(root: Element, series: Element) -> Device:
    author = series.find("author/seriesAuthor")
    return Device(
        manufacturer=text(author, "manufacturerOrganization/name"),
        model=text(author, "manufacturedSeriesDevice/manufacturerModelName"),
        serial=attribute(author, "manufacturedSeriesDevice/id", "extension"),
        software=text(author, "manufacturedSeriesDevice/softwareName"),
        institution=text(root, "location/testingSite/location/name"),
    )


def _filters(series: Element) -> Filters:
    """Cut-off frequencies among the series' control variables, Hz."""
    found: dict[str, float] = {}
    for variable in series.iter("controlVariable"):
        kind = attribute(variable, "code", "code")
        for part in variable.iterfind("component/controlVariable"):
            name = attribute(part, "code", "code")
            value = parse_number(attribute(part, "value", "value"))
            if value is not None and name.endswith(("CUTOFF_FREQ", "NOTCH_FREQ")):
                found[kind.removeprefix(_FILTER)] = value
    return Filters(high_pass=found.get("HIGH_PASS"), low_pass=found.get("LOW_PASS"), notch=found.get("NOTCH"))


def _annotations(root: Element) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Statements and global measurements; annotations of single beats describe the trace and are left out."""
    statements: dict[str, None] = {}
    measurements: dict[tuple[str, str], None] = {}
    for annotation_set in root.iter("annotationSet"):
        for annotation in annotation_set.iterfind("component/annotation"):
            code = attribute(annotation, "code", "code")
            value = annotation.find("value")
            if value is None or code in _OF_BEATS:
                continue
            if value.get("value"):
                amount = f"{value.get('value', '')} {value.get('unit', '')}".strip()
                measurements[(attribute(annotation, "code", "displayName") or code, amount)] = None
            elif said := _said(value):
                statements[said] = None
    return tuple(statements)[:500], (*_age(root), *measurements)[:500]


def _coded(root: Element) -> tuple[Statement, ...]:
    """Rhythm, beats, pacing spikes and noise by their MDC codes (ISO/IEEE 11073-10102), whichever of an annotation's
    code and value they are, and values in SNOMED CT. Of single beats only what one beat is enough for.
    """
    found: dict[Statement, None] = {}
    for annotation in root.iterfind(".//annotationSet/component/annotation"):
        found |= dict.fromkeys(_foreign(annotation))
    for annotation in root.iter("annotation"):
        of_beat = attribute(annotation, "code", "code") == "MDC_ECG_BEAT"
        for place in (*annotation.iterfind("code"), *annotation.iterfind("value")):
            code = place.get("code", "").strip()
            if place.get("codeSystem", "") == _SNOMED_CT:
                found[vocabularies.from_code("SNOMED", code, _said(place))] = None
            elif mdc.is_statement(code):
                one = vocabularies.from_code("MDC", code, _said(place))
                if not of_beat or one.concept in mdc.OF_ONE_BEAT:
                    found[one] = None
    return tuple(found)[:500]


def _foreign(annotation: Element) -> Iterator[Statement]:
    """The value's code in a system without a table here, where `_annotations` takes its words for a statement."""
    value = annotation.find("value")
    if value is None or value.get("value") or attribute(annotation, "code", "code") in _OF_BEATS:
        return
    code, system = value.get("code", "").strip(), value.get("codeSystem", "")
    if code and system not in ("", _SNOMED_CT, _MDC) and not code.startswith("MDC_"):
        yield vocabularies.from_code(value.get("codeSystemName") or system, code, _said(value))


def _said(place: Element) -> str:
    """An annotation's words, as `_annotations` takes them."""
    return (text(place) or place.get("displayName", "") or place.get("code", "")).strip()


def _age(root: Element) -> tuple[tuple[str, str], ...]:
    """Reported Age (LOINC 21612-7) among the document's control variables."""
    for observation in root.iter("relatedObservation"):
        if attribute(observation, "code", "code") == "21612-7":
            return ages.measurement(attribute(observation, "value", "value"), attribute(observation, "value", "unit"))
    return ()
