"""Filters of the console that people keep under a name."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "preset",
        sa.Column("preset_id", Id, primary_key=True),
        sa.Column("person", sa.String(128), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.UniqueConstraint("person", "name", name="uq_preset_person_name"),
        sqlite_autoincrement=True,
    )
