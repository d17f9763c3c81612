"""The upkeep of a store: retention, keys, copies, and the trail of who did what.

Retention lets go of bytes that have served: raw payloads, signals, sent messages, and the reasons of attempts that
failed, each at its own age. Bookkeeping, scores and the audit trail stay. Nothing goes that is still needed: no payload
or signal of an ECG that waits, failed, or has a result not yet acknowledged, and no message that is not finished. An
age is time that passed for certain (`elapsed`), not the difference of two readings of a clock.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Column, ColumnElement, Select, Table, delete, exists, func, or_, select

from ecgfm_clinical.staging import audit, elapsed, engine, failed_ecgs, repacking, rotation
from ecgfm_clinical.staging.attempts import is_unfinished
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import AuditEvent, Expired
from ecgfm_clinical.staging.repacking import Repacked
from ecgfm_clinical.staging.schema import (
    attempt_error,
    document,
    document_reference,
    ecg,
    ecg_number,
    message,
    message_body,
    payload,
    payload_content,
    placed_order,
    placed_order_number,
    saliency,
    score_job,
    signal,
    withheld,
)
from ecgfm_clinical.staging.transaction import Reading, Transaction

PAGE = 200  # rows a transaction: other writers never wait long


class Care:
    """The upkeep of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, *, now: datetime, ages: Mapping[str, timedelta], gaps_count: bool = False) -> Expired:
        """How much `expire` would remove now; with `gaps_count`, once a person vouched for the clock."""
        with self._database.reading() as ask:
            return _due(ask, now, ages, () if gaps_count else elapsed.gaps(ask))

    def announce(self, wording: str, *, now: datetime, actor: str, ages: Mapping[str, timedelta]) -> Expired:
        """As `due`, with a line in the audit trail that says what is going to be removed; from now on time is counted
        for this `wording`.
        """
        with self._database.writing(now, actor) as tx:
            elapsed.note(tx, wording)
            found = _due(tx, now, ages, elapsed.gaps(tx))
            tx.note("retention.planned", **{f"{what}_days": age.days for what, age in ages.items()}, **found.counts())
        return found

    def expire(
        self, *, now: datetime, actor: str, ages: Mapping[str, timedelta], beat: Callable[[], None] = lambda: None
    ) -> Expired:
        """Remove `payloads`, `signals`, bodies of `messages` and reasons of failed `attempts` older than these ages;
        nothing that is still needed. `beat` is called after each page.
        """
        gone = dict.fromkeys(_KINDS, 0)
        for what, age in ages.items():
            while True:
                with self._database.writing(now, actor) as tx:
                    before = elapsed.cutoff(elapsed.gaps(tx), now, age)
                    count = _drop(tx, what, before)
                gone[what] += count
                beat()
                if not count:
                    break
        return Expired(**gone)

    def reseal(self, *, now: datetime, actor: str, plain: bool = False) -> int:
        """Bring every sealed value under the current key, page by page; how many were changed. `plain`: decrypt all."""
        total = 0
        while True:
            with self._database.writing(now, actor) as tx:
                done = rotation.reseal_page(tx, plain=plain)
            if not done:
                return total
            total += done

    def sealed_with(self) -> set[int]:
        """The numbers of the keys that protect any value."""
        with self._database.reading() as ask:
            return rotation.sealed_with(ask)

    def compress(self, *, now: datetime, actor: str, beat: Callable[[], None] = lambda: None) -> Repacked:
        """Compress the signals and payloads that earlier versions stored as they were. `beat`: after each page."""
        total = Repacked()
        while True:
            with self._database.writing(now, actor) as tx:
                page = repacking.repack_page(tx)
            if not page.values:
                return total
            total = total.plus(page)
            beat()

    def back_up(self, path: Path) -> None:
        """Copy an SQLite store into a new file while work goes on.

        Raises StoreError on PostgreSQL: use pg_dump there.
        """
        with self._database.reading() as ask:
            engine.back_up(ask.connection, path)

    def note_backup(self, path: Path, *, now: datetime, actor: str) -> None:
        """Put into the audit trail where a backup lies, for whoever must erase from it."""
        with self._database.writing(now, actor) as tx:
            tx.note("store.backed-up", file=str(path.resolve()))

    def backups(self) -> tuple[tuple[datetime, str], ...]:
        """When each backup was made by `backup`, and into which file."""
        with self._database.reading() as ask:
            return audit.backups(ask.connection)

    def trail(self, *, limit: int = 1000, after: int = 0) -> tuple[AuditEvent, ...]:
        """The audit trail in the order written, from the entry after `after` on."""
        with self._database.reading() as ask:
            return audit.trail(ask.connection, limit=limit, after=after)

    def found(
        self, *, limit: int, before: int | None = None, action: str = "", actor: str = "", ecg_id: int | None = None
    ) -> tuple[AuditEvent, ...]:
        """Entries of the audit trail by what they tell, newest first, from the one before `before` on."""
        with self._database.reading() as ask:
            return audit.found(ask.connection, limit=limit, before=before, action=action, actor=actor, ecg_id=ecg_id)

    def audit_length(self) -> int:
        """How many entries the trail has."""
        with self._database.reading() as ask:
            return audit.length(ask.connection)

    def audit_faults(self) -> list[str]:
        """Where the audit trail was tampered with; empty where it was not."""
        with self._database.reading() as ask:
            return audit.faults(ask.connection)

    def audit_heads(self) -> tuple[audit.Head, ...]:
        """The newest entry of each strand of the trail, to be signed."""
        with self._database.reading() as ask:
            return audit.heads(ask.connection)

    def audit_missing(self, signed: Iterable[audit.Head]) -> list[str]:
        """Where the trail is not the one whose heads were signed."""
        with self._database.reading() as ask:
            return audit.missing_heads(ask.connection, signed)

    def audit_clock_steps(self) -> list[str]:
        """Where the clock was set back while the trail was written."""
        with self._database.reading() as ask:
            return audit.backward_steps(ask.connection)


