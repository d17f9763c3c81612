"""Who was turned away at our ports: counted each time, and said in the log as often as a person can read it."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from threading import Lock

from ecgfm_clinical import log
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_connectors.rejections import Rejection

#: Seconds between two lines on the same caller, port and reason.
SAID_AGAIN_AFTER = 60.0
#: Lines in such a time on all callers together; what goes beyond is counted only.
MOST_LINES = 60


class RejectedCallers:
    """Hears of each from the listeners' threads. A caller that hammers at a port fills neither the log nor memory."""

    def __init__(self, meters: Meters, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._meters = meters
        self._monotonic = monotonic
        self._lock = Lock()
        self._since = monotonic()
        self._times: Counter[Rejection] = Counter()  # in the time that began at `_since`; MOST_LINES keys at most

    def __call__(self, rejection: Rejection) -> None:
        self._meters.rejected(rejection.listener, rejection.reason)
        for one, times in self._due(rejection):
            log.event(
                "caller.rejected",
                logging.WARNING,
                listener=one.listener,
                reason=one.reason,
                peer=f"{one.ae_title}@{one.host}" if one.ae_title else one.host,
                times=times,
            )

    def _due(self, rejection: Rejection) -> list[tuple[Rejection, int]]:
        """What is to be said now: this one where it is new, and how often the others came, once their time is over."""
        with self._lock:
            said = []
            if self._monotonic() - self._since >= SAID_AGAIN_AFTER:
                said = [(one, more) for one, times in self._times.items() if (more := times - 1)]
                self._times.clear()
                self._since = self._monotonic()
            if rejection in self._times or len(self._times) < MOST_LINES:
                self._times[rejection] += 1
                if self._times[rejection] == 1:
                    said.append((rejection, 1))
        return said
