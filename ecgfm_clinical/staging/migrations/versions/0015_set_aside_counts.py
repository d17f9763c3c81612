"""Indexes from which payloads set aside are counted by reason, and those found at which a person has to look.

Every scrape of the metrics asks for both; without them it read each refused payload, of which an ADT feed leaves many.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    aside = sa.text("disposition <> 'staged'")
    op.create_index("ix_payload_reason", "payload", ["code"], sqlite_where=aside, postgresql_where=aside)
    look = sa.text("code = 'patient-mismatch' OR disposition = 'unreadable'")
    op.create_index("ix_payload_to_see_to", "payload", ["payload_id"], sqlite_where=look, postgresql_where=look)
