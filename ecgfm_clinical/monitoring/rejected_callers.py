"""Who was turned away at our ports: counted each time, and said in the log as often as a person can read it.

What is said may be put into the audit trail, too. The listeners' threads do not wait for the store: it is taken there
by a task (`drain`).
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from threading import Lock

from ecgfm_clinical import log
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_connectors.rejections import Rejection

#: Seconds between two lines on the same caller, port and reason.
SAID_AGAIN_AFTER = 60.0
#: Lines in such a time on all callers together; what goes beyond is counted only.
MOST_LINES = 60
_MOST_WAITING = 10 * MOST_LINES  # where the store does not answer for long


class RejectedCallers:
    """Hears of each from the listeners' threads. A caller that hammers at a port fills neither the log nor memory."""

    def __init__(self, meters: Meters, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._meters = meters
        self._monotonic = monotonic
        self._lock = Lock()
        self._since = monotonic()
        self._times: Counter[Rejection] = Counter()  # in the time that began at `_since`; MOST_LINES keys at most
        self._waiting: deque[Rejection] = deque(maxlen=_MOST_WAITING)

    def __call__(self, rejection: Rejection) -> None:
        self._meters.rejected(rejection.listener, rejection.reason)
        for one, times in self._due(rejection):
            self._waiting.append(one)
            log.event(
                "caller.rejected",
                logging.WARNING,
                listener=one.listener,
                reason=one.reason,
                peer=peer_of(one),
                times=times,
            )

    def drain(self) -> Iterator[Rejection]:
        """What was said since it was last asked for; each is taken off once the next is asked for."""
        while self._waiting:
            yield self._waiting[0]
            self._waiting.popleft()

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


def peer_of(rejection: Rejection) -> str:
    """`TITLE@ADDRESS`, or the address."""
    return f"{rejection.ae_title}@{rejection.host}" if rejection.ae_title else rejection.host
