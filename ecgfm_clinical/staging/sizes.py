"""How large the store was at each hour of the last weeks, and by how much it grows.

A full disk is seen when it is full; that it will be full is seen from the store's own past. Each process notes the size
at its pulse, once an hour.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select

from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.engine import translated
from ecgfm_clinical.staging.schema import store_size
from ecgfm_clinical.staging.upsert import upsert

DAY = timedelta(days=1)
KEPT = timedelta(days=35)
#: The growth told is that of a whole week, so that a quiet weekend is as much part of it as a Monday.
LOOKED_BACK = timedelta(days=7)
#: Of a shorter past nothing is said.
LEAST = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """From a size in the past to the size now."""

    grown: int  #: bytes; below 0 where the store has shrunk
    during: timedelta

    @property
    def per_day(self) -> float:
        """In bytes."""
        return self.grown / (self.during / DAY)

    def days_until(self, room: int) -> float | None:
        """Until so many bytes more are taken, going on as before; None where the store does not grow."""
        return max(0, room) / self.per_day if self.grown > 0 else None


class Sizes:
    """The sizes of a store, hour by hour."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether this process has not noted the size of this hour yet."""
        return self._noted != _hour(now)

    def note(self, size: int, *, now: datetime) -> None:
        """The store has so many bytes. What is too old goes, and what a clock wrote that was ahead."""
        hour = _hour(now)
        with translated(), self._database.writer.begin() as connection:
            gone = or_(store_size.c.hour < hour - KEPT, store_size.c.hour > hour)
            connection.execute(delete(store_size).where(gone))
            upsert(connection, store_size, {"hour": hour}, {"size": size})
        self._noted = hour

    def growth(self, size: int, *, now: datetime) -> Growth | None:
        """Since a week ago, or since the first size that is known; None where that is less than a day ago."""
        inside = (store_size.c.hour >= now - LOOKED_BACK, store_size.c.hour <= now - LEAST)
        oldest = select(store_size.c.hour, store_size.c.size).where(*inside).order_by(store_size.c.hour).limit(1)
        with self._database.reading() as ask:
            row = ask.connection.execute(oldest).first()
        return None if row is None else Growth(grown=size - row.size, during=now - row.hour)


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
