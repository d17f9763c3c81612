"""What tells that a command that learns no longer gets on: an alarm of the interpreter, and its lease in the store."""

import faulthandler
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from ecgfm_clinical import liveness

if TYPE_CHECKING:
    from ecgfm_clinical.learning.selection import Seconds
    from ecgfm_clinical.learning.training import Progress
    from ecgfm_clinical.staging.store import Store
    from ecgfm_clinical.wiring import Clock

#: Without a step of progress, where no settings say otherwise (`attention.learning_hours`).
HANGS_AFTER = timedelta(hours=2)
#: Between two signs of life; the alarm and the lease are put off no oftener.
RENEWED_EVERY = timedelta(seconds=10)
_STANDARD_ERROR = 2


def has_progress() -> bool:
    """Whether this process shows it: of several that torchrun started only the first does."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def alarmed(after: timedelta = HANGS_AFTER) -> Iterator[Callable[[], None]]:
    """What puts off the interpreter's alarm, which needs no thread of Python: as often as nothing put it off for so
    long, standard error says where each thread stands, by files and line numbers and never by a value. The command is
    not ended: a long step and one that hangs look alike.
    """
    seconds = after.total_seconds()

    def put_off() -> None:
        faulthandler.dump_traceback_later(seconds, repeat=True, file=_STANDARD_ERROR)

    if not has_progress():
        yield lambda: None
        return
    put_off()
    try:
        yield _seldom(put_off, every=min(RENEWED_EVERY, after / 10))
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def leased(
    progress: "Progress", store: "Store", what: str, *, clock: "Clock", after: timedelta, seconds: "Seconds" = monotonic
) -> "Iterator[Progress]":
    """`progress` that is known in the store as that of the command `what`: `status` and the alerts tell where it makes
    none for so long. A store that does not answer stops nobody from learning.
    """
    from ecgfm_clinical.errors import StoreUnavailable
    from ecgfm_clinical.monitoring import learners

    if not has_progress():
        yield progress
        return
    holder = liveness.worker_name(what)

    def renew() -> None:
        with suppress(StoreUnavailable):
            learners.gets_on(store, holder, now=clock(), within=after)

    with suppress(StoreUnavailable):
        learners.sweep(store, now=clock())
    renew()
    seldom = _seldom(renew, every=min(RENEWED_EVERY, after / 10), seconds=seconds)

    def told(step: str, done: int, total: int) -> None:
        seldom()
        progress(step, done, total)

    try:
        yield told
    finally:
        with suppress(StoreUnavailable):
            learners.ended(store, holder)


def _seldom(act: Callable[[], None], *, every: timedelta, seconds: "Seconds" = monotonic) -> Callable[[], None]:
    """`act`, at most once in so long, which a call just before has done."""
    last = seconds()

    def acted() -> None:
        nonlocal last
        if seconds() - last >= every.total_seconds():
            last = seconds()
            act()

    return acted
