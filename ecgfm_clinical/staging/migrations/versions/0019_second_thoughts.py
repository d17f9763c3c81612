"""Messages that wait for a person's second thoughts before they may be sent."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, UtcDateTime

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "second_thought",
        sa.Column("message_id", Id, sa.ForeignKey("message.message_id"), primary_key=True, autoincrement=False),
        sa.Column("until", UtcDateTime, nullable=False),
    )
