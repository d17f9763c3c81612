"""One write to the store: its connection, its moment, its actor, and the trail and tally that must commit with it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from ecgfm_clinical.staging.audit import Detail, Entry
from ecgfm_clinical.staging.bell import Work
from ecgfm_clinical.staging.records import Telling
from ecgfm_clinical.staging.schema import tally
from ecgfm_clinical.staging.sealing import Keyring, keyed_digest
from ecgfm_clinical.staging.upsert import for_both

ALL_TIME = "*"
SHARDS = 16
IDENTITY_LOCK = 0x45434746  # PostgreSQL advisory lock: merges exclude whoever writes messages
MODELS_LOCK = 0x45434748  # PostgreSQL advisory lock: one act on the models at a time


class TallyKey(NamedTuple):
    """One counted thing."""

    day: str
    source: str
    head: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a question to the store needs. Made by `Database.reading`: one consistent snapshot on SQLite."""

    connection: Connection
    keyring: Keyring
    pepper: bytes = field(repr=False)

    def key(self, *parts: str) -> str:
        """The keyed digest under which `parts` are looked up."""
        return keyed_digest(self.pepper, *parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction(Reading):
    """What a step that writes needs. Made by `Database.writing`, which commits it."""

    now: datetime
    actor: str
    telling: Telling  #: to whom results go, as which bytes, under which number
    entries: list[Entry] = field(default_factory=list)
    counts: Counter[TallyKey] = field(default_factory=Counter)
    left_to_do: set[Work] = field(default_factory=set)  #: who is woken after the commit

    def note(self, action: str, *, ecg_id: int | None = None, **detail: Detail) -> None:
        """Add a line to the audit trail."""
        self.entries.append(Entry(at=self.now, actor=self.actor, action=action, ecg_id=ecg_id, detail=detail))

    def count(self, by: int, *, received_at: datetime, source: str, state: str, head: str = "") -> None:
        """Add to the tally of the day of receipt and of all time."""
        for day in (received_at.astimezone(UTC).date().isoformat(), ALL_TIME):
            self.counts[TallyKey(day, source, head, state)] += by

    def lock_identities(self, *, exclusive: bool) -> None:
        """Until commit: a merge runs alone, everything that writes messages runs beside each other but not beside a
        merge.

        SQLite has one writer at a time anyway.
        """
        if self.connection.dialect.name == "postgresql":
            function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
            self.connection.execute(text(f"SELECT {function}({IDENTITY_LOCK})"))

    def lock_models(self) -> None:
        """Until commit: no other process registers a model, or makes one live, between our look and our act."""
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(text(f"SELECT pg_advisory_xact_lock({MODELS_LOCK})"))

    def add_counts(self, *, shard: int) -> None:
        """Write the tally; the last thing before the audit lines and the commit."""
        # Sorted, so that two transactions which touch the same rows take their locks in the same order.
        rows = [key._asdict() | {"count": by, "shard": shard} for key, by in sorted(self.counts.items()) if by]
        if rows:
            self.connection.execute(_ADD[self.connection.dialect.name], rows)


_ADD = for_both(
    lambda new: new.on_conflict_do_update(
        index_elements=["day", "source", "head", "state", "shard"],
        set_={"count": tally.c.count + new.excluded.count},
    ),
    tally,
)
