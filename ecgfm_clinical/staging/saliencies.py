"""Where a model looked: asked for by people, computed by the score role as jobs that come after every score job.

A job is held by a lease as score jobs are, and given back with them (`leases`). What was computed is of one answer of
one scoring; an ECG that is scored anew is asked about anew. The weights are of the recording: they are sealed as
its signal is, and go with it.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, case, func, insert, select, update

from ecgfm_clinical.errors import LeaseLost, NotFound, StoreError
from ecgfm_clinical.staging import pauses, seals
from ecgfm_clinical.staging.attempts import HORIZON, RUNNING, WAITING, is_dead, is_due, is_job_due, is_unfinished
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import JobState, Retry
from ecgfm_clinical.staging.schema import ecg, saliency, score, score_job, scoring, signal
from ecgfm_clinical.staging.transaction import Reading, Transaction

#: Questions that may wait at a time.
MOST_WAITING = 100
LEADS = 12
STEPS = 25  #: a second, from the start of the recording
LARGEST = 255  #: the byte that stands for the weight 1

Weights = NDArray[np.uint8]  #: (12, steps), rows as `ecgfm_connectors.ecg.LEADS`, 25 steps a second


@dataclass(frozen=True, slots=True, kw_only=True)
class SaliencyJob:
    """One question that a worker holds."""

    saliency_id: int
    ecg_id: int
    model_id: str  #: of the model that gave the answer
    head: str
    label: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSaliency:
    """One question and how far it is."""

    saliency_id: int
    head: str
    label: str
    state: JobState
    asked_at: datetime
    error: str  #: why it failed


class Saliencies:
    """The questions of a store; every method is one transaction and raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(
        self, ecg_id: int, *, head: str, label: str, scoring_id: int | None = None, now: datetime, actor: str
    ) -> int:
        """Queue the question where it was not asked before, or failed; its number.

        Raises NotFound where that label has no probability, and StoreError where the ECG was scored anew since somebody
        saw the scoring `scoring_id`, its signal was removed, or too many wait.
        """
        with self._database.writing(now, actor) as tx:
            of = _answered(tx, ecg_id, head, label)
            if scoring_id not in (None, of):
                raise StoreError(f"ECG {ecg_id} was scored anew since you saw it: look at the new answer first")
            asked = (saliency.c.scoring_id == of, saliency.c.head == head, saliency.c.label == label)
            known = tx.connection.execute(select(saliency.c.saliency_id, saliency.c.state).where(*asked)).first()
            if known is not None and known.state != JobState.FAILED.value:
                return int(known.saliency_id)
            _refuse_too_many(tx)
            fresh = {"state": JobState.WAITING.value, "attempts": 0, "due_at": now, "asked_at": now, "error": ""}
            tx.note("saliency.asked", ecg_id=ecg_id, head=head, label=label)
            tx.left_to_do.add("saliency")
            if known is not None:
                tx.connection.execute(update(saliency).where(*asked).values(fresh | {"finished_at": None}))
                return int(known.saliency_id)
            values = {"ecg_id": ecg_id, "scoring_id": of, "head": head, "label": label, **fresh}
            made = insert(saliency).values(values).returning(saliency.c.saliency_id)
            return int(tx.connection.execute(made).scalar_one())

    def of(self, ecg_id: int) -> list[KeptSaliency]:
        """What was asked about the answers that count now."""
        columns = [saliency.c[one] for one in ("saliency_id", "head", "label", "state", "asked_at", "error")]
        query = (
            select(*columns)
            .join(ecg, ecg.c.scoring_id == saliency.c.scoring_id)
            .where(ecg.c.ecg_id == ecg_id)
            .order_by(saliency.c.saliency_id)
        )
        with self._database.reading() as ask:
            rows = ask.connection.execute(query).mappings()
            return [KeptSaliency(**{**row, "state": JobState(row["state"])}) for row in rows]

    def weights(self, ecg_id: int, saliency_id: int) -> Weights:
        """What was computed about an answer that counts now. Raises NotFound."""
        query = (
            select(saliency.c.saliency_id, saliency.c.weights, saliency.c.key_id)
            .join(ecg, ecg.c.scoring_id == saliency.c.scoring_id)
            .where(ecg.c.ecg_id == ecg_id, saliency.c.saliency_id == saliency_id, saliency.c.weights.is_not(None))
        )
        with self._database.reading() as ask:
            row = ask.connection.execute(query).first()
            if row is None:
                raise NotFound(f"no saliency {saliency_id} of the answers of ECG {ecg_id} was computed")
            return _unpacked(seals.SALIENCY.open(ask.keyring, row))

    def claim(self, *, worker: str, now: datetime, lease: timedelta) -> SaliencyJob | None:
        """The oldest question that is due; none while an ECG waits for its score, or everything is paused."""
        with self._database.reading() as ask:  # what is nearly always the answer needs no write
            if not _may_begin(ask, now):
                return None
        with self._database.writing(now, worker) as tx:
            if pauses.stops_scoring(tx, ()) or not _may_begin(tx, now):
                return None
            row = tx.connection.execute(
                _CLAIM, {"now": now, "horizon": now + HORIZON, "claimed_by": worker, "until": now + lease}
            ).first()
            if row is None:
                return None
            model_id = tx.connection.scalar(select(scoring.c.model_id).where(scoring.c.scoring_id == row.scoring_id))
            assert model_id is not None
            return SaliencyJob(
                saliency_id=row.saliency_id,
                ecg_id=row.ecg_id,
                model_id=model_id,
                head=row.head,
                label=row.label,
                attempts=row.attempts,
            )

    def finish(self, job: SaliencyJob, weights: Weights, *, now: datetime, worker: str) -> None:
        """Keep what was computed. Raises LeaseLost where the job is another's by now, or its ECG was erased."""
        with self._database.writing(now, worker) as tx:
            sealed = seals.SALIENCY.seal(tx.keyring, _packed(weights), saliency_id=job.saliency_id)
            _close(tx, job, worker, {"state": JobState.DONE.value, "finished_at": now, "error": "", **sealed})
            tx.note("saliency.computed", ecg_id=job.ecg_id, head=job.head, label=job.label)

    def fail(self, job: SaliencyJob, retry: Retry, *, now: datetime, worker: str) -> None:
        """The attempt failed: again at `retry.due_at`, or for good. Raises LeaseLost."""
        again = retry.due_at is not None
        values = {
            "state": JobState.WAITING.value if again else JobState.FAILED.value,
            "due_at": retry.due_at or now,
            "finished_at": None if again else now,
            "error": retry.error.text.replace("\x00", ""),
        }
        with self._database.writing(now, worker) as tx:
            _close(tx, job, worker, values)
            if not again:
                tx.note("saliency.failed", ecg_id=job.ecg_id, head=job.head, label=job.label, kind=retry.error.kind)


