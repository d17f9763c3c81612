"""Letting go of bytes that have served: raw payloads, signals and sent messages, each at its own age.

Bookkeeping, scores and the audit trail stay. Nothing goes that is still needed: no payload or signal of an ECG that
waits, failed, or has a result not yet acknowledged, and no message that is not finished.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, exists, or_, select

from ecgfm_clinical.staging.schema import ecg, message, message_body, payload, payload_content, score_job, signal
from ecgfm_clinical.staging.transaction import Transaction

PAGE = 200  # rows a transaction: other writers never wait long


def _unfinished_ecg() -> ColumnElement[bool]:
    """An ECG that may still need what it was made of."""
    job = exists().where(score_job.c.ecg_id == ecg.c.ecg_id, score_job.c.state.in_(("waiting", "running")))
    told = exists().where(message.c.ecg_id == ecg.c.ecg_id, message.c.state.in_(("waiting", "running", "dead")))
    return or_(ecg.c.state.in_(("waiting", "failed")), job, told)


def drop_payloads(tx: Transaction, before: datetime) -> int:
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


def drop_signals(tx: Transaction, before: datetime) -> int:
    """Decoded signals received before then."""
    old = (
        select(ecg.c.ecg_id)
        .join(signal, signal.c.ecg_id == ecg.c.ecg_id)
        .where(ecg.c.received_at < before, ~_unfinished_ecg())
        .limit(PAGE)
    )
    gone = tx.connection.execute(delete(signal).where(signal.c.ecg_id.in_(old))).rowcount
    return _noted(tx, "signals", gone, before)


def drop_messages(tx: Transaction, before: datetime) -> int:
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
