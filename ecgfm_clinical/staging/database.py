"""The open database behind a store: its engines, its keys,
and the transactions that every step of the store is made of.

Safe to share between threads; several processes on several hosts may open the same database.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Self

from sqlalchemy import Engine, select

from ecgfm_clinical.errors import StoreNotReady, StoreTooNew, StoreUnavailable
from ecgfm_clinical.staging import audit, engine, hearing, migrations, seals
from ecgfm_clinical.staging.bell import Bell
from ecgfm_clinical.staging.records import Telling
from ecgfm_clinical.staging.rows import SecretRow, first_row, one_row
from ecgfm_clinical.staging.schema import store_meta
from ecgfm_clinical.staging.sealing import Keyring
from ecgfm_clinical.staging.store_file import StoreFile
from ecgfm_clinical.staging.transaction import SHARDS, Reading, Transaction
from ecgfm_clinical.staging.upsert import insert_for

PEPPER_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Use `Database.open`."""

    reader: Engine
    writer: Engine
    keyring: Keyring
    pepper: bytes = field(repr=False)
    random_bytes: Callable[[int], bytes] = field(repr=False)
    telling: Telling
    bell: Bell
    spooled: frozenset[str] = frozenset()  #: actions of the audit trail that are told to an audit repository
    file: StoreFile | None = None  #: of SQLite
    _writer_free: Lock = field(default_factory=Lock, repr=False, compare=False)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool,
        keyring: Keyring,
        random_bytes: Callable[[int], bytes],
        telling: Telling,
        spooled: frozenset[str] = frozenset(),
    ) -> Self:
        """Raises StoreNotReady (no or older schema), StoreTooNew, StoreUnavailable, SettingsError."""
        parsed = engine.parse_url(url)
        path = engine.sqlite_path(parsed)
        if path is not None and not create and not path.is_file():
            raise StoreNotReady(f"there is no store at {path}: run `ecgfm-clinical migrate`, or mend store.url")
        if path is not None and not path.parent.is_dir():
            raise StoreUnavailable(
                f"the folder {path.parent} for the store does not exist: create it or mend store.url"
            )
        reader = engine.connect(parsed)
        writer = engine.connect(parsed, writes=True) if path is not None else reader
        try:
            with engine.translated(), reader.connect() as connection:
                found = migrations.current(connection)
            if found is None and create:
                migrations.upgrade(url)
            else:
                _check_schema(found)
            pepper = _secret(reader, writer, keyring, "pepper", random_bytes(PEPPER_BYTES))
        except BaseException:
            reader.dispose()
            writer.dispose()
            raise
        return cls(
            reader=reader,
            writer=writer,
            keyring=keyring,
            pepper=pepper,
            random_bytes=random_bytes,
            telling=telling,
            bell=hearing.bell_for(writer),
            spooled=spooled,
            file=None if path is None else StoreFile.of(path),
        )

    def close(self) -> None:
        """Give the connections back."""
        self.reader.dispose()
        self.writer.dispose()

    def check_schema(self) -> None:
        """Whether the schema is still this program's. Raises StoreTooNew, StoreNotReady, StoreUnavailable."""
        with engine.translated(), self.reader.connect() as connection:
            _check_schema(migrations.current(connection))

    @property
    def writes_singly(self) -> bool:
        """SQLite has one writer at a time."""
        return self.writer.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """One question, or several about the same moment. Raises StoreUnavailable, StoreError."""
        with engine.translated(), self.reader.connect() as connection:
            yield Reading(connection=connection, keyring=self.keyring, pepper=self.pepper)

    @contextmanager
    def writing(self, now: datetime, actor: str) -> Iterator[Transaction]:
        """One transaction: all of it, with its audit lines and counts, or nothing.

        Raises StoreUnavailable, StoreError.
        """
        with (
            self._turn(),
            engine.translated(),
            self.writer.connect() as connection,
            connection.begin() as database_transaction,
        ):
            tx = Transaction(
                connection=connection,
                keyring=self.keyring,
                pepper=self.pepper,
                now=now,
                actor=actor,
                telling=self.telling,
            )
            yield tx
            tx.add_counts(shard=connection.info.setdefault("shard", self.random_bytes(1)[0] % SHARDS))
            with audit.appended(connection, tx.entries, self.random_bytes, spooled=self.spooled):
                database_transaction.commit()
        self.bell.ring(tx.left_to_do)

    def forget_old_pages(self) -> None:
        """What was deleted leaves SQLite's log too, as soon as nobody reads in it."""
        path = engine.sqlite_path(self.writer.url)
        if path is None:
            return
        with (
            self._turn(),
            suppress(sqlite3.Error),  # somebody reads in it: the next checkpoint overwrites it
            closing(sqlite3.connect(path, timeout=engine.BUSY_TIMEOUT_MS / 1000)) as connection,
        ):
            # A checkpoint that another thread has begun makes this one "busy" at once, whatever the timeout.
            deadline = time.monotonic() + engine.BUSY_TIMEOUT_MS / 1000
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] and time.monotonic() < deadline:
                time.sleep(0.01)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """For SQLite's one writer, threads of this process queue here, woken at once, instead of polling the file."""
        if not self.writes_singly:
            yield
            return
        if not self._writer_free.acquire(timeout=engine.BUSY_TIMEOUT_MS / 1000):
            raise StoreUnavailable("another write to the staging store does not end; nothing was accepted")
        try:
            if self.file is not None:
                self.file.require()
            yield
        finally:
            self._writer_free.release()


def _check_schema(found: str | None) -> None:
    if found is None:
        raise StoreNotReady("the store is empty: run `ecgfm-clinical migrate`")
    if found not in migrations.REVISIONS:
        raise StoreTooNew(migrations.too_new(found))
    if found != migrations.HEAD:
        raise StoreNotReady(
            f"the store is at schema {found}, this program needs {migrations.HEAD}: run `ecgfm-clinical migrate`"
        )


def _secret(reader: Engine, writer: Engine, keyring: Keyring, name: str, fresh: bytes) -> bytes:
    """What the store keeps under this name; `fresh` where it kept nothing yet."""
    query = select(store_meta).where(store_meta.c.name == name)
    with engine.translated():
        with reader.connect() as connection:
            row = first_row(connection, SecretRow, query)
        if row is None:
            row = _keep_secret(writer, keyring, name, fresh)
    return seals.STORE_META.open(keyring, row)


def _keep_secret(writer: Engine, keyring: Keyring, name: str, fresh: bytes) -> SecretRow:
    """The row that is there afterwards, ours or that of another process that was quicker."""
    sealed = seals.STORE_META.seal(keyring, fresh, name=name)
    with writer.begin() as connection:
        row = insert_for(connection.dialect, store_meta).values(name=name, **sealed)
        connection.execute(row.on_conflict_do_nothing())
        return one_row(connection, SecretRow, select(store_meta).where(store_meta.c.name == name))
