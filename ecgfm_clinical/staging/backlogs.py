"""What is unfinished or given up, with the age of the oldest, and why messages were set aside."""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import case, func, literal_column, select

from ecgfm_clinical.staging import failed_ecgs, message_rows
from ecgfm_clinical.staging.attempts import RUNNING, WAITING
from ecgfm_clinical.staging.records import (
    BACKFILL,
    Backlog,
    DeadLetter,
    DestinationBacklog,
    MessageState,
    WhySetAside,
)
from ecgfm_clinical.staging.rows import MessageRow
from ecgfm_clinical.staging.schema import attempt_error, message, score_job
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.errors import Misconfigured, NotReached, ProtocolViolation, Unreachable


def backlog(reading: Reading) -> Backlog:
    """Everything unfinished or given up; reads only unfinished rows."""
    connection = reading.connection
    live = case((score_job.c.priority < BACKFILL, score_job.c.created_at))  # history waits as long as it takes
    waiting, oldest = connection.execute(select(func.count(), func.min(live)).where(score_job.c.state == WAITING)).one()
    return Backlog(
        jobs_waiting=waiting,
        jobs_running=connection.scalar(select(func.count()).where(score_job.c.state == RUNNING)) or 0,
        jobs_failed=failed_ecgs.count(reading),
        oldest_job=oldest,
        destinations=_destinations(reading),
    )


_NOTHING_WAITS = DestinationBacklog(waiting=0, running=0, dead=0, oldest=None)


def _destinations(reading: Reading) -> dict[str, DestinationBacklog]:
    found: dict[str, DestinationBacklog] = {}
    for state in (WAITING, RUNNING, literal_column("'dead'")):
        rows = reading.connection.execute(
            select(
                message.c.destination,
                message.c.state,
                func.count().label("n"),
                func.min(message.c.created_at).label("oldest"),
            )
            .where(message.c.state == state)
            .group_by(message.c.destination, message.c.state)
        )
        for row in rows:
            one = replace(found.get(row.destination, _NOTHING_WAITS), **{row.state: row.n})
            if row.state != MessageState.DEAD.value:
                one = replace(one, oldest=min(filter(None, (one.oldest, row.oldest))))
            found[row.destination] = one
    for destination, why, in_doubt, n in _set_aside(reading):
        one = found[destination]
        found[destination] = replace(
            one,
            set_aside={**one.set_aside, why: one.set_aside.get(why, 0) + n},
            set_aside_in_doubt=one.set_aside_in_doubt + (n if in_doubt else 0),
        )
    return dict(sorted(found.items()))


def _set_aside(reading: Reading) -> Iterator[tuple[str, WhySetAside, bool, int]]:
    """Messages set aside, by destination, reason, and whether they may have left."""
    newest = (
        select(attempt_error.c.message_id, func.max(attempt_error.c.error_id).label("error_id"))
        .join(message, message.c.message_id == attempt_error.c.message_id)
        .where(literal_column("message.state = 'dead'"))
        .group_by(attempt_error.c.message_id)
        .subquery()
    )
    unwritten, in_doubt = message.c.body_sha256.is_(None), message.c.in_doubt > 0
    rows = reading.connection.execute(
        select(
            message.c.destination,
            attempt_error.c.kind,
            unwritten.label("unwritten"),
            in_doubt.label("in_doubt"),
            func.count().label("n"),
        )
        .outerjoin(newest, newest.c.message_id == message.c.message_id)
        .outerjoin(attempt_error, attempt_error.c.error_id == newest.c.error_id)
        .where(literal_column("message.state = 'dead'"))
        .group_by(message.c.destination, attempt_error.c.kind, unwritten, in_doubt)
    )
    for row in rows:
        yield row.destination, _why_set_aside(row.kind, bool(row.unwritten)), bool(row.in_doubt), row.n


#: Kinds of attempts that got no answer on their content; any other kind is a receiver's own word: AE, HTTP 412.
_UNANSWERED = frozenset(one.__name__ for one in (Unreachable, NotReached, Misconfigured, ProtocolViolation))


def _why_set_aside(last_error: str | None, unwritten: bool) -> WhySetAside:
    if unwritten:
        return WhySetAside.UNWRITTEN
    return WhySetAside.SPENT if last_error is None or last_error in _UNANSWERED else WhySetAside.REFUSED


def dead_letter(reading: Reading, row: MessageRow) -> DeadLetter:
    """A message that waits for a person, with the error of its last attempt."""
    return DeadLetter(
        message_id=row.message_id,
        ecg_id=row.ecg_id,
        destination=row.destination,
        control_id=row.control_id,
        kind=row.kind,
        created_at=row.created_at,
        sent_at=row.sent_at,
        attempts=row.attempts,
        error=next(reversed(message_rows.errors(reading, row.message_id)), None),
    )
