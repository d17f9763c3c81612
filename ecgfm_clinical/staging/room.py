"""How much room a store takes, and how much is left where it lies."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from ecgfm_clinical.staging import engine
from ecgfm_clinical.staging.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """All in bytes."""

    size: int
    log: int | None  #: SQLite's write-ahead log
    free: int | None  #: on the volume; not known of a server


def room_of(database: Database, free_bytes: Callable[[], int] | None) -> Room:
    """Raises StoreUnavailable."""
    free = free_bytes() if free_bytes is not None else None
    if (path := engine.sqlite_path(database.writer.url)) is not None:
        return Room(size=_size(path), log=_size(path.with_name(f"{path.name}-wal")), free=free)
    with database.reading() as ask:
        size = ask.connection.scalar(select(func.pg_database_size(func.current_database())))
    return Room(size=size or 0, log=None, free=free)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
