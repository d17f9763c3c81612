"""Write an Ecg as an HL7 v3 annotated ECG (Implementation Guide 2005-03-21): what an ECG system exports."""

from uuid import NAMESPACE_OID, uuid5
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from ecgfm_connectors.ecg import LEADS, Ecg

SCALE = 1.0  #: µV for one digit
_ACT_CODE = "2.16.840.1.113883.5.4"
_MDC = "2.16.840.1.113883.6.24"
_FILTER = "MDC_ECG_CTL_VBL_ATTR_FILTER_"


def write_ecg(ecg: Ecg) -> bytes:
    """One rhythm series with one sequence set of all 12 leads. Raises ValueError for NaN: the format has no mark for
    it.
    """
    if np.isnan(ecg.signal).any():
        raise ValueError("an annotated ECG cannot say that a sample is missing")
    started = f"{ecg.acquired.at:%Y%m%d%H%M%S}.{ecg.acquired.at.microsecond // 1000:03d}" if ecg.acquired else ""
    if ecg.acquired:
        started += f"{ecg.acquired.at:%z}"
    root = Element(
        "AnnotatedECG", {"xmlns": "urn:hl7-org:v3", "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"}
    )
    SubElement(root, "id", root=str(uuid5(NAMESPACE_OID, ecg.source_id)))
    SubElement(root, "code", code="93000", codeSystem="2.16.840.1.113883.6.12")
    if started:
        SubElement(SubElement(root, "effectiveTime"), "center", value=started)
    _add_subject(root, ecg)
    series = SubElement(SubElement(root, "component"), "series")
    SubElement(series, "code", code="RHYTHM", codeSystem=_ACT_CODE)
    if started:
        SubElement(SubElement(series, "effectiveTime"), "low", value=started)
    _add_device(series, ecg)
    _add_filters(series, ecg)
    _add_sequences(series, ecg, started)
    _add_statements(series, ecg)
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _chain(parent: Element, *names: str) -> Element:
    for name in names:
        parent = SubElement(parent, name)
    return parent


def _add_subject(root: Element, ecg: Ecg) -> None:
    path = ("componentOf", "timepointEvent", "componentOf", "subjectAssignment", "subject", "trialSubject")
    subject = _chain(root, *path)
    for identifier in ecg.patient.identifiers:
        SubElement(subject, "id", root=identifier.authority, extension=identifier.value)
    person = SubElement(subject, "subjectDemographicPerson")
    name = SubElement(person, "name")
    SubElement(name, "family").text = ecg.patient.family_name
    SubElement(name, "given").text = ecg.patient.given_name
    gender = {"M": "M", "F": "F", "O": "UN"}.get(ecg.patient.sex)
    if gender:
        SubElement(person, "administrativeGenderCode", code=gender, codeSystem="2.16.840.1.113883.5.1")
    if ecg.patient.birth_date:
        SubElement(person, "birthTime", value=f"{ecg.patient.birth_date:%Y%m%d}")


def _add_device(series: Element, ecg: Ecg) -> None:
    author = _chain(series, "author", "seriesAuthor")
    device = SubElement(author, "manufacturedSeriesDevice")
    SubElement(device, "id", extension=ecg.device.serial)
    SubElement(device, "manufacturerModelName").text = ecg.device.model
    SubElement(device, "softwareName").text = ecg.device.software
    _chain(author, "manufacturerOrganization", "name").text = ecg.device.manufacturer


def _add_filters(series: Element, ecg: Ecg) -> None:
    for kind, name, value in (
        ("HIGH_PASS", "CUTOFF_FREQ", ecg.filters.high_pass),
        ("LOW_PASS", "CUTOFF_FREQ", ecg.filters.low_pass),
        ("NOTCH", "NOTCH_FREQ", ecg.filters.notch),
    ):
        if value is None:
            continue
        variable = _chain(series, "controlVariable", "controlVariable")
        SubElement(variable, "code", code=f"{_FILTER}{kind}", codeSystem=_MDC)
        part = _chain(variable, "component", "controlVariable")
        SubElement(part, "code", code=f"{_FILTER}{name}", codeSystem=_MDC)
        SubElement(part, "value", {"xsi:type": "PQ", "value": f"{value:.10g}", "unit": "Hz"})


def _add_sequences(series: Element, ecg: Ecg, started: str) -> None:
    table = _chain(series, "component", "sequenceSet")
    time = _chain(table, "component", "sequence")
    SubElement(time, "code", code="TIME_ABSOLUTE" if started else "TIME_RELATIVE", codeSystem=_ACT_CODE)
    axis = SubElement(time, "value", {"xsi:type": "GLIST_TS" if started else "GLIST_PQ"})
    SubElement(axis, "head", {"value": started} if started else {"value": "0", "unit": "s"})
    SubElement(axis, "increment", value=f"{1.0 / ecg.sampling_rate:.12g}", unit="s")
    digits = np.rint(ecg.signal * (1000.0 / SCALE)).astype(np.int64)
    for index, lead in enumerate(LEADS):
        sequence = _chain(table, "component", "sequence")
        SubElement(sequence, "code", code=f"MDC_ECG_LEAD_{lead.upper()}", codeSystem=_MDC)
        value = SubElement(sequence, "value", {"xsi:type": "SLIST_PQ"})
        SubElement(value, "origin", value="0", unit="uV")
        SubElement(value, "scale", value=f"{SCALE:g}", unit="uV")
        SubElement(value, "digits").text = " ".join(map(str, digits[index].tolist()))


def _add_statements(series: Element, ecg: Ecg) -> None:
    if not ecg.statements:
        return
    annotations = _chain(series, "subjectOf", "annotationSet")
    for statement in ecg.statements:
        annotation = _chain(annotations, "component", "annotation")
        SubElement(annotation, "code", code="MDC_ECG_INTERPRETATION_STATEMENT", codeSystem=_MDC)
        SubElement(annotation, "value", {"xsi:type": "ST"}).text = statement
