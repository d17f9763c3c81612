"""Reads a discrete result, one OBX with a number: what it measures, its value, unit, limit, time and status."""

from dataclasses import dataclass

from ecgfm_connectors.decision import Decision, LeftOut, Source
from ecgfm_connectors.hl7.message import Segment
from ecgfm_connectors.hl7.outcomes.order import Order, Status
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.outcomes import conversion, corrections, dictionary, findings, limits, names, quantity
from ecgfm_connectors.outcomes.conversion import Converted, Unfit
from ecgfm_connectors.outcomes.dictionary import Measurand
from ecgfm_connectors.outcomes.observed import Observed
from ecgfm_connectors.outcomes.quantity import NoQuantity, Quantity
from ecgfm_connectors.outcomes.report import clause
from ecgfm_connectors.outcomes.units import Unit

_NUMERIC = frozenset(("NM", "SN", "ST", ""))
_TEXT = frozenset(("TX", "FT"))
_CODED = frozenset(("CE", "CWE", "CNE", "CF"))
#: ng/L. Limits of assays on the market, the oldest decision limits included; beyond them the unit is another one.
LOWEST_LIMIT, HIGHEST_LIMIT = 1.0, 2500.0
#: Why a text beside an ejection fraction's name is no quantity, though as a clause of a report it may be one.
_OF_A_CLAUSE = frozenset(("approximate", "not-a-unit", "no-number"))
_LONGEST = 120  #: characters of a value that may repeat its own name
_MAX_TEXT = 200  #: characters of a value kept beside a decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one OBX came to: an outcome, why there is none, or both where a correction that cannot be read withdraws."""

    outcome: Outcome | None = None
    left_out: LeftOut | None = None


def read(order: Order, obx: Segment, position: int) -> Read | None:
    """The outcome of one OBX (`position` counts from 1 in its order); None where it has nothing to do with us."""
    kind_of_value = obx.value(2).upper()
    if kind_of_value not in _NUMERIC | _TEXT | _CODED:
        return None
    measurand = dictionary.identify(order.coded(obx), order.table)
    status = order.status(obx)
    if measurand is None or status is None or not _belongs(measurand, kind_of_value):
        return None
    source = _source(obx, measurand, position)
    value = _value(order, obx, measurand, status)
    finding = order.table.finding(measurand.kind) is not None
    if kind_of_value in _TEXT and not isinstance(value, Quantity) and not finding:
        return None  # a text under such a code is read as a report
    if measurand.other:
        return Read(left_out=_other(order, measurand, source))
    moment = order.observed(obx)
    if moment is None:
        text = "neither OBX-14 nor OBR-7 tells when it was measured"
        return Read(left_out=_left_out(order, measurand, source, "outcome-without-time", text))
    if status == "withdrawn":
        return Read(outcome=_withdrawn(order, obx, measurand, source, moment))
    if value == quantity.EMPTY:
        return None
    return _of_value(order, obx, measurand, source, value, status, moment)


def _belongs(measurand: Measurand, kind_of_value: str) -> bool:
    """A name alone makes a number an outcome, of a troponin a text that is nothing but one; else text and coded answer
    need the code.
    """
    plain = kind_of_value in _TEXT and measurand.kind == "troponin" and not measurand.other
    return kind_of_value in _NUMERIC or measurand.rule != "name" or plain


def _value(order: Order, obx: Segment, measurand: Measurand, status: Status) -> Quantity | NoQuantity:
    """OBX-5 as one quantity; repetitions are several values. Of a finding: 1 or 0, of all its answers."""
    kind_of_value = obx.value(2).upper()
    if (finding := order.table.finding(measurand.kind)) is not None:
        return findings.read(finding, _answers(obx, kind_of_value))
    if kind_of_value in _CODED:
        return NoQuantity(code="no-number", text="the value is a coded answer")
    if kind_of_value == "SN" and len(obx.repetitions(5)) == 1:
        components = obx.components(5)
        return quantity.read_structured([obx.leaf(components, at) for at in range(1, len(components) + 1)])
    text = names.without_name(obx.text(5)[:_LONGEST]) if len(obx.text(5)) < _LONGEST else obx.text(5)
    found = corrections.read(text) if status == "corrected" else quantity.read(text)
    if measurand.kind == "lvef" and isinstance(found, NoQuantity) and found.code in _OF_A_CLAUSE:
        return clause.read(text) or found
    return found


def _answers(obx: Segment, kind_of_value: str) -> list[tuple[str, ...]]:
    """Each answer of OBX-5: both triplets' codes and words where it is coded, else the whole text."""
    if kind_of_value not in _CODED:
        return [(obx.text(5)[:_MAX_TEXT],)]
    parts = (obx.components(5, at) for at in range(len(obx.repetitions(5))))
    return [tuple(obx.leaf(own, at) for at in (1, 2, 4, 5)) for own in parts]


