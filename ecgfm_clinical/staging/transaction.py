"""One write to the store: its connection, its moment, its actor, and the trail and tally that must commit with it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text

from ecgfm_clinical.staging import audit
from ecgfm_clinical.staging.audit import Detail, Entry
from ecgfm_clinical.staging.engine import translated
from ecgfm_clinical.staging.records import Compose
from ecgfm_clinical.staging.schema import tally
from ecgfm_clinical.staging.sealing import Keyring, keyed_digest
from ecgfm_clinical.staging.upsert import for_both

ALL_TIME = "*"
SHARDS = 16
IDENTITY_LOCK = 0x45434746  # PostgreSQL advisory lock: merges exclude whoever writes messages


class TallyKey(NamedTuple):
    """One counted thing."""

    day: str
    source: str
    head: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a question to the store needs. Made by `reading`: one consistent snapshot on SQLite."""

    connection: Connection
    keyring: Keyring
    pepper: bytes = field(repr=False)

    def key(self, *parts: str) -> str:
        """The keyed digest under which `parts` are looked up."""
        return keyed_digest(self.pepper, *parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction(Reading):
    """What a step that writes needs. Made by `writing`, which commits it."""

    now: datetime
    actor: str
    compose: Compose | None  #: how results become bytes; None where the store was opened by one who never tells any
    entries: list[Entry] = field(default_factory=list)
    counts: Counter[TallyKey] = field(default_factory=Counter)

    def note(self, action: str, *, ecg_id: int | None = None, **detail: Detail) -> None:
        """Add a line to the audit trail."""
        self.entries.append(Entry(at=self.now, actor=self.actor, action=action, ecg_id=ecg_id, detail=detail))

    def count(self, by: int, *, received_at: datetime, source: str, state: str, head: str = "") -> None:
        """Add to the tally of the day of receipt and of all time."""
        for day in (received_at.astimezone(UTC).date().isoformat(), ALL_TIME):
            self.counts[TallyKey(day, source, head, state)] += by

    def lock_identities(self, *, exclusive: bool) -> None:
        """Until commit: a merge runs alone, everything that writes messages runs beside each other but not beside a merge.

        SQLite has one writer at a time anyway.
        """
        if self.connection.dialect.name == "postgresql":
            function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
            self.connection.execute(text(f"SELECT {function}({IDENTITY_LOCK})"))


@contextmanager
def reading(engine: Engine, keyring: Keyring, pepper: bytes) -> Iterator[Reading]:
    """One question, or several about the same moment. Raises StoreUnavailable, StoreError."""
    with translated(), engine.connect() as connection:
        yield Reading(connection=connection, keyring=keyring, pepper=pepper)


@contextmanager
def writing(
    writer: Engine,
    keyring: Keyring,
    pepper: bytes,
    *,
    now: datetime,
    actor: str,
    random_bytes: Callable[[int], bytes],
    compose: Compose | None,
    turn: AbstractContextManager[object],
) -> Iterator[Transaction]:
    """One transaction: all of it, with its audit lines and counts, or nothing. Raises StoreUnavailable, StoreError.

    `turn` is held throughout: threads of one process queue there for a database that has one writer.
    """
    with turn, translated(), writer.connect() as connection, connection.begin() as database_transaction:
        tx = Transaction(connection=connection, keyring=keyring, pepper=pepper, now=now, actor=actor, compose=compose)
        yield tx
        _add_counts(tx, shard=connection.info.setdefault("shard", random_bytes(1)[0] % SHARDS))
        with audit.appended(connection, tx.entries, random_bytes):
            database_transaction.commit()


def _add_counts(tx: Transaction, *, shard: int) -> None:
    # Sorted, so that two transactions which touch the same rows take their locks in the same order.
    rows = [key._asdict() | {"count": by} for key, by in sorted(tx.counts.items()) if by]
    if not rows:
        return
    tx.connection.execute(_ADD[tx.connection.dialect.name], [row | {"shard": shard} for row in rows])


_ADD = for_both(
    lambda new: new.on_conflict_do_update(
        index_elements=["day", "source", "head", "state", "shard"],
        set_={"count": tally.c.count + new.excluded.count},
    ),
    tally,
)
