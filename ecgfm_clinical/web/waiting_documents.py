"""The JSON documents of what waits for a person: dead letters, what was set aside, questions, ECGs that failed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ecgfm_clinical.web import replies
from ecgfm_clinical.web.document import TIMES, Document, following

if TYPE_CHECKING:
    from ecgfm_clinical.operate.decisions import ShownQuestion
    from ecgfm_clinical.staging.failed_ecgs import FailedEcg
    from ecgfm_clinical.staging.kept import KeptPayload
    from ecgfm_clinical.staging.records import DeadLetter


def _dead(*, found: "Sequence[DeadLetter]", count: int, further: str, **_: object) -> replies.DeadLetters:
    return replies.DeadLetters(messages=found, count=count, next=following("/dead", further))


def _dead_preview(*, found: "Sequence[DeadLetter]", **_: object) -> replies.DeadPreview:
    return replies.DeadPreview(messages=found, count=len(found))


def _refused(*, found: "Sequence[KeptPayload]", further: str, **_: object) -> replies.Refused:
    return replies.Refused(payloads=found, next=following("/refused", further))


def _refused_preview(*, found: "Sequence[KeptPayload]", **_: object) -> replies.RefusedPreview:
    return replies.RefusedPreview(payloads=found, count=len(found))


def _held(
    *,
    found: "Sequence[ShownQuestion]",
    further: str,
    failed: "Sequence[FailedEcg]",
    failed_in_all: int,
    **_: object,
) -> replies.Held:
    return replies.Held(questions=found, next=following("/held", further), failed=failed, failed_in_all=failed_in_all)


def _failed_preview(*, found: "Sequence[FailedEcg]", **_: object) -> replies.FailedPreview:
    return replies.FailedPreview(ecgs=found, count=len(found))


def _held_one(*, found: "ShownQuestion", is_open: bool, released: str, rejected: str, **_: object) -> replies.HeldOne:
    return replies.HeldOne(question=found, is_open=is_open, if_released=released, if_rejected=rejected)


#: Template -> document.
WAITING: Mapping[str, Document] = {
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
        asks={"code": "why", "source": "of the settings", **TIMES, "before": "as `next` of the page before holds it"},
    ),
    "refused_preview.html": Document(
        of=_refused_preview, about="what an act would be done to", asks={"act": "read-again or seen"}
    ),
    "held.html": Document(
        of=_held,
        about="recordings that wait for a person, oldest first, page by page by key, and ECGs whose scoring failed",
        asks={"decided": "`yes`: also what was decided", "after": "as `next` of the page before holds it"},
    ),
    "failed_preview.html": Document(
        of=_failed_preview, about="which ECGs would stay without an answer", asks={"ecg": "an ECG's id; else all"}
    ),
    "held_one.html": Document(of=_held_one, about="one question, and what each answer would do", asks={}),
}
