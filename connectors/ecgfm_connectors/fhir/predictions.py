"""One resource a head: Observation (R4 §10.1), or RiskAssessment (R4 §9.12) where a site prefers that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ecgfm_connectors.errors import Misconfigured
from ecgfm_connectors.fhir.elements import (
    TERMINOLOGY,
    Json,
    coding,
    concept,
    effective,
    full_url,
    identifier,
    instant,
    meta,
    probability,
    recorded_as,
    subject,
)
from ecgfm_connectors.fhir.profile import Coded, FhirProfile
from ecgfm_connectors.outcomes import codes
from ecgfm_connectors.result import Observation, Result

_CATEGORY = (f"{TERMINOLOGY}/observation-category", "procedure", "Procedure")
_INTERPRETATION = f"{TERMINOLOGY}/v3-ObservationInterpretation"
_ABSENT = (f"{TERMINOLOGY}/data-absent-reason", "not-performed", "Not Performed")
_MOST_DECIMALS = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The labels of one head, as one resource."""

    name: str
    labels: tuple[Observation, ...]

    @property
    def is_gone(self) -> bool:
        """Whether a correction holds nothing of this head any more."""
        return all(one.status == "D" for one in self.labels)

    @property
    def kept(self) -> tuple[Observation, ...]:
        return tuple(one for one in self.labels if one.status != "D")


def heads_of(result: Result) -> Iterator[Head]:
    """The observations by head, in their order; one without a head is a head of its own."""
    names = dict.fromkeys(one.head or one.code for one in result.observations)
    for name in names:
        yield Head(name=name, labels=tuple(one for one in result.observations if (one.head or one.code) == name))


def number_of(result: Result, head: Head) -> str:
    """The identifier of a head's answer: the result's number and the head."""
    return f"{result.filler_number}.{head.name}"


def status_of(result: Result, head: Head | None = None) -> str:
    """R4 value set observation-status; the report's codes are the same words."""
    if result.status in ("W", "D") or (head is not None and head.is_gone):
        return "entered-in-error"
    return "corrected" if result.status == "C" else "final"


def prediction(result: Result, head: Head, profile: FhirProfile) -> Json:
    """The resource of one head. Raises Refused, Misconfigured."""
    for one in head.labels:
        if one.code in codes.MEASURED:
            raise Misconfigured(f"{one.code} names a measured value; a probability must not be filed under it")
    if profile.prediction == "RiskAssessment":
        return _risk_assessment(result, head, profile)
    return _observation(result, head, profile)


def _observation(result: Result, head: Head, profile: FhirProfile) -> Json:
    source = recorded_as(result, profile)
    found: dict[str, object] = {
        "resourceType": "Observation",
        "meta": meta(result),
        "identifier": [identifier(profile.own("result"), number_of(result, head))],
        "status": status_of(result, head),
        "category": [{"coding": [coding(_CATEGORY)]}],
        "code": _code_of_head(head, profile),
        "subject": subject(result, profile),
        **effective(result, profile),
        "issued": instant(result.scored_at, profile),
        "method": {"text": _method(result)},
        "device": {"reference": full_url(profile.own("model"), model_number(result)), "type": "Device"},
    }
    if source is not None and result.study_uid:
        found["derivedFrom"] = [source]
    if found["status"] == "entered-in-error":
        return found | {"note": [{"text": "Withdrawn: this result must not be used."}]}
    notes = dict.fromkeys(sentence for one in head.kept for _, sentence in one.reasons)
    if notes:
        found["note"] = [{"text": sentence} for sentence in notes]
    return {**found, **_answer(head, profile)}


def _answer(head: Head, profile: FhirProfile) -> Json:
    """The value of a head with one label; the components of one with several."""
    kept = head.kept
    if len(head.labels) == 1:
        return _value(kept[0], profile)
    return {"component": [{"code": _code(one, profile), **_value(one, profile)} for one in kept]}


