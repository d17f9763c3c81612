"""Models: which there are, who made which one live when, how each was judged, and what one in the shadow answered."""

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ecgfm_clinical.staging.schema.columns import Digest, Id, UtcDateTime, metadata

model = Table(
    "model",
    metadata,
    Column("model_id", Digest, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("path", Text, nullable=False),  # of the bundle folder, relative to the settings file's where it lies below
    Column("demo", Boolean, nullable=False),
    Column("heads", JSON, nullable=False),  # head -> fingerprint of encoder, weights, calibration and thresholds
    Column("parent_id", Digest),  # the bundle it was trained from
    Column("registered_at", UtcDateTime, nullable=False),
)

model_event = Table(
    "model_event",
    metadata,
    Column("event_id", Id, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(16), nullable=False),
    Column("model_id", Digest, ForeignKey("model.model_id"), nullable=False),
    Column("reason", Text, nullable=False),
    CheckConstraint(
        "action in ('registered', 'installed', 'promoted', 'rolled-back', 'shadow-on', 'shadow-off')", name="action"
    ),
    Index(None, "model_id"),
    sqlite_autoincrement=True,
)

model_evaluation = Table(
    "model_evaluation",
    metadata,
    Column("evaluation_id", Id, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("model_id", Digest, ForeignKey("model.model_id"), nullable=False),
    Column("head", String(64), nullable=False),
    Column("fingerprint", Digest, nullable=False),  # of the judged head: the same head in another bundle is judged too
    Column("champion_id", Digest),  # live model it was compared with; none where the live model lacks the head
    Column("cohort_digest", Digest, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("reasons", JSON, nullable=False),  # why the gate refuses; empty where it passes
    Column("report", JSON, nullable=False),
    Index(None, "model_id"),
    Index(None, "fingerprint"),
    sqlite_autoincrement=True,
)

shadow_scoring = Table(
    "shadow_scoring",
    metadata,
    Column("shadow_id", Id, primary_key=True),
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), nullable=False),
    Column("model_id", Digest, ForeignKey("model.model_id"), nullable=False),
    Column("scored_at", UtcDateTime, nullable=False),
    UniqueConstraint("model_id", "ecg_id"),
    sqlite_autoincrement=True,
)

shadow_score = Table(
    "shadow_score",
    metadata,
    Column("shadow_id", Id, ForeignKey("shadow_scoring.shadow_id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("head", String(64), nullable=False),
    Column("label", String(128), nullable=False),
    Column("probability", Double),
    Column("logit", Double),
    Column("threshold", Double),
    Column("positive", Boolean),
    Column("reasons", JSON, nullable=False),
)

drift_report = Table(
    "drift_report",
    metadata,
    Column("report_id", Id, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("model_id", Digest, ForeignKey("model.model_id"), nullable=False),
    Column("findings", JSON, nullable=False),
    Column("report", JSON, nullable=False),
    Index(None, "at"),
    sqlite_autoincrement=True,
)