def _unfinished_ecg() -> ColumnElement[bool]:
    """An ECG that may still need what it was made of."""
    job = exists().where(score_job.c.ecg_id == ecg.c.ecg_id, is_unfinished(score_job))
    told = exists().where(message.c.ecg_id == ecg.c.ecg_id, message.c.state.in_(("waiting", "running", "dead")))
    owed = exists().where(withheld.c.ecg_id == ecg.c.ecg_id)
    return or_(ecg.c.state == "waiting", failed_ecgs.waits_for_a_person(), owed, job, told)


def _old_payloads(before: datetime) -> Select[int]:
    """Raw bytes received before then."""
    needed = exists().where(ecg.c.payload_id == payload.c.payload_id, _unfinished_ecg())
    return (
        select(payload.c.payload_id)
        .join(payload_content, payload_content.c.payload_id == payload.c.payload_id)
        .where(payload.c.received_at < before, ~needed)
    )


def _old_signals(before: datetime) -> Select[int]:
    """Decoded signals received before then."""
    return (
        select(ecg.c.ecg_id)
        .join(signal, signal.c.ecg_id == ecg.c.ecg_id)
        .where(ecg.c.received_at < before, ~_unfinished_ecg())
    )


def _old_messages(before: datetime) -> Select[int]:
    """Bodies of messages created before then and acknowledged or cancelled since."""
    return (
        select(message.c.message_id)
        .join(message_body, message_body.c.message_id == message.c.message_id)
        .where(message.c.created_at < before, message.c.state.in_(("acknowledged", "cancelled")))
    )


def _old_attempts(before: datetime) -> Select[int]:
    """Reasons of attempts that failed before then, of jobs and messages that are finished since."""
    told = exists().where(
        message.c.message_id == attempt_error.c.message_id, message.c.state.in_(("waiting", "running", "dead"))
    )
    done = exists().where(
        score_job.c.job_id == attempt_error.c.job_id, score_job.c.state.in_(("waiting", "running", "failed"))
    )
    return select(attempt_error.c.error_id).where(attempt_error.c.at < before, ~told, ~done)


def _old_documents(before: datetime) -> Select[int]:
    """What other systems said, received before then, of ECGs that never came here."""
    by_object = exists().where(
        document_reference.c.document_id == document.c.document_id,
        ecg.c.source_key == document_reference.c.reference_key,
    )
    by_number = exists().where(
        document_reference.c.document_id == document.c.document_id,
        ecg_number.c.number_key == document_reference.c.reference_key,
    )
    return select(document.c.document_id).where(document.c.received_at < before, ~by_object, ~by_number)


def _old_orders(before: datetime) -> Select[int]:
    """Orders of which nothing was said since; what a result answered stays with the result."""
    return select(placed_order.c.order_id).where(placed_order.c.said_at < before)


#: What retention removes: how the old is found, and where it lies.
_KINDS: Mapping[str, tuple[Callable[[datetime], Select[int]], Table, Column[int]]] = {
    "payloads": (_old_payloads, payload_content, payload_content.c.payload_id),
    "signals": (_old_signals, signal, signal.c.ecg_id),
    "messages": (_old_messages, message_body, message_body.c.message_id),
    "attempts": (_old_attempts, attempt_error, attempt_error.c.error_id),
    "documents": (_old_documents, document, document.c.document_id),
    "orders": (_old_orders, placed_order, placed_order.c.order_id),
}


def _due(reading: Reading, now: datetime, ages: Mapping[str, timedelta], known: tuple[elapsed.Gap, ...]) -> Expired:
    found = dict.fromkeys(_KINDS, 0)
    for what, age in ages.items():
        old, _, _ = _KINDS[what]
        query = select(func.count()).select_from(old(elapsed.cutoff(known, now, age)).subquery())
        found[what] = reading.connection.scalar(query) or 0
    return Expired(**found)


def _drop(tx: Transaction, what: str, before: datetime) -> int:
    """A page of what is old; how much went."""
    old, table, key = _KINDS[what]
    page = tuple(tx.connection.scalars(old(before).limit(PAGE)))
    if what == "documents":
        tx.connection.execute(delete(document_reference).where(document_reference.c.document_id.in_(page)))
    if what == "orders":
        tx.connection.execute(delete(placed_order_number).where(placed_order_number.c.order_id.in_(page)))
    gone = tx.connection.execute(delete(table).where(key.in_(page))).rowcount
    if gone and what == "signals":  # what was computed of them goes with them
        tx.connection.execute(delete(saliency).where(~exists().where(signal.c.ecg_id == saliency.c.ecg_id)))
    if gone:
        tx.note("retention.removed", what=what, count=gone, before=before.isoformat())
    return gone
