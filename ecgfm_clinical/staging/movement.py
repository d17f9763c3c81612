"""When each source last brought something, when each destination last answered, and how often a source brings ECGs.

A source that falls silent leaves nothing that waits, so no queue shows it. These questions read indexes of their own,
so that they cost the same in any store.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import func, select, text

from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.schema import message, payload


class Movement:
    """What moved when."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_received(self, sources: Iterable[str]) -> dict[str, datetime | None]:
        """When each of these listeners and sources last brought a payload that was kept; None where it never did.

        Bytes that had come before are no new payload: their sender lives, and says nothing new.
        """
        with self._database.reading() as ask:
            return {
                name: ask.connection.scalar(select(func.max(payload.c.received_at)).where(payload.c.source == name))
                for name in sources
            }

    def last_acknowledged(self, destinations: Iterable[str]) -> dict[str, datetime | None]:
        """When each destination last acknowledged a result; None where it never did."""
        done = text("message.state = 'acknowledged'")  # as the index says it
        with self._database.reading() as ask:
            return {
                name: ask.connection.scalar(
                    select(func.max(message.c.acknowledged_at)).where(message.c.destination == name, done)
                )
                for name in destinations
            }

    def arrivals(self, source: str, *, since: datetime, until: datetime) -> list[datetime]:
        """The UTC hours in [since, until) in which a source brought at least one payload, each once, oldest first."""
        inside = (payload.c.source == source, payload.c.received_at >= since, payload.c.received_at < until)
        with self._database.reading() as ask:
            times = ask.connection.scalars(select(payload.c.received_at).where(*inside).order_by(payload.c.received_at))
            hours = dict.fromkeys(at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for at in times)
        return list(hours)
