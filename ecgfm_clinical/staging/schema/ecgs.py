"""ECGs, their signals, the numbers of their patients, and what people decided of them."""

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
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

from ecgfm_clinical.staging.schema.columns import Id, Key, UtcDateTime, metadata, where

ecg = Table(
    "ecg",
    metadata,
    Column("ecg_id", Id, primary_key=True),
    Column("payload_id", Id, ForeignKey("payload.payload_id"), nullable=False),
    Column("recording_id", Id, nullable=False, server_default="0"),  # ecg_id of its first version
    Column("source_key", Key, nullable=False),
    Column("said_key", Key),  # equal exactly where two arrivals say the same
    Column("signal_key", Key),  # equal for the same samples of the same device at the same time
    Column("order_key", Key),  # sender and filler number
    Column("version", Integer, nullable=False),  # 1, 2, … of the recording
    Column("source", Text, nullable=False),
    Column("format", String(32), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("acquired_at", UtcDateTime),
    Column("patient_key", Key, nullable=False),  # as received; merges are followed through identity_alias
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("scoring_id", Id),  # the current scoring
    Column("sampling_rate", Double, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("about", JSON, nullable=False),  # leads, device, filters, measurements, findings
    Column("private", LargeBinary, nullable=False),  # source_id, patient, order numbers, statements, time as sent
    Column("key_id", Integer),
    CheckConstraint("state in ('waiting', 'scored', 'not_evaluable', 'failed')", name="state"),
    UniqueConstraint("source_key", "version"),
    Index(None, "payload_id"),
    Index(None, "patient_key"),
    Index(None, "received_at"),
    Index("ix_ecg_recording", "recording_id", "version"),
    where("ix_ecg_signal", "signal_key", only="signal_key IS NOT NULL"),
    where("ix_ecg_order", "order_key", only="order_key IS NOT NULL"),
    where("ix_ecg_failed", "ecg_id", only="state = 'failed'"),
    sqlite_autoincrement=True,
)

ecg_identity = Table(
    "ecg_identity",
    metadata,
    Column("identity_key", Key, primary_key=True),  # a number of the patient beyond the first
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), primary_key=True, autoincrement=False),
    Index(None, "ecg_id"),
)

ecg_number = Table(
    "ecg_number",
    metadata,
    Column("number_key", Key, primary_key=True),  # placer, filler or accession number
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), primary_key=True, autoincrement=False),
    Index(None, "ecg_id"),
)

recording_event = Table(
    "recording_event",
    metadata,
    Column("event_id", Id, primary_key=True),
    Column("recording_id", Id, ForeignKey("ecg.ecg_id"), nullable=False),
    Column("number", Integer, nullable=False),  # 1, 2, … of the recording
    Column("kind", String(16), nullable=False),
    Column("moved", Boolean, nullable=False),  # an assignment to another person than before
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("private", LargeBinary),  # the patient who is named; the digest of what was taken back
    Column("key_id", Integer),
    CheckConstraint("kind in ('assigned', 'withdrawn', 'rejected', 'reinstated', 'taken-back')", name="kind"),
    UniqueConstraint("recording_id", "number"),
    sqlite_autoincrement=True,
)

hold = Table(
    "hold",
    metadata,
    Column("hold_id", Id, primary_key=True),
    Column("recording_id", Id, ForeignKey("ecg.ecg_id"), nullable=False),
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), nullable=False),  # the version that raised the question
    Column("question", String(32), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("decision", String(16)),
    Column("decided_at", UtcDateTime),
    Column("decided_by", Text),
    Column("reason", Text),
    Column("private", LargeBinary, nullable=False),  # the people between whom it is to be decided
    Column("key_id", Integer),
    CheckConstraint("decision in ('released', 'rejected', 'moot')", name="decision"),
    Index(None, "recording_id"),
    where("ix_hold_open", "recording_id", only="decision IS NULL"),
    sqlite_autoincrement=True,
)

early_withdrawal = Table(  # taken back by its sender before it came: by its number, or by its order
    "early_withdrawal",
    metadata,
    Column("withdrawal_id", Id, primary_key=True),
    Column("payload_id", Id, ForeignKey("payload.payload_id"), nullable=False),
    Column("known_by", Key, nullable=False),  # as ecg.source_key, or as ecg.order_key
    Column("recording_id", Id, ForeignKey("ecg.ecg_id")),  # that came later under the number
    Index("ix_early_withdrawal_known_by", "known_by"),
    sqlite_autoincrement=True,
)

signal = Table(
    "signal",
    metadata,
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), primary_key=True, autoincrement=False),
    Column("key_id", Integer),
    Column("samples", LargeBinary, nullable=False),  # (12, N) float32, little-endian, mV, rows in the order of LEADS
    Column("coding", String(16), nullable=False, server_default=""),  # how they are packed (`compression`)
    where("ix_signal_unpacked", "ecg_id", only="coding = ''"),
)
