"""The measured outcomes of one order: ejection fractions and troponins, and whatever was left out, with its reason.

A label that is doubtful is worse than none. Several different ejection fractions of one order give the biplane one,
else none; different troponins of one time under one code give none.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

from ecgfm_connectors.decision import LeftOut, Source
from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.hl7.message import Segment
from ecgfm_connectors.hl7.outcomes import observations as discrete
from ecgfm_connectors.hl7.outcomes import text as report_text
from ecgfm_connectors.hl7.outcomes.observations import Read
from ecgfm_connectors.hl7.outcomes.order import Order, unshifted
from ecgfm_connectors.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOutcomes:
    """What one order came to."""

    outcomes: tuple[Outcome, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    findings: tuple[Finding, ...] = ()


NOTHING = OrderOutcomes()
_TOLERANCE = 10.0  #: percent: methods differ so far
_WHAT = {"lvef": "ejection fractions", "troponin": "troponins of one time"}
_AMBIGUOUS = {"lvef": "lvef-ambiguous", "troponin": "troponin-ambiguous"}


def read(order: Order, observations: list[Segment]) -> OrderOutcomes:
    """The outcomes among the OBXs of one order."""
    straight = [unshifted(obx) for obx in observations]
    found = [one for at, obx in enumerate(straight, start=1) if (one := _read_one(order, obx, at))]
    stated = report_text.read(order, straight)
    if stated and not any(_decides(one.outcome, one.left_out) for one in found):
        found.append(stated)
        stated = None
    outcomes, doubtful = _agreeing([one.outcome for one in found if one.outcome], order)
    if stated and stated.outcome:
        outcomes, contradicted = _borne_out(outcomes, stated.outcome)
        doubtful += contradicted
    left_out = [one.left_out for one in found if one.left_out] + doubtful
    if not outcomes and not left_out:
        return NOTHING
    if order.parsed.msh.value(11).upper() in ("T", "D"):
        return OrderOutcomes(
            findings=(Finding(code="test-outcome", text="MSH-11 says test data: no outcome is taken"),)
        )
    if not order.patient.identifiers:
        text = "PID names no patient: the outcome is left out"
        return OrderOutcomes(findings=(Finding(code="outcome-without-patient", text=text),))
    findings = dict.fromkeys(Finding(code=one.reason, text=one.text) for one in left_out)
    return OrderOutcomes(outcomes=_distinct(outcomes), left_out=tuple(left_out), findings=tuple(findings))


def _read_one(order: Order, obx: Segment, position: int) -> Read | None:
    """The outcome of one OBX, unless a comment says that it is not to be used."""
    found = discrete.read(order, obx, position)
    if found is None or found.outcome is None or found.outcome.status == "withdrawn" or not order.doubted(position):
        return found
    one = found.outcome
    left_out = LeftOut(
        kind=one.kind,
        reason="outcome-doubted",
        text="a comment on the result says that it is another patient's or not to be used",
        source=one.decision.source if one.decision else Source(place=""),
        patient=one.patient,
        observed_at=one.observed_at,
    )
    return Read(outcome=replace(one, status="withdrawn") if one.status == "corrected" else None, left_out=left_out)


def _decides(outcome: Outcome | None, left_out: LeftOut | None) -> bool:
    """Whether a discrete result settles the ejection fraction, so that the text is not asked:
    taken, or left out as doubtful.
    """
    if outcome is not None:
        return outcome.kind == "lvef"
    settled = ("lvef-implausible", "lvef-unit", "unit-contradiction", "outcome-not-numeric")
    if left_out is None or left_out.kind != "lvef" or left_out.reason not in settled:
        return False
    return any(char.isdigit() for char in left_out.source.text)  # `see report` settles nothing


def _agreeing(outcomes: list[Outcome], order: Order) -> tuple[list[Outcome], list[LeftOut]]:
    """Without those that contradict each other at one time."""
    groups: defaultdict[tuple[object, ...], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        one_whatever_its_code = one.kind == "lvef" or order.table.finding(one.kind) is not None
        test = () if one_whatever_its_code else (one.code, one.assay)
        groups[(one.kind, *test, one.observed_at, one.status == "withdrawn")].append(one)
    kept: list[Outcome] = []
    doubtful: list[LeftOut] = []
    for group in groups.values():
        chosen = _chosen(group)
        kept += chosen
        doubtful += [] if chosen else [_doubtful(one) for one in group]
    return [one for one in outcomes if any(one is other for other in kept)], doubtful


def _chosen(group: list[Outcome]) -> list[Outcome]:
    """The outcomes of one kind and time that can stand together."""
    if group[0].status == "withdrawn" or len({(one.value, one.upper_value, one.comparator) for one in group}) == 1:
        return group
    biplane = [one for one in group if one.kind == "lvef" and "biplane" in one.assay]
    return biplane if len({(one.value, one.upper_value, one.comparator) for one in biplane}) == 1 else []


def _borne_out(outcomes: list[Outcome], stated: Outcome) -> tuple[list[Outcome], list[LeftOut]]:
    """Without an ejection fraction that the report's own words contradict;
    that they are less exact is no contradiction.
    """
    doubted = [one for one in outcomes if one.kind == "lvef" and one.status != "withdrawn" and _apart(one, stated)]
    return [one for one in outcomes if one not in doubted], [_doubtful(one) for one in doubted]


def _apart(one: Outcome, other: Outcome) -> bool:
    """Whether two statements about one number cannot both be right."""
    (low, high), (least, most) = _span(one), _span(other)
    return low > most + _TOLERANCE or least > high + _TOLERANCE


def _span(one: Outcome) -> tuple[float, float]:
    """What an ejection fraction allows, in percent."""
    low = 0.0 if one.comparator in ("<", "<=") else one.value
    high = 100.0 if one.comparator in (">", ">=") else one.value if one.upper_value is None else one.upper_value
    return low, high


def _doubtful(one: Outcome) -> LeftOut:
    source = one.decision.source if one.decision else Source(place="")
    what = _WHAT.get(one.kind, "results of one code and time")
    return LeftOut(
        kind=one.kind,
        reason=_AMBIGUOUS.get(one.kind, "outcome-ambiguous"),
        text=f"the order holds different {what}, and nothing says which one counts",
        source=source,
        patient=one.patient,
        observed_at=one.observed_at,
    )


def _distinct(outcomes: list[Outcome]) -> tuple[Outcome, ...]:
    """Two results of one message under one name are two results, told apart by their order."""
    seen: dict[str, int] = {}
    named = []
    for outcome in outcomes:
        count = seen[outcome.source_id] = seen.get(outcome.source_id, 0) + 1
        suffix = f"#{count}" if count > 1 else ""
        named.append(replace(outcome, source_id=outcome.source_id + suffix))
    return tuple(named)
