"""Connections to the staging database, and the one place where its errors become ours."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any  # Any: SQLAlchemy's driver connections and options

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ecgfm_clinical.errors import MissingExtra, SettingsError, StoreError, StoreUnavailable
from ecgfm_clinical.extras import sentence
from ecgfm_clinical.staging import server_faults

BUSY_TIMEOUT_MS = 15_000  # how long SQLite waits for another writer before it says "locked"
POSTGRESQL_LOCK_TIMEOUT_MS = 30_000
#: Of a new SQLite file. An ECG fills 60 such pages instead of 120 of SQLite's own size, and each page costs something.
PAGE_BYTES = 8192
#: When an SQLite commit returns: once it is on the disk. With NORMAL the log may lose the last ones where power fails.
SYNCHRONOUS = "FULL"
#: Bytes of SQLite's write-ahead log after which a commit empties it itself; the thread of `checkpointing` comes before.
LONGEST_LOG = 32 * 2**20


def parse_url(url: str) -> URL:
    """The URL as SQLAlchemy takes it: `sqlite:///path` or `postgresql[+psycopg]://…`. Raises SettingsError."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError(
            "the store's URL cannot be read; write sqlite:////path/to/store.db or postgresql://user@host/database"
        ) from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise SettingsError(f"the store cannot live in {parsed.drivername!r}; use sqlite or postgresql")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise SettingsError("the store needs a file: nothing that is acknowledged may live in memory alone")
    return parsed


def sqlite_path(url: URL) -> Path | None:
    """The database file, or None on PostgreSQL."""
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def make_file(path: Path) -> None:
    """An empty file that only this user may read, where there is none; what SQLite puts beside it has the same mode.

    Raises OSError.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def connect(url: URL, *, writes: bool = False) -> Engine:
    """An engine whose commits are durable when they return. Parameters never appear in its error texts.

    On SQLite one that `writes` begins every transaction as a writer, others see one moment of the store in each.
    """
    try:
        if url.get_backend_name() == "sqlite":
            engine = create_engine(
                url.set(drivername="sqlite+staging"),
                hide_parameters=True,
                connect_args={"timeout": BUSY_TIMEOUT_MS / 1000},
                writes=writes,
            )
            event.listen(engine, "connect", _prepare_sqlite)
            return engine
        return create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=16,
            max_overflow=16,
            connect_args={
                "connect_timeout": 5,
                "options": f"-c lock_timeout={POSTGRESQL_LOCK_TIMEOUT_MS} -c timezone=UTC",
            },
        )
    except (NoSuchModuleError, ImportError) as error:
        raise MissingExtra(sentence("postgresql", "a store on a PostgreSQL server")) from error


class StagingSqlite(SQLiteDialect_pysqlite):
    """SQLAlchemy's SQLite, but that transactions begin when they are said to.

    The driver would begin one only before the first INSERT or UPDATE. A listener for SQLAlchemy's `begin` event could
    mend that too, but an engine with one looks for listeners around every statement, and that costs a third of a short
    one.
    """

    supports_statement_cache = True

    # Not by name only: `create_engine` would not hand it on.
    def __init__(self, writes: bool = False, **others: Any) -> None:
        super().__init__(**others)
        self._writes = writes

    def do_begin(self, dbapi_connection: Any) -> None:
        raw: sqlite3.Connection = dbapi_connection.driver_connection
        if self._writes:
            _begin_writing(raw)
        else:
            raw.execute("BEGIN")


registry.register("sqlite.staging", __name__, StagingSqlite.__name__)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # without effect on a file that exists
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {LONGEST_LOG // PAGE_BYTES}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA cache_size = -65536")  # 64 MB: the digest indexes of a million ECGs stay in memory
    cursor.close()


def _begin_writing(raw: sqlite3.Connection) -> None:
    """BEGIN IMMEDIATE, asking every millisecond while another process writes.

    A transaction that reads first and writes later would fail at once with "database is locked" when another writer
    came between; IMMEDIATE queues it at the door instead. SQLite's own waiting doubles its naps up to 100 ms: who has
    to wait once falls behind the others, and three processes that write in turn spend most of their time asleep.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        while time.monotonic() < deadline:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                time.sleep(0.001)
            else:
                return
        raw.execute("BEGIN IMMEDIATE")  # the last attempt, whose error is told
    finally:
        raw.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")


def back_up(connection: Connection, path: Path) -> None:
    """A consistent copy of an SQLite database, by its own online backup. Raises StoreError."""
    if connection.dialect.name != "sqlite":
        raise StoreError("this command copies SQLite stores; back up PostgreSQL with `pg_dump --format=custom`")
    if path.exists():
        raise StoreError(f"{path} exists already: name a new file for the backup")
    try:
        make_file(path)
        copy = sqlite3.connect(path)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the backup could not be written to {path}: {error}") from error
    try:
        connection.connection.driver_connection.backup(copy)  # type: ignore[union-attr]  # a sqlite3.Connection
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a -wal beside it
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the backup could not be written to {path}: {error}") from error
    finally:
        copy.close()


_READ_ONLY = "25006"  # SQLSTATE read_only_sql_transaction


@contextmanager
def translated() -> Iterator[None]:
    """Turns SQLAlchemy's errors into ours; nothing of the statement's data gets into the text."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise StoreUnavailable(f"the staging store does not answer: {_cause(error)}; nothing was accepted") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailable("the connection to the staging store broke; nothing was accepted") from error
        if getattr(error.orig, "sqlstate", None) == _READ_ONLY:
            raise StoreUnavailable(
                "the server of the staging store is read-only, as a standby is; name the primary in store.url; nothing "
                "was accepted"
            ) from error
        if type(error) is DatabaseError:
            raise StoreError(
                f"the staging store is damaged or not one of ours ({_cause(error)}); restore it from a backup"
            ) from error
        # Not `from error`: PostgreSQL's text on a refused row quotes the row, patient and all.
        raise StoreError(f"the staging store refused a statement ({_cause(error)})") from None
    except SQLAlchemyError as error:
        raise StoreError(f"the staging store failed ({type(error).__name__})") from error


def _cause(error: SQLAlchemyError) -> str:
    """The driver's reason where it is known to name no data: SQLite's fixed sentences, PostgreSQL's in our words."""
    original = getattr(error, "orig", None)
    if type(original).__module__ == "sqlite3":
        return str(original)
    known = server_faults.cause(str(original)) if isinstance(error, OperationalError) else None
    return known or type(original if original is not None else error).__name__
