"""Which processes serve and how their tasks fare, what clock time nobody saw pass, and who objects to learning."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, Key, UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "process",
        sa.Column("holder", sa.String(255), primary_key=True),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.Column("ailing", sa.JSON(), nullable=False),
    )
    op.create_table(
        "clock_seen",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "clock_gap",
        sa.Column("gap_id", Id, primary_key=True),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "objection",
        sa.Column("patient_key", Key, primary_key=True),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
    )
