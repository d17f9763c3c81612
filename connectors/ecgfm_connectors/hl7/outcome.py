"""Reads what was measured: ejection fractions of echo reports and troponins of the laboratory, as labels for learning.

A label that is doubtful is worse than none, so whatever is ambiguous (two different values in one report, a unit or
number that can be read two ways, preliminary results, test messages) is left out and said in a finding.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Literal

from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.hl7 import loinc, quantity
from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.times import acquired_at, parse_timestamp

Status = Literal["final", "corrected", "withdrawn"]

#: OBX-11 (table 0085; V, B and A from 2.8). What is not here is not final: R, P, S, I, N, O.
_STATUSES: dict[str, Status] = {
    "F": "final",
    "U": "final",
    "V": "final",
    "C": "corrected",
    "A": "corrected",
    "B": "corrected",
    "W": "withdrawn",
    "D": "withdrawn",
    "X": "withdrawn",
}
#: Spellings of the mass concentrations in which troponin is reported -> how many ng/L one of them is.
_NANOGRAMS_PER_LITRE = {"ng/l": 1, "pg/ml": 1, "ng/ml": 1000, "ug/l": 1000, "mcg/l": 1000, "ng/dl": 10}

_LVEF_NAME = re.compile(
    r"\bLV\s*EF\b|\b(LV|left ventric\w*)\b.{0,20}ejection fraction|^\s*ejection fraction", re.IGNORECASE
)
_NOT_LVEF = re.compile(r"\bRV|right ventric|\bLA\b|atri(al|um)|fetal|foetal|slope|goal|prior|previous", re.IGNORECASE)
_TROPONIN_NAME = re.compile(r"tropon|\b(hs[- ]?)?c?tn[it]\b", re.IGNORECASE)
_NOT_TROPONIN = re.compile(r"delta|change|ratio|interpret|comment|panel|skelet|antibod", re.IGNORECASE)
_ECHO = re.compile(
    r"echo|\bTT?E\b|\bTEE\b|cardiac (MR|CT|mag)|ventriculo|\b9330[678]\b|34552-0|59281-6|42148-7|59462-2", re.IGNORECASE
)

_MAX_NAME = 200
_MAX_REPORT = 100_000

_EF_WORD = re.compile(r"\b(?:LV\s?EF|EF|(?:left\s+ventricular\s+)?ejection\s+fraction)\b", re.IGNORECASE)
_EF_VALUE = re.compile(
    r"(?P<between>[^0-9.;\n<>≤≥]{0,40})"
    rf"(?P<value>{quantity.COMPARATOR}?\s{{0,3}}\d{{1,2}}(?:\.\d+)?\s{{0,3}}%?"
    r"(?:\s{0,3}(?:-|–|—|to)\s{0,3}\d{1,2}(?:\.\d+)?)?\s{0,3}%)",
    re.IGNORECASE,
)
_ELSEWHEN = re.compile(
    r"\b(prior|previous\w*|formerly|compar\w*|was|had|history|last|baseline|normal|reference|RV|right)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the outcomes of one OBR have in common."""

    parsed: Message
    patient: Patient
    obr: Segment | None
    filler: str  #: OBR-3, else OBR-2: by it a correction is matched to what it corrects
    zone: tzinfo


def read_outcomes(report: Report, observations: list[Segment]) -> tuple[tuple[Outcome, ...], tuple[Finding, ...]]:
    """The measured outcomes among the OBXs of one order, and why some were left out."""
    found = [item for obx in observations for item in _discrete(report, _unshifted(obx))]
    if not any(isinstance(item, Outcome) and item.kind == "lvef" for item in found):
        found += _from_text(report, observations)
    outcomes = _distinct([item for item in found if isinstance(item, Outcome)])
    findings = dict.fromkeys(item for item in found if isinstance(item, Finding))
    if found and report.parsed.msh.value(11).upper() in ("T", "D"):
        return (), (Finding(code="test-outcome", text="MSH-11 says test data: no outcome is taken from it"),)
    if outcomes and not report.patient.identifiers:
        return (), (Finding(code="outcome-without-patient", text="PID names no patient: the outcome is left out"),)
    return outcomes, tuple(findings)


