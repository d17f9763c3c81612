"""What stands on the result page, before it becomes a document.

Nothing in it depends on when, where or for whom the page is drawn, so that one result has one page: no clock, no number
of a message, no name of a receiver.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING

from ecgfm.signal import SEGMENT_SECONDS
from ecgfm_clinical.ecg.remarks import remarks
from ecgfm_clinical.pipeline.codes import local_code
from ecgfm_clinical.pipeline.composing import DEMO_NOTE, LIMIT_NOTE
from ecgfm_connectors.people import real_birth_date

if TYPE_CHECKING:
    from datetime import datetime

    from ecgfm_clinical.staging.records import Score, Scoring
    from ecgfm_connectors.ecg import Ecg

#: What a head's answer is not, whatever its bundle was trained on.
NOT_MEANT: Mapping[str, str] = {
    "reduced_lvef": "It is no measured ejection fraction, and a low one does not rule heart failure out.",
    "troponin": "It is no laboratory value, and a low one does not rule a myocardial infarction out.",
    "interpretation": "It is no finding of a person; nobody has read this ECG for it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One label as a row of the table."""

    name: str
    probability: str  #: empty where not evaluable
    threshold: str  #: empty where there is none
    answer: str  #: positive, negative, not evaluable, or nothing without a threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The page's texts."""

    title: str
    marks: tuple[str, ...]  #: what must be seen first
    person: tuple[tuple[str, str], ...]  #: name -> value
    recording: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]  #: on the recording
    answers: tuple[Answer, ...]
    reasons: tuple[tuple[str, str], ...]  #: labels that are not evaluable -> why
    meanings: tuple[tuple[str, str], ...]  #: head -> what its answer means and does not mean
    model: tuple[tuple[str, str], ...]
    limit: str


def content_of(
    ecg: "Ecg",
    scoring: "Scoring",
    *,
    ecg_id: int,
    is_correction: bool = False,
    targets: Mapping[str, str] | None = None,
    zone: tzinfo | None = None,
) -> Content:
    """What the page of one result says; `ecg` with the patient of the result.

    `targets`: head -> what its bundle says that a positive label means; `zone` of the times on the page.
    """
    return Content(
        title=f"AI-ECG result, ECG {ecg_id}",
        marks=tuple(_marks(ecg, scoring, is_correction)),
        person=tuple(_person(ecg)),
        recording=tuple(_recording(ecg, zone)),
        remarks=tuple(one.text for one in remarks(ecg)),
        answers=tuple(map(_answer, scoring.scores)),
        reasons=tuple(_reasons(scoring)),
        meanings=tuple(_meanings(scoring, targets or {})),
        model=tuple(_model(scoring, zone)),
        limit=LIMIT_NOTE,
    )


def _marks(ecg: "Ecg", scoring: "Scoring", is_correction: bool) -> list[str]:
    marks = ["AI-generated: no person has checked it"]
    if is_correction:
        marks.insert(0, "CORRECTED RESULT: it replaces the one sent before")
    if scoring.demo:
        marks.insert(0, DEMO_NOTE)
    if ecg.test_data:
        marks.insert(0, "TEST DATA")
    return marks


def _person(ecg: "Ecg") -> list[tuple[str, str]]:
    patient = ecg.patient
    born = real_birth_date(patient.birth_date)
    name = ", ".join(filter(None, (patient.family_name, patient.given_name)))
    return [
        ("Patient", name or "name not known"),
        *((f"{one.type or 'Number'} ({one.authority})", one.value) for one in patient.identifiers),
        ("Born", born.isoformat() if born else "not known"),
        ("Sex", patient.sex),
    ]


def _recording(ecg: "Ecg", zone: tzinfo | None) -> list[tuple[str, str]]:
    device, filters = ecg.device, ecg.filters
    named = " ".join(filter(None, (device.manufacturer, device.model, device.software)))
    band = [
        f"from {filters.high_pass:g} Hz" if filters.high_pass is not None else "",
        f"to {filters.low_pass:g} Hz" if filters.low_pass is not None else "",
        f"mains filter {filters.notch:g} Hz" if filters.notch is not None else "",
    ]
    numbers = (("Order", ecg.order.placer), ("Accession", ecg.order.accession or ecg.order.filler))
    return [
        ("Recorded", _time(ecg.acquired.at, zone) if ecg.acquired else "time not known"),
        *((name, value) for name, value in numbers if value),
        ("Place", device.institution or device.station or "not stated"),
        ("Device", named or "not stated"),
        ("Filters", ", ".join(filter(None, band)) or "not stated"),
        ("Sampled", f"{ecg.sampling_rate:g} Hz, {ecg.duration:.1f} s"),
    ]


def _answer(score: "Score") -> Answer:
    if score.probability is None:
        return Answer(name=_name(score), probability="", threshold="", answer="not evaluable")
    probability, threshold = _printed(score)
    answer = {True: "positive", False: "negative", None: ""}[score.positive]
    return Answer(name=_name(score), probability=probability, threshold=threshold, answer=answer)


def _printed(score: "Score") -> tuple[str, str]:
    """Probability and threshold, to as many places as it takes that they say what the answer says."""
    assert score.probability is not None
    if score.threshold is None or score.positive is None:
        return f"{score.probability:.4f}", ""
    for places in range(4, 18):
        probability, threshold = f"{score.probability:.{places}f}", f"{score.threshold:.{places}f}"
        if (float(probability) >= float(threshold)) == score.positive:
            return probability, threshold
    return repr(score.probability), repr(score.threshold)


def _name(score: "Score") -> str:
    return (
        local_code(score.head, score.label).name.removeprefix("AI-ECG probability").removeprefix(" of").lstrip(" :,")
        or score.label
    )


def _reasons(scoring: "Scoring") -> list[tuple[str, str]]:
    """Labels that share their reasons are named together."""
    together: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for score in scoring.scores:
        if score.probability is None:
            together.setdefault(score.reasons, []).append(_name(score))
    return [(", ".join(names), "; ".join(text for _, text in why)) for why, names in together.items()]


def _meanings(scoring: "Scoring", targets: Mapping[str, str]) -> list[tuple[str, str]]:
    found = []
    for head in dict.fromkeys(score.head for score in scoring.scores):
        meant = targets.get(head)
        told = (
            f"the probability of: {meant[0].lower()}{meant[1:]}"
            if meant
            else "what it is a probability of stands in the card of the model, which was not at hand here."
        )
        found.append((head.replace("_", " "), f"{told} {NOT_MEANT.get(head, 'It is no measurement.')}"))
    return found


def _model(scoring: "Scoring", zone: tzinfo | None) -> list[tuple[str, str]]:
    count = scoring.segments
    return [
        ("Model", f"{scoring.model_name}, version {scoring.model_version}"),
        ("Digest", scoring.model_id),
        ("Scored", _time(scoring.scored_at, zone)),
        *([("Rests on", f"{count} segments of {SEGMENT_SECONDS} s")] if count else []),
        ("Computed by", f"{scoring.runtime}, {scoring.preprocessing}"),
    ]


def _time(at: "datetime", zone: tzinfo | None) -> str:
    return (at.astimezone(zone) if zone else at).strftime("%Y-%m-%d %H:%M:%S %z")
