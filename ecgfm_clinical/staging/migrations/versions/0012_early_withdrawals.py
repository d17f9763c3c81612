"""A sender's withdrawal that comes before its recording is kept, and a question may answer itself."""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, Key

revision = "0012"
down_revision = "0011"

OLD, NEW = "decision in ('released', 'rejected')", "decision in ('released', 'rejected', 'moot')"


def upgrade() -> None:
    op.create_table(
        "early_withdrawal",
        sa.Column("withdrawal_id", Id, primary_key=True),
        sa.Column("payload_id", Id, sa.ForeignKey("payload.payload_id"), nullable=False),
        sa.Column("known_by", Key, nullable=False),
        sa.Column("recording_id", Id, sa.ForeignKey("ecg.ecg_id"), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_early_withdrawal_known_by", "early_withdrawal", ["known_by"])
    if op.get_bind().dialect.name == "sqlite":
        _rebuild(op.get_bind())
        return
    op.drop_constraint(op.f("ck_hold_decision"), "hold", type_="check")
    op.create_check_constraint(op.f("ck_hold_decision"), "hold", NEW)


def _rebuild(connection: sa.Connection) -> None:
    """SQLite cannot change a constraint: the table is copied, as its manual says (foreign keys are off meanwhile)."""
    mine = "FROM sqlite_master WHERE tbl_name = 'hold' AND sql IS NOT NULL"
    table = connection.exec_driver_sql(f"SELECT sql {mine} AND type = 'table'").scalar_one()
    indexes = connection.exec_driver_sql(f"SELECT sql {mine} AND type = 'index'").scalars().all()
    connection.exec_driver_sql(table.replace("CREATE TABLE hold", "CREATE TABLE hold_new", 1).replace(OLD, NEW))
    connection.exec_driver_sql("INSERT INTO hold_new SELECT * FROM hold")
    connection.exec_driver_sql("DROP TABLE hold")
    connection.exec_driver_sql("ALTER TABLE hold_new RENAME TO hold")
    for index in indexes:
        connection.exec_driver_sql(index)
