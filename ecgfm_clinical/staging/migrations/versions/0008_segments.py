"""A scoring says on how many segments it rests; of earlier ones it is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("scoring", sa.Column("segments", sa.Integer(), nullable=True))
