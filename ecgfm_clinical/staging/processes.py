"""Which processes serve this store and how their tasks fare, so that each can be watched from any other.

A process says at every pulse that it lives, and takes its row away when it stops in good order. A row that is no longer
renewed tells of a process that was killed, hangs, or lost its network: any other process, `status` too, sees that
within `SILENT_AFTER`. On the process's own host it is seen at once that the process is gone (`liveness`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select

from ecgfm_clinical import liveness
from ecgfm_clinical.staging import elapsed
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.engine import translated
from ecgfm_clinical.staging.schema import clock_seen, process
from ecgfm_clinical.staging.upsert import upsert

#: A process that was not seen this long is silent; it says that it lives every ten seconds.
SILENT_AFTER = timedelta(seconds=60)
#: Beside what `elapsed` notes, which stores of earlier versions have alone.
_SERVED = "served"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailing:
    """A task that fails or hangs."""

    task: str
    state: str  #: failing | hanging
    failures: int  #: in a row
    error: str  #: class of the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """One process as it last told of itself."""

    holder: str
    roles: str
    started_at: datetime
    seen_at: datetime
    ailing: tuple[Ailing, ...]

    def is_silent(self, now: datetime) -> bool:
        """Whether it is gone, as its own host knows at once, or should have been seen since.

        A time of sight ahead of the clock tells of a clock, not of silence.
        """
        return now - self.seen_at > SILENT_AFTER or liveness.is_gone(self.holder)


class Processes:
    """The processes of a store; they leave no audit lines, for nothing of it concerns an ECG."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lives(
        self, holder: str, *, roles: str, started_at: datetime, ailing: Sequence[Ailing] = (), now: datetime
    ) -> None:
        """Say that a process lives, and which of its tasks do not fare well."""
        told = [[one.task, one.state, one.failures, one.error] for one in ailing]
        values = {"roles": roles, "started_at": started_at, "seen_at": now, "ailing": told}
        with translated(), self._database.writer.begin() as connection:
            upsert(connection, process, {"holder": holder}, values)
            upsert(connection, clock_seen, {"name": _SERVED}, {"at": now})

    def ended(self, holder: str) -> None:
        """It stopped in good order, or whoever replaces it knows that it is gone."""
        with translated(), self._database.writer.begin() as connection:
            connection.execute(delete(process).where(process.c.holder == holder))

    def last_served(self) -> datetime | None:
        """When a process served this store last; None where none ever did."""
        seen = select(func.max(clock_seen.c.at)).where(clock_seen.c.name.in_((_SERVED, elapsed.SEEN)))
        with self._database.reading() as ask:
            at: datetime | None = ask.connection.scalar(seen)
            return at

    def all(self) -> tuple[ProcessState, ...]:
        """Every process that did not stop in good order, the oldest first."""
        with self._database.reading() as ask:
            rows = ask.connection.execute(select(process).order_by(process.c.started_at, process.c.holder)).all()
        return tuple(
            ProcessState(
                holder=row.holder,
                roles=row.roles,
                started_at=row.started_at,
                seen_at=row.seen_at,
                ailing=tuple(Ailing(task=one[0], state=one[1], failures=one[2], error=one[3]) for one in row.ailing),
            )
            for row in rows
        )
