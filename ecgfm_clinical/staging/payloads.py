"""Payloads that were set aside, one by one: who sent them, when, why they were not taken, and their bytes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import loading, questions, seals, unreading
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.kept import KeptPayload
from ecgfm_clinical.staging.rows import PayloadRow, every_row, first_row
from ecgfm_clinical.staging.schema import payload, payload_content
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.base import Disposition, Received

#: What is listed, each as its index says it.
_ASIDE = (text("payload.disposition <> 'staged'"), text("(payload.disposition = 'staged' AND payload.code <> '')"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Payloads whose bytes lie in the store."""

    count: int
    bytes: int  #: as received


class Payloads:
    """Payloads by their number."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_aside(
        self, *, code: str = "", source: str = "", since: datetime | None = None, before: int | None = None, limit: int
    ) -> list[KeptPayload]:
        """Refused and unreadable ones, and those taken in part, newest first; `before` is the last number of the
        previous page.
        """
        query = select(payload).order_by(payload.c.payload_id.desc()).limit(limit)
        if code:
            query = query.where(payload.c.code == code)
        if source:
            query = query.where(payload.c.source == source)
        if since is not None:
            query = query.where(payload.c.received_at >= since)
        if before is not None:
            query = query.where(payload.c.payload_id < before)
        with self._database.reading() as ask:
            rows = [row for which in _ASIDE for row in every_row(ask.connection, PayloadRow, query.where(which))]
            newest = sorted(rows, key=lambda row: row.payload_id, reverse=True)
            return [_kept(ask, row) for row in newest[:limit]]

    def one(self, payload_id: int) -> KeptPayload:
        """Any payload, taken or not. Raises NotFound."""
        with self._database.reading() as ask:
            row = first_row(ask.connection, PayloadRow, select(payload).where(payload.c.payload_id == payload_id))
            if row is None:
                raise NotFound(f"there is no payload {payload_id} in the store")
            return _kept(ask, row)

    def held_for(self, code: str) -> Held:
        """How much was set aside for this reason, as long as its bytes lie here."""
        query = (
            select(func.count(), func.coalesce(func.sum(payload.c.size), 0))
            .join_from(payload, payload_content, payload_content.c.payload_id == payload.c.payload_id)
            .where(text("payload.disposition <> 'staged'"), payload.c.code == code)  # as the index says it
        )
        with self._database.reading() as ask:
            count, size = ask.connection.execute(query).one()
        return Held(count=count, bytes=int(size))

    def export(self, payload_id: int, *, reason: str, now: datetime, actor: str) -> Received:
        """A payload exactly as it was received; that it left the store is in the audit trail. Raises NotFound."""
        with self._database.writing(now, actor) as tx:
            received = loading.load_payload(tx, payload_id)
            tx.note("payload.exported", payload_id=payload_id, reason=reason)
        return received

    def set_aside_again(
        self, before: Iterable[KeptPayload], *, due_at: datetime, now: datetime, actor: str
    ) -> list[int]:
        """Take back that these were read again, with their score jobs put off until `due_at`; which of them are as
        they were before. What was taken up goes on.
        """
        undone = []
        for one in before:
            with self._database.writing(now, actor) as tx:
                undone += [one.payload_id] if unreading.undo(tx, one, due_at=due_at) else []
        return undone


def _kept(reading: Reading, row: PayloadRow) -> KeptPayload:
    told: Mapping[str, str] = json.loads(seals.PAYLOAD.open(reading.keyring, row))
    return KeptPayload(
        payload_id=row.payload_id,
        received_at=row.received_at,
        source=row.source,
        transport=row.transport,
        size=row.size,
        sha256=row.sha256,
        code=row.code,
        text=row.text,
        repeats=row.repeats,
        repeated_at=row.repeated_at,
        peer=told["peer"],
        location=told["location"],
        disposition=Disposition(row.disposition),
        needs_a_person=questions.needs_a_look(row.disposition, row.code, row.findings),
    )