def _value(one: Observation, profile: FhirProfile) -> Json:
    """Value with its operating point, or why there is none."""
    if one.probability is None:
        reasons = [(profile.own("reasons"), code, text) for code, text in one.reasons]
        text = " ".join(sentence for _, sentence in one.reasons) or "not evaluable"
        return {"dataAbsentReason": concept(text, _ABSENT, *reasons)}
    found: dict[str, object] = {"valueQuantity": probability(rounded(one, profile.decimals))}
    if one.abnormal and one.threshold is not None and one.positive is not None:
        flag = (_INTERPRETATION, "H", "High") if one.positive else (_INTERPRETATION, "N", "Normal")
        # `high` is inclusive in FHIR and the operating point itself is positive: the text says so.
        text = f"< {one.threshold:g} (operating point; at or above it the finding is called present)"
        found["interpretation"] = [{"coding": [coding(flag)]}]
        found["referenceRange"] = [{"high": probability(one.threshold), "text": text}]
    return found


def _risk_assessment(result: Result, head: Head, profile: FhirProfile) -> Json:
    """R4 §9.12. A report's `result` takes Observations alone, so `parent` leads to the report."""
    found: dict[str, object] = {
        "resourceType": "RiskAssessment",
        "meta": meta(result),
        "identifier": [identifier(profile.own("result"), number_of(result, head))],
        "parent": {"reference": full_url(profile.own("result"), result.filler_number), "type": "DiagnosticReport"},
        "status": status_of(result, head),
        "method": {"text": _method(result)},
        "code": _code_of_head(head, profile),
        "subject": subject(result, profile),
        **effective(result, profile, "occurrenceDateTime"),
        "performer": {"reference": full_url(profile.own("model"), model_number(result)), "type": "Device"},
    }
    if found["status"] == "entered-in-error":
        return found | {"note": [{"text": "Withdrawn: this result must not be used."}]}
    scored = [_prediction(one, profile) for one in head.kept if one.probability is not None]
    reasons = dict.fromkeys(f"{code}: {text}" for one in head.kept for code, text in one.reasons)
    if scored:
        found["prediction"] = scored
    if reasons:
        found["note"] = [{"text": f"Not evaluable. {reason}"} for reason in reasons]
    return found


def _prediction(one: Observation, profile: FhirProfile) -> Json:
    found: dict[str, object] = {
        "outcome": _code(one, profile),
        "probabilityDecimal": rounded(one, profile.decimals),
    }
    if one.abnormal and one.threshold is not None and one.positive is not None:
        side = "at or above" if one.positive else "below"
        found["rationale"] = f"{side} the operating point of {one.threshold:g}"
    return found


def _code(one: Observation, profile: FhirProfile) -> Json:
    codings: list[Coded] = [(profile.own("codes"), one.code, one.name)]
    if one.code in profile.alternate_codes:
        codings.append(profile.alternate_codes[one.code])
    return concept(one.name, *codings)


def _code_of_head(head: Head, profile: FhirProfile) -> Json:
    first = head.labels[0]
    if len(head.labels) == 1:
        return _code(first, profile)
    return concept(first.head_name, (profile.own("codes"), first.head_code, first.head_name))


def rounded(one: Observation, decimals: int) -> float:
    """The probability, rounded, but never so that it stands on the other side of its operating point."""
    assert one.probability is not None
    for digits in range(decimals, _MOST_DECIMALS):
        value = round(one.probability, digits)
        if one.threshold is None or one.positive is None or (value >= one.threshold) == one.positive:
            return value
    return one.probability


def model_number(result: Result) -> str:
    """What identifies the model: the digest of its bundle."""
    return result.model_digest or f"{result.model_name} {result.model_version}"


def _method(result: Result) -> str:
    return f"{result.model_name} {result.model_version}".strip()


def summary(heads: Sequence[Head]) -> Iterator[str]:
    """One line a label, for people."""
    for one in (label for head in heads for label in head.kept):
        if one.probability is None:
            yield f"{one.name}: not evaluable ({'; '.join(sentence for _, sentence in one.reasons)})"
            continue
        limit = ""
        if one.abnormal and one.threshold is not None and one.positive is not None:
            limit = f", {'at or above' if one.positive else 'below'} the operating point {one.threshold:g}"
        yield f"{one.name}: {rounded(one, 4)}{limit}"
