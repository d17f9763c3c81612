"""Processes hear of each other's commits: LISTEN and NOTIFY on PostgreSQL, the file's own counter on SQLite.

SQLite tells nobody, but each commit moves a counter in the file, at which an ear looks every few milliseconds.
"""

import sqlite3
from collections.abc import Callable, Collection
from datetime import datetime
from threading import Event, Lock
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import SQLAlchemyError

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.staging import engine
from ecgfm_clinical.staging.attempts import HORIZON, WAITING, is_due, is_job_due
from ecgfm_clinical.staging.bell import WORK, Bell, Work
from ecgfm_clinical.staging.schema import message, saliency, score_job

if TYPE_CHECKING:
    from psycopg import Connection as RawConnection

CHANNEL = "ecgfm_work"  #: of PostgreSQL's NOTIFY; the payload names the work
#: Seconds between two looks at SQLite's counter; a look costs some 10 µs.
LOOK_EVERY = 0.02
#: How long one call of an ear listens, s: what a stop may have to wait for.
ONE_LISTEN = 0.1

_DUE = {
    "score": select(score_job.c.job_id).where(score_job.c.state == WAITING, is_job_due(score_job)).limit(1),
    "report": select(message.c.message_id).where(message.c.state == WAITING, is_due(message)).limit(1),
    "saliency": select(saliency.c.saliency_id).where(saliency.c.state == WAITING, is_due(saliency)).limit(1),
}


class Ear(Protocol):
    """Hears what other processes commit."""

    def listen(self) -> int:
        """Listen for `ONE_LISTEN` seconds and ring this process's bell; always 1. Raises StoreUnavailable."""

    def close(self) -> None:
        """Give the connection back."""


def bell_for(writer: Engine) -> Bell:
    """The bell of one open store. On SQLite the file itself tells the others."""
    return Bell(_Notifier(writer)) if writer.dialect.name == "postgresql" else Bell()


def ear_for(reader: Engine, bell: Bell, *, clock: Callable[[], datetime], stop: Event) -> Ear:
    """What hears other processes for `bell`, until `stop`."""
    if reader.dialect.name == "postgresql":
        return PostgresqlEar(reader, bell, stop=stop)
    return SqliteEar(reader, bell, clock=clock, stop=stop)


class _Notifier:
    """NOTIFY after the commit, in a transaction of its own: in the same one, all commits would queue for its lock.

    Threads that commit while one is being sent share the next.
    """

    def __init__(self, writer: Engine) -> None:
        self._writer = writer
        self._sending = Lock()
        self._pending: set[Work] = set()

    def __call__(self, work: Collection[Work]) -> None:
        self._pending.update(work)
        while self._pending and self._sending.acquire(blocking=False):
            try:
                self._send()
            finally:
                self._sending.release()

    def _send(self) -> None:
        while self._pending:
            told = [one for one in WORK if one in self._pending]
            self._pending.difference_update(told)
            try:
                with self._writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(
                        text("SELECT pg_notify(:channel, :told)"), {"channel": CHANNEL, "told": ",".join(told)}
                    )
            except SQLAlchemyError:
                return  # the work is committed; whoever waits for it finds it at the next look of its own


class PostgresqlEar:
    """LISTEN on a connection of its own."""

    def __init__(self, reader: Engine, bell: Bell, *, stop: Event) -> None:
        self._reader = reader
        self._bell = bell
        self._stop = stop
        self._connection: RawConnection[object] | None = None

    def listen(self) -> int:
        with engine.translated():
            if self._connection is None:
                self._connection = self._open()
                self._bell.heard(WORK)  # what came before this connection heard anything
            try:
                for notice in self._connection.notifies(timeout=ONE_LISTEN, stop_after=1):
                    self._bell.heard([one for one in WORK if one in notice.payload.split(",")])
            except Exception as error:  # psycopg, an optional library, raises its own
                self.close()
                raise StoreUnavailable(
                    f"the staging store can no longer be listened to ({type(error).__name__})"
                ) from error
        return 1

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _open(self) -> "RawConnection[object]":
        connection = self._reader.connect()
        raw: RawConnection[object] | None = connection.connection.driver_connection
        assert raw is not None
        connection.detach()  # not the pool's any more: it listens until it breaks
        raw.autocommit = True
        raw.execute(f"LISTEN {CHANNEL}")
        return raw


class SqliteEar:
    """Looks at `PRAGMA data_version` on a connection of its own: it changes when any other connection commits."""

    def __init__(self, reader: Engine, bell: Bell, *, clock: Callable[[], datetime], stop: Event) -> None:
        self._reader = reader
        self._bell = bell
        self._clock = clock
        self._stop = stop
        self._connection: Connection | None = None
        self._seen: int | None = None

    def listen(self) -> int:
        with engine.translated():
            if self._connection is None:
                self._connection = self._reader.connect()
            for _ in range(round(ONE_LISTEN / LOOK_EVERY)):
                if self._moved(self._connection):
                    self._bell.heard(self._due(self._connection))
                if self._stop.wait(LOOK_EVERY):
                    break
        return 1

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _moved(self, connection: Connection) -> bool:
        raw: sqlite3.Connection | None = connection.connection.driver_connection
        assert raw is not None
        (version,) = raw.execute("PRAGMA data_version").fetchone()
        moved: bool = version != self._seen
        self._seen = version
        return moved

    def _due(self, connection: Connection) -> list[Work]:
        now = self._clock()
        with connection.begin():
            return [
                work
                for work in WORK
                if connection.scalar(_DUE[work], {"now": now, "horizon": now + HORIZON}) is not None
            ]
