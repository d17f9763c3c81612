"""What cardiologists say of the answers of a head: agree or disagree, with a word why."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, UtcDateTime

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "opinion",
        sa.Column("opinion_id", Id, primary_key=True),
        sa.Column("ecg_id", Id, sa.ForeignKey("ecg.ecg_id"), nullable=False),
        sa.Column("scoring_id", Id, sa.ForeignKey("scoring.scoring_id"), nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("label", sa.String(128), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("cardiologist", sa.String(128), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_opinion_ecg_id", "opinion", ["ecg_id"])
    op.create_index("ix_opinion_head_label", "opinion", ["head", "label"])
