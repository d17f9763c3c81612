"""What a person has paused, and the answers of a paused head that an ECG is still owed."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, UtcDateTime

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "pause",
        sa.Column("pause_id", Id, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("paused_at", UtcDateTime, nullable=False),
        sa.Column("paused_by", sa.Text(), nullable=False),
        sa.Column("resumed_at", UtcDateTime),
        sa.Column("resumed_by", sa.Text()),
        sa.Column("resume_reason", sa.Text()),
        sa.CheckConstraint("kind in ('everything', 'source', 'destination', 'head')", name="ck_pause_kind"),
        sqlite_autoincrement=True,
    )
    in_force = sa.text("resumed_at IS NULL")
    op.create_index(
        "ix_pause_in_force",
        "pause",
        ["kind", "name"],
        unique=True,
        sqlite_where=in_force,
        postgresql_where=in_force,
    )
    op.create_table(
        "withheld",
        sa.Column("ecg_id", Id, sa.ForeignKey("ecg.ecg_id"), primary_key=True, autoincrement=False),
        sa.Column("head", sa.String(64), primary_key=True),
        sa.Column("queued", sa.Boolean(), nullable=False),
    )