_due = (
    select(saliency.c.saliency_id)
    .where(saliency.c.state == WAITING, is_due(saliency))
    .order_by(saliency.c.due_at, saliency.c.saliency_id)
    .limit(1)
    .with_for_update(skip_locked=True)
    .cte("due")
)
_CLAIM = (
    update(saliency)
    .where(saliency.c.saliency_id.in_(select(_due.c.saliency_id)))
    .values(
        state=RUNNING,
        worker=bindparam("claimed_by"),
        lease_until=bindparam("until"),
        attempts=saliency.c.attempts + 1,
    )
    .returning(*(saliency.c[one] for one in ("saliency_id", "ecg_id", "scoring_id", "head", "label", "attempts")))
)


def _may_begin(ask: Reading, now: datetime) -> bool:
    """Whether a question waits and no score job is due: scoring goes first."""
    given = {"now": now, "horizon": now + HORIZON}
    asked = select(saliency.c.saliency_id).where(saliency.c.state == WAITING, is_due(saliency)).limit(1)
    to_score = select(score_job.c.job_id).where(score_job.c.state == WAITING, is_job_due(score_job)).limit(1)
    if ask.connection.scalar(asked, given) is None:
        return False
    return ask.connection.scalar(to_score, given) is None


def _answered(tx: Transaction, ecg_id: int, head: str, label: str) -> int:
    """The scoring that counts and has a probability of this label. Raises NotFound, StoreError."""
    query = (
        select(score.c.scoring_id, score.c.probability)
        .join(ecg, ecg.c.scoring_id == score.c.scoring_id)
        .where(ecg.c.ecg_id == ecg_id, score.c.head == head, score.c.label == label)
    )
    row = tx.connection.execute(query).first()
    if row is None or row.probability is None:
        raise NotFound(f"ECG {ecg_id} has no probability of {head} {label}: there is nothing to explain")
    if tx.connection.scalar(select(signal.c.ecg_id).where(signal.c.ecg_id == ecg_id)) is None:
        raise StoreError(f"the signal of ECG {ecg_id} was removed by retention: nothing can be computed of it")
    return int(row.scoring_id)


