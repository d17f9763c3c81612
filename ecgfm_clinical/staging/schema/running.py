"""The store's own bookkeeping: audit trail, totals, processes and their leases, clocks, keys."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ecgfm_clinical.staging.schema.columns import Digest, Id, UtcDateTime, metadata

audit = Table(
    "audit",
    metadata,
    Column("audit_id", Id, primary_key=True),
    Column("strand", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("ecg_id", Id),
    Column("detail", JSON, nullable=False),
    Column("previous", Digest, nullable=False),
    Column("hash", Digest, nullable=False),
    UniqueConstraint("strand", "number"),
    Index(None, "ecg_id"),
    sqlite_autoincrement=True,
)

audit_spool = Table(
    "audit_spool",
    metadata,
    Column("spool_id", Id, primary_key=True),
    Column("strand", String(32), nullable=False),  # of the entry that is to be told
    Column("number", Integer, nullable=False),
    sqlite_autoincrement=True,
)

tally = Table(
    "tally",
    metadata,
    Column("day", String(10), primary_key=True),  # UTC day of receipt, or '*' for all time
    Column("source", Text, primary_key=True),
    Column("head", String(64), primary_key=True),  # '' counts ECGs; a head's name counts its answers
    Column("state", String(16), primary_key=True),
    Column("shard", Integer, primary_key=True),  # concurrent writers add to different rows
    Column("count", BigInteger, nullable=False),
)

pull_cursor = Table(
    "pull_cursor",
    metadata,
    Column("source", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

role_lease = Table(
    "role_lease",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", UtcDateTime, nullable=False),
)

process = Table(
    "process",
    metadata,
    Column("holder", String(255), primary_key=True),  # host:namespace:pid.began:service
    Column("roles", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("ailing", JSON, nullable=False),  # tasks that fail or hang: name, failures in a row, class of the error
)

clock_seen = Table(
    "clock_seen",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

clock_gap = Table(
    "clock_gap",
    metadata,
    Column("gap_id", Id, primary_key=True),
    Column("since", UtcDateTime, nullable=False),  # clock time that no process saw pass: from here
    Column("until", UtcDateTime, nullable=False),  # to here
    sqlite_autoincrement=True,
)

store_size = Table(
    "store_size",
    metadata,
    Column("hour", UtcDateTime, primary_key=True),
    Column("size", BigInteger, nullable=False),  # bytes
)

store_meta = Table(
    "store_meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("key_id", Integer),
    Column("value", LargeBinary, nullable=False),
)
