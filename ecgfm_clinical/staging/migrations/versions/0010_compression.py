"""Signals and payloads say how they are packed; those that are there already are not.

PostgreSQL is told not to try to compress them itself.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for table, key, value in (("payload_content", "payload_id", "content"), ("signal", "ecg_id", "samples")):
        op.add_column(table, sa.Column("coding", sa.String(16), nullable=False, server_default=""))
        unpacked = sa.text("coding = ''")
        op.create_index(f"ix_{table}_unpacked", table, [key], sqlite_where=unpacked, postgresql_where=unpacked)
        if op.get_context().dialect.name == "postgresql":
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {value} SET STORAGE EXTERNAL")
