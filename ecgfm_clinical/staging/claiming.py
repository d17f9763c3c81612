"""How due score jobs are claimed: the statement, STAT first, a suspect job alone."""

from sqlalchemy import bindparam, case, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from ecgfm_clinical.staging.attempts import RUNNING, WAITING, is_job_due
from ecgfm_clinical.staging.schema import score_job


def _claim_statement(*, beside_others: bool) -> ReturningUpdate[int, int, int, int]:
    """Built once: putting it together costs as much as running it."""
    due = (
        select(score_job.c.job_id, score_job.c.suspect, score_job.c.priority, score_job.c.due_at)
        .where(score_job.c.state == WAITING, score_job.c.priority >= bindparam("from"), is_job_due(score_job))
        .order_by(score_job.c.priority, score_job.c.due_at, score_job.c.job_id)
        .limit(bindparam("up_to"))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    most_urgent = select(due.c.job_id, due.c.suspect).order_by(due.c.priority, due.c.due_at, due.c.job_id).limit(1)
    first = most_urgent.cte("first")
    if beside_others:
        chosen = select(due.c.job_id).where(~due.c.suspect, ~select(first.c.suspect).scalar_subquery())
    else:  # alone, or the healthy ones
        alone = due.c.job_id == first.c.job_id
        chosen = select(due.c.job_id).where(case((first.c.suspect, alone), else_=~due.c.suspect))
    return (
        update(score_job)
        .where(score_job.c.job_id.in_(chosen))
        .values(
            state=RUNNING,
            worker=bindparam("claimed_by"),
            lease_until=bindparam("until"),
            attempts=score_job.c.attempts + 1,
        )
        .returning(score_job.c.job_id, score_job.c.ecg_id, score_job.c.priority, score_job.c.attempts)
    )


CLAIM = _claim_statement(beside_others=False)
CLAIM_BESIDE = _claim_statement(beside_others=True)
