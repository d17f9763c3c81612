"""When a failed attempt is tried again: a pure function of the attempt, what went wrong and the time."""

from datetime import datetime, timedelta

from ecgfm_clinical.errors import ClinicalError
from ecgfm_clinical.staging.records import AttemptError, Retry
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.result import Ack

FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=5)


def after_failure(
    cause: Exception | Ack,
    *,
    attempts: int,
    limit: int | None,
    now: datetime,
    jitter: float = 0.5,
    first_wait: timedelta = FIRST_WAIT,
    longest_wait: timedelta = LONGEST_WAIT,
) -> Retry:
    """Again after 2 s, 4 s, 8 s … at most 5 min; given up once `attempts` (this one included) reaches `limit`.

    `limit` None never gives up. `jitter` in [0, 1] spreads the wait over its upper half, so that many workers do not
    come back in step.
    """
    error = attempt_error(cause, attempts=attempts, now=now)
    if limit is not None and attempts >= limit:
        return Retry(due_at=None, error=error)
    return Retry(due_at=now + wait(attempts, jitter, first_wait, longest_wait), error=error)


def refused(cause: Exception | Ack, *, attempts: int, now: datetime) -> Retry:
    """Given up at once: another attempt with the same content cannot end differently."""
    return Retry(due_at=None, error=attempt_error(cause, attempts=attempts, now=now))


def wait(
    attempts: int, jitter: float, first_wait: timedelta = FIRST_WAIT, longest_wait: timedelta = LONGEST_WAIT
) -> timedelta:
    """How long to wait after attempt 1, 2, 3 …"""
    doublings: int = min(
        attempts - 1, 32
    )  # 2³² × any wait is beyond the longest, and timedelta would overflow later on
    full: timedelta = min(first_wait * 2**doublings, longest_wait)
    return full * (0.5 + 0.5 * jitter)


def attempt_error(cause: Exception | Ack, *, attempts: int, now: datetime) -> AttemptError:
    """What is kept of a failed attempt. Only our own errors are quoted: any other text might hold patient data."""
    if isinstance(cause, Ack):
        if cause.reason:
            return AttemptError(at=now, attempt=attempts, kind=cause.code, text=cause.reason)
        where = "ERR-3" if cause.is_hl7 else "code"
        code = f", {where} {cause.error_code}" if cause.error_code else ""
        return AttemptError(at=now, attempt=attempts, kind=cause.code, text=f"the receiver answered {cause.code}{code}")
    text = str(cause) if isinstance(cause, ConnectorError | ClinicalError) else "see the log of the worker at this time"
    return AttemptError(at=now, attempt=attempts, kind=type(cause).__name__, text=text)
