"""Score jobs: claimed in one statement, held by a lease, finished in one transaction with the scores they gave.

A worker that dies leaves its lease to run out; then `Leases.reap` gives its jobs back. If one of them killed it, the
others must not die with it a second and a third time: a job that was in the hands of a worker that died is `suspect`
and from then on claimed alone. Attempts count when a job is claimed, so what kills every worker runs out of them like
any other failure.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, case, insert, select, update

from ecgfm_clinical.errors import LeaseLost, NotFound
from ecgfm_clinical.staging import announcing, answers, failed_ecgs, holds, pauses, recordings
from ecgfm_clinical.staging.attempts import HORIZON, RUNNING, WAITING, is_dead, is_unfinished, keep_error
from ecgfm_clinical.staging.claiming import CLAIM, CLAIM_BESIDE
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import BACKFILL, STAT, AttemptError, EcgState, Job, JobState, Retry, Scoring
from ecgfm_clinical.staging.rows import EcgVersion, every_row
from ecgfm_clinical.staging.schema import ecg, score_job, withheld
from ecgfm_clinical.staging.transaction import Transaction

#: ECGs that are owed an answer and are queued in one claim.
OWED_AT_ONCE = 200


class Jobs:
    """The score jobs of a store; every step is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self,
        *,
        worker: str,
        limit: int,
        now: datetime,
        lease: timedelta,
        beside_others: bool = False,
        heads: Collection[str] = (),
        history: bool = False,
    ) -> list[Job]:
        """Up to `limit` due jobs, STAT first; nobody else gets them until the lease ends.

        `beside_others`: the worker has others in hand, which must not die with a suspect one: then none where the most
        urgent is suspect. `heads`: what the worker's model answers; none where all of it, or everything, is paused.
        `history`: only ECGs that were put in as history.
        """
        until = now + lease
        given: dict[str, object] = {"now": now, "horizon": now + HORIZON, "up_to": limit}
        given |= {"claimed_by": worker, "until": until, "from": BACKFILL if history else STAT}
        with self._database.writing(now, worker) as tx:
            if pauses.stops_scoring(tx, heads):
                return []
            if not beside_others:
                _score_what_is_owed(tx)
            rows = tx.connection.execute(CLAIM_BESIDE if beside_others else CLAIM, given).all()
        jobs = [
            Job(
                job_id=row.job_id,
                kind="score",
                ecg_id=row.ecg_id,
                priority=row.priority,
                attempts=row.attempts,
                lease_until=until,
            )
            for row in rows
        ]
        return sorted(jobs, key=lambda job: (job.priority, job.job_id))

    def finish(self, scored: Sequence[tuple[Job, Scoring]], *, now: datetime, worker: str) -> set[int]:
        """Scores, the finished jobs, and the complete message to each destination that would learn something new.

        The answers of paused heads are neither kept nor told, but owed. Returns the ids of the jobs that are another
        worker's by now, or that wait again because all their heads were paused meanwhile: nothing is done for those.
        """
        given = {job.job_id for job, _ in scored}
        with self._database.writing(now, worker) as tx:
            silent = pauses.paused_heads(tx)
            if silent:
                scored = [
                    (job, found) for job, found in scored if not _put_off(tx, job, found, worker=worker, silent=silent)
                ]
            wanted = {
                job.job_id: tell for job, _ in scored if (tell := _close(tx, job, worker, JobState.DONE)) is not None
            }
            mine = [(job, found) for job, found in scored if job.job_id in wanted]
            rows = _ecg_rows(tx, [job.ecg_id for job, _ in mine])
            if tx.telling.destinations and mine:
                tx.lock_identities(
                    exclusive=False
                )  # after the rows: in this order everywhere, or two would wait for each other
            before = announcing.before(tx, rows.values())
            for job, found in mine:
                row = rows[job.ecg_id]
                # Another version of a recording is told after the first: what stands then is asked anew.
                stands = before.pop(row.recording_id, None)
                answers.keep(tx, row, found, tell=wanted[job.job_id], silent=silent, stands=stands)
                if wanted[job.job_id]:
                    _hand_on(tx, row)
        return given - set(wanted)

    def fail(self, job: Job, retry: Retry, *, now: datetime, worker: str) -> None:
        """The attempt failed: again at `retry.due_at`, or for good. Raises LeaseLost."""
        with self._database.writing(now, worker) as tx:
            _fail(tx, job, retry, worker)

    def rescore(self, ecg_ids: Sequence[int], *, now: datetime, actor: str) -> int:
        """Queue another scoring; what is waiting or running already is left alone.

        How many were queued. Raises NotFound.
        """
        with self._database.writing(now, actor) as tx:
            return sum(rescore(tx, _ecg_row(tx, ecg_id), tell=False) for ecg_id in sorted(set(ecg_ids)))


