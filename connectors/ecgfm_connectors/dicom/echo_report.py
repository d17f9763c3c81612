"""Reads the left ventricular ejection fraction of a structured report: TID 5200 and 5300 (adult echocardiography), and
the reports of other examinations of the heart that code it (DICOM PS3.16).

A measurement is known by its concept code and by its modifiers; several different ones give the value that the report
marks as chosen, else the biplane one, else the mean, else none.
"""

from dataclasses import dataclass

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.decision import Decision, LeftOut, Rule, Source, Unused
from ecgfm_connectors.dicom import content_tree, header
from ecgfm_connectors.dicom.content_tree import Measurement
from ecgfm_connectors.dicom.elements import Elements
from ecgfm_connectors.dicom.report_context import Meant, meant
from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.outcomes import conversion, quantity
from ecgfm_connectors.outcomes.conversion import Converted, Unfit
from ecgfm_connectors.outcomes.observed import Observed, observed
from ecgfm_connectors.outcomes.quantity import NoQuantity
from ecgfm_connectors.outcomes.site import SiteTable
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.times import parse_offset

_MAX_TEXT = 200  #: characters kept beside a decision


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What all measurements of one document share."""

    document: Elements
    patient: Patient
    context: ReadingContext


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A measurement that is an ejection fraction of the left ventricle."""

    measured: Measurement
    meant: Meant
    source: Source
    value: Converted
    moment: Observed


def read(document: Elements, context: ReadingContext) -> Contents:
    """The ejection fraction of a report, or why there is none.

    Raises Refused: `no-ecg` (the report holds none), `too-large`.
    """
    report = _Report(document=document, patient=header.patient(document, context.default_authority), context=context)
    title = content_tree.code(document.first("ConceptNameCodeSequence"))
    found: list[_Candidate] = []
    left_out: list[LeftOut] = []
    for measured in content_tree.measurements(document):
        meaning = meant(measured, title, context.outcome_table)
        judged = _judged(report, measured, meaning) if meaning else None
        if isinstance(judged, _Candidate):
            found.append(judged)
        elif judged is not None:
            left_out.append(judged)
    if not found and not left_out:
        raise Refused("no-ecg", "the structured report holds no ejection fraction")
    if not report.patient.identifiers:
        text = "the report names no patient: the outcome is left out"
        return Contents(findings=(Finding(code="outcome-without-patient", text=text),))
    chosen, rule = _chosen(found)
    if chosen is None:
        left_out += [_ambiguous(report, one) for one in found]
    outcomes = () if chosen is None else (_outcome(report, chosen, rule, found),)
    findings = dict.fromkeys(Finding(code=one.reason, text=one.text) for one in left_out)
    return Contents(outcomes=outcomes, left_out=tuple(left_out), findings=tuple(findings))


def _judged(report: _Report, measured: Measurement, meaning: Meant) -> _Candidate | LeftOut:
    """A candidate, or why the measurement is none."""
    source = _source(measured, meaning)

    def left_out(reason: str, text: str, moment: Observed | None = None) -> LeftOut:
        at = moment.at if moment else None
        return LeftOut(kind="lvef", reason=reason, text=text, source=source, patient=report.patient, observed_at=at)

    if other := meaning.measurand.other:
        text = f"the report speaks of an ejection fraction and means something else: {other}"
        return left_out(f"lvef-{other}"[:60], text)
    if report.document.text("PreliminaryFlag").upper() == "PRELIMINARY":
        return left_out(reason="lvef-preliminary", text="the report is marked as preliminary")
    moment = _observed(report, measured)
    if moment is None:
        return left_out("outcome-without-time", "the report says nowhere when it was measured")
    value = _value(measured, meaning, report.context.outcome_table)
    if isinstance(value, Unfit):
        return left_out(value.reason, value.text, moment)
    return _Candidate(measured=measured, meant=meaning, source=source, value=value, moment=moment)


def _value(measured: Measurement, meaning: Meant, table: SiteTable) -> Converted | Unfit:
    """Numeric Value in percent, by its unit (UCUM)."""
    found = quantity.read(measured.text)
    if isinstance(found, NoQuantity):
        return Unfit(reason="outcome-not-numeric", text=f"{found.text}: no number that can be read one way only")
    sent = measured.unit.value or measured.unit.meaning or meaning.measurand.unit
    unit = conversion.one_unit(table.unit(sent), sent, found.unit)
    return unit if isinstance(unit, Unfit) else conversion.convert("lvef", found, unit)


def _observed(report: _Report, measured: Measurement) -> Observed | None:
    """The study's date and time, else when the item, or one around it, was completed, else the document's."""
    document = report.document
    texts = (
        document.text("StudyDate") + document.text("StudyTime"),
        measured.observed,
        measured.around.observed,
        document.text("ContentDate") + document.text("ContentTime"),
    )
    return observed(texts, site=report.context.zone, message=parse_offset(document.text("TimezoneOffsetFromUTC")))


def _chosen(found: list[_Candidate]) -> tuple[_Candidate | None, Rule]:
    """The one value that the report stands for."""
    selected = [one for one in found if one.meant.chosen]
    among = selected or found
    biplane = [one for one in among if one.meant.biplane]
    mean = [one for one in biplane or among if one.meant.mean]
    rules: tuple[tuple[list[_Candidate], Rule], ...] = (
        (found, found[0].meant.measurand.rule if found else ""),
        (selected, "report-selected"),
        (biplane, "report-biplane"),
        (mean, "report-mean"),
    )
    for group, rule in rules:
        if len({(one.value.low, one.value.high, one.moment.at) for one in group}) == 1:
            return group[0], rule
    return None, ""


def _outcome(report: _Report, chosen: _Candidate, rule: Rule, found: list[_Candidate]) -> Outcome:
    return Outcome(
        source_id=f"sr:{_study(report.document)}|lvef",
        patient=report.patient,
        kind="lvef",
        value=chosen.value.low,
        upper_value=chosen.value.high,
        unit="%",
        code=chosen.meant.measurand.code,
        assay=chosen.meant.measurand.assay,
        observed_at=chosen.moment.at,
        precision=chosen.moment.precision,
        status="corrected" if next(report.document.items("PredecessorDocumentsSequence"), None) else "final",
        text=chosen.source.text,
        decision=Decision(rule=rule, source=chosen.source, unused=_unused(chosen, found)),
    )


def _unused(chosen: _Candidate, found: list[_Candidate]) -> tuple[Unused, ...]:
    reason = "other-value"
    others = [one.source for one in found if one.value != chosen.value]
    return tuple(Unused(reason=reason, text=f"{one.name}: {one.text}"[:_MAX_TEXT]) for one in others)


def _study(document: Elements) -> str:
    """A study has one ejection fraction: the reports of one study are versions of it."""
    return document.text("StudyInstanceUID") or document.text("SOPInstanceUID")


def _ambiguous(report: _Report, one: _Candidate) -> LeftOut:
    return LeftOut(
        kind="lvef",
        reason="lvef-ambiguous",
        text="the report holds different ejection fractions, and nothing says which one counts",
        source=one.source,
        patient=report.patient,
        observed_at=one.moment.at,
    )


def _source(measured: Measurement, meaning: Meant) -> Source:
    text = f"{measured.text} {measured.unit.value}".strip()[:_MAX_TEXT]
    return Source(
        place=f"ContentItem {measured.place}",
        code=meaning.measurand.code,
        name=measured.concept.meaning[:_MAX_TEXT],
        text=text,
        span=(0, min(len(measured.text), len(text))),
    )
