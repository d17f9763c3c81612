"""The tables of the staging store, the same on SQLite and PostgreSQL.

How they hang together: one `payload` (bytes as received, unique by SHA-256) gave any number of `ecg` rows; each has one
`signal`, one `score_job` and, once scored, `scoring` and `score` rows; each scoring leaves one `message` per
destination. Bytes live in tables of their own (`payload_content`, `signal`, `message_body`), so retention can remove
them without touching the bookkeeping, and so that no scan of the bookkeeping ever walks over a waveform.

What must stay quick with years of history (claiming, reaping, backlog figures) reads partial indexes that hold only
what is unfinished; totals come from `tally`, kept current inside the same transactions.

Columns named `private` hold JSON with everything that can identify a person; with `key_id` set they are encrypted.
Lookups by identity or by the sender's number go through keyed digests (`patient_key`, `source_key`), never the value.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant, kept in UTC; comes back aware from both databases."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the store takes aware times only")
        in_utc = value.astimezone(UTC)
        return in_utc if dialect.name == "postgresql" else in_utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite only numbers rows of an INTEGER PRIMARY KEY by itself
Digest = String(64)  # SHA-256, hexadecimal
Key = String(32)  # keyed digest of an identity or of a sender's number, hexadecimal


def _where(name: str, *columns: str, only: str) -> Index:
    """An index over the rows that fulfil `only`, on both databases."""
    return Index(name, *columns, sqlite_where=text(only), postgresql_where=text(only))


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
    Column("code", Text, nullable=False),  # reason of a refusal
    Column("text", Text, nullable=False),
    Column("repeats", Integer, nullable=False, server_default="0"),  # how often the same bytes came again
    Column("repeated_at", UtcDateTime),
    Column("findings", JSON, nullable=False),
    Column("private", LargeBinary, nullable=False),  # peer, file name or URL
    Column("key_id", Integer),
    CheckConstraint("disposition in ('staged', 'refused', 'unreadable')", name="disposition"),
    Index(None, "received_at"),
    Index("ix_payload_source", "source", "received_at"),
    _where("ix_payload_set_aside", "payload_id", only="disposition <> 'staged'"),
    sqlite_autoincrement=True,
)

payload_content = Table(
    "payload_content",
    metadata,
    Column("payload_id", Id, ForeignKey("payload.payload_id"), primary_key=True, autoincrement=False),
    Column("key_id", Integer),
    Column("content", LargeBinary, nullable=False),
)

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
    _where("ix_ecg_signal", "signal_key", only="signal_key IS NOT NULL"),
    _where("ix_ecg_order", "order_key", only="order_key IS NOT NULL"),
    _where("ix_ecg_failed", "ecg_id", only="state = 'failed'"),
    sqlite_autoincrement=True,
)

ecg_identity = Table(
    "ecg_identity",
    metadata,
    Column("identity_key", Key, primary_key=True),  # a number of the patient beyond the first
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
    CheckConstraint("decision in ('released', 'rejected')", name="decision"),
    Index(None, "recording_id"),
    _where("ix_hold_open", "recording_id", only="decision IS NULL"),
    sqlite_autoincrement=True,
)

signal = Table(
    "signal",
    metadata,
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), primary_key=True, autoincrement=False),
    Column("key_id", Integer),
    Column("samples", LargeBinary, nullable=False),  # (12, N) float32, little-endian, mV, rows in the order of LEADS
)

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
    CheckConstraint("state in ('waiting', 'running', 'done', 'failed')", name="state"),
    Index(None, "ecg_id"),
    _where("ix_score_job_claim", "priority", "due_at", "job_id", only="state = 'waiting'"),
    _where("ix_score_job_age", "created_at", only="state = 'waiting'"),
    _where("ix_score_job_lease", "lease_until", only="state = 'running'"),
    _where("ix_score_job_failed", "job_id", only="state = 'failed'"),
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
)

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
    Column("ack_code", String(2)),
    Column("ack_private", LargeBinary),  # the whole acknowledgement; its text may quote our message
    Column("addressed_to", LargeBinary),  # the patient in it
    Column("addressed_key_id", Integer),
    Column("key_id", Integer),
    CheckConstraint("state in ('waiting', 'running', 'acknowledged', 'dead', 'cancelled')", name="state"),
    CheckConstraint("kind in ('F', 'C', 'W', 'D')", name="kind"),
    UniqueConstraint("ecg_id", "destination", "result_version"),
    Index(None, "scoring_id"),
    Index(None, "patient_key"),
    Index("ix_message_recording", "recording_id", "destination", "message_id"),
    Index("ix_message_result", "recording_id", "destination", "result_version", unique=True),
    Index("ix_message_filler", "filler", "destination", "message_id"),
    _where("ix_message_claim", "destination", "priority", "due_at", "message_id", only="state = 'waiting'"),
    _where("ix_message_age", "destination", "created_at", only="state = 'waiting'"),
    _where("ix_message_order", "patient_key", "destination", "message_id", only="state in ('waiting', 'running')"),
    _where("ix_message_lease", "lease_until", only="state = 'running'"),
    _where("ix_message_acknowledged", "destination", "acknowledged_at", only="state = 'acknowledged'"),
    _where("ix_message_dead", "destination", "message_id", only="state = 'dead'"),
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

audit = Table(
    "audit",
    metadata,
    Column("audit_id", Id, primary_key=True),
    Column("strand", String(32), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("ecg_id", Id),
    Column("detail", JSON, nullable=False),
    Column("previous", Digest, nullable=False),
    Column("hash", Digest, nullable=False),
    UniqueConstraint("strand", "number"),
    Index(None, "ecg_id"),
    sqlite_autoincrement=True,
)

tally = Table(
    "tally",
    metadata,
    Column("day", String(10), primary_key=True),  # UTC day of receipt, or '*' for all time
    Column("source", Text, primary_key=True),
    Column("head", String(64), primary_key=True),  # '' counts ECGs; a head's name counts its answers
    Column("state", String(16), primary_key=True),
    Column("shard", Integer, primary_key=True),  # concurrent writers add to different rows
    Column("count", BigInteger, nullable=False),
)

pull_cursor = Table(
    "pull_cursor",
    metadata,
    Column("source", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

role_lease = Table(
    "role_lease",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", UtcDateTime, nullable=False),
)

process = Table(
    "process",
    metadata,
    Column("holder", String(255), primary_key=True),  # host:namespace:pid:service
    Column("roles", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("ailing", JSON, nullable=False),  # tasks that fail or hang: name, failures in a row, class of the error
)

clock_seen = Table(
    "clock_seen",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

clock_gap = Table(
    "clock_gap",
    metadata,
    Column("gap_id", Id, primary_key=True),
    Column("since", UtcDateTime, nullable=False),  # clock time that no process saw pass: from here
    Column("until", UtcDateTime, nullable=False),  # to here
    sqlite_autoincrement=True,
)

objection = Table(
    "objection",
    metadata,
    Column("patient_key", Key, primary_key=True),  # whose ECGs are kept out of learning
    Column("since", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
)

store_meta = Table(
    "store_meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("key_id", Integer),
    Column("value", LargeBinary, nullable=False),
)

# Models: which there are, who made which one live when, how each was judged, and what one in the shadow answered.

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