_INSERT_JOB = insert(score_job)


def _put_off(tx: Transaction, job: Job, found: Scoring, *, worker: str, silent: frozenset[str]) -> bool:
    """Give the job back, where all heads that answered are paused by now: no scoring is without an answer."""
    if not found.scores or any(one.head not in silent for one in found.scores):
        return False
    mine = (score_job.c.job_id == job.job_id, score_job.c.worker == worker, score_job.c.attempts == job.attempts)
    values = {"state": JobState.WAITING.value, "attempts": job.attempts - 1, "worker": None, "lease_until": None}
    tx.connection.execute(update(score_job).where(*mine, score_job.c.state == RUNNING).values(values))
    return True


def _score_what_is_owed(tx: Transaction) -> None:
    """Another scoring of each ECG that is owed the answer of a head which was resumed, but for those whose result a
    person took back: the answer would tell it again.
    """
    for ecg_id in pauses.due_again(tx, limit=OWED_AT_ONCE):
        row = _ecg_row(tx, ecg_id)
        if recordings.standing(tx, row.recording_id).taken_back is None:
            rescore(tx, row, tell=False)
        else:
            pauses.forget(tx, ecg_id, received_at=row.received_at, source=row.source)


def _fail(tx: Transaction, job: Job, retry: Retry, worker: str) -> None:
    if retry.due_at is None:
        held = _close(tx, job, worker, JobState.FAILED)
    else:
        held = _let_go(tx, job, worker, state=JobState.WAITING.value, due_at=retry.due_at, finished_at=None)
    if held is None:
        raise LeaseLost(f"score job {job.job_id} is no longer held by {worker}")
    if retry.due_at is None:
        _give_up(tx, job.ecg_id)
        if held:
            _hand_on(tx, _ecg_row(tx, job.ecg_id))
    keep_error(tx, retry.error, job_id=job.job_id)
    tx.note(
        "job.failed" if retry.due_at is None else "job.postponed",
        ecg_id=job.ecg_id,
        attempt=retry.error.attempt,
        kind=retry.error.kind,
    )


def _hand_on(tx: Transaction, row: EcgVersion) -> None:
    """What a person decided is to be told: by the newest version, where another one came meanwhile."""
    newest = recordings.newest(tx, row.recording_id)
    if newest.ecg_id != row.ecg_id:
        rescore(tx, newest, tell=True)


def reap(tx: Transaction, *, max_attempts: int, worker: str | None, horizon: datetime) -> int:
    """Jobs whose worker is dead: lease run out, or leased to `worker`, who says it has only just started."""
    dead = is_dead(score_job, tx.now, worker=worker, horizon=horizon)
    held = select(score_job.c.job_id).where(score_job.c.state == RUNNING, dead).with_for_update(skip_locked=True)
    used_up = score_job.c.attempts >= max_attempts
    rows = tx.connection.execute(
        update(score_job)
        .where(score_job.c.job_id.in_(held))
        .values(
            state=case((used_up, JobState.FAILED.value), else_=JobState.WAITING.value),
            finished_at=case((used_up, tx.now), else_=None),
            due_at=tx.now,
            suspect=True,
            worker=None,
            lease_until=None,
        )
        .returning(score_job.c.job_id, score_job.c.ecg_id, score_job.c.attempts, score_job.c.state)
    ).all()
    if rows:
        tx.left_to_do.add("score")
    for row in rows:
        error = AttemptError(
            at=tx.now, attempt=row.attempts, kind="WorkerDied", text="the worker died or gave no sign of life"
        )
        keep_error(tx, error, job_id=row.job_id)
        tx.note("job.lease-expired", ecg_id=row.ecg_id, attempt=row.attempts, state=row.state)
        if row.state == JobState.FAILED.value:
            _give_up(tx, row.ecg_id)
    return len(rows)


