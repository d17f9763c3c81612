"""Which process of this installation listens on which port: a lease in the store for each port, renewed while the
process lives.

`check` reads it to tell a port that this installation's service holds from a port that another program took. A process
that was killed leaves its leases behind: they run out within a minute, and where its host is this one its death is seen
at once.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from ecgfm_clinical import liveness

if TYPE_CHECKING:
    from ecgfm_clinical.staging.store import Store

#: How long after its last renewal a lease still counts; the service renews every ten seconds.
TERM = timedelta(seconds=60)


def announce(store: "Store", ports: Iterable[int], holder: str, *, now: datetime) -> None:
    """Say, or say again, that `holder` listens on these ports. Raises StoreUnavailable."""
    for port in ports:
        store.coordination.acquire(_name(port, holder), holder, now=now, duration=TERM)


def forget(store: "Store", ports: Iterable[int], holder: str) -> None:
    """Say that `holder` no longer listens on these ports. Raises StoreUnavailable."""
    for port in ports:
        store.coordination.release(_name(port, holder), holder)


def sweep(store: "Store", *, now: datetime) -> None:
    """Remove what processes left that ended without a word. Raises StoreUnavailable."""
    for lease in store.coordination.leases("port "):
        if lease.until <= now or liveness.is_gone(lease.holder):
            store.coordination.release(lease.name, lease.holder)


def holder_here(store: "Store", port: int, *, now: datetime) -> str | None:
    """The worker of this host that listens on the port and lives; None where there is none. Raises StoreUnavailable."""
    return next(
        (
            lease.holder
            for lease in store.coordination.leases(f"port {port} ")
            if now < lease.until <= now + 2 * TERM
            and liveness.is_here(lease.holder)
            and not liveness.is_gone(lease.holder)
        ),
        None,
    )


def _name(port: int, holder: str) -> str:
    """A worker's name is longer than a lease's may be."""
    return f"port {port} {sha256(holder.encode()).hexdigest()[:32]}"
