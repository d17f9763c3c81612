"""What other systems say of ECGs, as text."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, Key, UtcDateTime

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "document",
        sa.Column("document_id", Id, primary_key=True),
        sa.Column("payload_id", Id, sa.ForeignKey("payload.payload_id"), nullable=False),
        sa.Column("source_key", Key, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("patient_key", Key, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer()),
        sa.UniqueConstraint("source_key", "version", name="uq_document_source_key_version"),
        sqlite_autoincrement=True,
    )
    for column in ("payload_id", "patient_key", "received_at"):
        op.create_index(f"ix_document_{column}", "document", [column])
    op.create_table(
        "document_reference",
        sa.Column("reference_key", Key, primary_key=True),
        sa.Column("document_id", Id, sa.ForeignKey("document.document_id"), primary_key=True, autoincrement=False),
    )
    op.create_index("ix_document_reference_document_id", "document_reference", ["document_id"])
