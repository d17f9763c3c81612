"""Where a model looked, as people ask for it."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, UtcDateTime

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "saliency",
        sa.Column("saliency_id", Id, primary_key=True),
        sa.Column("ecg_id", Id, sa.ForeignKey("ecg.ecg_id"), nullable=False),
        sa.Column("scoring_id", Id, sa.ForeignKey("scoring.scoring_id"), nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("label", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("asked_at", UtcDateTime, nullable=False),
        sa.Column("worker", sa.Text()),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("weights", sa.LargeBinary()),
        sa.Column("key_id", sa.Integer()),
        sa.CheckConstraint("state in ('waiting', 'running', 'done', 'failed')", name="ck_saliency_state"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_saliency_scoring_id_head_label", "saliency", ["scoring_id", "head", "label"], unique=True)
    op.create_index("ix_saliency_ecg_id", "saliency", ["ecg_id"])
    for name, columns, state in (
        ("ix_saliency_claim", ["due_at", "saliency_id"], "waiting"),
        ("ix_saliency_lease", ["lease_until"], "running"),
    ):
        only = sa.text(f"state = '{state}'")
        op.create_index(name, "saliency", columns, sqlite_where=only, postgresql_where=only)
