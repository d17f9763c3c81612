"""Models are registered, judged, promoted and taken back; a model in the shadow scores; drift is reported."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime().with_variant(sa.DateTime(timezone=True), "postgresql")
DIGEST = sa.String(length=64)
APPEND_ONLY = ("model_event", "model_evaluation")


def upgrade() -> None:
    op.create_table(
        "model",
        sa.Column("model_id", DIGEST, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("demo", sa.Boolean(), nullable=False),
        sa.Column("heads", sa.JSON(), nullable=False),
        sa.Column("parent_id", DIGEST, nullable=True),
        sa.Column("registered_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_model")),
    )
    op.create_table(
        "model_event",
        sa.Column("event_id", ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("model_id", DIGEST, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "action in ('registered', 'installed', 'promoted', 'rolled-back', 'shadow-on', 'shadow-off')",
            name=op.f("ck_model_event_action"),
        ),
        sa.ForeignKeyConstraint(["model_id"], ["model.model_id"], name=op.f("fk_model_event_model_id")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_model_event")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_model_event_model_id"), "model_event", ["model_id"], unique=False)
    op.create_table(
        "model_evaluation",
        sa.Column("evaluation_id", ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("model_id", DIGEST, nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", DIGEST, nullable=False),
        sa.Column("champion_id", DIGEST, nullable=True),
        sa.Column("cohort_digest", DIGEST, nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.model_id"], name=op.f("fk_model_evaluation_model_id")),
        sa.PrimaryKeyConstraint("evaluation_id", name=op.f("pk_model_evaluation")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_model_evaluation_model_id"), "model_evaluation", ["model_id"], unique=False)
    op.create_index(op.f("ix_model_evaluation_fingerprint"), "model_evaluation", ["fingerprint"], unique=False)
    op.create_table(
        "shadow_scoring",
        sa.Column("shadow_id", ID, nullable=False),
        sa.Column("ecg_id", ID, nullable=False),
        sa.Column("model_id", DIGEST, nullable=False),
        sa.Column("scored_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["ecg_id"], ["ecg.ecg_id"], name=op.f("fk_shadow_scoring_ecg_id")),
        sa.ForeignKeyConstraint(["model_id"], ["model.model_id"], name=op.f("fk_shadow_scoring_model_id")),
        sa.PrimaryKeyConstraint("shadow_id", name=op.f("pk_shadow_scoring")),
        sa.UniqueConstraint("model_id", "ecg_id", name=op.f("uq_shadow_scoring_model_id_ecg_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "shadow_score",
        sa.Column("shadow_id", ID, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=128), nullable=False),
        sa.Column("probability", sa.Double(), nullable=True),
        sa.Column("logit", sa.Double(), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("positive", sa.Boolean(), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["shadow_id"], ["shadow_scoring.shadow_id"], name=op.f("fk_shadow_score_shadow_id")),
        sa.PrimaryKeyConstraint("shadow_id", "position", name=op.f("pk_shadow_score")),
    )
    op.create_table(
        "drift_report",
        sa.Column("report_id", ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("model_id", DIGEST, nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.model_id"], name=op.f("fk_drift_report_model_id")),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_drift_report")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_drift_report_at"), "drift_report", ["at"], unique=False)
    for table in APPEND_ONLY:
        _refuse_changes(table)


def _refuse_changes(table: str) -> None:
    """What was live when, and how it was judged, is never rewritten: the database itself refuses."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION refuse_{table}_change() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION refuse_{table}_change()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
