"""What several processes agree on through the store: pull cursors, who leads, and who listens where."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select

from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.engine import translated
from ecgfm_clinical.staging.schema import pull_cursor, role_lease
from ecgfm_clinical.staging.upsert import insert_for, upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who does what until when."""

    name: str
    holder: str
    until: datetime


class Coordination:
    """Agreement between processes; it leaves no audit lines, for nothing of it concerns an ECG."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cursor(self, source: str) -> str | None:
        """Where the next pull of a source starts; None before the first."""
        with self._database.reading() as ask:
            return ask.connection.scalar(select(pull_cursor.c.value).where(pull_cursor.c.source == source))

    def set_cursor(self, source: str, value: str) -> None:
        with translated(), self._database.writer.begin() as connection:
            upsert(connection, pull_cursor, {"source": source}, {"value": value})

    def acquire(self, name: str, holder: str, *, now: datetime, duration: timedelta) -> bool:
        """Become or stay the one who does `name`, in one statement; False while another's lease has not run out.

        A lease that ends later than twice its own length from now was taken before the clock was set back: it is free.
        """
        until = now + duration
        statement = insert_for(self._database.writer.dialect, role_lease).values(name=name, holder=holder, until=until)
        from_the_future = role_lease.c.until > now + 2 * duration
        free_or_mine = or_(role_lease.c.until <= now, from_the_future, role_lease.c.holder == holder)
        statement = statement.on_conflict_do_update(
            index_elements=["name"], set_={"holder": holder, "until": until}, where=free_or_mine
        )
        with translated(), self._database.writer.begin() as connection:
            return bool(connection.scalar(statement.returning(role_lease.c.holder)) == holder)

    def release(self, name: str, holder: str) -> None:
        """Let another take over at once."""
        with translated(), self._database.writer.begin() as connection:
            connection.execute(delete(role_lease).where(role_lease.c.name == name, role_lease.c.holder == holder))

    def leases(self, prefix: str) -> list[Lease]:
        """Every lease whose name begins so, those that have run out included."""
        query = select(role_lease).where(role_lease.c.name.startswith(prefix, autoescape=True))
        with self._database.reading() as ask:
            rows = ask.connection.execute(query)
            return [Lease(name=row.name, holder=row.holder, until=row.until) for row in rows]