def release(tx: Transaction, *, worker: str) -> int:
    """Give back, untouched, what a worker that stops in good order still holds: it was no attempt."""
    released = tx.connection.execute(
        update(score_job)
        .where(score_job.c.state == RUNNING, score_job.c.worker == worker)
        .values(state=JobState.WAITING.value, attempts=score_job.c.attempts - 1, worker=None, lease_until=None)
    ).rowcount
    if released:
        tx.left_to_do.add("score")
    return released


def rescore(tx: Transaction, row: EcgVersion, *, tell: bool) -> bool:
    """A new score job for this version, unless one waits or, where nothing has changed, is under way.

    With `tell` what a worker has begun is taken from it: it judged the ECG as it was before. A failed ECG is waiting
    again. Earlier versions that came while a person was asked wait no longer. Whether a job was queued.
    """
    _queue_left_waiting(tx, row.recording_id, before=row.version)
    mine = score_job.c.ecg_id == row.ecg_id
    tx.left_to_do.add("score")
    if tell:
        tx.connection.execute(
            update(score_job)
            .where(mine, is_unfinished(score_job))
            .values(state=JobState.WAITING.value, tell=True, due_at=_due_now(tx), worker=None, lease_until=None)
        )
    under_way = select(score_job.c.job_id).where(mine, is_unfinished(score_job)).limit(1)
    if tx.connection.scalar(under_way) is not None:
        return False
    queue(tx, row.ecg_id, row.priority, tell=tell)
    if row.state == EcgState.FAILED.value:
        answers.move(tx, row, EcgState.WAITING, scoring_id=row.scoring_id)
    tx.note("ecg.rescore", ecg_id=row.ecg_id)
    return True


def _due_now(tx: Transaction) -> ColumnElement[datetime]:
    """What was never tried keeps the time of its making: a later one would say that it was put off."""
    return case((score_job.c.attempts == 0, score_job.c.created_at), else_=tx.now)


def _queue_left_waiting(tx: Transaction, recording_id: int, *, before: int) -> None:
    """A job for each version `before` this one that came while the recording was held, and has none: it tells nothing,
    for it is not the newest, but no ECG waits for ever.
    """
    if holds.is_open(tx, recording_id):
        return
    has_job = select(score_job.c.job_id).where(score_job.c.ecg_id == ecg.c.ecg_id, is_unfinished(score_job)).exists()
    left = select(ecg.c.ecg_id, ecg.c.priority).where(
        ecg.c.recording_id == recording_id,
        ecg.c.version < before,
        ecg.c.state == EcgState.WAITING.value,
        ~has_job,
    )
    for one in tx.connection.execute(left.order_by(ecg.c.ecg_id)).all():
        queue(tx, one.ecg_id, one.priority)


def queue(tx: Transaction, ecg_id: int, priority: int, *, tell: bool = False) -> None:
    """A score job, due at once."""
    values = {
        "state": JobState.WAITING.value,
        "attempts": 0,
        "suspect": False,
        "due_at": tx.now,
        "created_at": tx.now,
        "tell": tell,
    }
    tx.connection.execute(_INSERT_JOB, {"ecg_id": ecg_id, "priority": priority, **values})
    tx.left_to_do.add("score")


def put_off(tx: Transaction, payload_id: int, until: datetime) -> None:
    """The ECGs of this payload are not scored before: a person may still think better of having it read."""
    of = select(ecg.c.ecg_id).where(ecg.c.payload_id == payload_id)
    untouched = (score_job.c.state == WAITING, score_job.c.attempts == 0)
    tx.connection.execute(update(score_job).where(score_job.c.ecg_id.in_(of), *untouched).values(due_at=until))


def hurry(tx: Transaction, ecg_id: int, *, priority: int) -> None:
    """What waits for this ECG's score waits no longer than others of this priority."""
    mine = (score_job.c.ecg_id == ecg_id, score_job.c.state == WAITING, score_job.c.priority > priority)
    tx.connection.execute(update(score_job).where(*mine).values(priority=priority))


def drop(tx: Transaction, recording_id: int) -> None:
    """Nothing of the recording is to be scored any more: it was taken back."""
    versions = select(ecg).where(ecg.c.recording_id == recording_id).order_by(ecg.c.ecg_id).with_for_update()
    for row in every_row(tx.connection, EcgVersion, versions):
        _end(tx, row)
        if row.state == EcgState.WAITING.value:
            answers.move(tx, row, EcgState.FAILED, scoring_id=row.scoring_id)


