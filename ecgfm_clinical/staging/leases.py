"""Signs of life: who works says so, what the dead held is taken back, and who stops in good order gives it back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from ecgfm_clinical import liveness
from ecgfm_clinical.staging import jobs, outbox, saliencies
from ecgfm_clinical.staging.attempts import RUNNING
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.schema import message, saliency, score_job

LONGEST_LEASE = timedelta(hours=1)
SYSTEM = "store"  # actor of what the store does by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """Score jobs that one worker holds."""

    worker: str  #: host, process namespace, process id and role
    jobs: int
    until: datetime  #: the last of its leases ends, unless it is prolonged


class Leases:
    """What workers hold: score jobs, messages, questions where a model looked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prolong(self, worker: str, *, now: datetime, lease: timedelta) -> int:
        """Prolong everything this worker holds; how many that is."""
        with self._database.writing(now, worker) as tx:
            until = now + lease
            return sum(part.prolong(tx, worker, until) for part in (jobs, outbox, saliencies))

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
            taken += saliencies.reap(tx, max_attempts=max_attempts, worker=worker, horizon=horizon)
            return taken + outbox.reap(tx, worker=worker, horizon=horizon)

    def reap_all(self, *, now: datetime, max_attempts: int, lease: timedelta) -> int:
        """Take back what the dead hold: leases run out, and those of processes that certainly run no longer.

        `lease`: as it is given now; how many were taken back.
        """
        longest = max(LONGEST_LEASE, 2 * lease)
        taken = self.reap(now=now, max_attempts=max_attempts, longest_lease=longest)
        for worker in filter(liveness.is_gone, self.holders()):
            taken += self.reap(now=now, max_attempts=max_attempts, worker=worker)
        return taken

    def leased(self) -> list[Leased]:
        """Who holds score jobs, and until when."""
        held = (
            select(score_job.c.worker, func.count(), func.max(score_job.c.lease_until))
            .where(score_job.c.state == RUNNING)
            .group_by(score_job.c.worker)
            .order_by(score_job.c.worker)
        )
        with self._database.reading() as ask:
            return [
                Leased(worker=worker, jobs=jobs, until=until) for worker, jobs, until in ask.connection.execute(held)
            ]

    def release(self, worker: str, *, now: datetime) -> int:
        """Give back what a worker that stops in good order still holds; it counts as no attempt."""
        with self._database.writing(now, worker) as tx:
            return sum(part.release(tx, worker=worker) for part in (jobs, outbox, saliencies))

    def holders(self) -> set[str]:
        """The names of all workers that hold a lease."""
        held = select(score_job.c.worker).where(score_job.c.state == RUNNING)
        sent = select(message.c.worker).where(message.c.state == RUNNING)
        asked = select(saliency.c.worker).where(saliency.c.state == RUNNING)
        with self._database.reading() as ask:
            return set(ask.connection.scalars(held.union(sent, asked)))
