"""Indexes that tell when a source last brought something, and when a destination last acknowledged."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_index("ix_payload_source", "payload", ["source", "received_at"])
    acknowledged = sa.text("state = 'acknowledged'")
    op.create_index(
        "ix_message_acknowledged",
        "message",
        ["destination", "acknowledged_at"],
        sqlite_where=acknowledged,
        postgresql_where=acknowledged,
    )
