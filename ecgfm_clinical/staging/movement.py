"""When each source last brought something, when each destination last answered, and how often a source brings ECGs.

A source that falls silent leaves nothing that waits, so no queue shows it. These questions read indexes of their own,
so that they cost the same in any store.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any  # Any: SQLAlchemy's columns of a statement

from sqlalchemy import Select, case, func, select, text

from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.intake import NOT_AN_ECG, UNKNOWN_SENDER
from ecgfm_clinical.staging.records import EcgState
from ecgfm_clinical.staging.schema import ecg, left_out, message, outcome, payload

_AWAITED = payload.c.code != UNKNOWN_SENDER


class Movement:
    """What moved when."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_received(self, sources: Iterable[str]) -> dict[str, datetime | None]:
        """When each of these listeners and sources last brought a payload that was kept; None where it never did.

        Bytes that had come before are no new payload: their sender lives, and says nothing new. A stranger who calls
        at a port is no sign of life of those who are awaited there.
        """
        newest = select(payload.c.received_at).order_by(payload.c.received_at.desc()).limit(1)
        with self._database.reading() as ask:
            return {name: ask.connection.scalar(newest.where(payload.c.source == name, _AWAITED)) for name in sources}

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

    def refused(self, source: str, since: datetime, until: datetime) -> tuple[int, int]:
        """Of the payloads of a source in [since, until) that claimed to be an ECG: how many were not taken, and all."""
        aside = case((payload.c.disposition != "staged", 1), else_=0)
        inside = (payload.c.source == source, payload.c.received_at >= since, payload.c.received_at < until)
        return self._share(select(func.sum(aside), func.count()).where(*inside, payload.c.code.not_in(NOT_AN_ECG)))

    def not_evaluable(self, source: str, since: datetime, until: datetime) -> tuple[int, int]:
        """Of the ECGs of a source received in [since, until) and judged: how many no head could score, and all."""
        unable = case((ecg.c.state == EcgState.NOT_EVALUABLE.value, 1), else_=0)
        judged = ecg.c.state.in_((EcgState.NOT_EVALUABLE.value, EcgState.SCORED.value))
        inside = (ecg.c.source == source, ecg.c.received_at >= since, ecg.c.received_at < until, judged)
        return self._share(select(func.sum(unable), func.count()).where(*inside))

    def outcomes_left_out(self, source: str, since: datetime, until: datetime) -> tuple[int, int]:
        """Of the outcomes that a source brought in [since, until): how many were left out, and all."""
        taken, aside = (
            select(func.count())
            .select_from(table.join(payload, payload.c.payload_id == table.c.payload_id))
            .where(payload.c.source == source, table.c.received_at >= since, table.c.received_at < until)
            .scalar_subquery()
            for table in (outcome, left_out)
        )
        return self._share(select(aside, aside + taken))

    def _share(self, query: Select[*tuple[Any, ...]]) -> tuple[int, int]:
        with self._database.reading() as ask:
            some, whole = ask.connection.execute(query).one()
        return int(some or 0), int(whole or 0)

    def arrivals(self, source: str, *, since: datetime, until: datetime) -> list[datetime]:
        """The UTC hours in [since, until) in which a source brought at least one payload, each once, oldest first."""
        inside = (payload.c.source == source, payload.c.received_at >= since, payload.c.received_at < until, _AWAITED)
        with self._database.reading() as ask:
            times = ask.connection.scalars(select(payload.c.received_at).where(*inside).order_by(payload.c.received_at))
            hours = dict.fromkeys(at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for at in times)
        return list(hours)
