"""ECGs are found by the numbers of their order, from this version on."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, Key

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "ecg_number",
        sa.Column("number_key", Key, primary_key=True),
        sa.Column("ecg_id", Id, sa.ForeignKey("ecg.ecg_id"), primary_key=True, autoincrement=False),
    )
    op.create_index("ix_ecg_number_ecg_id", "ecg_number", ["ecg_id"])
