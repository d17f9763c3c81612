"""Score jobs and what the model answered."""

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
    false,
)

from ecgfm_clinical.staging.schema.columns import Digest, Id, UtcDateTime, metadata, where

score_job = Table(
    "score_job",
    metadata,
    Column("job_id", Id, primary_key=True),
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),  # 0 STAT, 10 routine, 20 backfill: lower first
    Column("attempts", Integer, nullable=False),
    Column("tell", Boolean, nullable=False, server_default=false()),  # a person wants it told whether it is news or not
    Column("suspect", Boolean, nullable=False),  # a worker died holding it: claimed alone from then on
    Column("due_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("worker", Text),
    Column("lease_until", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("settled_at", UtcDateTime),  # of a failed one: a person has looked, or the recording was taken back
    CheckConstraint("state in ('waiting', 'running', 'done', 'failed')", name="state"),
    Index(None, "ecg_id"),
    where("ix_score_job_claim", "priority", "due_at", "job_id", only="state = 'waiting'"),
    where("ix_score_job_age", "created_at", only="state = 'waiting'"),
    where("ix_score_job_lease", "lease_until", only="state = 'running'"),
    where("ix_score_job_failed", "job_id", only="state = 'failed'"),
    sqlite_autoincrement=True,
)

scoring = Table(
    "scoring",
    metadata,
    Column("scoring_id", Id, primary_key=True),
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), nullable=False),
    Column("model_id", Digest, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("preprocessing", Text, nullable=False),
    Column("runtime", Text, nullable=False),
    Column("input_digest", Text, nullable=False),
    Column("output_digest", Digest, nullable=False),  # of model and values: equal digests mean nothing new to tell
    Column("scored_at", UtcDateTime, nullable=False),
    Column("demo", Boolean, nullable=False),
    Column("segments", Integer),  # on how many 5 s segments it rests; not known of scorings of earlier programs
    Index(None, "ecg_id"),
    Index(None, "model_id", "scored_at"),
    sqlite_autoincrement=True,
)

score = Table(
    "score",
    metadata,
    Column("scoring_id", Id, ForeignKey("scoring.scoring_id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("head", String(64), nullable=False),
    Column("label", String(128), nullable=False),
    Column("probability", Double),
    Column("logit", Double),
    Column("threshold", Double),
    Column("positive", Boolean),
    Column("reasons", JSON, nullable=False),
    Column("unshifted", Double),  # the probability before the model's prior shift, where it has one
)
