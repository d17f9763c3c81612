"""Where commands that learn work on the store: known there while they live, and dated by a clock that is believed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfm_clinical.cli.common import opened
from ecgfm_clinical.cli.learning_options import shown_progress
from ecgfm_clinical.cli.signs import leased

if TYPE_CHECKING:
    from ecgfm_clinical.learning.workshop import Workshop
    from ecgfm_clinical.staging.store import Store

#: Two hosts' clocks may differ by so much.
TOLERANCE = timedelta(hours=1)
#: A service that was off for longer and a clock that is ahead look alike: it is said.
UNSERVED = timedelta(days=1)


@contextmanager
def workshop(settings: Path | None, what: str) -> "Iterator[Workshop]":
    """Where heads are trained and judged on the store of the settings; `what` is done there, as `status` names it.

    Raises LearningError where this machine's clock is behind the store.
    """
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.learning.workshop import Workshop

    with (
        opened(settings) as (read, store),
        shown_progress(read.attention.learning) as shown,
        leased(shown, store, what, clock=wiring.utc_now, after=read.attention.learning) as progress,
    ):
        _believe(store, wiring.utc_now())
        yield Workshop(
            settings=read,
            store=store,
            actor=liveness.operator(read.site.operator),
            clock=wiring.steady_clock(wiring.utc_now),
            progress=progress,
        )


def _believe(store: "Store", now: datetime) -> None:
    """What is learnt is dated once, when it begins, and takes what came in until then: a clock that is behind would
    leave ECGs out. Raises LearningError.
    """
    from ecgfm_clinical.errors import LearningError

    served = store.processes.last_served()
    if served is None:
        return
    if now < served - TOLERANCE:
        raise LearningError(
            f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, and a service was at work on this store at "
            f"{served:%Y-%m-%d %H:%M}: what is learnt now would be dated before its own ECGs; put the clock right, or, "
            "where the service's was wrong, start the service once by the right one"
        )
    if now > served + UNSERVED:
        sys.stderr.write(
            f"no service was at work on this store after {served:%Y-%m-%d %H:%M} UTC; where one was, this machine's "
            f"clock ({now:%Y-%m-%d %H:%M} UTC) is ahead, and what is learnt now is dated wrongly\n"
        )
