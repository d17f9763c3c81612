"""Who has opened which ECG a moment ago: the drawing on a page is part of the opening that the page has noted."""

from collections.abc import Hashable
from datetime import datetime, timedelta
from threading import Lock

#: How long after a page its drawing may be fetched as part of the same opening.
LASTS = timedelta(minutes=15)


class Openings:
    """What the pages of one console have noted; safe to use from any thread."""

    def __init__(self, lasts: timedelta = LASTS) -> None:
        self._lasts = lasts
        self._lock = Lock()
        self._noted: dict[tuple[Hashable, int], datetime] = {}

    def note(self, who: Hashable, ecg_id: int, *, now: datetime) -> None:
        """A page that holds this ECG's drawing went into the audit trail."""
        with self._lock:
            self._noted = {key: at for key, at in self._noted.items() if self._is_recent(at, now)}
            self._noted[who, ecg_id] = now

    def is_noted(self, who: Hashable, ecg_id: int, *, now: datetime) -> bool:
        with self._lock:
            at = self._noted.get((who, ecg_id))
        return at is not None and self._is_recent(at, now)

    def _is_recent(self, at: datetime, now: datetime) -> bool:
        return timedelta(0) <= now - at <= self._lasts
