"""Exporting the signed heads of the audit trail, on a schedule: to a file, and a word of each line to syslog."""

import logging
from collections.abc import Callable
from datetime import datetime
from logging.handlers import SYSLOG_UDP_PORT, SysLogHandler

from ecgfm_clinical import log
from ecgfm_clinical.staging.signed_heads import HeadsFile, SignedHeads
from ecgfm_clinical.staging.store import Store


class HeadsExport:
    """One export a run."""

    def __init__(
        self, store: Store, file: HeadsFile, *, clock: Callable[[], datetime], send: Callable[[str], None] | None = None
    ) -> None:
        """`send` takes one line for syslog."""
        self._store = store
        self._file = file
        self._clock = clock
        self._send = send

    def run(self) -> None:
        """Add what is new. Raises StoreUnavailable; OSError where the file or syslog cannot be written."""
        written = self._file.add(self._store.care.audit_heads(), at=self._clock())
        for line in written if self._send is not None else ():
            assert self._send is not None
            self._send(_word(line))
        if written:
            log.event("audit.heads-exported", lines=len(written), strands=sum(len(line.heads) for line in written))


def _word(line: SignedHeads) -> str:
    """The signature fixes the line, and by it all lines before."""
    return f"ecgfm-clinical audit head {line.at.isoformat()} key={line.key} signature={line.signature}"


def syslog(address: str) -> Callable[[str], None]:
    """Sends to a syslog server, `host:port` by UDP (RFC 5426), or to a socket of this machine such as /dev/log."""
    host, _, port = address.partition(":")
    target: str | tuple[str, int] = address if address.startswith("/") else (host, int(port or SYSLOG_UDP_PORT))

    def send(text: str) -> None:
        handler = _Raising(target, facility=SysLogHandler.LOG_AUTH)
        try:
            handler.emit(logging.LogRecord("ecgfm", logging.INFO, "", 0, text, None, None))
        finally:
            handler.close()

    return send


class _Raising(SysLogHandler):
    """A failure to send is the task's failure, not a line on standard error."""

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # noqa: PLE0704  called inside the handler's except block
