"""What came in: bytes as received, and what became of them."""

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from ecgfm_clinical.staging.schema.columns import Digest, Id, Key, UtcDateTime, metadata, where

payload = Table(
    "payload",
    metadata,
    Column("payload_id", Id, primary_key=True),
    Column("sha256", Digest, nullable=False, unique=True),
    Column("size", Integer, nullable=False),
    Column("transport", String(16), nullable=False),
    Column("source", Text, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("disposition", String(16), nullable=False),  # staged | refused | unreadable
    Column("format", String(32), nullable=False),  # of its first ECG; empty where it carried none
    Column("code", Text, nullable=False),  # reason of a refusal; of what was staged, why a part of it was not
    Column("text", Text, nullable=False),
    Column("repeats", Integer, nullable=False, server_default="0"),  # how often the same bytes came again
    Column("repeated_at", UtcDateTime),
    Column("findings", JSON, nullable=False),
    Column("private", LargeBinary, nullable=False),  # peer, file name or URL
    Column("key_id", Integer),
    CheckConstraint("disposition in ('staged', 'refused', 'unreadable')", name="disposition"),
    Index(None, "received_at"),
    Index("ix_payload_source", "source", "received_at"),
    where("ix_payload_set_aside", "payload_id", only="disposition <> 'staged'"),
    where("ix_payload_reason", "code", only="disposition <> 'staged'"),
    where("ix_payload_to_see_to", "payload_id", only="code = 'patient-mismatch' OR disposition = 'unreadable'"),
    where("ix_payload_in_part", "payload_id", only="disposition = 'staged' AND code <> ''"),
    sqlite_autoincrement=True,
)

received_message = Table(  # HL7 messages by their own number, each as often as it gave something
    "received_message",
    metadata,
    Column("row_id", Id, primary_key=True),
    Column("number_key", Key, nullable=False),  # MSH-10
    Column("sender", Text, nullable=False),  # MSH-3|MSH-4
    Column("payload_id", Id, ForeignKey("payload.payload_id"), nullable=False),
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id")),  # that it gave, or that it said once more
    Column("outcome_key", Key),  # as outcome.source_key
    Index(None, "number_key"),
    Index(None, "payload_id"),
    where("ix_received_message_ecg", "ecg_id", only="ecg_id IS NOT NULL"),
    sqlite_autoincrement=True,
)

payload_content = Table(
    "payload_content",
    metadata,
    Column("payload_id", Id, ForeignKey("payload.payload_id"), primary_key=True, autoincrement=False),
    Column("key_id", Integer),
    Column("content", LargeBinary, nullable=False),
    Column("coding", String(16), nullable=False, server_default=""),  # how it is packed (`compression`)
    where("ix_payload_content_unpacked", "payload_id", only="coding = ''"),
)
