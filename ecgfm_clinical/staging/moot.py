"""Questions that answer themselves, and are asked again where the answer no longer holds.

Whose a recording is needs no person once the numbers in question are one person's, and what was taken back concerns
nobody. Both may change: a merge is undone, a recording is sent anew. Such questions are closed as `moot`, with the
reason, and never forgotten.
"""

from collections.abc import Iterable

from sqlalchemy import select

from ecgfm_clinical.staging import drafts, holds, jobs, misfiled, order_answers, recordings
from ecgfm_clinical.staging.holds import Hold, Question
from ecgfm_clinical.staging.order_records import AnswerReason
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_clinical.staging.schema import hold
from ecgfm_clinical.staging.transaction import Reading, Transaction

MOOT = "moot"
_BETWEEN = (Question.CORRECTED_PATIENT, Question.SAME_SIGNAL)  #: two people whom a merge may make one
_WHOSE = (*_BETWEEN, Question.TWO_PEOPLE)


def look_again(tx: Transaction) -> None:
    """Merges changed: close what they answer, and ask again what they answered no longer."""
    _close_answered(tx, holds.listed(tx), "the numbers are one person's now")
    for recording_id in tx.connection.scalars(
        select(hold.c.recording_id).where(hold.c.decision == MOOT).distinct()
    ).all():
        ask_again(tx, recordings.newest(tx, recording_id))


def look_again_at_orders(tx: Transaction) -> None:
    """Orders changed: tell what waited for one that is here now."""
    _close_answered(tx, holds.listed(tx, question=Question.ORDER), "its order is here now")


def _close_answered(tx: Transaction, questions: Iterable[Hold], reason: str) -> None:
    for one in questions:
        row = recordings.newest(tx, one.recording_id)
        if _is_answered(tx, one, row):
            holds.close(tx, one, MOOT, reason)
            jobs.rescore(tx, row, tell=False)


def close(tx: Transaction, recording_id: int, reason: str) -> None:
    """Nothing of the recording is told any more: no question about it needs anybody."""
    for one in holds.listed(tx, recording_id=recording_id):
        holds.close(tx, one, MOOT, reason)


def ask_again(tx: Transaction, row: EcgVersion) -> None:
    """Whose the recording of this version is, where that was moot and is not: unless it is taken back still."""
    if recordings.standing(tx, row.recording_id).withdrawn:
        return
    for one in _latest(holds.listed(tx, recording_id=row.recording_id, decided=True)):
        if one.decision == MOOT and one.question in _WHOSE and not _is_answered(tx, one, row):
            holds.ask(tx, row, one.question, one.patients)


def settle(tx: Transaction, recording_id: int, reason: str) -> None:
    """A person said whose the recording is: what was moot stays decided, whatever is merged."""
    for one in holds.listed(tx, recording_id=recording_id, decided=True):
        if one.decision == MOOT and one.question in _WHOSE:
            holds.close(tx, one, "released", reason)


def _is_answered(tx: Reading, one: Hold, row: EcgVersion) -> bool:
    """By the merges as they are now."""
    if one.question is Question.ORDER:
        subject = drafts.subject_of(tx, row, recordings.patient_of(tx, row))
        return order_answers.match(tx, subject).reason is AnswerReason.MATCHED
    if one.question is Question.UNMERGED:
        return not misfiled.elsewhere(tx, row)
    return one.question in _BETWEEN and recordings.same_person(tx, *one.patients)


def _latest(questions: Iterable[Hold]) -> Iterable[Hold]:
    """Of each question about the same people, how it ended last."""
    return {(one.question, one.patients): one for one in questions}.values()
