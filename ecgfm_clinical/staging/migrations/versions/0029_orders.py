"""Orders of the hospital, and which of them each result answers."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, Key, UtcDateTime

revision = "0029"
down_revision = "0026"


def upgrade() -> None:
    op.create_table(
        "placed_order",
        sa.Column("order_id", Id, primary_key=True),
        sa.Column("payload_id", Id, sa.ForeignKey("payload.payload_id"), nullable=False),
        sa.Column("order_key", Key, nullable=False),
        sa.Column("patient_key", Key, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("said_at", UtcDateTime, nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer()),
        sa.CheckConstraint("state in ('open', 'on-hold', 'cancelled')", name="ck_placed_order_state"),
        sa.UniqueConstraint("order_key", "patient_key", name="uq_placed_order_order_key_patient_key"),
        sqlite_autoincrement=True,
    )
    for column in ("payload_id", "patient_key", "said_at"):
        op.create_index(f"ix_placed_order_{column}", "placed_order", [column])
    op.create_table(
        "placed_order_number",
        sa.Column("number_key", Key, primary_key=True),
        sa.Column("order_id", Id, sa.ForeignKey("placed_order.order_id"), primary_key=True, autoincrement=False),
    )
    op.create_index("ix_placed_order_number_order_id", "placed_order_number", ["order_id"])
    op.create_table(
        "order_answer",
        sa.Column("answer_id", Id, primary_key=True),
        sa.Column("filler", sa.String(64), nullable=False),
        sa.Column("recording_id", Id, sa.ForeignKey("ecg.ecg_id"), nullable=False),
        sa.Column("order_id", Id),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("matched_by", sa.String(32), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer()),
        sa.UniqueConstraint("filler", name="uq_order_answer_filler"),
        sqlite_autoincrement=True,
    )
    for column in ("recording_id", "order_id"):
        op.create_index(f"ix_order_answer_{column}", "order_answer", [column])
