"""The upkeep of a store: retention, keys, copies, and the trail of who did what.

Retention lets go of bytes that have served: raw payloads, signals and sent messages, each at its own age. Bookkeeping, scores and the audit trail stay. Nothing goes that is still needed: no payload or signal of an ECG that
waits, failed, or has a result not yet acknowledged, and no message that is not finished.
"""

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, delete, exists, or_, select

from ecgfm_clinical.staging import audit, engine, rotation
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import AuditEvent, Expired
from ecgfm_clinical.staging.schema import ecg, message, message_body, payload, payload_content, score_job, signal
from ecgfm_clinical.staging.transaction import Transaction

PAGE = 200  # rows a transaction: other writers never wait long


class Care:
    """The upkeep of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def expire(
        self,
        *,
        now: datetime,
        actor: str,
        payloads: timedelta | None = None,
        signals: timedelta | None = None,
        messages: timedelta | None = None,
    ) -> Expired:
        """Remove raw payloads, signals and message bodies older than these ages; nothing that is still needed."""
        steps = ((payloads, _drop_payloads), (signals, _drop_signals), (messages, _drop_messages))
        gone = []
        for age, drop in steps:
            gone.append(0)
            while age is not None:
                with self._database.writing(now, actor) as tx:
                    count = drop(tx, now - age)
                gone[-1] += count
                if not count:
                    break
        return Expired(payloads=gone[0], signals=gone[1], messages=gone[2])

    def reseal(self, *, now: datetime, actor: str, plain: bool = False) -> int:
        """Bring every sealed value under the current key, page by page; how many were changed. `plain`: decrypt all."""
        total = 0
        while True:
            with self._database.writing(now, actor) as tx:
                done = rotation.reseal_page(tx, plain=plain)
            if not done:
                return total
            total += done

    def back_up(self, path: Path) -> None:
        """Copy an SQLite store into a new file while work goes on. Raises StoreError on PostgreSQL: use pg_dump there."""
        with self._database.reading() as ask:
            engine.back_up(ask.connection, path)

    def trail(self, *, limit: int = 1000, after: int = 0) -> tuple[AuditEvent, ...]:
        """The audit trail in the order written, from the entry after `after` on."""
        with self._database.reading() as ask:
            return audit.trail(ask.connection, limit=limit, after=after)

    def audit_length(self) -> int:
        """How many entries the trail has."""
        with self._database.reading() as ask:
            return audit.length(ask.connection)

    def audit_faults(self) -> list[str]:
        """Where the audit trail was tampered with; empty where it was not."""
        with self._database.reading() as ask:
            return audit.faults(ask.connection)


def _unfinished_ecg() -> ColumnElement[bool]:
    """An ECG that may still need what it was made of."""
    job = exists().where(score_job.c.ecg_id == ecg.c.ecg_id, score_job.c.state.in_(("waiting", "running")))
    told = exists().where(message.c.ecg_id == ecg.c.ecg_id, message.c.state.in_(("waiting", "running", "dead")))
    return or_(ecg.c.state.in_(("waiting", "failed")), job, told)


def _drop_payloads(tx: Transaction, before: datetime) -> int:
    """Raw bytes received before then; how many went (at most a page)."""
    needed = exists().where(ecg.c.payload_id == payload.c.payload_id, _unfinished_ecg())
    old = (
        select(payload.c.payload_id)
        .join(payload_content, payload_content.c.payload_id == payload.c.payload_id)
        .where(payload.c.received_at < before, ~needed)
        .limit(PAGE)
    )
    gone = tx.connection.execute(delete(payload_content).where(payload_content.c.payload_id.in_(old))).rowcount
    return _noted(tx, "payloads", gone, before)


def _drop_signals(tx: Transaction, before: datetime) -> int:
    """Decoded signals received before then."""
    old = (
        select(ecg.c.ecg_id)
        .join(signal, signal.c.ecg_id == ecg.c.ecg_id)
        .where(ecg.c.received_at < before, ~_unfinished_ecg())
        .limit(PAGE)
    )
    gone = tx.connection.execute(delete(signal).where(signal.c.ecg_id.in_(old))).rowcount
    return _noted(tx, "signals", gone, before)


def _drop_messages(tx: Transaction, before: datetime) -> int:
    """Bodies of messages created before then and acknowledged or cancelled since."""
    old = (
        select(message.c.message_id)
        .join(message_body, message_body.c.message_id == message.c.message_id)
        .where(message.c.created_at < before, message.c.state.in_(("acknowledged", "cancelled")))
        .limit(PAGE)
    )
    gone = tx.connection.execute(delete(message_body).where(message_body.c.message_id.in_(old))).rowcount
    return _noted(tx, "messages", gone, before)


def _noted(tx: Transaction, what: str, gone: int, before: datetime) -> int:
    if gone:
        tx.note("retention.removed", what=what, count=gone, before=before.isoformat())
    return gone
