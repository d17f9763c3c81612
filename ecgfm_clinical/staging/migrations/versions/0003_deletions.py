"""A result can be deleted (OBX-11 D), beside being corrected and withdrawn."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

OLD, NEW = "kind in ('F', 'C', 'W')", "kind in ('F', 'C', 'W', 'D')"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _rebuild(op.get_bind())
        return
    op.drop_constraint(op.f("ck_message_kind"), "message", type_="check")
    op.create_check_constraint(op.f("ck_message_kind"), "message", NEW)


def _rebuild(connection: sa.Connection) -> None:
    """SQLite cannot change a constraint: the table is copied, as its manual says (foreign keys are off meanwhile)."""
    mine = "FROM sqlite_master WHERE tbl_name = 'message' AND sql IS NOT NULL"
    table = connection.exec_driver_sql(f"SELECT sql {mine} AND type = 'table'").scalar_one()
    indexes = connection.exec_driver_sql(f"SELECT sql {mine} AND type = 'index'").scalars().all()
    connection.exec_driver_sql(table.replace("CREATE TABLE message", "CREATE TABLE message_new", 1).replace(OLD, NEW))
    connection.exec_driver_sql("INSERT INTO message_new SELECT * FROM message")
    connection.exec_driver_sql("DROP TABLE message")
    connection.exec_driver_sql("ALTER TABLE message_new RENAME TO message")
    for index in indexes:
        connection.exec_driver_sql(index)
