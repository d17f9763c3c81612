"""People and their numbers: demographics, merges, links, and what was told of them."""

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from ecgfm_clinical.staging.schema.columns import Id, Key, UtcDateTime, metadata

patient = Table(
    "patient",
    metadata,
    Column("patient_key", Key, primary_key=True),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("private", LargeBinary, nullable=False),  # latest demographics from ADT
    Column("key_id", Integer),
)

identity_alias = Table(
    "identity_alias",
    metadata,
    Column("retired_key", Key, primary_key=True),
    Column("surviving_key", Key, nullable=False),
    Column("towards_key", Key, nullable=False, server_default=""),  # further along the same way
    Column("since", UtcDateTime, nullable=False),
    Column("private", LargeBinary, nullable=False),  # the surviving identifier
    Column("key_id", Integer),
    Index(None, "surviving_key"),
)

identity_link = Table(
    "identity_link",
    metadata,
    Column("link_id", Id, primary_key=True),
    Column("first_key", Key, nullable=False),
    Column("second_key", Key, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("private", LargeBinary, nullable=False),  # both identifiers
    Column("key_id", Integer),
    UniqueConstraint("first_key", "second_key"),
    Index(None, "second_key"),
    sqlite_autoincrement=True,
)

identity_event = Table(
    "identity_event",
    metadata,
    Column("event_id", Id, primary_key=True),
    Column("payload_id", Id, ForeignKey("payload.payload_id")),  # none where a person did it here
    Column("at", UtcDateTime, nullable=False),
    Column("trigger", String(8), nullable=False),  # MSH-9.2
    Column("retired_key", Key, nullable=False),
    Column("surviving_key", Key, nullable=False),
    Column("private", LargeBinary, nullable=False),  # both identifiers
    Column("key_id", Integer),
    Index(None, "retired_key"),
    Index(None, "surviving_key"),
    sqlite_autoincrement=True,
)
