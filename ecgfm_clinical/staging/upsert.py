"""INSERT … ON CONFLICT in the spelling of the database at hand."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

T = TypeVar("T")


def for_both(build: Callable[[PostgresqlInsert | SqliteInsert], T], table: Table) -> dict[str, T]:
    """Dialect name -> statement, built once for the steps that run for every ECG: building costs as much as running."""
    return {"postgresql": build(postgresql.insert(table)), "sqlite": build(sqlite.insert(table))}


def insert_for(dialect: Dialect, table: Table) -> PostgresqlInsert | SqliteInsert:
    """An INSERT that knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)


def upsert(connection: Connection, table: Table, key: Mapping[str, object], values: Mapping[str, object]) -> None:
    """One row with this primary key and these values, whether it was there or not."""
    statement = insert_for(connection.dialect, table).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=dict(values)))
