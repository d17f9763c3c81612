"""What is held for a person: a question about one recording, opened once, decided once, with its reason.

While a question is open nothing of the recording is told: what had not left is cancelled, and made anew where the
answer allows it. The questions and their answers stand in `LIFECYCLE.md`.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import bindparam, insert, select, update

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import codec, seals
from ecgfm_clinical.staging.rows import EcgVersion, HoldRow, every_row, first_row
from ecgfm_clinical.staging.schema import hold
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.patient import Patient


class Question(StrEnum):
    """Why a recording is held."""

    TWO_PEOPLE = "two-people"  #: PID and the embedded object describe two people
    CORRECTED_PATIENT = "corrected-patient"  #: it came again under another patient
    SAME_SIGNAL = "same-signal"  #: another object with the same samples, time and device
    SENDER_WITHDRAWAL = "sender-withdrawal"  #: its sender took it back, perhaps before it came, or sent it anew since
    ORDER = "order"  #: which order its result answers cannot be said, or none is known
    UNMERGED = "unmerged"  #: its result was sent under a survivor that survives it no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One question about one recording."""

    hold_id: int
    recording_id: int
    ecg_id: int  #: the version that raised it
    question: Question
    opened_at: datetime
    patients: tuple[Patient, ...]  #: the people between whom it is to be decided
    decision: str | None  #: released, rejected, or moot
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


def is_open(tx: Reading, recording_id: int) -> bool:
    """Whether a question about the recording waits for a person."""
    return tx.connection.scalar(_OPEN, {"of": recording_id}) is not None


def open_ones(tx: Reading, recording_ids: Collection[int]) -> set[int]:
    """Those of these recordings about which a question waits for a person."""
    return set(tx.connection.scalars(_OPEN_ONES, {"of": list(recording_ids)}))


_OPEN_ONES = select(hold.c.recording_id).where(
    hold.c.recording_id.in_(bindparam("of", expanding=True)), hold.c.decision.is_(None)
)
_OPEN = select(hold.c.hold_id).where(hold.c.recording_id == bindparam("of"), hold.c.decision.is_(None)).limit(1)


def ask(tx: Transaction, row: EcgVersion, question: Question, patients: Sequence[Patient] = ()) -> None:
    """Open a question about the recording of this version,
    unless the same one about the same people is open already.
    """
    waiting = listed(tx, recording_id=row.recording_id)
    if any(one.question is question and one.patients == tuple(patients) for one in waiting):
        return
    about = {"recording_id": row.recording_id, "ecg_id": row.ecg_id, "question": question.value}
    named = to_json([codec.patient_dict(one) for one in patients])
    tx.connection.execute(insert(hold).values(**about, opened_at=tx.now, **seals.HOLD.seal(tx.keyring, named, **about)))
    tx.note("recording.held", ecg_id=row.ecg_id, question=question.value)


def close(tx: Transaction, held: Hold, decision: str, reason: str) -> None:
    """The question is decided."""
    tx.connection.execute(
        update(hold)
        .where(hold.c.hold_id == held.hold_id)
        .values(decision=decision, decided_at=tx.now, decided_by=tx.actor, reason=reason)
    )
    tx.note(f"recording.{decision}", ecg_id=held.ecg_id, question=held.question.value, reason=reason)


def load(tx: Reading, hold_id: int) -> Hold:
    """Raises NotFound."""
    row = first_row(tx.connection, HoldRow, select(hold).where(hold.c.hold_id == hold_id))
    if row is None:
        raise NotFound(f"nothing is held under number {hold_id}; `ecgfm-clinical held list` shows what is")
    return _hold(tx, row)


def listed(
    tx: Reading, *, recording_id: int | None = None, question: Question | None = None, decided: bool = False
) -> list[Hold]:
    """Oldest first; with `decided` those too that a person has decided."""
    query = select(hold).order_by(hold.c.hold_id)
    if recording_id is not None:
        query = query.where(hold.c.recording_id == recording_id)
    if question is not None:
        query = query.where(hold.c.question == question.value)
    if not decided:
        query = query.where(hold.c.decision.is_(None))
    return [_hold(tx, row) for row in every_row(tx.connection, HoldRow, query)]


def _hold(tx: Reading, row: HoldRow) -> Hold:
    named = json.loads(seals.HOLD.open(tx.keyring, row))
    return Hold(
        hold_id=row.hold_id,
        recording_id=row.recording_id,
        ecg_id=row.ecg_id,
        question=Question(row.question),
        opened_at=row.opened_at,
        patients=tuple(map(codec.patient_from, named)),
        decision=row.decision,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        reason=row.reason,
    )
