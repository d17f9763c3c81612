"""Alerts and who was told of them."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, UtcDateTime

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("alert_id", Id, primary_key=True),
        sa.Column("condition", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.Column("escalated_at", UtcDateTime),
        sa.Column("acknowledged_at", UtcDateTime),
        sa.Column("acknowledged_by", sa.Text()),
        sa.Column("silenced_until", UtcDateTime),
        sa.Column("reason", sa.Text()),
        sa.Column("cleared_at", UtcDateTime),
        sa.CheckConstraint("severity in ('info', 'warning', 'critical')", name="ck_alert_severity"),
        sqlite_autoincrement=True,
    )
    still_open = sa.text("cleared_at IS NULL")
    op.create_index(
        "ix_alert_open",
        "alert",
        ["condition", "subject"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.create_table(
        "notice",
        sa.Column("notice_id", Id, primary_key=True),
        sa.Column("alert_id", Id, sa.ForeignKey("alert.alert_id"), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("sent_at", UtcDateTime),
        sa.Column("error", sa.Text(), nullable=False),
        sa.CheckConstraint("state in ('opened', 'escalated', 'cleared')", name="ck_notice_state"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notice_alert_id", "notice", ["alert_id"])
    unsent = sa.text("sent_at IS NULL")
    op.create_index("ix_notice_due", "notice", ["due_at"], sqlite_where=unsent, postgresql_where=unsent)
