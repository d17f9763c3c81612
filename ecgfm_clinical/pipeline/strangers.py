"""Messages of senders that a listener's list does not name: kept with their reason, unread, and within bounds.

Nothing of them is decoded or staged. A person sees them in `payloads list`; once the list names the sender,
`replay --refused` reads them. A hostile caller cannot fill the disk: what goes beyond the bounds is refused all the
same, counted and said in the log, and not kept.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from ecgfm_clinical import log
from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received, Verdict
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.hl7.senders import UNKNOWN_SENDER

#: Messages of one address that a process keeps a day.
MOST_OF_ONE_ADDRESS = 100
#: Bytes of such messages that a store holds, of all addresses together.
MOST_BYTES = 256 * 2**20
_DAY = timedelta(days=1).total_seconds()
_ROW = 2**10  # bytes of a store's bookkeeping for one payload, at least
_MOST_ADDRESSES = 10_000  # remembered; beyond it nothing more is kept that day


class Strangers:
    """The Handler of such messages, of every listener."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime],
        meters: Meters,
        monotonic: Callable[[], float] = time.monotonic,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._store = store
        self._clock = clock
        self._meters = meters
        self._monotonic = monotonic
        self._most_bytes = most_bytes
        self._lock = Lock()
        self._since = monotonic()
        self._of_address: Counter[str] = Counter()

    def __call__(self, received: Received) -> Verdict:
        """Refuse one message, and keep it where the bounds allow it."""
        verdict, size = UNKNOWN_SENDER, len(received.content)
        try:
            kept = self._may_send(received.peer) and self._keep(received)
        except StoreUnavailable:
            kept = False
        self._meters.received(received.source, verdict.disposition.value, verdict.code, size=size)
        level = logging.INFO if kept else logging.WARNING
        name = "payload.refused" if kept else "payload.not-kept"
        log.event(name, level, source=received.source, transport=received.transport, bytes=size, code=verdict.code)
        return verdict

    def _may_send(self, host: str) -> bool:
        with self._lock:
            if self._monotonic() - self._since >= _DAY:
                self._of_address.clear()
                self._since = self._monotonic()
            if host not in self._of_address and len(self._of_address) >= _MOST_ADDRESSES:
                return False
            self._of_address[host] += 1
            return self._of_address[host] <= MOST_OF_ONE_ADDRESS

    def _keep(self, received: Received) -> bool:
        size, held = len(received.content), self._store.payloads.held_for(UNKNOWN_SENDER.code)
        if held.bytes + size + (held.count + 1) * _ROW > self._most_bytes:
            return False
        reason = Refused(UNKNOWN_SENDER.code, UNKNOWN_SENDER.text)
        self._store.intake.record(received, reason, now=self._clock(), actor=received.source)
        return True
