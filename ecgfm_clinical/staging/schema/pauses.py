"""What a person has paused, and what is owed until it goes on."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, String, Table, Text, text

from ecgfm_clinical.staging.schema.columns import Id, UtcDateTime, metadata

pause = Table(
    "pause",
    metadata,
    Column("pause_id", Id, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(128), nullable=False),  # of the source, destination or head; empty for everything
    Column("reason", Text, nullable=False),
    Column("paused_at", UtcDateTime, nullable=False),
    Column("paused_by", Text, nullable=False),
    Column("resumed_at", UtcDateTime),
    Column("resumed_by", Text),
    Column("resume_reason", Text),
    CheckConstraint("kind in ('everything', 'source', 'destination', 'head')", name="kind"),
    Index(
        "ix_pause_in_force",
        "kind",
        "name",
        unique=True,
        sqlite_where=text("resumed_at IS NULL"),
        postgresql_where=text("resumed_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

#: ECGs that were scored while a head was paused: its answer was not kept, and is owed.
withheld = Table(
    "withheld",
    metadata,
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), primary_key=True, autoincrement=False),
    Column("head", String(64), primary_key=True),
    Column("queued", Boolean, nullable=False),  # the head goes on: another scoring was queued
)
