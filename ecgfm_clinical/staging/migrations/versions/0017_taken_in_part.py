"""An index of payloads that were taken in part: at the rest of them a person has to look."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    part = sa.text("disposition = 'staged' AND code <> ''")
    op.create_index("ix_payload_in_part", "payload", ["payload_id"], sqlite_where=part, postgresql_where=part)
