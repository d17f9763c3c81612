"""Takes what waits in the spool to the audit repository, oldest first, until it was read there."""

from collections.abc import Callable
from datetime import datetime, timedelta

from ecgfm_clinical import log
from ecgfm_clinical.auditing.composing import House, compose
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.audit import message as dicom
from ecgfm_connectors.audit.message import AuditMessage
from ecgfm_connectors.audit.syslog import Line, Severity, SyslogTls

#: Messages of one connection.
BATCH = 100
#: For so long one process sends; another takes over after it.
TERM = timedelta(minutes=2)
_SEVERITIES: dict[str, Severity] = {"0": 5, "4": 4, "8": 3, "12": 3}  # by EventOutcomeIndicator


class AuditMessages:
    """The audit messages of one installation; one process at a time sends them."""

    def __init__(
        self, store: Store, repository: SyslogTls, house: House, *, clock: Callable[[], datetime], holder: str
    ) -> None:
        self._store = store
        self._repository = repository
        self._house = house
        self._clock = clock
        self._holder = holder

    def run(self) -> int:
        """One batch; how many entries it was. Raises Unreachable, Misconfigured, StoreUnavailable: all are kept."""
        now = self._clock()
        if not self._store.coordination.acquire("audit messages", self._holder, now=now, duration=TERM):
            return 0
        waiting = self._store.audit_spool.first(limit=BATCH)
        lines = [self._line(message) for one in waiting if (message := compose(one, self._house)) is not None]
        if lines:
            self._repository.send(lines)
            log.event("audit.messages-sent", count=len(lines))
        if waiting:
            self._store.audit_spool.told([one.spool_id for one in waiting], now=self._clock(), actor=self._holder)
        return len(waiting)

    def _line(self, message: AuditMessage) -> Line:
        return Line(
            at=message.at,
            severity=_SEVERITIES[message.outcome],
            process=self._holder.rpartition(":")[0] or self._holder,
            text=dicom.write(message),
        )
