"""The probability before a model's prior shift, beside the one that was told."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("score", sa.Column("unshifted", sa.Double(), nullable=True))
