"""Retention by a running service: announced first, and only by time that has passed for certain.

What `[retention]` would remove is said and put into the audit trail when a store first meets these ages; it goes a day
later at the earliest, so that a mistake in the settings or a clock far ahead can be seen and mended before.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from ecgfm_clinical import log
from ecgfm_clinical.staging.store import Store

#: Between the announcement and the first removal.
PAUSE = timedelta(hours=24)
#: How often old bytes are looked for.
EVERY = timedelta(hours=1)


class Retention:
    """One run of it by one process of the installation."""

    def __init__(
        self,
        store: Store,
        ages: Mapping[str, timedelta],
        *,
        clock: Callable[[], datetime],
        holder: str,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`beat` is called after each page of what is removed."""
        self._store = store
        self._ages = ages
        self._clock = clock
        self._holder = holder
        self._beat = beat

    def run(self) -> None:
        """Announce, wait or remove. Raises StoreUnavailable: the next run is soon enough."""
        now = self._clock()
        if not self._store.coordination.acquire("retention", self._holder, now=now, duration=2 * EVERY):
            return
        self._store.elapsed.look(now)
        since = self._store.elapsed.since(self._wording(), now=now)
        if since is None:
            due = self._store.care.announce(self._wording(), now=now, actor=self._holder, ages=self._ages)
            log.event("retention.planned", hours=PAUSE.total_seconds() / 3600, **due.counts())
        elif since >= PAUSE:
            gone = self._store.care.expire(now=now, actor=self._holder, ages=self._ages, beat=self._beat)
            log.event("retention.done", **gone.counts())

    def _wording(self) -> str:
        """Other ages are announced anew."""
        return "retention:" + ",".join(f"{what}={age.days}" for what, age in sorted(self._ages.items()))
