"""What jobs and messages have in common: their unfinished states in SQL, and the errors of their failed attempts."""

from datetime import datetime, timedelta

from sqlalchemy import Executable, Table, bindparam, insert, literal_column, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from ecgfm_clinical.staging.records import AttemptError
from ecgfm_clinical.staging.rows import AttemptErrorRow, each_row
from ecgfm_clinical.staging.schema import attempt_error
from ecgfm_clinical.staging.transaction import Reading, Transaction

# Literals, not parameters: only then do both databases see that the partial indexes hold every row we ask for.
WAITING: ColumnElement[str] = literal_column("'waiting'")
RUNNING: ColumnElement[str] = literal_column("'running'")


#: No retry waits longer than this. What seems due later was dated before the clock was set back, and is due now.
HORIZON = timedelta(minutes=10)


def is_unfinished(table: Table) -> ColumnElement[bool]:
    """Whether a job or a message waits or is under way."""
    return table.c.state.in_((WAITING, RUNNING))


def is_due(table: Table) -> ColumnElement[bool]:
    """Whether the time has come; the statement is given `now` and `horizon`.

    What was never tried is due whatever its time says: only a clock set back makes that lie ahead.
    """
    due_at = table.c.due_at
    return or_(due_at <= bindparam("now"), due_at > bindparam("horizon"), table.c.attempts == 0)


def is_job_due(score_job: Table) -> ColumnElement[bool]:
    """The same of score jobs: one that was never tried and is due later than it was made was put off by a person."""
    put_off = score_job.c.due_at > score_job.c.created_at
    due_at = score_job.c.due_at
    untouched = (score_job.c.attempts == 0) & ~put_off
    return or_(due_at <= bindparam("now"), due_at > bindparam("horizon"), untouched)


def is_dead(held: Table, now: datetime, *, worker: str | None, horizon: datetime) -> ColumnElement[bool]:
    """Whether whoever holds the row is dead: this `worker`, or the lease has run out,
    or was dated by a clock set back.
    """
    if worker is not None:
        return held.c.worker == worker
    return or_(held.c.lease_until <= now, held.c.lease_until > horizon)


def keep_error(
    tx: Transaction, error: AttemptError, *, job_id: int | None = None, message_id: int | None = None
) -> None:
    """Every failed attempt leaves its reason."""
    values = {"at": error.at, "attempt": error.attempt, "kind": error.kind, "text": error.text.replace("\x00", "")}
    tx.connection.execute(insert(attempt_error), {"job_id": job_id, "message_id": message_id, **values})


def keep_last_error(tx: Transaction, error: AttemptError, *, message_id: int) -> bool:
    """As `keep_error`, but equal errors in a row are one, with the newest time and attempt:
    an outage may last for days.

    Whether it is another error than the last.
    """
    mine = select(attempt_error).where(attempt_error.c.message_id == message_id)
    last = tx.connection.execute(mine.order_by(attempt_error.c.error_id.desc()).limit(1)).first()
    if last is None or (last.kind, last.text) != (error.kind, error.text):
        keep_error(tx, error, message_id=message_id)
        return True
    same = attempt_error.c.error_id == last.error_id
    tx.connection.execute(update(attempt_error).where(same).values(at=error.at, attempt=error.attempt))
    return False


def errors_of(reading: Reading, query: Executable) -> tuple[AttemptError, ...]:
    """What a `select(attempt_error)` finds, in its order."""
    rows = each_row(reading.connection, AttemptErrorRow, query)
    return tuple(AttemptError(at=row.at, attempt=row.attempt, kind=row.kind, text=row.text) for row in rows)