def _end(tx: Transaction, row: EcgVersion) -> None:
    """This version is scored no more, and needs no answer."""
    over = {"state": JobState.FAILED.value, "finished_at": tx.now, "worker": None, "lease_until": None}
    mine = (score_job.c.ecg_id == row.ecg_id, is_unfinished(score_job))
    tx.connection.execute(update(score_job).where(*mine).values(over))
    failed_ecgs.settle(tx, [row.ecg_id])
    pauses.forget(tx, row.ecg_id, received_at=row.received_at, source=row.source)


def owe_nothing(tx: Transaction, recording_id: int) -> None:
    """A person took the result back: the second scoring, for the answer of a head that was paused, would tell it
    again. One that a resumed head has queued already is ended; the rest is left out when the head goes on.
    """
    queued = select(withheld.c.ecg_id).where(withheld.c.queued)
    mine = select(ecg).where(ecg.c.recording_id == recording_id, ecg.c.ecg_id.in_(queued)).order_by(ecg.c.ecg_id)
    for row in every_row(tx.connection, EcgVersion, mine.with_for_update()):
        _end(tx, row)


def hush(tx: Transaction, recording_id: int) -> None:
    """What is being judged anew is told only where it is news: a person took the result back meanwhile."""
    of = select(ecg.c.ecg_id).where(ecg.c.recording_id == recording_id)
    unfinished = is_unfinished(score_job)
    tx.connection.execute(update(score_job).where(score_job.c.ecg_id.in_(of), unfinished).values(tell=False))


_HELD = (
    update(score_job)
    .where(
        score_job.c.job_id == bindparam("held"),
        score_job.c.state == RUNNING,
        score_job.c.worker == bindparam("holder"),
        score_job.c.attempts == bindparam("attempt"),
    )
    .values(
        state=bindparam("to"),
        due_at=bindparam("due"),
        finished_at=bindparam("finished"),
        worker=None,
        lease_until=None,
    )
    .returning(score_job.c.tell)
)


def _close(tx: Transaction, job: Job, worker: str, state: JobState) -> bool | None:
    """Whether what comes of it is to be told in any case; None where this worker no longer holds the job."""
    return _let_go(tx, job, worker, state=state.value, due_at=tx.now, finished_at=tx.now)


def _let_go(
    tx: Transaction, job: Job, holder: str, *, state: str, due_at: datetime, finished_at: datetime | None
) -> bool | None:
    """Update the job if this worker still holds this very attempt of it; None where it does not."""
    given = {"held": job.job_id, "holder": holder, "attempt": job.attempts}
    given |= {"to": state, "due": due_at, "finished": finished_at}
    tell: bool | None = tx.connection.scalar(_HELD, given)
    return tell


def _ecg_rows(tx: Transaction, ecg_ids: Sequence[int]) -> dict[int, EcgVersion]:
    """By id, nobody else's to change until commit. Raises NotFound."""
    of = select(ecg.c.recording_id).where(ecg.c.ecg_id.in_(ecg_ids))
    first = set(tx.connection.scalars(of)) if ecg_ids else set()  # whoever changes a recording locks its first version
    rows = tx.connection.execute(_LOCKED, {"wanted": sorted({*ecg_ids, *first})}).all() if ecg_ids else []
    found = {row.ecg_id: EcgVersion(*row) for row in rows}
    for ecg_id in ecg_ids:
        if ecg_id not in found:
            raise NotFound(f"there is no ECG {ecg_id}")
    return found


def _ecg_row(tx: Transaction, ecg_id: int) -> EcgVersion:
    return _ecg_rows(tx, [ecg_id])[ecg_id]


_LOCKED = (
    select(ecg).where(ecg.c.ecg_id.in_(bindparam("wanted", expanding=True))).order_by(ecg.c.ecg_id).with_for_update()
)


def _give_up(tx: Transaction, ecg_id: int) -> None:
    row = _ecg_row(tx, ecg_id)
    if row.state == EcgState.WAITING.value:  # a failed re-score leaves an earlier answer standing
        answers.move(tx, row, EcgState.FAILED, scoring_id=row.scoring_id)


def prolong(tx: Transaction, worker: str, until: datetime) -> int:
    """Every job this worker holds is its own until then."""
    held = update(score_job).where(score_job.c.state == RUNNING, score_job.c.worker == worker)
    return tx.connection.execute(held.values(lease_until=until)).rowcount
