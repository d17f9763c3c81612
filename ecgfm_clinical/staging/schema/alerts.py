"""What is wrong and who was told."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text, text

from ecgfm_clinical.staging.schema.columns import Id, UtcDateTime, metadata

alert = Table(
    "alert",
    metadata,
    Column("alert_id", Id, primary_key=True),
    Column("condition", String(64), nullable=False),
    Column("subject", String(128), nullable=False),  # a configured part; empty where the condition has none
    Column("severity", String(16), nullable=False),
    Column("text", Text, nullable=False),  # free of patient data
    Column("opened_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),  # when the condition last held
    Column("escalated_at", UtcDateTime),
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", Text),
    Column("silenced_until", UtcDateTime),
    Column("reason", Text),
    Column("cleared_at", UtcDateTime),
    CheckConstraint("severity in ('info', 'warning', 'critical')", name="severity"),
    Index(
        "ix_alert_open",
        "condition",
        "subject",
        unique=True,
        sqlite_where=text("cleared_at IS NULL"),
        postgresql_where=text("cleared_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

notice = Table(
    "notice",
    metadata,
    Column("notice_id", Id, primary_key=True),
    Column("alert_id", Id, ForeignKey("alert.alert_id"), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # of the alert: opened, escalated or cleared
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("error", Text, nullable=False),  # class of the last failure
    CheckConstraint("state in ('opened', 'escalated', 'cleared')", name="state"),
    Index(None, "alert_id"),
    Index(
        "ix_notice_due",
        "due_at",
        sqlite_where=text("sent_at IS NULL"),
        postgresql_where=text("sent_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)
