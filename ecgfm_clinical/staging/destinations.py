"""Where each destination stands: reached, not reached, or about to be tried again (`LIFECYCLE.md`, Destination).

An outage is one event, not one per message: while a destination is open nothing is sent to it but one message now and
then, and as soon as one is answered all others follow. The first failure and the recovery are in the audit.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from ecgfm_clinical.staging.attempts import HORIZON
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.rows import DestinationRow, first_row
from ecgfm_clinical.staging.schema import destination_state
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import upsert


class DestinationState(StrEnum):
    """Whether messages flow."""

    CLOSED = "closed"  #: messages flow
    OPEN = "open"  #: the receiver can't be reached; nothing is tried until the next attempt is due
    HALF_OPEN = "half-open"  #: one message is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """One destination as it stands."""

    state: DestinationState = DestinationState.CLOSED
    since: datetime | None = None  #: of the outage; None where there is none
    attempts: int = 0  #: failed in a row
    next_attempt_at: datetime | None = None
    last_error: str = ""


class Destinations:
    """The destinations of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def status(self, destination: str, *, now: datetime) -> DestinationStatus:
        """As it stands now: an open destination whose next attempt is due is half-open."""
        with self._database.reading() as ask:
            return _status(ask, destination, now)

    def failed(self, destination: str, error: str, *, next_attempt_at: datetime, now: datetime, actor: str) -> None:
        """The receiver could not be reached, or did not answer. `error` is free of patient data."""
        with self._database.writing(now, actor) as tx:
            _failed(tx, destination, error, next_attempt_at)

    def answered(self, destination: str, *, now: datetime, actor: str) -> None:
        """The receiver answered, whatever it said: messages flow."""
        with self._database.writing(now, actor) as tx:
            was = _row(tx, destination)
            if was is None or was.state == DestinationState.CLOSED.value:
                return
            values = {
                "state": DestinationState.CLOSED.value,
                "since": tx.now,
                "attempts": 0,
                "next_attempt_at": None,
                "last_error": "",
            }
            upsert(tx.connection, destination_state, {"destination": destination}, values)
            tx.note("destination.closed", destination=destination, attempts=was.attempts)


def _failed(tx: Transaction, destination: str, error: str, next_attempt_at: datetime) -> None:
    was = _row(tx, destination)
    open_before = was if was is not None and was.state != DestinationState.CLOSED.value else None
    values = {
        "state": DestinationState.OPEN.value,
        "since": tx.now if open_before is None else open_before.since,
        "attempts": 1 if open_before is None else open_before.attempts + 1,
        "next_attempt_at": next_attempt_at,
        "last_error": error,
    }
    upsert(tx.connection, destination_state, {"destination": destination}, values)
    if open_before is None:
        tx.note("destination.open", destination=destination, error=error)


def _status(reading: Reading, destination: str, now: datetime) -> DestinationStatus:
    row = _row(reading, destination)
    if row is None or row.state == DestinationState.CLOSED.value:
        return DestinationStatus()
    # What lies beyond the horizon was dated before the clock was set back: it would be waited for until then.
    due = row.next_attempt_at is None or not now < row.next_attempt_at <= now + HORIZON
    return DestinationStatus(
        state=DestinationState.HALF_OPEN if due else DestinationState.OPEN,
        since=row.since,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_error=row.last_error,
    )


def _row(reading: Reading, destination: str) -> DestinationRow | None:
    mine = select(destination_state).where(destination_state.c.destination == destination)
    return first_row(reading.connection, DestinationRow, mine)
