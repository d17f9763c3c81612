"""The schema's history: forward only, the same on both databases, each step one transaction.

`REVISIONS` lists every revision this program knows, oldest first, so that opening a store need not load Alembic.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from ecgfm_clinical.errors import StoreError, StoreTooNew, StoreUnavailable
from ecgfm_clinical.staging import engine

REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
    "0018",
    "0019",
    "0020",
    "0021",
    "0022",
    "0023",
    "0024",
    "0025",
    "0026",
    "0029",
    "0033",
)
HEAD = REVISIONS[-1]
BROKEN_OFF = (
    "The migration broke off; it is one transaction, so the schema is wholly the old one or wholly the new one, and no "
    "data were lost: run `ecgfm-clinical migrate` again once the store answers"
)
MIGRATION_LOCK = 0x45434747  # PostgreSQL advisory lock: one migration at a time


def revision(url: str) -> str | None:
    """The revision the store is at; None where it has no schema. Raises StoreUnavailable."""
    database = engine.connect(engine.parse_url(url))
    try:
        with engine.translated(), database.connect() as connection:
            return current(connection)
    finally:
        database.dispose()


def current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def upgrade(url: str, *, to: str = HEAD) -> None:
    """Bring the store's schema forward, data and all; an empty database gets the whole schema.

    Raises StoreUnavailable, and StoreTooNew where a newer program wrote the store. A server that ends in the middle,
    even of the commit, leaves the whole old schema or the whole new one; a repeat does what is left to do.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    parsed = engine.parse_url(url)
    if (path := engine.sqlite_path(parsed)) is not None:
        with suppress(OSError):  # the connection says what is wrong with the folder
            engine.make_file(path)
    database = engine.connect(parsed, writes=True)
    begun = False
    try:
        with engine.translated(), _without_foreign_keys(database) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            found = current(connection)
            if found is not None and found not in REVISIONS:
                raise StoreTooNew(too_new(found))
            begun = True
            config.attributes["connection"] = connection
            command.upgrade(config, to)
            _check_foreign_keys(connection)
    except StoreUnavailable as error:
        if not begun:
            raise
        raise StoreUnavailable(f"{error}. {BROKEN_OFF}") from error
    finally:
        database.dispose()


@contextmanager
def _without_foreign_keys(database: Engine) -> Iterator[Connection]:
    """A connection on which SQLite lets a table be replaced by a copy of itself;
    only settable outside a transaction.
    """
    with database.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")
        yield connection


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise StoreError("after the migration rows would name others that are not there; nothing was changed")


def too_new(found: str) -> str:
    return f"the store is at schema {found}, this program knows up to {HEAD}: upgrade ecgfm-clinical"
