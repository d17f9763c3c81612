"""How much time has passed for certain, so that nothing is deleted because a clock was wrong.

A wall clock that jumps ten years ahead makes everything ten years old. Time counts as passed only where somebody saw it
pass: a running process, by its monotonic clock, which no setting of the wall clock moves. Each process notes at every
pulse that it is there. Clock time that no process saw pass for longer than an hour (a jump, but also a service that was
off) is a gap, and does not count towards any age, until a person vouches for the clock. So data may be kept longer than
the settings say, never shorter. A clock that goes back needs no gap: everything is younger then.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select, update

from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.schema import audit, clock_gap, clock_seen
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import upsert

#: Clock time unseen for less than this counts as passed: a restart, an upgrade, a clock put right.
TOLERANCE = timedelta(hours=1)
SYSTEM = "store"
SEEN = "seen"  #: name of the row that says when a process looked at the clock last
_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Clock time that nobody saw pass."""

    since: datetime
    until: datetime


class Elapsed:
    """The time that passed over a store."""

    def __init__(self, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` gives seconds of a clock that is never set."""
        self._database = database
        self._monotonic = monotonic
        self._last_look: float | None = None
        self._noted: float | None = None  #: two hosts whose clocks differ find a gap at every look
        self._lock = threading.Lock()

    def look(self, now: datetime) -> Gap | None:
        """Note that it is `now` by the wall clock; the gap found since the last look of any process, or None."""
        with self._lock, self._database.writing(now, SYSTEM) as tx:
            reading = self._monotonic()
            witnessed = timedelta(seconds=0 if self._last_look is None else reading - self._last_look)
            last = _last_seen(tx) or now
            gap = None
            if now < last:
                _went_back(tx)
            elif now - last - witnessed > TOLERANCE:
                gap = Gap(since=last + witnessed, until=now)
                tx.connection.execute(insert(clock_gap).values(since=gap.since, until=gap.until))
                if self._noted is None or reading - self._noted >= TOLERANCE.total_seconds():
                    tx.note("clock.gap", since=gap.since.isoformat(), until=gap.until.isoformat())
                    self._noted = reading
            upsert(tx.connection, clock_seen, {"name": SEEN}, {"at": now})
            self._last_look = reading
        return gap

    def cutoff(self, now: datetime, age: timedelta) -> datetime:
        """The time before which everything is older than `age` for certain. Look first."""
        with self._database.reading() as ask:
            return cutoff(gaps(ask), now, age)

    def gaps(self) -> tuple[Gap, ...]:
        """Every gap that no person vouched for, the oldest first."""
        with self._database.reading() as ask:
            return gaps(ask)

    def vouch(self, *, now: datetime, actor: str) -> int:
        """A person says that the clock is right and that the time of all gaps did pass; how many there were."""
        with self._database.writing(now, actor) as tx:
            vouched = tx.connection.execute(delete(clock_gap)).rowcount
            upsert(tx.connection, clock_seen, {"name": SEEN}, {"at": now})
            tx.note("clock.vouched-for", gaps=vouched)
        return vouched

    def since(self, what: str, *, now: datetime) -> timedelta | None:
        """Time passed for certain since `what` was noted (`note`) in its present wording; None where it never was."""
        with self._database.reading() as ask:
            began = ask.connection.scalar(select(clock_seen.c.at).where(clock_seen.c.name == what))
            return None if began is None else passed(gaps(ask), began, now)


def note(tx: Transaction, what: str) -> None:
    """Time is counted for `what` from now on. `what` is `subject: wording`; a new wording of it begins anew."""
    subject = what.split(":")[0]
    tx.connection.execute(delete(clock_seen).where(clock_seen.c.name.startswith(subject + ":")))
    upsert(tx.connection, clock_seen, {"name": what}, {"at": tx.now})


def gaps(reading: Reading) -> tuple[Gap, ...]:
    """Every gap, the oldest first."""
    rows = reading.connection.execute(select(clock_gap).order_by(clock_gap.c.since))
    return tuple(Gap(since=row.since, until=row.until) for row in rows)


def cutoff(known: tuple[Gap, ...], now: datetime, age: timedelta) -> datetime:
    """Go back from `now` until `age` has passed, gaps left out."""
    left, at = age, now
    for gap in sorted(known, key=lambda one: one.until, reverse=True):
        counted = max(at - gap.until, timedelta())
        if counted >= left:
            break
        left -= counted
        at = min(at, gap.since)
    return at - left if at - _BEGINNING > left else _BEGINNING


def passed(known: tuple[Gap, ...], since: datetime, now: datetime) -> timedelta:
    """The time between two moments, gaps left out."""
    total, at = timedelta(), now
    for gap in sorted(known, key=lambda one: one.until, reverse=True):
        if at <= since:
            break
        total += max(at - max(gap.until, since), timedelta())
        at = min(at, gap.since)
    return total + max(at - since, timedelta())


def _last_seen(tx: Transaction) -> datetime | None:
    """When any process looked last; in a store of the version before, when something happened in it last."""
    seen: datetime | None = tx.connection.scalar(select(clock_seen.c.at).where(clock_seen.c.name == SEEN))
    if seen is not None:
        return seen
    newest: datetime | None = tx.connection.scalar(select(audit.c.at).order_by(audit.c.audit_id.desc()).limit(1))
    return newest


def _went_back(tx: Transaction) -> None:
    """A gap cannot reach beyond now: the jump that made it was undone."""
    tx.connection.execute(delete(clock_gap).where(clock_gap.c.since > tx.now - TOLERANCE))
    tx.connection.execute(update(clock_gap).where(clock_gap.c.until > tx.now).values(until=tx.now))