def _discrete(report: Report, obx: Segment) -> Iterator[Outcome | Finding]:
    kind = _kind(obx)
    status = _status(report, obx)
    if kind is None or status is None:
        return
    observed = _observed_at(report, obx)
    if observed is None:
        yield Finding(code="outcome-without-time", text="neither OBX-14 nor OBR-7 tells when it was measured")
        return
    measured = quantity.of_observation(obx)
    if measured is None and status != "withdrawn":
        if obx.raw(5):
            yield Finding(
                code="outcome-not-numeric", text=f"a {kind} result is no number that can be read one way only"
            )
        return
    outcome = Outcome(
        source_id=_source_id(report, obx, kind),
        patient=report.patient,
        kind=kind,
        value=measured.low if measured else 0.0,
        upper_value=measured.high if measured else None,
        comparator=measured.comparator if measured else "",
        unit=measured.unit if measured else "",
        code=_code(obx),
        observed_at=observed,
        status=status,
        text=obx.text(5),
    )
    converted = _as_percent(outcome) if kind == "lvef" else _as_nanograms(outcome, obx)
    yield converted


def _kind(obx: Segment) -> Literal["lvef", "troponin"] | None:
    """What an OBX measures: by LOINC in either triplet of OBX-3, else by its name."""
    codes, names = _codes(obx), _names(obx)
    if codes & loinc.LVEF.keys():
        return "lvef"
    if codes & loinc.TROPONIN.keys():
        return "troponin"
    if codes & loinc.MEASURED or obx.value(2).upper() not in ("NM", "SN", "ST", ""):
        return None
    if _LVEF_NAME.search(names) and not _NOT_LVEF.search(names):
        return "lvef"
    return "troponin" if _TROPONIN_NAME.search(names) and not _NOT_TROPONIN.search(names) else None


def _names(obx: Segment) -> str:
    """OBX-3 in words, both triplets."""
    return f"{obx.value(3, 2)[:_MAX_NAME]} {obx.value(3, 5)[:_MAX_NAME]}"


def _codes(obx: Segment) -> set[str]:
    return {obx.value(3, at) for at in (1, 4) if obx.value(3, at + 2).upper() in ("LN", "LOINC", "")}


def _code(obx: Segment) -> str:
    known = sorted(_codes(obx) & loinc.MEASURED)
    return f"LN|{known[0]}" if known else f"{obx.value(3, 3) or 'L'}|{obx.value(3)}"


def _status(report: Report, obx: Segment) -> Status | None:
    """OBX-11; where it is empty, OBR-25; None for results that are not final yet."""
    stated = obx.value(11).upper() or (report.obr.value(25).upper() if report.obr else "") or "F"
    return _STATUSES.get(stated)


def _unshifted(obx: Segment) -> Segment:
    """Some senders slip in a field before OBX-11: the status then stands in OBX-12, where a time belongs."""
    if obx.raw(11) == "" and obx.raw(12) in _STATUSES and (not obx.raw(15) or parse_timestamp(obx.value(15))):
        return replace(obx, fields=obx.fields[:11] + obx.fields[12:])
    return obx


def _observed_at(report: Report, obx: Segment) -> datetime | None:
    header = parse_timestamp(report.parsed.msh.value(7))
    for text in (obx.value(14), report.obr.value(7) if report.obr else ""):
        if found := acquired_at(text, site=report.zone, message=header.tzinfo if header else None):
            return found.at
    return None


def _source_id(report: Report, obx: Segment, kind: str) -> str:
    """The same for a result and its correction. Serial troponins under one order differ by their time of drawing."""
    msh = report.parsed.msh
    filler = report.filler or f"message {report.parsed.control_id}"
    drawn = obx.value(14) if kind == "troponin" else ""
    return "hl7:" + "|".join((msh.raw(3), msh.raw(4), filler, obx.value(3), obx.value(4), drawn))


def _distinct(outcomes: list[Outcome]) -> tuple[Outcome, ...]:
    """Two results of one message under one name are two results, told apart by their order."""
    seen: dict[str, int] = {}
    named = []
    for outcome in outcomes:
        count = seen[outcome.source_id] = seen.get(outcome.source_id, 0) + 1
        suffix = f"#{count}" if count > 1 else ""
        named.append(replace(outcome, source_id=outcome.source_id + suffix))
    return tuple(named)


# --- ejection fraction ------------------------------------------------------------------------------------------------


def _as_percent(outcome: Outcome) -> Outcome | Finding:
    """LVEF in percent; a fraction (0.35) is one only where no percent sign says otherwise."""
    fraction = outcome.unit != "%" and outcome.value <= 1 and (outcome.upper_value or 0) <= 1
    factor = 100 if fraction else 1
    value = round(outcome.value * factor, 6)
    upper = None if outcome.upper_value is None else round(outcome.upper_value * factor, 6)
    if not 3 <= value <= 95 or (upper or 3) > 95:
        return Finding(code="lvef-implausible", text="an ejection fraction outside 3–95 % is left out")
    method = loinc.LVEF.get(outcome.code.removeprefix("LN|"), "")
    return replace(outcome, value=value, upper_value=upper, unit="%", assay=method)


