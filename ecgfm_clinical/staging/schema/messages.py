"""Result messages, where they go, and why attempts failed."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from ecgfm_clinical.staging.schema.columns import Digest, Id, Key, UtcDateTime, metadata, where

message = Table(
    "message",
    metadata,
    Column("message_id", Id, primary_key=True),
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), nullable=False),  # the version it tells of
    Column("recording_id", Id, nullable=False, server_default="0"),
    Column("scoring_id", Id, ForeignKey("scoring.scoring_id"), nullable=False),
    Column("destination", String(128), nullable=False),
    Column("result_version", Integer, nullable=False),  # 1, 2, … per recording and destination
    Column("filler", String(64), nullable=False, server_default=""),  # OBR-3: which result of the receiver's it is
    Column("generation", Integer, nullable=False, server_default="0"),  # how often the recording had changed hands
    Column("control_id", String(64), nullable=False, unique=True),  # MSH-10
    Column("kind", String(1), nullable=False),  # F first result, C correction, W withdrawal, D deletion
    Column("patient_key", Key, nullable=False),  # surviving identity: order is kept per this key and destination
    Column("filed_key", Key, nullable=False, server_default=""),  # identity in PID-3: where the result stands
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("in_doubt", Integer, nullable=False),  # attempts that may have reached the peer; 0 = certainly never sent
    Column("due_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("worker", Text),
    Column("lease_until", UtcDateTime),
    Column("body_sha256", Digest),  # none where the message could not be composed
    Column("sent_at", UtcDateTime),  # when the first send began
    Column("acknowledged_at", UtcDateTime),
    Column("ack_code", String(2)),  # MSA-1; none where the receiver answers by another protocol
    Column("ack_private", LargeBinary),  # the whole acknowledgement; its text may quote our message
    Column("addressed_to", LargeBinary),  # the patient in it
    Column("addressed_key_id", Integer),
    Column("key_id", Integer),
    Column("page", String(8)),  # due, drawn or without; none where no page goes with it
    CheckConstraint("state in ('waiting', 'running', 'acknowledged', 'dead', 'cancelled')", name="state"),
    CheckConstraint("kind in ('F', 'C', 'W', 'D')", name="kind"),
    UniqueConstraint("ecg_id", "destination", "result_version"),
    Index(None, "scoring_id"),
    Index(None, "patient_key"),
    Index("ix_message_recording", "recording_id", "destination", "message_id"),
    Index("ix_message_result", "recording_id", "destination", "result_version", unique=True),
    Index("ix_message_filler", "filler", "destination", "message_id"),
    where("ix_message_claim", "destination", "priority", "due_at", "message_id", only="state = 'waiting'"),
    where("ix_message_age", "destination", "created_at", only="state = 'waiting'"),
    where("ix_message_order", "patient_key", "destination", "message_id", only="state in ('waiting', 'running')"),
    where("ix_message_lease", "lease_until", only="state = 'running'"),
    where("ix_message_acknowledged", "destination", "acknowledged_at", only="state = 'acknowledged'"),
    where("ix_message_dead", "destination", "message_id", only="state = 'dead'"),
    sqlite_autoincrement=True,
)

message_body = Table(
    "message_body",
    metadata,
    Column("message_id", Id, ForeignKey("message.message_id"), primary_key=True, autoincrement=False),
    Column("key_id", Integer),
    Column("body", LargeBinary, nullable=False),
)

attempt_error = Table(
    "attempt_error",
    metadata,
    Column("error_id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("score_job.job_id")),
    Column("message_id", Id, ForeignKey("message.message_id")),
    Column("at", UtcDateTime, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index(None, "job_id"),
    Index(None, "message_id"),
    sqlite_autoincrement=True,
)

destination_state = Table(
    "destination_state",
    metadata,
    Column("destination", String(128), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),  # failed in a row
    Column("next_attempt_at", UtcDateTime),
    Column("last_error", Text, nullable=False),
    CheckConstraint("state in ('closed', 'open', 'half-open')", name="state"),
)

second_thought = Table(  # an act of a person that may still be undone: its messages wait until then
    "second_thought",
    metadata,
    Column("message_id", Id, ForeignKey("message.message_id"), primary_key=True, autoincrement=False),
    Column("until", UtcDateTime, nullable=False),
)
