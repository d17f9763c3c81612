"""Where a model looked: what people asked, how far that is, and the weights."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from ecgfm_clinical.staging.schema.columns import Id, UtcDateTime, metadata, where

saliency = Table(
    "saliency",
    metadata,
    Column("saliency_id", Id, primary_key=True),
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), nullable=False),
    Column("scoring_id", Id, ForeignKey("scoring.scoring_id"), nullable=False),  # whose answer is asked about
    Column("head", String(64), nullable=False),
    Column("label", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("worker", Text),
    Column("lease_until", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("error", Text, nullable=False),  # why it failed, or why it has to be tried again
    Column("weights", LargeBinary),  # (12, steps) bytes, 255 the largest weight; compressed
    Column("key_id", Integer),
    CheckConstraint("state in ('waiting', 'running', 'done', 'failed')", name="state"),
    Index(None, "scoring_id", "head", "label", unique=True),
    Index(None, "ecg_id"),
    where("ix_saliency_claim", "due_at", "saliency_id", only="state = 'waiting'"),
    where("ix_saliency_lease", "lease_until", only="state = 'running'"),
    sqlite_autoincrement=True,
)
