"""Taking back that a payload was read again: while none of its ECGs was taken up, it is set aside as it was before."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Table, delete, or_, select, update

from ecgfm_clinical.staging import intake, questions, received_messages
from ecgfm_clinical.staging.records import EcgState, JobState
from ecgfm_clinical.staging.rows import EcgVersion, PayloadRow, every_row, first_row
from ecgfm_clinical.staging.schema import (
    early_withdrawal,
    ecg,
    ecg_identity,
    ecg_number,
    hold,
    message,
    payload,
    recording_event,
    saliency,
    score_job,
    signal,
)
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_connectors.base import Disposition

if TYPE_CHECKING:
    from ecgfm_clinical.staging.kept import KeptPayload


def undo(tx: Transaction, before: "KeptPayload", *, due_at: datetime) -> bool:
    """Whether the payload is set aside again; `before`: its bookkeeping when it was read again, as nothing but ECGs,
    whose score jobs were put off until `due_at`.

    False, with nothing done, where something of it was taken up, is doubtful, or became a version of a known ECG.
    """
    mine = payload.c.payload_id == before.payload_id
    row = first_row(tx.connection, PayloadRow, select(payload).where(mine).with_for_update())
    if row is None or row.disposition != Disposition.STAGED.value:
        return False
    ecgs = every_row(tx.connection, EcgVersion, select(ecg).where(ecg.c.payload_id == row.payload_id).with_for_update())
    ecg_ids = [one.ecg_id for one in ecgs]
    if not _are_new(tx, ecgs, ecg_ids) or not _wait(tx, ecg_ids, due_at):
        return False
    received_messages.unread(tx, row.payload_id)
    for table in (score_job, signal, ecg_identity, ecg_number, ecg):
        tx.connection.execute(delete(table).where(table.c.ecg_id.in_(ecg_ids)))
    for one in ecgs:
        tx.count(-1, received_at=one.received_at, source=one.source, state=EcgState.WAITING.value)
    intake.count_failed(tx, row.received_at, row.source, before.code, 1)
    tx.connection.execute(update(payload).where(mine).values(**_judgement(before), **_repeats(row, before)))
    tx.note("payload.reading-undone", payload_id=row.payload_id, ecgs=len(ecg_ids))
    return True


def _are_new(tx: Transaction, ecgs: Sequence[EcgVersion], ecg_ids: list[int]) -> bool:
    """Whether they are recordings of their own, of which nothing is asked, decided or told."""
    if not ecgs or any(one.recording_id != one.ecg_id or one.state != EcgState.WAITING.value for one in ecgs):
        return False
    told: list[tuple[Table, ColumnElement[bool]]] = [
        (ecg, ecg.c.recording_id.in_(ecg_ids) & ecg.c.ecg_id.not_in(ecg_ids)),
        (hold, or_(hold.c.recording_id.in_(ecg_ids), hold.c.ecg_id.in_(ecg_ids))),
        (recording_event, recording_event.c.recording_id.in_(ecg_ids)),
        (early_withdrawal, early_withdrawal.c.recording_id.in_(ecg_ids)),
        (message, message.c.ecg_id.in_(ecg_ids)),
        (saliency, saliency.c.ecg_id.in_(ecg_ids)),
    ]
    return all(tx.connection.execute(select(table).where(which).limit(1)).first() is None for table, which in told)


def _wait(tx: Transaction, ecg_ids: Sequence[int], due_at: datetime) -> bool:
    """Whether each has the one score job that was put off, and no worker has it in hand."""
    jobs = tx.connection.execute(
        select(score_job.c.state, score_job.c.attempts, score_job.c.due_at)
        .where(score_job.c.ecg_id.in_(ecg_ids))
        .with_for_update()
    ).all()
    untouched = [one for one in jobs if (one.state, one.attempts) == (JobState.WAITING.value, 0)]
    return len(untouched) == len(jobs) == len(ecg_ids) and all(one.due_at == due_at for one in jobs)


def _judgement(before: "KeptPayload") -> dict[str, object]:
    """What was said of it before, and whether a person had looked at it."""
    asked = questions.needs_a_look(before.disposition.value, before.code, ())
    seen = [{"code": questions.SEEN, "text": questions.SEEN_TEXT}] if asked and not before.needs_a_person else []
    told = {"disposition": before.disposition.value, "code": before.code, "text": before.text}
    return {**told, "format": "", "findings": seen}


def _repeats(row: PayloadRow, before: "KeptPayload") -> dict[str, object]:
    """Reading again counted as one more arrival; what came meanwhile counts on."""
    repeats = max(row.repeats - 1, 0)
    return {"repeats": repeats, "repeated_at": before.repeated_at if repeats == before.repeats else row.repeated_at}
