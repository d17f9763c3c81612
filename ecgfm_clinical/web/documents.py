"""What each page holds, as a JSON document: the same answer as the page gives a person, and nothing that it hides.

A page that has no entry here has no JSON form. Each entry takes what the page hands to its template, and makes a reply
of it, whose type is the schema of the OpenAPI document.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ecgfm_clinical.ecg.sheet import seconds_on
from ecgfm_clinical.operate.outcome_rows import row_of, row_of_left_out
from ecgfm_clinical.operate.search import document_of
from ecgfm_clinical.web import replies
from ecgfm_clinical.web.document import PREFIX, TIMES, Document, following
from ecgfm_clinical.web.waiting_documents import WAITING
from ecgfm_connectors.ecg import LEADS

if TYPE_CHECKING:
    from ecgfm_clinical.ecg.evaluability import Reason
    from ecgfm_clinical.ecg.reckoning import Reckoned
    from ecgfm_clinical.ecg.remarks import Remark
    from ecgfm_clinical.operate.answers import Answers
    from ecgfm_clinical.operate.changes import Change
    from ecgfm_clinical.operate.check import CheckLine
    from ecgfm_clinical.operate.differences import Difference
    from ecgfm_clinical.operate.status import Status
    from ecgfm_clinical.operate.story import ShownEcg
    from ecgfm_clinical.staging.alerts import Alert
    from ecgfm_clinical.staging.model_records import DriftRow, KeptVerdict, ModelEvent, ModelRow
    from ecgfm_clinical.staging.pauses import Pause
    from ecgfm_clinical.staging.received_messages import HeardMessage
    from ecgfm_clinical.staging.records import AuditEvent, Scoring, Told
    from ecgfm_clinical.staging.story_records import EcgStory, EcgSummary
    from ecgfm_clinical.web.lines import ModelLine, PartLine, Shadow, SourceLine
    from ecgfm_clinical.web.pieces import Left, Taken
    from ecgfm_clinical.web.wishes import Looked, Wish


def _now(*, found: "Status", sources: "Sequence[SourceLine]", alerts: "Sequence[Alert]", **_: object) -> replies.Now:
    return replies.Now(status=found, sources=sources, alerts=alerts)


def _ecgs(*, found: "Sequence[EcgSummary]", further: str, heard: "Sequence[HeardMessage]", **_: object) -> replies.Ecgs:
    return replies.Ecgs(ecgs=[document_of(one) for one in found], next=following("/ecgs", further), heard=heard)


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
        beats=looked.beats,
    )


def _raw_header(*, ecg_id: int, lines: Iterable[str], **_: object) -> replies.RawHeader:
    return replies.RawHeader(ecg_id=ecg_id, lines=list(lines))


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
    encoders: int | None,
    **_: object,
) -> replies.Model:
    return replies.Model(model=row, state=state, verdicts=verdicts, history=history, shadow=shadow, encoders=encoders)


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
        next=following("/outcomes", further),
        next_left_out=following("/outcomes", left_further),
    )


def _drift(*, found: "Sequence[DriftRow]", **_: object) -> replies.Drift:
    return replies.Drift(reports=found)


def _audit(*, found: "Sequence[AuditEvent]", further: str, **_: object) -> replies.Audit:
    return replies.Audit(entries=found, next=following("/audit", further))


def _settings(*, found: "Sequence[tuple[str, str]]", **_: object) -> replies.Settings:
    return replies.Settings(settings=dict(found))


def _check(*, found: "Sequence[CheckLine]", **_: object) -> replies.Checked:
    return replies.Checked(parts=found)


#: Template -> document.
DOCUMENTS: Mapping[str, Document] = {
    "now.html": Document(
        of=_now,
        about="how things stand: the sum, queues, sources, destinations, model, alerts, what needs a person",
        asks={**TIMES, "period": "`today` (where nothing is asked), `yesterday`, `week`, `month` or `all`"},
    ),
    "ecgs.html": Document(
        of=_ecgs,
        about="ECGs, newest first, page by page by key",
        asks={
            "number": "accession, order, OBR-3, MSH-10 (sent or received), UID or ECG id",
            "source": "a listener or source of the settings",
            "state": "waiting, scored, …",
            "head": "a head, with `answer`",
            "answer": "positive, negative or not-evaluable",
            "reason": "code of a reason why a label is not evaluable",
            "device": "in the name of its maker or model",
            **TIMES,
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
    **WAITING,
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
