"""How often somebody may fail to sign in: by name and by address, of IPv6 by its /64, in a quarter of an hour."""

from collections import deque
from datetime import datetime, timedelta
from threading import Lock

from ecgfm_clinical.web.callers import caller_of
from ecgfm_clinical.web.sessions import SET_BACK

WINDOW = timedelta(minutes=15)
MOST_OF_A_NAME = 5
MOST_OF_AN_ADDRESS = 20
MOST_KEPT = 10_000  #: names and addresses


class Limiter:
    """Sign-ins of the last quarter of an hour that did not succeed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tries: dict[tuple[str, str], deque[datetime]] = {}

    def takes(self, name: str, address: str, *, now: datetime) -> bool:
        """Whether one more try is taken; it counts as failed until `succeeded`, so that many at once are no way in."""
        keys = (("name", name), ("address", caller_of(address)))
        with self._lock:
            if self._count(keys[0], now) >= MOST_OF_A_NAME or self._count(keys[1], now) >= MOST_OF_AN_ADDRESS:
                return False
            for key in keys:
                self._keep(key, now)
            return True

    def is_first_refusal(self, address: str, *, now: datetime) -> bool:
        """Whether no other try of this address was refused for its number in the last quarter of an hour.

        Who hammers at the form must not fill the audit trail.
        """
        key = ("refused", caller_of(address))
        with self._lock:
            if self._count(key, now):
                return False
            self._keep(key, now)
            return True

    def _keep(self, key: tuple[str, str], now: datetime) -> None:
        while key not in self._tries and len(self._tries) >= MOST_KEPT:
            del self._tries[next(iter(self._tries))]
        self._tries.setdefault(key, deque()).append(now)

    def succeeded(self, name: str, address: str) -> None:
        """The last try was none of a stranger."""
        with self._lock:
            self._tries.pop(("name", name), None)
            if tries := self._tries.get(("address", caller_of(address))):
                tries.pop()

    def _count(self, key: tuple[str, str], now: datetime) -> int:
        times = self._tries.get(key)
        if times is None:
            return 0
        # Where the clock was set back, tries of its future would lock somebody out until it is there again.
        while times and not -SET_BACK <= now - times[0] < WINDOW:
            times.popleft()
        if not times:
            del self._tries[key]
        return len(times)
