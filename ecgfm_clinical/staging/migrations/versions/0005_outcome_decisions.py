"""An outcome keeps by which rule it was read and how precise its time is; what was left out is kept with its reason."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, Key, UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("outcome", sa.Column("observed_precision", sa.String(8), nullable=False, server_default="second"))
    op.add_column("outcome", sa.Column("rule", sa.String(32), nullable=False, server_default=""))
    op.create_table(
        "left_out",
        sa.Column("left_out_id", Id, nullable=False),
        sa.Column("payload_id", Id, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("patient_key", Key, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("observed_at", UtcDateTime),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("private", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Integer),
        sa.ForeignKeyConstraint(["payload_id"], ["payload.payload_id"], name=op.f("fk_left_out_payload_id")),
        sa.PrimaryKeyConstraint("left_out_id", name=op.f("pk_left_out")),
        sa.UniqueConstraint("payload_id", "place", name=op.f("uq_left_out_payload_id_place")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_left_out_received_at"), "left_out", ["received_at"], unique=False)
