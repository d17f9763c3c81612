"""What each page holds, as a JSON document: the same answer as the page gives a person, and nothing that it hides.

A page that has no entry here has no JSON form. Each entry takes what the page hands to its template, and makes a reply
of it, whose type is the schema of the OpenAPI document.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING

from ecgfm_clinical.ecg.sheet import seconds_on
from ecgfm_clinical.operate.outcome_rows import row_of, row_of_left_out
from ecgfm_clinical.operate.search import document_of
from ecgfm_clinical.web import replies
from ecgfm_connectors.ecg import LEADS

if TYPE_CHECKING:
    from ecgfm_clinical.ecg.evaluability import Reason
    from ecgfm_clinical.ecg.reckoning import Reckoned
    from ecgfm_clinical.ecg.remarks import Remark
    from ecgfm_clinical.operate.answers import Answers
    from ecgfm_clinical.operate.changes import Change
    from ecgfm_clinical.operate.check import CheckLine
    from ecgfm_clinical.operate.decisions import ShownQuestion
    from ecgfm_clinical.operate.differences import Difference
    from ecgfm_clinical.operate.status import Status
    from ecgfm_clinical.operate.story import ShownEcg
    from ecgfm_clinical.staging.alerts import Alert
    from ecgfm_clinical.staging.kept import KeptPayload
    from ecgfm_clinical.staging.model_records import DriftRow, KeptVerdict, ModelEvent, ModelRow
    from ecgfm_clinical.staging.pauses import Pause
    from ecgfm_clinical.staging.records import AuditEvent, DeadLetter, Scoring, Told
    from ecgfm_clinical.staging.story_records import EcgStory, EcgSummary
    from ecgfm_clinical.web.lines import ModelLine, PartLine, Shadow, SourceLine
    from ecgfm_clinical.web.pieces import Left, Taken
    from ecgfm_clinical.web.wishes import Looked, Wish

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """How the values of one template become JSON."""

    of: Callable[..., object]  #: makes the reply; its annotation names the reply's type
    about: str  #: one line of the OpenAPI document
    asks: Mapping[str, str]  #: what the query may hold -> what it means


def plain(value: object) -> object:
    """What JSON knows: dataclasses as objects, times by ISO 8601. Raises TypeError for what no document may hold."""
    match value:
        case Enum():
            return value.value
        case datetime() | date():
            return value.isoformat()
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(name): plain(one) for name, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(one) for one in value]
        case _ if callable(of := getattr(value, "to_json", None)):
            return plain(of())
        case _ if is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"no document holds a {type(value).__name__}")


def _next(path: str, further: str) -> str | None:
    """The address of the page after this one."""
    return f"{PREFIX}{path}?{further}" if further else None


def _now(*, found: "Status", sources: "Sequence[SourceLine]", alerts: "Sequence[Alert]", **_: object) -> replies.Now:
    return replies.Now(status=found, sources=sources, alerts=alerts)


def _ecgs(*, found: "Sequence[EcgSummary]", further: str, **_: object) -> replies.Ecgs:
    return replies.Ecgs(ecgs=[document_of(one) for one in found], next=_next("/ecgs", further))


def _one_ecg(*, found: "ShownEcg", is_open: bool, others: "Sequence[EcgSummary]", **_: object) -> replies.OneEcg:
    return replies.OneEcg(ecg=found, is_open=is_open, others=[document_of(one) for one in others])


def _ecg_preview(*, ecg_id: int, standing: "Sequence[Told]", seen: int, **_: object) -> replies.EcgPreview:
    return replies.EcgPreview(ecg_id=ecg_id, standing=standing, seen=seen)


def _answers(*, story: "EcgStory", newest: "Scoring | None", answers: "Answers", **_: object) -> replies.AnswersNow:
    named = replies.NamedBundle
    return replies.AnswersNow(
        ecg_id=story.ecg.ecg_id,
        model=None if newest is None else named(model_id=newest.model_id, name=newest.model_name, demo=newest.demo),
        scoring_id=answers.scoring_id,
        saliency_warning=answers.warning,
        answers=answers.answers,
        not_evaluable=answers.silent,
    )


def _viewer(
    *,
    story: "EcgStory",
    wish: "Wish",
    remarks: "Sequence[Remark]",
    reckoned: "Reckoned | None",
    quality: "Sequence[Reason] | None",
    differences: "Sequence[Difference]",
    answers: "Answers",
    looked: "Looked | None",
    since: "Sequence[Change] | None",
    compared: int | None,
    **_: object,
) -> replies.Viewer:
    ecg, view = story.ecg.ecg, wish.view
    drawing = f"{PREFIX}/ecgs/{story.ecg.ecg_id}/drawing"
    return replies.Viewer(
        ecg_id=story.ecg.ecg_id,
        version=story.ecg.version,
        view=replies.ShownView(
            layout=view.layout, rhythm=view.rhythm, speed=view.speed, gain=view.gain, start=view.start
        ),
        rows=view.rows,
        seconds_on_sheet=seconds_on(view),
        duration_seconds=ecg.duration,
        sampling_rate=ecg.sampling_rate,
        device=ecg.device,
        filters=ecg.filters,
        remarks=remarks,
        quality=quality,
        findings=ecg.findings,
        computed=reckoned,
        measurements=dict(ecg.measurements),
        statements=list(ecg.statements),
        differences=differences,
        scoring_id=answers.scoring_id,
        saliency_warning=answers.warning,
        answers=answers.answers,
        not_evaluable=answers.silent,
        saliency=None if looked is None else _looked(looked),
        compared_with=compared,
        since=since,
        drawings=[f"{drawing}{kind}?{wish.query()}" for kind in (".svg", ".png", ".pdf")],
    )


def _looked(looked: "Looked") -> replies.Saliency:
    weights = looked.weights
    return replies.Saliency(
        question=looked.kept,
        leads=LEADS,
        per_second=weights.per_second,
        weights=weights.weights.round(3).tolist(),
    )


def _raw_header(*, ecg_id: int, lines: Iterable[str], **_: object) -> replies.RawHeader:
    return replies.RawHeader(ecg_id=ecg_id, lines=list(lines))


def _dead(*, found: "Sequence[DeadLetter]", count: int, further: str, **_: object) -> replies.DeadLetters:
    return replies.DeadLetters(messages=found, count=count, next=_next("/dead", further))


def _dead_preview(*, found: "Sequence[DeadLetter]", **_: object) -> replies.DeadPreview:
    return replies.DeadPreview(messages=found, count=len(found))


def _refused(*, found: "Sequence[KeptPayload]", further: str, **_: object) -> replies.Refused:
    return replies.Refused(payloads=found, next=_next("/refused", further))


def _refused_preview(*, found: "Sequence[KeptPayload]", **_: object) -> replies.RefusedPreview:
    return replies.RefusedPreview(payloads=found, count=len(found))


def _held(*, found: "Sequence[ShownQuestion]", further: str, **_: object) -> replies.Held:
    return replies.Held(questions=found, next=_next("/held", further))


def _held_one(*, found: "ShownQuestion", is_open: bool, released: str, rejected: str, **_: object) -> replies.HeldOne:
    return replies.HeldOne(question=found, is_open=is_open, if_released=released, if_rejected=rejected)


def _pauses(*, found: "Sequence[PartLine]", past: "Sequence[Pause]", **_: object) -> replies.Pauses:
    return replies.Pauses(parts=found, over=past)


def _models(
    *, found: "Sequence[ModelLine]", history: "Sequence[ModelEvent]", then: "ModelRow | None", **_: object
) -> replies.Models:
    return replies.Models(models=found, history=history, live_then=then)


def _model(
    *,
    row: "ModelRow",
    state: str,
    verdicts: "Sequence[KeptVerdict]",
    history: "Sequence[ModelEvent]",
    shadow: "Shadow",
    **_: object,
) -> replies.Model:
    return replies.Model(model=row, state=state, verdicts=verdicts, history=history, shadow=shadow)


def _outcomes(
    *,
    taken: "Sequence[Taken]",
    left: "Sequence[Left]",
    further: str,
    left_further: str,
    is_open: bool,
    **_: object,
) -> replies.Outcomes:
    return replies.Outcomes(
        taken=[row_of(one.kept, phi=is_open) for one in taken],
        left_out=[row_of_left_out(one.kept, phi=is_open) for one in left],
        next=_next("/outcomes", further),
        next_left_out=_next("/outcomes", left_further),
    )


def _drift(*, found: "Sequence[DriftRow]", **_: object) -> replies.Drift:
    return replies.Drift(reports=found)


def _audit(*, found: "Sequence[AuditEvent]", further: str, **_: object) -> replies.Audit:
    return replies.Audit(entries=found, next=_next("/audit", further))


def _settings(*, found: "Sequence[tuple[str, str]]", **_: object) -> replies.Settings:
    return replies.Settings(settings=dict(found))


def _check(*, found: "Sequence[CheckLine]", **_: object) -> replies.Checked:
    return replies.Checked(parts=found)


_TIMES = {"since": "received at this time or later, ISO 8601", "until": "received before this time"}

#: Template -> document.
DOCUMENTS: Mapping[str, Document] = {
    "now.html": Document(
        of=_now,
        about="how things stand: the sum, queues, sources, destinations, model, alerts, what needs a person",
        asks={**_TIMES, "period": "`today` (where nothing is asked), `yesterday`, `week`, `month` or `all`"},
    ),
    "ecgs.html": Document(
        of=_ecgs,
        about="ECGs, newest first, page by page by key",
        asks={
            "number": "accession, order, OBR-3, MSH-10, UID or ECG id",
            "source": "a listener or source of the settings",
            "state": "waiting, scored, …",
            "head": "a head, with `answer`",
            "answer": "positive, negative or not-evaluable",
            "reason": "code of a reason why a label is not evaluable",
            "device": "in the name of its maker or model",
            **_TIMES,
            "after": "as `next` of the page before holds it",
        },
    ),
    "one_ecg.html": Document(of=_one_ecg, about="one ECG and its whole story", asks={}),
    "ecg_preview.html": Document(
        of=_ecg_preview,
        about="what an act on the ECG would be done to",
        asks={"act": "correct, send-again or withdraw"},
    ),
    "answers.html": Document(
        of=_answers, about="the answers that count, and how far the questions are where the model looked", asks={}
    ),
    "viewer.html": Document(
        of=_viewer,
        about="one ECG as the viewer shows it: layout, scale, remarks, quality, figures, device, answers, saliency",
        asks={
            "layout": "3x4, 6x2, 12x1 or cabrera",
            "rhythm": "the lead of the rhythm strip under 3x4",
            "speed": "25 or 50, mm/s",
            "gain": "5, 10 or 20, mm/mV",
            "start": "s of the recording at which the sheet begins",
            "beat": "`1`: the median beat instead of the recording",
            "with": "another ECG of the same person to compare with",
            "looked": "number of a question where the model looked: its weights then stand under `saliency`",
        },
    ),
    "raw_header.html": Document(of=_raw_header, about="what the sender wrote, without the samples", asks={}),
    "dead.html": Document(
        of=_dead,
        about="messages that are set aside, oldest first, page by page by key",
        asks={
            "destination": "of the settings",
            "kind": "F, C, W or D",
            "error": "the last answer or error",
            "after": "as `next` of the page before holds it",
        },
    ),
    "dead_preview.html": Document(
        of=_dead_preview, about="what an act would be done to", asks={"act": "again, recompose or withdraw"}
    ),
    "refused.html": Document(
        of=_refused,
        about="payloads that were kept and not taken, newest first, page by page by key",
        asks={"code": "why", "source": "of the settings", **_TIMES, "before": "as `next` of the page before holds it"},
    ),
    "refused_preview.html": Document(
        of=_refused_preview, about="what an act would be done to", asks={"act": "read-again or seen"}
    ),
    "held.html": Document(
        of=_held,
        about="recordings that wait for a person, oldest first, page by page by key",
        asks={"decided": "`yes`: also what was decided", "after": "as `next` of the page before holds it"},
    ),
    "held_one.html": Document(of=_held_one, about="one question, and what each answer would do", asks={}),
    "pauses.html": Document(of=_pauses, about="every part that can be paused, and what is", asks={}),
    "models.html": Document(
        of=_models, about="registered models, what the gate said, what was done", asks={"at": "what was live then"}
    ),
    "model.html": Document(of=_model, about="one model: what the gate said, how it compares in the shadow", asks={}),
    "outcomes.html": Document(
        of=_outcomes,
        about="measured outcomes that became labels, and what was left out, newest first, page by page by key",
        asks={
            "kind": "lvef, troponin or a kind of the settings",
            "reason": "why something was left out",
            "before": "as `next` holds it",
            "left_before": "as `next_left_out` holds it",
        },
    ),
    "drift.html": Document(of=_drift, about="reports on drift with their findings", asks={}),
    "audit.html": Document(
        of=_audit,
        about="the audit trail, newest first, page by page by key",
        asks={
            "action": "its beginning",
            "actor": "their beginning",
            "ecg": "an ECG's id",
            "before": "as `next` of the page before holds it",
        },
    ),
    "settings.html": Document(of=_settings, about="the settings as they are in force, without secrets", asks={}),
    "check.html": Document(of=_check, about="each part, tried", asks={}),
}
