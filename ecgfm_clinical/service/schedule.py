"""What each scheduled task does: one pull of a Source, one scoring batch.

What must survive a restart (cursors, the lease that makes one process the leader) is in the staging store. A run that is
late runs once, never twice at a time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ecgfm_clinical import log
from ecgfm_clinical.service.worker import Beat
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Handler, PullReport, Received, Source, Verdict
from ecgfm_connectors.errors import ConnectorError

LEADER = "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One function that a service repeats: at once while it returns a number, else after `every`."""

    name: str
    every: timedelta
    run: Callable[[], int | None]
    beat: Beat = field(default_factory=Beat)


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
) -> Callable[[], None]:
    """A scheduled pull that only the process holding the leader lease does; the next run tries again after a failure.

    Each payload is a sign of progress (`beat`), and a pull that takes longer than the `term` of the lease goes on leading.
    """
    led_at = monotonic()

    def leads() -> bool:
        nonlocal led_at
        led_at = monotonic()
        return store.coordination.acquire(LEADER, holder, now=clock(), duration=term)

    def progressing(received: Received) -> Verdict:
        beat()
        if monotonic() - led_at > term.total_seconds() / 3:
            leads()
        return handle(received)

    def run() -> None:
        if leads():
            try:
                pull(source, progressing, store, now=clock())
            except ConnectorError as error:
                log.event("source.failed", source=source.name, error=type(error).__name__)
                raise

    return run
