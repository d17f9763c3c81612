"""ECGs whose scoring failed for good, until each is settled.

One is settled by a person's word that it stays without an answer, by the withdrawal of its recording, and by a newer
version of it, which is judged in its place. One that is scored again and fails again waits for a person anew. An ECG
that has answers and is owed another one, of a head that was paused, waits likewise once that cannot be given.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, literal_column, or_, select, update

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import pauses
from ecgfm_clinical.staging.attempts import is_unfinished
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import EcgState
from ecgfm_clinical.staging.schema import attempt_error, ecg, score_job, withheld
from ecgfm_clinical.staging.transaction import Reading, Transaction

#: Of a score job: it failed for good and nobody settled that. The first half as its index says it.
_UNSETTLED: tuple[ColumnElement[bool], ...] = (
    literal_column("score_job.state = 'failed'"),
    score_job.c.settled_at.is_(None),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedEcg:
    """One that waits for a person."""

    ecg_id: int
    received_at: datetime
    source: str
    error: str  #: class of the last attempt's error; empty where retention removed it
    owed: tuple[str, ...] = ()  #: heads whose answer is missing beside others that stand; empty where none stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a person settled, as far as it takes to undo it."""

    ecg_id: int
    at: datetime
    owed: tuple[str, ...]  #: heads whose answer was waited for until then


class FailedEcgs:
    """Those of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def waiting(self) -> list[FailedEcg]:
        """All that wait for a person, oldest first."""
        error = (
            select(attempt_error.c.kind)
            .join(score_job, score_job.c.job_id == attempt_error.c.job_id)
            .where(score_job.c.ecg_id == ecg.c.ecg_id)
            .order_by(attempt_error.c.error_id.desc())
            .limit(1)
            .scalar_subquery()
        )
        columns = (ecg.c.ecg_id, ecg.c.received_at, ecg.c.source, func.coalesce(error, "").label("error"))
        query = select(*columns).where(*_waits()).order_by(ecg.c.ecg_id)
        with self._database.reading() as ask:
            rows = ask.connection.execute(query).mappings().all()
            return [FailedEcg(**row, owed=_owed(ask, row["ecg_id"])) for row in rows]

    def settle(self, ecg_id: int, *, reason: str, now: datetime, actor: str) -> Settled:
        """A person has looked: it stays without an answer, and needs nobody. Raises NotFound where it did not wait."""
        with self._database.writing(now, actor) as tx:
            query = select(ecg.c.received_at, ecg.c.source).where(*_waits(), ecg.c.ecg_id == ecg_id)
            row = tx.connection.execute(query.with_for_update()).first()
            if row is None:
                raise NotFound(f"no ECG {ecg_id} waits because its scoring failed; see `ecgfm-clinical held list`")
            owed = _owed(tx, ecg_id)
            settle(tx, [ecg_id])
            pauses.forget(tx, ecg_id, received_at=row.received_at, source=row.source)
            tx.note("ecg.settled", ecg_id=ecg_id, reason=reason)
        return Settled(ecg_id=ecg_id, at=now, owed=owed)

    def unsettle(self, before: Settled, *, now: datetime, actor: str) -> bool:
        """It waits for a person again. False, with nothing done, where it was scored again or settled anew since."""
        with self._database.writing(now, actor) as tx:
            mine = score_job.c.ecg_id == before.ecg_id
            row = tx.connection.execute(select(ecg).where(ecg.c.ecg_id == before.ecg_id).with_for_update()).first()
            newest = tx.connection.scalar(
                select(score_job.c.settled_at).where(mine).order_by(score_job.c.job_id.desc())
            )
            if row is None or newest != before.at:
                return False
            back = update(score_job).where(mine, score_job.c.settled_at == before.at)
            tx.connection.execute(back.values(settled_at=None))
            if before.owed:
                arrived = {"received_at": row.received_at, "source": row.source}
                pauses.withhold(tx, before.ecg_id, before.owed, queued=True, **arrived)
            tx.note("ecg.unsettled", ecg_id=before.ecg_id)
        return True


def count(reading: Reading) -> int:
    """How many wait for a person."""
    return reading.connection.scalar(select(func.count(ecg.c.ecg_id)).where(*_waits())) or 0


def settle(tx: Transaction, ecg_ids: Collection[int]) -> None:
    """What failed of them needs nobody any more."""
    mine = (*_UNSETTLED, score_job.c.ecg_id.in_(ecg_ids))
    tx.connection.execute(update(score_job).where(*mine).values(settled_at=tx.now))


def waits_for_a_person() -> ColumnElement[bool]:
    """Of an `ecg` in a query: whether a job of it failed that nobody settled, and its answer is still missing."""
    newer = ecg.alias("newer")
    of_it = score_job.c.ecg_id == ecg.c.ecg_id
    owed = exists().where(withheld.c.ecg_id == ecg.c.ecg_id, withheld.c.queued)
    unanswered = or_(ecg.c.state == EcgState.FAILED.value, and_(owed, ~exists().where(of_it, is_unfinished(score_job))))
    superseded = exists().where(newer.c.recording_id == ecg.c.recording_id, newer.c.version > ecg.c.version)
    return and_(exists().where(of_it, *_UNSETTLED), unanswered, ~superseded)


def _waits() -> tuple[ColumnElement[bool], ...]:
    """The same for a query of `ecg` that is to begin with the few jobs that failed."""
    return ecg.c.ecg_id.in_(select(score_job.c.ecg_id).where(*_UNSETTLED)), waits_for_a_person()


def _owed(reading: Reading, ecg_id: int) -> tuple[str, ...]:
    query = select(withheld.c.head).where(withheld.c.ecg_id == ecg_id).order_by(withheld.c.head)
    return tuple(reading.connection.scalars(query))
