"""Taking a whole store into another database, such as from SQLite to PostgreSQL, and comparing it row by row.

Nothing is decrypted or interpreted: every row goes over as it is, in one transaction of the target. While it goes,
nobody writes to the old store. Only when each table of the new store gave back the same rows is the transaction
committed; the old store is not touched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from sqlalchemy import Connection, String, Table, func, insert, select, text

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging import engine, migrations
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.schema import metadata, process, role_lease, store_size

PAGE = 500  # rows at a time
#: What belongs to processes of the old place, and how large it was.
_LEFT_BEHIND = frozenset({process.name, role_lease.name, store_size.name})


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedTable:
    """One table, compared."""

    table: str
    rows: int


def move(source: Database, url: str, *, told: Callable[[MovedTable], None] = lambda _: None) -> list[MovedTable]:
    """Copy every row into the empty or new database at `url`; `told` hears of each table once it was compared.

    Raises StoreError where the target holds rows already or gave back anything else, StoreUnavailable, SettingsError.
    """
    migrations.upgrade(url)
    target = engine.connect(engine.parse_url(url), writes=True)
    try:
        with engine.translated(), source.writer.begin() as old, target.begin() as new:
            _refuse_filled(new)
            moved = []
            for table in _tables():
                _copy(old, new, table)
                moved.append(MovedTable(table=table.name, rows=_compare(old, new, table)))
                told(moved[-1])
            if new.dialect.name == "postgresql":
                _count_on(new)
    finally:
        target.dispose()
    return moved


def _tables() -> list[Table]:
    """A table after every other that it refers to."""
    return [table for table in metadata.sorted_tables if table.name not in _LEFT_BEHIND]


def _refuse_filled(new: Connection) -> None:
    for table in _tables():
        if new.execute(select(table).limit(1)).first() is not None:
            raise StoreError(f"the target holds rows already (table {table.name}); name an empty database")


def _copy(old: Connection, new: Connection, table: Table) -> None:
    for page in _pages(old, table):
        new.execute(insert(table), page)


def _pages(connection: Connection, table: Table) -> Iterator[list[dict[str, object]]]:
    # Texts are ordered byte by byte, so that both databases give the same order.
    keys = [
        column.collate("C") if isinstance(column.type, String) and connection.dialect.name == "postgresql" else column
        for column in table.primary_key.columns
    ]
    rows = connection.execute(select(table).order_by(*keys).execution_options(yield_per=PAGE))
    for page in rows.mappings().partitions(PAGE):
        yield [dict(row) for row in page]


def _compare(old: Connection, new: Connection, table: Table) -> int:
    """How many rows both have, each equal. Raises StoreError."""
    count = 0
    nothing: list[dict[str, object]] = []
    for before, after in zip_longest(_pages(old, table), _pages(new, table), fillvalue=nothing):
        if before != after:
            raise StoreError(f"table {table.name} came back with other rows: nothing was kept in the target")
        count += len(before)
    return count


def _count_on(new: Connection) -> None:
    """Let PostgreSQL's sequences go on after the highest number that came over."""
    for table in _tables():
        (first, *others) = table.primary_key.columns
        sequence = new.scalar(select(func.pg_get_serial_sequence(table.name, first.name)))
        if sequence is None or others:
            continue
        highest = new.scalar(select(func.max(first)))
        if highest is not None:
            new.execute(text("SELECT setval(:sequence, :highest)"), {"sequence": sequence, "highest": highest})