def _from_text(report: Report, observations: list[Segment]) -> Iterator[Outcome | Finding]:
    """The LVEF an echo report states in words. Two different values: none."""
    texts = [obx for obx in observations if obx.value(2).upper() in ("TX", "FT", "ST") and obx.raw(5)]
    if not texts or not _is_echo(report, texts):
        return
    stated = list(_stated("\n".join(obx.text(5) for obx in texts)[:_MAX_REPORT]))
    values = {(v.low, v.high, v.comparator) for _, v in stated}
    if len(values) > 1:
        yield Finding(code="lvef-ambiguous", text="the report states several ejection fractions")
    if len(values) != 1:
        return
    first = texts[0]
    status, observed = _status(report, first), _observed_at(report, first)
    if status is None or observed is None:
        return
    low, high, comparator = values.pop()
    outcome = Outcome(
        source_id=_source_id(report, first, "lvef") + "|text",
        patient=report.patient,
        kind="lvef",
        value=low,
        upper_value=high,
        comparator=comparator,
        unit="%",
        code=_code(first),
        observed_at=observed,
        status=status,
        text=stated[0][0],
    )
    converted = _as_percent(outcome)
    yield replace(converted, assay="report text") if isinstance(converted, Outcome) else converted


def _stated(text: str) -> Iterator[tuple[str, quantity.Quantity]]:
    """Each ejection fraction stated of the present study: the words, and the value."""
    for word in _EF_WORD.finditer(text):
        number = _EF_VALUE.match(text, word.end())
        if number is None:
            continue
        before = re.split(r"[.;\n]", text[max(0, word.start() - 60) : word.start()])[-1]
        measured = quantity.parse(number["value"])
        if measured and not _ELSEWHEN.search(before + number["between"]):
            yield word[0] + number[0], measured


def _is_echo(report: Report, texts: list[Segment]) -> bool:
    named = [report.obr.raw(4) if report.obr else "", *(obx.raw(3) for obx in texts[:3])]
    return any(_ECHO.search(name[:_MAX_NAME]) for name in named)


# --- troponin ---------------------------------------------------------------------------------------------------------


def _as_nanograms(outcome: Outcome, obx: Segment) -> Outcome | Finding:
    """Troponin in ng/L with its 99th percentile from OBX-7 in the same unit."""
    unit = outcome.unit.lower().replace("µ", "u").replace("μ", "u").replace(" ", "")
    factor = _NANOGRAMS_PER_LITRE.get(unit)
    if outcome.unit == "" and outcome.status == "withdrawn":
        return replace(outcome, unit="ng/L", assay=_assay(obx))
    if factor is None:
        return Finding(code="troponin-unit", text="a troponin in an unknown unit is left out")
    limit = _upper_reference_limit(obx.text(7)[: quantity.MAX_LENGTH + 1])
    return replace(
        outcome,
        value=_times(outcome.value, factor),
        upper_value=None if outcome.upper_value is None else _times(outcome.upper_value, factor),
        unit="ng/L",
        assay=_assay(obx),
        upper_reference_limit=None if limit is None else _times(limit, factor),
    )


def _times(value: float, factor: int) -> float:
    """Exact in decimals: 0.045 ng/mL is 45 ng/L, not 44.99999."""
    return float(Decimal(str(value)) * factor)


def _assay(obx: Segment) -> str:
    """hs-I, hs-T, I or T: by LOINC, else by the name; empty where neither tells."""
    for code in sorted(_codes(obx) & loinc.TROPONIN.keys()):
        return loinc.TROPONIN[code]
    name = _names(obx)
    letter = re.search(r"tropon\w*[\s-]*([IT])\b|tn([IT])\b", name, re.IGNORECASE)
    if letter is None:
        return ""
    sensitive = re.search(r"\bhs|high[- ]?sens|ultra", name, re.IGNORECASE)
    return ("hs-" if sensitive else "") + (letter[1] or letter[2]).upper()


def _upper_reference_limit(text: str) -> float | None:
    """The upper end of OBX-7: `<26`, `<=14 ng/L`, `0-14`, `0.00 - 0.08`. None for anything else, e.g. one per sex."""
    match = re.fullmatch(
        rf"(?:{quantity.COMPARATOR}|{quantity.NUMBER}\s*(?:-|–|to))\s*({quantity.NUMBER})\s*[a-zµμ/]*",
        text.strip(),
        re.IGNORECASE,
    )
    if match is None or text.strip().startswith((">", "≥")):
        return None
    return quantity.decimal(match[1])
