"""How due messages to one destination are claimed: the statement, and the order that it keeps.

A message may be claimed only if no earlier message for the same patient, or of the same recording, to the same
destination is unfinished, and none is under way. Dead letters do not hold up what follows.
"""

from sqlalchemy import Column, Executable, Exists, bindparam, exists, literal_column, or_, select, update

from ecgfm_clinical.staging.attempts import RUNNING, WAITING, is_due
from ecgfm_clinical.staging.schema import message, second_thought


def _ahead(shared: Column[str] | Column[int]) -> Exists:
    """Another message with the same value of `shared` must go first."""
    other = message.alias("other")
    return exists().where(
        other.c[shared.name] == shared,
        other.c.destination == message.c.destination,
        literal_column("other.state in ('waiting', 'running')"),
        other.c.message_id != message.c.message_id,
        or_(other.c.message_id < message.c.message_id, other.c.state == RUNNING),
    )


#: What a sender is told; a claim is quick because nothing else is read and converted.
_CLAIMED = (
    *("message_id", "ecg_id", "scoring_id", "destination", "control_id"),
    *("kind", "result_version", "patient_key", "priority", "attempts"),
)


def _may_be_undone() -> Exists:
    """Whether a person may still take back what put this message on its way; a time beyond the horizon was written
    before the clock was set back.
    """
    mine = second_thought.c.message_id == message.c.message_id
    return exists().where(
        mine, second_thought.c.until > bindparam("now"), second_thought.c.until <= bindparam("horizon")
    )


def _claim_statement() -> Executable:
    """Built once: putting it together costs as much as running it."""
    due = (
        select(message.c.message_id)
        .where(
            message.c.state == WAITING,
            message.c.destination == bindparam("to"),
            is_due(message),
            ~_may_be_undone(),
            ~_ahead(message.c.patient_key),
            ~_ahead(message.c.recording_id),
        )
        .order_by(message.c.priority, message.c.due_at, message.c.message_id)
        .limit(bindparam("up_to"))
        .with_for_update(skip_locked=True)
    )
    return (
        update(message)
        .where(message.c.message_id.in_(due))
        .values(
            state=RUNNING,
            worker=bindparam("claimed_by"),
            lease_until=bindparam("until"),
            attempts=message.c.attempts + 1,
        )
        .returning(*(message.c[name] for name in _CLAIMED))
    )


CLAIM = _claim_statement()
