"""What each page holds, as a JSON document: the same answer as the page gives a person, and nothing that it hides.

A page that has no entry here has no JSON form. Each entry takes what the page hands to its template.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING

from ecgfm_clinical.ecg.sheet import seconds_on
from ecgfm_clinical.operate.decisions import ShownQuestion
from ecgfm_clinical.operate.outcome_rows import row_of, row_of_left_out
from ecgfm_clinical.operate.search import document_of
from ecgfm_clinical.operate.status import Status
from ecgfm_clinical.operate.story import ShownEcg
from ecgfm_clinical.staging.model_records import ModelRow
from ecgfm_clinical.staging.payloads import KeptPayload
from ecgfm_clinical.staging.records import AuditEvent, DeadLetter, Scoring
from ecgfm_clinical.staging.story_records import EcgStory, EcgSummary
from ecgfm_clinical.web.pieces import Left, Taken
from ecgfm_connectors.ecg import LEADS

if TYPE_CHECKING:
    from ecgfm_clinical.operate.answers import Answers
    from ecgfm_clinical.web.wishes import Looked, Wish

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """How the values of one template become JSON."""

    of: Callable[..., object]
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
        case _ if is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"no document holds a {type(value).__name__}")


def _next(path: str, further: str) -> str | None:
    """The address of the page after this one."""
    return f"{PREFIX}{path}?{further}" if further else None


def _now(*, found: Status, sources: object, alerts: object, **_: object) -> object:
    return {"status": plain(found.to_json()), "sources": plain(sources), "alerts": plain(alerts)}


def _ecgs(*, found: list[EcgSummary], further: str, **_: object) -> object:
    return {"ecgs": [plain(document_of(one)) for one in found], "next": _next("/ecgs", further)}


def _one_ecg(*, found: ShownEcg, is_open: bool, others: list[EcgSummary], **_: object) -> object:
    document = {"ecg": plain(found.to_json()), "is_open": is_open}
    return document | {"others": [plain(document_of(one)) for one in others]} if is_open else document


def _ecg_preview(*, ecg_id: int, standing: object, seen: int, **_: object) -> object:
    return {"ecg_id": ecg_id, "standing": plain(standing), "seen": seen}


def _answers(*, story: EcgStory, newest: Scoring | None, answers: "Answers", **_: object) -> object:
    model = None if newest is None else {"model_id": newest.model_id, "name": newest.model_name, "demo": newest.demo}
    return {"ecg_id": story.ecg.ecg_id, "model": model, **_told(answers)}


def _told(answers: "Answers") -> dict[str, object]:
    """The answers with how far the questions are where the model looked."""
    told = {"scoring_id": answers.scoring_id, "saliency_warning": answers.warning}
    return told | {"answers": plain(answers.answers), "not_evaluable": plain(answers.silent)}


def _viewer(
    *,
    story: EcgStory,
    wish: "Wish",
    remarks: object,
    reckoned: object,
    quality: object,
    differences: object,
    answers: "Answers",
    looked: "Looked | None",
    since: object,
    compared: int | None,
    **_: object,
) -> object:
    ecg = story.ecg.ecg
    drawing = f"{PREFIX}/ecgs/{story.ecg.ecg_id}/drawing"
    return {
        "ecg_id": story.ecg.ecg_id,
        "version": story.ecg.version,
        "view": plain(wish.view),
        "rows": plain(wish.view.rows),
        "seconds_on_sheet": seconds_on(wish.view),
        "duration_seconds": ecg.duration,
        "sampling_rate": ecg.sampling_rate,
        "device": plain(ecg.device),
        "filters": plain(ecg.filters),
        "remarks": plain(remarks),
        "quality": plain(quality),
        "findings": plain(ecg.findings),
        "computed": plain(reckoned),
        "measurements": dict(ecg.measurements),
        "statements": list(ecg.statements),
        "differences": plain(differences),
        **_told(answers),
        "saliency": None if looked is None else _looked(looked),
        "compared_with": compared,
        "since": plain(since),
        "drawings": [f"{drawing}{kind}?{wish.query()}" for kind in (".svg", ".png", ".pdf")],
    }


def _looked(looked: "Looked") -> object:
    weights = looked.weights
    return {
        "question": plain(looked.kept),
        "leads": list(LEADS),
        "per_second": weights.per_second,
        "weights": weights.weights.round(3).tolist(),
    }


def _raw_header(*, ecg_id: int, lines: Iterable[str], **_: object) -> object:
    return {"ecg_id": ecg_id, "lines": list(lines)}


def _dead(*, found: list[DeadLetter], count: int, **_: object) -> object:
    return {"messages": plain(found), "count": count}


def _dead_preview(*, found: list[DeadLetter], **_: object) -> object:
    return {"messages": plain(found), "count": len(found)}


def _refused(*, found: list[KeptPayload], further: str, **_: object) -> object:
    return {"payloads": plain(found), "next": _next("/refused", further)}


def _refused_preview(*, found: list[KeptPayload], **_: object) -> object:
    return {"payloads": plain(found), "count": len(found)}


def _held(*, found: list[ShownQuestion], **_: object) -> object:
    return {"questions": [plain(one.to_json()) for one in found]}


def _held_one(*, found: ShownQuestion, is_open: bool, released: str, rejected: str, **_: object) -> object:
    return {"question": plain(found.to_json()), "is_open": is_open, "if_released": released, "if_rejected": rejected}


def _pauses(*, found: object, past: object, **_: object) -> object:
    return {"parts": plain(found), "over": plain(past)}


def _models(*, found: object, history: object, then: ModelRow | None, **_: object) -> object:
    return {"models": plain(found), "history": plain(history), "live_then": plain(then)}


def _model(*, row: object, state: str, verdicts: object, history: object, shadow: object, **_: object) -> object:
    told = {"model": plain(row), "state": state, "verdicts": plain(verdicts)}
    return told | {"history": plain(history), "shadow": plain(shadow)}


def _outcomes(
    *, taken: list[Taken], left: list[Left], further: str, left_further: str, is_open: bool, **_: object
) -> object:
    return {
        "taken": [row_of(one.kept, phi=is_open).to_json() for one in taken],
        "left_out": [row_of_left_out(one.kept, phi=is_open).to_json() for one in left],
        "next": _next("/outcomes", further),
        "next_left_out": _next("/outcomes", left_further),
    }


def _drift(*, found: object, **_: object) -> object:
    return {"reports": plain(found)}


def _audit(*, found: tuple[AuditEvent, ...], further: str, **_: object) -> object:
    return {"entries": plain(found), "next": _next("/audit", further)}


def _settings(*, found: list[tuple[str, str]], **_: object) -> object:
    return {"settings": dict(found)}


def _check(*, found: object, **_: object) -> object:
    return {"parts": plain(found)}


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
        about="messages that are set aside, oldest first",
        asks={"destination": "of the settings", "kind": "F, C, W or D", "error": "the last answer or error"},
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
        of=_held, about="recordings that wait for a person", asks={"decided": "`yes`: also what was decided"}
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
