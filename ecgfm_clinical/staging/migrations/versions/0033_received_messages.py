"""What came in is found by the number of the HL7 message that brought it, from this version on."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, Key

revision = "0033"
down_revision = "0029"


def upgrade() -> None:
    op.create_table(
        "received_message",
        sa.Column("row_id", Id, primary_key=True),
        sa.Column("number_key", Key, nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("payload_id", Id, sa.ForeignKey("payload.payload_id"), nullable=False),
        sa.Column("ecg_id", Id, sa.ForeignKey("ecg.ecg_id")),
        sa.Column("outcome_key", Key),
        sqlite_autoincrement=True,
    )
    for column in ("number_key", "payload_id"):
        op.create_index(f"ix_received_message_{column}", "received_message", [column])
    known = sa.text("ecg_id IS NOT NULL")
    op.create_index(
        "ix_received_message_ecg", "received_message", ["ecg_id"], sqlite_where=known, postgresql_where=known
    )
