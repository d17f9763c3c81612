"""The first released schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("audit_id", ID, nullable=False),
        sa.Column("strand", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("ecg_id", ID, nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit")),
        sa.UniqueConstraint("strand", "number", name=op.f("uq_audit_strand_number")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_ecg_id"), "audit", ["ecg_id"], unique=False)
    op.create_table(
        "identity_alias",
        sa.Column("retired_key", sa.String(length=32), nullable=False),
        sa.Column("surviving_key", sa.String(length=32), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("retired_key", name=op.f("pk_identity_alias")),
    )
    op.create_index(op.f("ix_identity_alias_surviving_key"), "identity_alias", ["surviving_key"], unique=False)
    op.create_table(
        "patient",
        sa.Column("patient_key", sa.String(length=32), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("patient_key", name=op.f("pk_patient")),
    )
    op.create_table(
        "payload",
        sa.Column("payload_id", ID, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("transport", sa.String(length=16), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column("format", sa.String(length=32), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("repeats", sa.Integer(), server_default="0", nullable=False),
        sa.Column("repeated_at", INSTANT, nullable=True),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("disposition in ('staged', 'refused', 'unreadable')", name=op.f("ck_payload_disposition")),
        sa.PrimaryKeyConstraint("payload_id", name=op.f("pk_payload")),
        sa.UniqueConstraint("sha256", name=op.f("uq_payload_sha256")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_payload_received_at"), "payload", ["received_at"], unique=False)
    op.create_index(
        "ix_payload_set_aside",
        "payload",
        ["payload_id"],
        unique=False,
        sqlite_where=sa.text("disposition <> 'staged'"),
        postgresql_where=sa.text("disposition <> 'staged'"),
    )
    op.create_table(
        "pull_cursor",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_pull_cursor")),
    )
    op.create_table(
        "role_lease",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_role_lease")),
    )
    op.create_table(
        "store_meta",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_store_meta")),
    )
    op.create_table(
        "tally",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "source", "head", "state", "shard", name=op.f("pk_tally")),
    )
    op.create_table(
        "ecg",
        sa.Column("ecg_id", ID, nullable=False),
        sa.Column("payload_id", ID, nullable=False),
        sa.Column("source_key", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("format", sa.String(length=32), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("acquired_at", INSTANT, nullable=True),
        sa.Column("patient_key", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("scoring_id", ID, nullable=True),
        sa.Column("sampling_rate", sa.Double(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("about", sa.JSON(), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("state in ('waiting', 'scored', 'not_evaluable', 'failed')", name=op.f("ck_ecg_state")),
        sa.ForeignKeyConstraint(["payload_id"], ["payload.payload_id"], name=op.f("fk_ecg_payload_id")),
        sa.PrimaryKeyConstraint("ecg_id", name=op.f("pk_ecg")),
        sa.UniqueConstraint("source_key", "version", name=op.f("uq_ecg_source_key_version")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_ecg_failed",
        "ecg",
        ["ecg_id"],
        unique=False,
        sqlite_where=sa.text("state = 'failed'"),
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.create_index(op.f("ix_ecg_patient_key"), "ecg", ["patient_key"], unique=False)
    op.create_index(op.f("ix_ecg_payload_id"), "ecg", ["payload_id"], unique=False)
    op.create_index(op.f("ix_ecg_received_at"), "ecg", ["received_at"], unique=False)
    op.create_table(
        "identity_event",
        sa.Column("event_id", ID, nullable=False),
        sa.Column("payload_id", ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("trigger", sa.String(length=8), nullable=False),
        sa.Column("retired_key", sa.String(length=32), nullable=False),
        sa.Column("surviving_key", sa.String(length=32), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["payload_id"], ["payload.payload_id"], name=op.f("fk_identity_event_payload_id")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_identity_event")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_identity_event_retired_key"), "identity_event", ["retired_key"], unique=False)
    op.create_index(op.f("ix_identity_event_surviving_key"), "identity_event", ["surviving_key"], unique=False)
    op.create_table(
        "outcome",
        sa.Column("outcome_id", ID, nullable=False),
        sa.Column("payload_id", ID, nullable=False),
        sa.Column("source_key", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("patient_key", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("upper_value", sa.Double(), nullable=True),
        sa.Column("comparator", sa.String(length=2), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("assay", sa.Text(), nullable=False),
        sa.Column("upper_reference_limit", sa.Double(), nullable=True),
        sa.Column("observed_at", INSTANT, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["payload_id"], ["payload.payload_id"], name=op.f("fk_outcome_payload_id")),
        sa.PrimaryKeyConstraint("outcome_id", name=op.f("pk_outcome")),
        sa.UniqueConstraint("source_key", "version", name=op.f("uq_outcome_source_key_version")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_outcome_kind_patient_key_observed_at"), "outcome", ["kind", "patient_key", "observed_at"], unique=False
    )
    op.create_index(op.f("ix_outcome_payload_id"), "outcome", ["payload_id"], unique=False)
    op.create_table(
        "payload_content",
        sa.Column("payload_id", ID, autoincrement=False, nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["payload_id"], ["payload.payload_id"], name=op.f("fk_payload_content_payload_id")),
        sa.PrimaryKeyConstraint("payload_id", name=op.f("pk_payload_content")),
    )
    op.create_table(
        "score_job",
        sa.Column("job_id", ID, nullable=False),
        sa.Column("ecg_id", ID, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("suspect", sa.Boolean(), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.CheckConstraint("state in ('waiting', 'running', 'done', 'failed')", name=op.f("ck_score_job_state")),
        sa.ForeignKeyConstraint(["ecg_id"], ["ecg.ecg_id"], name=op.f("fk_score_job_ecg_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_score_job")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_score_job_age",
        "score_job",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_score_job_claim",
        "score_job",
        ["priority", "due_at", "job_id"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(op.f("ix_score_job_ecg_id"), "score_job", ["ecg_id"], unique=False)
    op.create_index(
        "ix_score_job_failed",
        "score_job",
        ["job_id"],
        unique=False,
        sqlite_where=sa.text("state = 'failed'"),
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.create_index(
        "ix_score_job_lease",
        "score_job",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "scoring",
        sa.Column("scoring_id", ID, nullable=False),
        sa.Column("ecg_id", ID, nullable=False),
        sa.Column("model_id", sa.String(length=64), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("preprocessing", sa.Text(), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.Column("output_digest", sa.String(length=64), nullable=False),
        sa.Column("scored_at", INSTANT, nullable=False),
        sa.Column("demo", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["ecg_id"], ["ecg.ecg_id"], name=op.f("fk_scoring_ecg_id")),
        sa.PrimaryKeyConstraint("scoring_id", name=op.f("pk_scoring")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_scoring_ecg_id"), "scoring", ["ecg_id"], unique=False)
    op.create_index(op.f("ix_scoring_model_id_scored_at"), "scoring", ["model_id", "scored_at"], unique=False)
    op.create_table(
        "signal",
        sa.Column("ecg_id", ID, autoincrement=False, nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.Column("samples", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["ecg_id"], ["ecg.ecg_id"], name=op.f("fk_signal_ecg_id")),
        sa.PrimaryKeyConstraint("ecg_id", name=op.f("pk_signal")),
    )
    op.create_table(
        "message",
        sa.Column("message_id", ID, nullable=False),
        sa.Column("ecg_id", ID, nullable=False),
        sa.Column("scoring_id", ID, nullable=False),
        sa.Column("destination", sa.String(length=128), nullable=False),
        sa.Column("result_version", sa.Integer(), nullable=False),
        sa.Column("control_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=1), nullable=False),
        sa.Column("patient_key", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("in_doubt", sa.Integer(), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("body_sha256", sa.String(length=64), nullable=True),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.Column("acknowledged_at", INSTANT, nullable=True),
        sa.Column("ack_code", sa.String(length=2), nullable=True),
        sa.Column("ack_private", sa.LargeBinary(), nullable=True),
        sa.Column("addressed_to", sa.LargeBinary(), nullable=True),
        sa.Column("addressed_key_id", sa.Integer(), nullable=True),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("kind in ('F', 'C', 'W')", name=op.f("ck_message_kind")),
        sa.CheckConstraint(
            "state in ('waiting', 'running', 'acknowledged', 'dead', 'cancelled')", name=op.f("ck_message_state")
        ),
        sa.ForeignKeyConstraint(["ecg_id"], ["ecg.ecg_id"], name=op.f("fk_message_ecg_id")),
        sa.ForeignKeyConstraint(["scoring_id"], ["scoring.scoring_id"], name=op.f("fk_message_scoring_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_message")),
        sa.UniqueConstraint("control_id", name=op.f("uq_message_control_id")),
        sa.UniqueConstraint(
            "ecg_id", "destination", "result_version", name=op.f("uq_message_ecg_id_destination_result_version")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_message_age",
        "message",
        ["destination", "created_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_message_claim",
        "message",
        ["destination", "priority", "due_at", "message_id"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_message_dead",
        "message",
        ["destination", "message_id"],
        unique=False,
        sqlite_where=sa.text("state = 'dead'"),
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index(
        "ix_message_lease",
        "message",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "ix_message_order",
        "message",
        ["patient_key", "destination", "message_id"],
        unique=False,
        sqlite_where=sa.text("state in ('waiting', 'running')"),
        postgresql_where=sa.text("state in ('waiting', 'running')"),
    )
    op.create_index(op.f("ix_message_patient_key"), "message", ["patient_key"], unique=False)
    op.create_index(op.f("ix_message_scoring_id"), "message", ["scoring_id"], unique=False)
    op.create_table(
        "score",
        sa.Column("scoring_id", ID, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column("probability", sa.Double(), nullable=True),
        sa.Column("logit", sa.Double(), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("positive", sa.Boolean(), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["scoring_id"], ["scoring.scoring_id"], name=op.f("fk_score_scoring_id")),
        sa.PrimaryKeyConstraint("scoring_id", "position", name=op.f("pk_score")),
    )
    op.create_table(
        "attempt_error",
        sa.Column("error_id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=True),
        sa.Column("message_id", ID, nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["score_job.job_id"], name=op.f("fk_attempt_error_job_id")),
        sa.ForeignKeyConstraint(["message_id"], ["message.message_id"], name=op.f("fk_attempt_error_message_id")),
        sa.PrimaryKeyConstraint("error_id", name=op.f("pk_attempt_error")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_attempt_error_job_id"), "attempt_error", ["job_id"], unique=False)
    op.create_index(op.f("ix_attempt_error_message_id"), "attempt_error", ["message_id"], unique=False)
    op.create_table(
        "message_body",
        sa.Column("message_id", ID, autoincrement=False, nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["message.message_id"], name=op.f("fk_message_body_message_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_message_body")),
    )
    _refuse_changes_of_the_trail()


def _refuse_changes_of_the_trail() -> None:
    """The audit trail is append-only: the database itself refuses anything else."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        )
