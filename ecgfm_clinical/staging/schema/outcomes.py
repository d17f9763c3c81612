"""Measured outcomes, what did not become one, and whose ECGs are kept out of learning."""

from sqlalchemy import (
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ecgfm_clinical.staging.schema.columns import Id, Key, UtcDateTime, metadata

outcome = Table(
    "outcome",
    metadata,
    Column("outcome_id", Id, primary_key=True),
    Column("payload_id", Id, ForeignKey("payload.payload_id"), nullable=False),
    Column("source_key", Key, nullable=False),
    Column("version", Integer, nullable=False),  # a correction or withdrawal is the next version of the same result
    Column("patient_key", Key, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("value", Double, nullable=False),
    Column("upper_value", Double),
    Column("comparator", String(2), nullable=False),
    Column("unit", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("assay", Text, nullable=False),
    Column("upper_reference_limit", Double),
    Column("observed_at", UtcDateTime, nullable=False),
    Column("observed_precision", String(8), nullable=False, server_default="second"),  # second, minute, day
    Column("rule", String(32), nullable=False, server_default=""),  # by which the reader took it
    Column("received_at", UtcDateTime, nullable=False),
    Column("private", LargeBinary, nullable=False),  # source_id, patient, free text, where it was read
    Column("key_id", Integer),
    UniqueConstraint("source_key", "version"),
    Index(None, "payload_id"),
    Index(None, "kind", "patient_key", "observed_at"),
    sqlite_autoincrement=True,
)

left_out = Table(  # what may have been an outcome and did not become one
    "left_out",
    metadata,
    Column("left_out_id", Id, primary_key=True),
    Column("payload_id", Id, ForeignKey("payload.payload_id"), nullable=False),
    Column("place", Integer, nullable=False),  # counted within the payload
    Column("patient_key", Key, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("code", Text, nullable=False),
    Column("observed_at", UtcDateTime),
    Column("received_at", UtcDateTime, nullable=False),
    Column("private", LargeBinary, nullable=False),  # patient, free text, where it was read
    Column("key_id", Integer),
    UniqueConstraint("payload_id", "place"),
    Index(None, "received_at"),
    sqlite_autoincrement=True,
)

objection = Table(
    "objection",
    metadata,
    Column("patient_key", Key, primary_key=True),  # whose ECGs are kept out of learning
    Column("since", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
)
