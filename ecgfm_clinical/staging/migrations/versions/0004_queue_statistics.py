"""On PostgreSQL, the tables that serve as queues are analysed and vacuumed by rows changed,
not by share of their history.

With a million finished rows and the default share of a tenth, a hundred thousand rows may wait before the planner
learns that any do: until then it takes the partial indexes of what waits for empty, and sorts or scans the whole
backlog for every claim. Autovacuum looks once a minute.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

QUEUES = ("score_job", "message", "ecg")


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in QUEUES:
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000,"
            " autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)"
        )
