"""How large the store was, hour by hour."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import UtcDateTime

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "store_size",
        sa.Column("hour", UtcDateTime, primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
    )
