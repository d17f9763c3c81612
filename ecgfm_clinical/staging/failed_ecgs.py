"""ECGs whose scoring failed for good, until each is settled.

One is settled by a person's word that it stays without an answer, by the withdrawal of its recording, and by a newer
version of it, which is judged in its place. One that is scored again and fails again waits for a person anew.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, exists, func, literal_column, select, update

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import EcgState
from ecgfm_clinical.staging.schema import attempt_error, ecg, score_job
from ecgfm_clinical.staging.transaction import Reading, Transaction

_FAILED: ColumnElement[bool] = literal_column("score_job.state = 'failed'")  # as the index says it


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedEcg:
    """One that waits for a person."""

    ecg_id: int
    received_at: datetime
    source: str
    error: str  #: class of the last attempt's error; empty where retention removed it


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
        query = select(*columns).where(ecg.c.ecg_id.in_(_unsettled(score_job.c.ecg_id))).order_by(ecg.c.ecg_id)
        with self._database.reading() as ask:
            return [FailedEcg(**row) for row in ask.connection.execute(query).mappings()]

    def settle(self, ecg_id: int, *, reason: str, now: datetime, actor: str) -> None:
        """A person has looked: it stays without an answer, and needs nobody. Raises NotFound where it did not wait."""
        with self._database.writing(now, actor) as tx:
            if ecg_id not in set(tx.connection.scalars(_unsettled(score_job.c.ecg_id))):
                raise NotFound(f"no ECG {ecg_id} waits because its scoring failed; see `ecgfm-clinical held list`")
            settle(tx, [ecg_id])
            tx.note("ecg.settled", ecg_id=ecg_id, reason=reason)


def count(reading: Reading) -> int:
    """How many wait for a person."""
    return reading.connection.scalar(_unsettled(func.count(score_job.c.ecg_id.distinct()))) or 0


def settle(tx: Transaction, ecg_ids: Collection[int]) -> None:
    """What failed of them needs nobody any more."""
    mine = (_FAILED, score_job.c.ecg_id.in_(ecg_ids), score_job.c.settled_at.is_(None))
    tx.connection.execute(update(score_job).where(*mine).values(settled_at=tx.now))


def waits_for_a_person() -> ColumnElement[bool]:
    """Of an `ecg` in a query: whether a job of it failed that nobody settled."""
    return exists().where(score_job.c.ecg_id == ecg.c.ecg_id, _FAILED, score_job.c.settled_at.is_(None))


def _unsettled(what: ColumnElement[int]) -> Select[int]:
    newer = ecg.alias("newer")
    return (
        select(what)
        .join_from(score_job, ecg, ecg.c.ecg_id == score_job.c.ecg_id)
        .where(_FAILED, score_job.c.settled_at.is_(None), ecg.c.state == EcgState.FAILED.value)
        .where(~exists().where(newer.c.recording_id == ecg.c.recording_id, newer.c.version > ecg.c.version))
    )
