"""The one ejection fraction that a report stands for, or why there is none."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from ecgfm_connectors.decision import Rule, Unused
from ecgfm_connectors.outcomes.report.sections import sentences
from ecgfm_connectors.outcomes.report.statements import Statement, statements

MAX_LENGTH = 200_000  #: characters; a longer text is no report

#: Why a report that names an ejection fraction gives none.
Reason = Literal["lvef-ambiguous", "lvef-not-present", "report-too-long"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a report says of the left ventricular ejection fraction."""

    found: Statement | None = None
    rule: Rule = ""
    reason: Reason | None = None  #: why there is none, where the report gives numbers
    unused: tuple[Unused, ...] = ()


def read(text: str, study: date | None = None) -> Reading:
    """The value of the present study; `study` is its day, so that its own date is not taken for an earlier one.

    Several different values: the one of the conclusion, else the biplane one, else none.
    """
    if len(text) > MAX_LENGTH:
        return Reading(reason="report-too-long")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    given = [one for sentence in sentences(text) for one in statements(sentence, study)]
    present = [one for one in given if one.role == "present"] or [one for one in given if one.role == "narrated"]
    chosen, rule = _chosen(present)
    unused = tuple(_unused(one) for one in given if one is not chosen and (chosen is None or not _same(one, chosen)))
    if chosen is not None:
        return Reading(found=chosen, rule=rule, unused=unused)
    reason: Reason | None = "lvef-ambiguous" if present else "lvef-not-present" if given else None
    return Reading(reason=reason, unused=unused)


def _chosen(present: list[Statement]) -> tuple[Statement | None, Rule]:
    concluded = [one for one in present if one.section == "conclusion"]
    biplane = [one for one in present if one.biplane]
    rules: tuple[tuple[list[Statement], Rule], ...] = (
        (present, "report"),
        (concluded, "report-conclusion"),
        ([one for one in concluded if one.biplane] if concluded else biplane, "report-biplane"),
    )
    for among, rule in rules:
        if len({(one.low, one.high, one.comparator) for one in among}) == 1:
            return among[0], rule
    return None, ""


def _same(one: Statement, other: Statement) -> bool:
    return one.role == other.role and (one.low, one.high, one.comparator) == (other.low, other.high, other.comparator)


def _unused(one: Statement) -> Unused:
    reason = "other-value" if one.role in ("present", "narrated") else one.role
    return Unused(
        reason=reason, text=one.sentence.strip()[:200], span=(one.start + one.span[0], one.start + one.span[1])
    )
