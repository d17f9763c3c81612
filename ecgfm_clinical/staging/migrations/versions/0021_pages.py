"""Whether the page of a message is still to be drawn."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("message", sa.Column("page", sa.String(8), nullable=True))
