"""When each Source is pulled and each scoring batch starts: APScheduler 3.x with its jobs in memory.

The jobs are rebuilt from the settings at every start, so nothing pickled lies in a database. What must survive
(cursors, the lease that makes one process the leader) is in the staging store. A run that is late runs once, never
twice at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from ecgfm_clinical import log
from ecgfm_clinical.errors import StoreError, StoreUnavailable
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Handler, PullReport, Source
from ecgfm_connectors.errors import ConnectorError

LEADER = "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One function that the schedule repeats."""

    name: str
    every: timedelta
    run: Callable[[], object]


def pull(source: Source, handle: Handler, store: Store, *, now: datetime) -> PullReport:
    """Pull one source from its cursor on; the cursor moves only when everything offered was kept.

    Raises ConnectorError where the source does not answer, StoreUnavailable where the store does not.
    """
    report = source.pull(handle, cursor=store.coordination.cursor(source.name), now=now)
    postponed = sum(verdict.disposition is Disposition.TRY_LATER for verdict in report.verdicts)
    if report.cursor is not None and not postponed and not report.problems:
        store.coordination.set_cursor(source.name, report.cursor)
    log.event(
        "source.pulled",
        source=source.name,
        offered=report.offered,
        taken=len(report.verdicts) - postponed,
        postponed=postponed,
        problems=len(report.problems),
    )
    return report


def pulled_by_leader(
    source: Source, handle: Handler, store: Store, *, clock: Callable[[], datetime], holder: str, term: timedelta
) -> Callable[[], None]:
    """A scheduled pull that only the process holding the leader lease does; a failure is logged and the next run tries
    again.
    """

    def run() -> None:
        try:
            if store.coordination.acquire(LEADER, holder, now=clock(), duration=term):
                pull(source, handle, store, now=clock())
        except (ConnectorError, StoreError) as error:
            log.event("source.failed", source=source.name, error=type(error).__name__)

    return run


def drained(step: Callable[[], int], stop: Event) -> Callable[[], None]:
    """A task that repeats `step` until it has nothing left to do or the program stops."""

    def run() -> None:
        try:
            while not stop.is_set() and step():
                pass
        except StoreUnavailable:
            log.event("store.unavailable")

    return run


def build(tasks: Sequence[Task]) -> BackgroundScheduler:
    """A scheduler that starts every task at once and then at its interval; not yet started."""
    scheduler = BackgroundScheduler(
        timezone=UTC,
        job_defaults={
            "coalesce": True,  # after a pause, one run makes up for all missed ones
            "misfire_grace_time": None,  # however late, it is still run
            "max_instances": 1,  # a batch that takes longer than its interval is not doubled
        },
    )
    for task in tasks:
        scheduler.add_job(
            task.run,
            IntervalTrigger(seconds=task.every.total_seconds(), timezone=UTC),
            id=task.name,
            name=task.name,
            next_run_time=datetime.now(UTC),
        )
    return scheduler