def _of_value(
    order: Order,
    obx: Segment,
    measurand: Measurand,
    source: Source,
    value: Quantity | NoQuantity,
    status: Status,
    moment: Observed,
) -> Read:
    fit = _fit(order, obx, measurand, value)
    if isinstance(fit, Unfit) or isinstance(value, NoQuantity):
        reason, text = (fit.reason, fit.text) if isinstance(fit, Unfit) else ("outcome-not-numeric", "")
        left_out = _left_out(order, measurand, source, reason, text, moment)
        # What was said before is known to be wrong, whatever the correction says.
        undone = _withdrawn(order, obx, measurand, source, moment) if status == "corrected" else None
        return Read(outcome=undone, left_out=left_out)
    unit = order.table.unit(_unit_text(obx, measurand)) or value.unit
    limit = _limit(order, obx, unit) if measurand.kind == "troponin" else None
    if limit is not None and not LOWEST_LIMIT <= limit <= HIGHEST_LIMIT:
        text = "OBX-7 is no troponin's limit in the unit of OBX-6: one of the two is wrong"
        return Read(left_out=_left_out(order, measurand, source, "unit-contradiction", text, moment))
    return Read(
        outcome=Outcome(
            source_id=order.source_id(obx, measurand.kind),
            patient=order.patient,
            kind=measurand.kind,
            value=fit.low,
            upper_value=fit.high,
            comparator=value.comparator,
            unit=_our_unit(order, measurand),
            code=measurand.code,
            assay=measurand.assay,
            upper_reference_limit=limit,
            observed_at=moment.at,
            precision=moment.precision,
            status=status,
            text=obx.text(5)[:_MAX_TEXT],
            decision=Decision(rule=measurand.rule, source=source),
        )
    )


def _fit(order: Order, obx: Segment, measurand: Measurand, value: Quantity | NoQuantity) -> Converted | Unfit:
    """The value in our unit, with OBX-6 and the unit in the text agreeing."""
    if order.table.finding(measurand.kind) is not None:
        if isinstance(value, NoQuantity):
            return Unfit(reason="outcome-answer", text=value.text)
        return Converted(low=float(value.low), high=None)
    if isinstance(value, NoQuantity):
        reason = "ambiguous-number" if value.code == "ambiguous-number" else "outcome-not-numeric"
        return Unfit(reason=reason, text=f"{value.text}: no number that can be read one way only")
    sent = _unit_text(obx, measurand)
    if (own := order.table.kind(measurand.kind)) is not None:
        return conversion.declared(own, value, sent)
    unit = conversion.one_unit(order.table.unit(sent), sent, value.unit)
    return unit if isinstance(unit, Unfit) else conversion.convert(measurand.kind, value, unit)


def _our_unit(order: Order, measurand: Measurand) -> str:
    if order.table.finding(measurand.kind) is not None:
        return ""
    own = order.table.kind(measurand.kind)
    return conversion.OUR_UNIT[measurand.kind] if own is None else own.unit


def _unit_text(obx: Segment, measurand: Measurand) -> str:
    """OBX-6.1, else OBX-6.2 (its text), else the site's unit."""
    return obx.value(6) or obx.value(6, 2) or measurand.unit


def _limit(order: Order, obx: Segment, unit: Unit | None) -> float | None:
    """The 99th percentile of OBX-7 in ng/L, by its own unit where it names one."""
    limit = limits.read(obx.text(7)[: limits.MAX_LENGTH + 1], order.patient.sex)
    if limit is None:
        return None
    own = limit.unit or unit
    if own is None or own.dimension != "mass concentration":
        return None
    return float(limit.value * own.factor)


def _withdrawn(order: Order, obx: Segment, measurand: Measurand, source: Source, moment: Observed) -> Outcome:
    value = _value(order, obx, measurand, "withdrawn")
    fit = _fit(order, obx, measurand, value)
    known = isinstance(fit, Converted) and isinstance(value, Quantity)
    return Outcome(
        source_id=order.source_id(obx, measurand.kind),
        patient=order.patient,
        kind=measurand.kind,
        value=fit.low if isinstance(fit, Converted) else 0.0,
        comparator=value.comparator if known and isinstance(value, Quantity) else "",
        unit=_our_unit(order, measurand),
        code=measurand.code,
        assay=measurand.assay,
        observed_at=moment.at,
        precision=moment.precision,
        status="withdrawn",
        text=obx.text(5)[:_MAX_TEXT],
        decision=Decision(rule=measurand.rule, source=source),
    )


def _source(obx: Segment, measurand: Measurand, position: int) -> Source:
    text = obx.text(5)[:_MAX_TEXT]
    name = obx.value(3, 2) or obx.value(3, 5) or obx.value(3)
    return Source(
        place=f"OBX[{position}]-5", code=measurand.code, name=name[:_MAX_TEXT], text=text, span=(0, len(text))
    )


def _other(order: Order, measurand: Measurand, source: Source) -> LeftOut:
    what = "an ejection fraction" if measurand.kind == "lvef" else "a troponin"
    text = f"the name or code speaks of {what} and means something else: {measurand.other}"
    return _left_out(order, measurand, source, f"{measurand.kind}-{measurand.other}"[:60], text)


def _left_out(
    order: Order, measurand: Measurand, source: Source, reason: str, text: str, moment: Observed | None = None
) -> LeftOut:
    return LeftOut(
        kind=measurand.kind,
        reason=reason,
        text=text,
        source=source,
        patient=order.patient,
        observed_at=moment.at if moment else None,
    )
