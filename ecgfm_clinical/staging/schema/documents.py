"""What other systems said of ECGs, and by which numbers each names the ECG that it speaks of."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from ecgfm_clinical.staging.schema.columns import Id, Key, UtcDateTime, metadata

document = Table(
    "document",
    metadata,
    Column("document_id", Id, primary_key=True),
    Column("payload_id", Id, ForeignKey("payload.payload_id"), nullable=False),
    Column("source_key", Key, nullable=False),
    Column("version", Integer, nullable=False),  # what comes again under its number is the next version
    Column("patient_key", Key, nullable=False),  # as received; merges are followed through identity_alias
    Column("kind", String(16), nullable=False),  # report | pdf
    Column("withdrawn", Boolean, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("private", LargeBinary, nullable=False),  # title, text, patient, maker, numbers: as its sender wrote them
    Column("key_id", Integer),
    UniqueConstraint("source_key", "version"),
    Index(None, "payload_id"),
    Index(None, "patient_key"),
    Index(None, "received_at"),
    sqlite_autoincrement=True,
)

document_reference = Table(
    "document_reference",
    metadata,
    Column("reference_key", Key, primary_key=True),  # as ecg.source_key, or as ecg_number.number_key
    Column("document_id", Id, ForeignKey("document.document_id"), primary_key=True, autoincrement=False),
    Index(None, "document_id"),
)
