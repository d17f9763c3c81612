"""What several processes agree on through the store: pull cursors, who leads, and who listens where."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, or_, select

from ecgfm_clinical.staging.schema import pull_cursor, role_lease
from ecgfm_clinical.staging.upsert import insert_for, upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who does what until when."""

    name: str
    holder: str
    until: datetime


def cursor(connection: Connection, source: str) -> str | None:
    """Where the next pull starts; None before the first."""
    return connection.scalar(select(pull_cursor.c.value).where(pull_cursor.c.source == source))


def set_cursor(connection: Connection, source: str, value: str) -> None:
    upsert(connection, pull_cursor, {"source": source}, {"value": value})


def acquire(connection: Connection, name: str, holder: str, *, now: datetime, until: datetime) -> bool:
    """Take or prolong a lease, in one statement; False while another holder's has not run out.

    A lease that ends later than twice its own length from now was taken before the clock was set back: it is free.
    """
    statement = insert_for(connection.dialect, role_lease).values(name=name, holder=holder, until=until)
    from_the_future = role_lease.c.until > now + 2 * (until - now)
    free_or_mine = or_(role_lease.c.until <= now, from_the_future, role_lease.c.holder == holder)
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"holder": holder, "until": until}, where=free_or_mine
    )
    return bool(connection.scalar(statement.returning(role_lease.c.holder)) == holder)


def release(connection: Connection, name: str, holder: str) -> None:
    """Let another take over at once."""
    connection.execute(delete(role_lease).where(role_lease.c.name == name, role_lease.c.holder == holder))


def leases(connection: Connection, prefix: str) -> list[Lease]:
    """Every lease whose name begins so, those that have run out included."""
    rows = connection.execute(select(role_lease).where(role_lease.c.name.startswith(prefix, autoescape=True)))
    return [Lease(name=row.name, holder=row.holder, until=row.until) for row in rows]
