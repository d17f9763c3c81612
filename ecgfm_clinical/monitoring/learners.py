"""Which commands learn on this store, and which of them no longer get on: a lease in the store for each, renewed with
its progress.

A command that hangs ends by itself never, and no service is there to watch it: its lease runs out, and `status` and the
alerts tell it from then on. One that ended takes its lease away; one that was killed is gone, which its host knows, and
its exit status has told it.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from ecgfm_clinical import liveness

if TYPE_CHECKING:
    from ecgfm_clinical.staging.store import Store

_PREFIX = "learning "
#: Of a host that does not come again nobody hears the end.
TOLD_FOR = timedelta(days=1)


def gets_on(store: "Store", holder: str, *, now: datetime, within: timedelta) -> None:
    """`holder`, whose role is the command in words, made progress; it is missed where it makes none `within` that
    time. Raises StoreUnavailable.
    """
    store.coordination.acquire(_name(holder), holder, now=now, duration=within)


def ended(store: "Store", holder: str) -> None:
    """It ended, well or not. Raises StoreUnavailable."""
    store.coordination.release(_name(holder), holder)


def standing_still(store: "Store", *, now: datetime) -> tuple[str, ...]:
    """The holders that live, as far as can be known, and make no progress. Raises StoreUnavailable."""
    return tuple(
        lease.holder
        for lease in store.coordination.leases(_PREFIX)
        if lease.until <= now < lease.until + TOLD_FOR and not liveness.is_gone(lease.holder)
    )


def sweep(store: "Store", *, now: datetime) -> None:
    """Remove what commands left that were killed. Raises StoreUnavailable."""
    for lease in store.coordination.leases(_PREFIX):
        if lease.until + TOLD_FOR <= now or liveness.is_gone(lease.holder):
            store.coordination.release(lease.name, lease.holder)


def _name(holder: str) -> str:
    """A worker's name is longer than a lease's may be."""
    return f"{_PREFIX}{sha256(holder.encode()).hexdigest()[:32]}"
