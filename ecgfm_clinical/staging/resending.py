"""A dead letter goes again: the same bytes under the same number, or composed anew under a new one."""

from sqlalchemy import or_, select, update

from ecgfm_clinical.staging import drafts, holds, identity, message_rows, messages, recordings
from ecgfm_clinical.staging.records import TAKES_BACK, MessageState
from ecgfm_clinical.staging.reissuing import locked
from ecgfm_clinical.staging.rows import MessageRow, every_row
from ecgfm_clinical.staging.schema import message
from ecgfm_clinical.staging.transaction import Transaction


def again(tx: Transaction, dead: MessageRow, recompose: bool) -> tuple[int, ...]:
    """The messages that go; none where a later one of the same result has overtaken this one, or it is held.

    With a withdrawal that is composed anew goes the result that was set aside after it: it would be overtaken else.
    """
    if message_rows.message_of(tx, dead.message_id).state != MessageState.DEAD.value:  # it went with another
        return ()
    row = locked(tx, dead.ecg_id)
    # Of several that were set aside the newest goes; but a withdrawal goes unless another one follows.
    also_aside = message.c.state == MessageState.DEAD.value
    if dead.kind in TAKES_BACK:
        also_aside &= message.c.kind.in_(TAKES_BACK)
    later = select(message.c.message_id).where(
        message.c.filler == dead.filler,
        message.c.destination == dead.destination,
        message.c.message_id > dead.message_id,
        or_(message_rows.COUNTS, also_aside),
    )
    generation = recordings.standing(tx, dead.recording_id).generation
    stale = dead.kind not in TAKES_BACK and (dead.generation != generation or holds.is_open(tx, dead.recording_id))
    overtaken = stale or tx.connection.scalar(later.limit(1)) is not None
    subject = drafts.subject_of(tx, row, drafts.meant_for(tx, dead, row))
    # The patient in the stored bytes may have been merged since, or may survive no more whom the recording belongs to.
    merged = identity.resolve(tx.connection, dead.patient_key) != dead.patient_key
    filed = identity.resolve(tx.connection, dead.filed_key)
    anothers = filed != identity.patient_key(tx, subject.patient, row.source_key)
    renamed = dead.in_doubt == 0 and message_rows.filed_as(tx, dead, row).identifiers != subject.patient.identifiers
    mine = message.c.message_id == dead.message_id
    as_it_is = dead.body_sha256 is not None and not (recompose or merged or anothers or renamed)
    if as_it_is and not overtaken:
        tx.connection.execute(update(message).where(mine).values(state=MessageState.WAITING.value, due_at=tx.now))
        tx.left_to_do.add("report")
        tx.note("message.resent", ecg_id=dead.ecg_id, message_id=dead.message_id, destination=dead.destination)
        return (dead.message_id,)
    tx.connection.execute(update(message).where(mine).values(state=MessageState.CANCELLED.value))
    tx.note("message.cancelled", ecg_id=dead.ecg_id, message_id=dead.message_id, destination=dead.destination)
    if overtaken:
        return ()
    following = _set_aside_after(tx, dead)
    anew = messages.create(
        tx,
        row,
        dead.scoring_id,
        dead.destination,
        kind=dead.kind,
        filler=dead.filler,
        generation=dead.generation,
        subject=subject,
    )
    return (anew, *messages.recompose(tx, following))


def _set_aside_after(tx: Transaction, withdrawal: MessageRow) -> list[MessageRow]:
    """The newest result that was set aside after this withdrawal of the one before it."""
    if withdrawal.kind not in TAKES_BACK:
        return []
    newest = (
        select(message)
        .where(
            message.c.filler == withdrawal.filler,
            message.c.destination == withdrawal.destination,
            message.c.message_id > withdrawal.message_id,
            message.c.state == MessageState.DEAD.value,
        )
        .order_by(message.c.message_id.desc())
        .limit(1)
        .with_for_update()
    )
    return every_row(tx.connection, MessageRow, newest)
