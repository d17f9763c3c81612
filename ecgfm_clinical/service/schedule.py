"""When each task starts, by APScheduler 3.x with its jobs in memory, and what the pull of a Source does.

The jobs are rebuilt from the settings at every start, so nothing pickled lies in a database. What must survive a
restart (cursors, the lease that makes one process the leader) is in the staging store. A run that is late runs once,
never twice at a time: the schedule only wakes the thread of a task, which is watched (`watch`).
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from ecgfm_clinical import log
from ecgfm_clinical.service.worker import Beat, Worker
from ecgfm_clinical.staging.bell import Work
from ecgfm_clinical.staging.pauses import Part
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Handler, PullReport, Received, Source, Verdict
from ecgfm_connectors.errors import ConnectorError, Interrupted

LEADER = "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One function that a service repeats: at once while it returns a number, else after `every`."""

    name: str
    every: timedelta
    run: Callable[[], int | None]
    beat: Beat = field(default_factory=Beat)
    work: Work | None = None  #: woken as soon as some of it is committed


class Stopping(Interrupted):
    """The service stops, or a person pauses the source, in the middle of a pull."""


def build(workers: Iterable[tuple[Task, Worker]]) -> BackgroundScheduler:
    """A scheduler, not yet started, that wakes each worker every `every` of its task."""
    # Times are in UTC: a wall clock that summer time moves neither skips a run nor repeats one.
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None})
    for task, worker in workers:
        trigger = IntervalTrigger(seconds=task.every.total_seconds(), timezone=UTC)
        scheduler.add_job(worker.wake, trigger, id=task.name, name=task.name)
    return scheduler


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
    source: Source,
    handle: Handler,
    store: Store,
    *,
    clock: Callable[[], datetime],
    holder: str,
    term: timedelta,
    beat: Callable[[], None] = lambda: None,
    monotonic: Callable[[], float] = time.monotonic,
    stopping: Callable[[], bool] = lambda: False,
) -> Callable[[], None]:
    """A scheduled pull that only the process holding the leader lease does; the next run tries again after a failure.

    Each payload is a sign of progress (`beat`), and a pull that takes longer than the `term` of the lease goes on
    leading. Once the service is `stopping`, or the source paused, nothing more is handed over: the next pull begins
    there.
    """
    led_at = monotonic()
    is_paused = store.pauses.watch(Part(kind="source", name=source.name), monotonic)

    def leads() -> bool:
        nonlocal led_at
        led_at = monotonic()
        return store.coordination.acquire(LEADER, holder, now=clock(), duration=term)

    def progressing(received: Received) -> Verdict:
        beat()
        if stopping() or is_paused():
            raise Stopping
        if monotonic() - led_at > term.total_seconds() / 3:
            leads()
        return handle(received)

    def run() -> None:
        if not store.pauses.stops(Part(kind="source", name=source.name)) and leads():
            try:
                pull(source, progressing, store, now=clock())
            except Stopping:
                log.event("source.interrupted", source=source.name)
            except ConnectorError as error:
                log.warning("source.failed", source=source.name, error=type(error).__name__)
                raise

    return run
