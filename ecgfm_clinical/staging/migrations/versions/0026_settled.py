"""Since when a score job that failed for good needs nobody."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import UtcDateTime

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.add_column("score_job", sa.Column("settled_at", UtcDateTime(), nullable=True))
