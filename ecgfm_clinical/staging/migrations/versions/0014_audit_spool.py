"""Which entries of the audit trail still have to leave the house."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "audit_spool",
        sa.Column("spool_id", Id, primary_key=True),
        sa.Column("strand", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sqlite_autoincrement=True,
    )