def _refuse_too_many(tx: Transaction) -> None:
    waiting = tx.connection.scalar(select(func.count()).where(is_unfinished(saliency))) or 0
    if waiting >= MOST_WAITING:
        raise StoreError(
            f"{waiting} questions where a model looked wait already, and scoring goes first: ask again later"
        )


def _close(tx: Transaction, job: SaliencyJob, worker: str, values: Mapping[str, object]) -> None:
    mine = (
        saliency.c.saliency_id == job.saliency_id,
        saliency.c.worker == worker,
        saliency.c.attempts == job.attempts,
        saliency.c.state == RUNNING,
    )
    done = tx.connection.execute(update(saliency).where(*mine).values({**values, "worker": None, "lease_until": None}))
    if not done.rowcount:
        raise LeaseLost(f"saliency job {job.saliency_id} is no longer held by {worker}")


def prolong(tx: Transaction, worker: str, until: datetime) -> int:
    """Every question this worker holds is its own until then."""
    held = update(saliency).where(saliency.c.state == RUNNING, saliency.c.worker == worker)
    return tx.connection.execute(held.values(lease_until=until)).rowcount


def reap(tx: Transaction, *, max_attempts: int, worker: str | None, horizon: datetime) -> int:
    """Questions whose worker is dead wait again; one that several workers died of has failed."""
    dead = is_dead(saliency, tx.now, worker=worker, horizon=horizon)
    held = select(saliency.c.saliency_id).where(saliency.c.state == RUNNING, dead).with_for_update(skip_locked=True)
    used_up = saliency.c.attempts >= max_attempts
    taken = tx.connection.execute(
        update(saliency)
        .where(saliency.c.saliency_id.in_(held))
        .values(
            state=case((used_up, JobState.FAILED.value), else_=JobState.WAITING.value),
            finished_at=case((used_up, tx.now), else_=None),
            error="the worker died or gave no sign of life",
            due_at=tx.now,
            worker=None,
            lease_until=None,
        )
    ).rowcount
    if taken:
        tx.left_to_do.add("saliency")
    return taken


def release(tx: Transaction, *, worker: str) -> int:
    """Give back, untouched, what a worker that stops in good order still holds: it was no attempt."""
    values = {"state": JobState.WAITING.value, "attempts": saliency.c.attempts - 1, "worker": None, "lease_until": None}
    held = update(saliency).where(saliency.c.state == RUNNING, saliency.c.worker == worker)
    return tx.connection.execute(held.values(values)).rowcount


def _packed(weights: Weights) -> bytes:
    return zlib.compress(np.ascontiguousarray(weights, dtype=np.uint8).tobytes())


def _unpacked(stored: bytes) -> Weights:
    return np.frombuffer(zlib.decompress(stored), dtype=np.uint8).reshape(LEADS, -1)
