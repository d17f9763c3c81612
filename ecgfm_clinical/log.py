"""One JSON line an event: a fixed event name, ids and durations; never a patient's name or number.

Fields are numbers, booleans and short strings that we chose ourselves (codes, names of configured parts, digests), so
no text that came from outside can reach a log line.
"""

import json
import logging
import sys
import threading
import warnings
from datetime import UTC, datetime
from typing import TextIO

_LOGGER = logging.getLogger("ecgfm_clinical")

# Libraries whose own messages may quote the data they choke on.
_QUIET = (
    "pydicom",
    "pynetdicom",
    "hl7apy",
    "hl7",
    "wfdb",
    "sqlalchemy",
    "alembic",
    "asyncio",
    "httpx",
    "httpcore",
    "uvicorn",
)

Field = str | int | float | bool | None


def event(name: str, level: int = logging.INFO, **fields: Field) -> None:
    """Write one event, such as `ecg.staged` with `ecg_id` and `source`."""
    _LOGGER.log(level, name, extra={"fields": fields})


def warning(name: str, **fields: Field) -> None:
    """Write an event that somebody may have to look at: something failed, though it is tried again."""
    event(name, logging.WARNING, **fields)


def thread_died(ended: threading.ExceptHookArgs) -> None:
    """A `threading.excepthook`: what ended a thread is an event. Python's own would print the error's text, which may
    quote a message.
    """
    name = ended.thread.name if ended.thread else ""
    event("thread.died", logging.ERROR, thread=name, error=ended.exc_type.__name__)


class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Field] = getattr(record, "fields", {})
        return json.dumps({"at": at, "level": record.levelname.lower(), "event": record.getMessage(), **fields})


def setup(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send our events to `stream` (standard error by default) and silence libraries that may quote patient data."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonLine())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False
    for name in _QUIET:
        library = logging.getLogger(name)
        library.handlers[:] = [logging.NullHandler()]
        library.propagate = False
    for module in ("pydicom", "hl7apy", "wfdb"):
        warnings.filterwarnings("ignore", module=rf"{module}\b.*")
