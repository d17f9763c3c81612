"""Signs of life: who works says so, what the dead held is taken back, and who stops in good order gives it back."""

from datetime import datetime, timedelta

from sqlalchemy import select

from ecgfm_clinical.staging import jobs, outbox
from ecgfm_clinical.staging.attempts import RUNNING
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.schema import message, score_job

LONGEST_LEASE = timedelta(hours=1)
SYSTEM = "store"  # actor of what the store does by itself


class Leases:
    """What workers hold, jobs and messages alike."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prolong(self, worker: str, *, now: datetime, lease: timedelta) -> int:
        """Prolong everything this worker holds; how many that is."""
        with self._database.writing(now, worker) as tx:
            return jobs.prolong(tx, worker, now + lease) + outbox.prolong(tx, worker, now + lease)

    def reap(
        self,
        *,
        now: datetime,
        max_attempts: int = 4,
        worker: str | None = None,
        longest_lease: timedelta = LONGEST_LEASE,
    ) -> int:
        """Take back what dead workers hold: leases run out,
        or everything under the name of a `worker` that just started.

        A lease that ends more than `longest_lease` from now was given before the clock was set back, and has run out.
        """
        with self._database.writing(now, worker or SYSTEM) as tx:
            horizon = now + longest_lease
            taken = jobs.reap(tx, max_attempts=max_attempts, worker=worker, horizon=horizon)
            return taken + outbox.reap(tx, worker=worker, horizon=horizon)

    def release(self, worker: str, *, now: datetime) -> int:
        """Give back what a worker that stops in good order still holds; it counts as no attempt."""
        with self._database.writing(now, worker) as tx:
            return jobs.release(tx, worker=worker) + outbox.release(tx, worker=worker)

    def holders(self) -> set[str]:
        """The names of all workers that hold a lease."""
        held = select(score_job.c.worker).where(score_job.c.state == RUNNING)
        sent = select(message.c.worker).where(message.c.state == RUNNING)
        with self._database.reading() as ask:
            return set(ask.connection.scalars(held.union(sent)))
