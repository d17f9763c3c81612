"""The schema's history: forward only, the same on both databases, each step one transaction.

`REVISIONS` lists every revision this program knows, oldest first, so that opening a store need not load Alembic.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from ecgfm_clinical.errors import StoreTooNew
from ecgfm_clinical.staging import engine

REVISIONS = ("0001", "0002")
HEAD = REVISIONS[-1]
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

    Raises StoreUnavailable, and StoreTooNew where a newer program wrote the store.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    database = engine.connect(engine.parse_url(url)).execution_options(writes=True)
    try:
        with engine.translated(), database.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            found = current(connection)
            if found is not None and found not in REVISIONS:
                raise StoreTooNew(too_new(found))
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    finally:
        database.dispose()


def too_new(found: str) -> str:
    return f"the store is at schema {found}, this program knows up to {HEAD}: upgrade ecgfm-clinical"
