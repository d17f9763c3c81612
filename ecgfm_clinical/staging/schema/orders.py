"""Orders of the hospital, and which of them each result answers."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from ecgfm_clinical.staging.schema.columns import Id, Key, UtcDateTime, metadata

placed_order = Table(
    "placed_order",
    metadata,
    Column("order_id", Id, primary_key=True),
    Column("payload_id", Id, ForeignKey("payload.payload_id"), nullable=False),  # of the newest word
    Column("order_key", Key, nullable=False),  # placer number with its namespace, else the filler number
    Column("patient_key", Key, nullable=False),  # as received; merges are followed through identity_alias
    Column("state", String(16), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),  # of the first word
    Column("said_at", UtcDateTime, nullable=False),  # of the newest, as its sender dates it
    Column("private", LargeBinary, nullable=False),  # numbers, patient, provider, what is ordered
    Column("key_id", Integer),
    CheckConstraint("state in ('open', 'on-hold', 'cancelled')", name="state"),
    UniqueConstraint("order_key", "patient_key"),
    Index(None, "payload_id"),
    Index(None, "patient_key"),
    Index(None, "said_at"),
    sqlite_autoincrement=True,
)

placed_order_number = Table(
    "placed_order_number",
    metadata,
    Column("number_key", Key, primary_key=True),  # placer or accession number, without namespace
    Column("order_id", Id, ForeignKey("placed_order.order_id"), primary_key=True, autoincrement=False),
    Index(None, "order_id"),
)

order_answer = Table(
    "order_answer",
    metadata,
    Column("answer_id", Id, primary_key=True),
    Column("filler", String(64), nullable=False, unique=True),  # OBR-3 of the result
    Column("recording_id", Id, ForeignKey("ecg.ecg_id"), nullable=False),
    Column("order_id", Id),  # the order may be past its retention
    Column("reason", String(16), nullable=False),
    Column("matched_by", String(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("private", LargeBinary, nullable=False),  # the order as it stood; empty where none is answered
    Column("key_id", Integer),
    Index(None, "recording_id"),
    Index(None, "order_id"),
    sqlite_autoincrement=True,
)
