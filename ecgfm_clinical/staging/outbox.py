"""Result messages go out until their fate is known, in the order of `message_claims`."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from sqlalchemy import (
    and_,
    bindparam,
    case,
    func,
    select,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from ecgfm_clinical.errors import LeaseLost
from ecgfm_clinical.staging import drafts, loading, message_rows, messages, pauses, recordings, seals
from ecgfm_clinical.staging.attempts import HORIZON, RUNNING, is_dead, keep_error, keep_last_error
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.message_claims import CLAIM
from ecgfm_clinical.staging.records import (
    AttemptError,
    Draft,
    DrawnPage,
    MessageState,
    OutboundMessage,
    PageState,
    Retry,
)
from ecgfm_clinical.staging.rows import MessageRow
from ecgfm_clinical.staging.schema import UtcDateTime, attempt_error, ecg, message
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_connectors.result import Ack


class Outbox:
    """The messages of a store on their way to the receivers; every step is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self, *, worker: str, destination: str, limit: int, now: datetime, lease: timedelta
    ) -> list[OutboundMessage]:
        """Up to `limit` due messages to one destination, at most one per patient, in each patient's order.

        None where the destination, or everything, is paused.
        """
        given = {
            "now": now,
            "horizon": now + HORIZON,
            "to": destination,
            "up_to": limit,
            "claimed_by": worker,
            "until": now + lease,
        }
        with self._database.writing(now, worker) as tx:
            if pauses.stops(tx, pauses.Part(kind="destination", name=destination)):
                return []
            rows = tx.connection.execute(CLAIM, given).all()
            received = _received(tx, [row.ecg_id for row in rows])
        claimed = sorted(rows, key=lambda row: (row.priority, row.message_id))
        return [
            OutboundMessage(
                message_id=row.message_id,
                ecg_id=row.ecg_id,
                scoring_id=row.scoring_id,
                destination=row.destination,
                control_id=row.control_id,
                kind=row.kind,
                result_version=row.result_version,
                patient_key=row.patient_key,
                attempts=row.attempts,
                lease_until=now + lease,
                ecg_received_at=received[row.ecg_id],
            )
            for row in claimed
        ]

    def newest_draft(self, ecg_id: int, destination: str, *, now: datetime) -> tuple[Draft, MessageState | None]:
        """What the newest message about an ECG to one destination is composed of today, its ECG with the signal, and
        how that message stands; None, with what a first result would be made of, where there is none.

        Nothing is written. Raises NotFound where there is no such ECG, or it has no score.
        """
        with self._database.reading() as ask:
            ecg_row = recordings.newest(ask, recordings.version(ask, ecg_id).recording_id)
            row = message_rows.newest_of(ask, ecg_row.recording_id, destination)
            if row is None:
                matches = self._database.telling.answering.matches
                draft = drafts.first_draft(ask, ecg_row, destination, now, matches_orders=matches)
                state = None
            else:
                draft, state = drafts.draft_of(ask, row, now), MessageState(row.state)
            signal = loading.signal_if_kept(ask, draft.ecg_id)
            return replace(draft, ecg=replace(draft.ecg, signal=signal)), state

    def page_due(self, message: OutboundMessage, *, now: datetime) -> Draft | None:
        """What the page of a message is drawn from, its ECG with the signal; None where no page is to be drawn.

        A snapshot: `begin` refuses a page that was drawn from one that holds no longer. An ECG whose signal was removed
        has 0 samples.
        """
        with self._database.reading() as ask:
            row = message_rows.message_of(ask, message.message_id)
            if row.page != PageState.DUE.value:
                return None
            draft = drafts.draft_of(ask, row, now)
            signal = loading.signal_if_kept(ask, row.ecg_id)
            return replace(draft, ecg=replace(draft.ecg, signal=signal))

    def begin(self, message: OutboundMessage, *, now: datetime, worker: str, page: DrawnPage | None = None) -> bytes:
        """The bytes to send, after it is committed that they may be on the wire. Raises LeaseLost.

        A merge that comes before this has composed them for the survivor; one that comes after it leaves them alone.
        A `page` that was due goes into them; PageStale where its patient was named anew while it was drawn, with
        nothing done. PayloadError where the message has no bytes and none can be composed.
        """
        with self._database.writing(now, worker) as tx:
            if page is not None:
                tx.lock_identities(exclusive=False)  # before the message itself, as merges do
            return _begin(tx, message, worker, page)

    def finish(
        self,
        message: OutboundMessage,
        ack: Ack,
        *,
        now: datetime,
        worker: str,
        following: OutboundMessage | None = None,
    ) -> bytes | None:
        """The receiver has it; and, in the same transaction, what `begin` does for the message that is sent next.

        Returns the bytes of that one, or None where there is none or it is not ready. Raises LeaseLost.
        """
        with self._database.writing(now, worker) as tx:
            _finish(tx, message, ack, worker)
            return None if following is None else _begin_if_ready(tx, following, worker)

    def fail(
        self,
        message: OutboundMessage,
        retry: Retry,
        *,
        now: datetime,
        worker: str,
        ack: Ack | None = None,
        undelivered: bool = False,
    ) -> None:
        """The attempt failed: the same bytes again at `retry.due_at`, or a dead letter. Raises LeaseLost.

        `undelivered`: certainly nothing reached the peer.
        """
        with self._database.writing(now, worker) as tx:
            _fail(tx, message, retry, worker, ack=ack, undelivered=undelivered)

    def postpone(
        self, message: OutboundMessage, error: AttemptError, *, now: datetime, worker: str, undelivered: bool
    ) -> None:
        """The destination could not be reached: the same bytes again, once it can. Raises LeaseLost.

        `undelivered`: certainly nothing reached the peer, so it was no attempt of this message. Equal errors in a row
        are kept as one, and are in the audit as the destination's.
        """
        with self._database.writing(now, worker) as tx:
            values: dict[str, object] = {"state": MessageState.WAITING.value, "due_at": now}
            if undelivered:
                values["attempts"] = message.attempts - 1
                values["in_doubt"] = _one_less_in_doubt()
            _held(tx, message, worker, **values)
            keep_last_error(tx, error, message_id=message.message_id)

    def answers(self, message: OutboundMessage, codes: Sequence[str]) -> int:
        """How often the receiver has answered this message with one of these codes."""
        mine = and_(attempt_error.c.message_id == message.message_id, attempt_error.c.kind.in_(codes))
        with self._database.reading() as ask:
            return ask.connection.scalar(select(func.count()).where(mine)) or 0


#: Answers of which a message takes only so many before it is set aside.
COUNTED_ANSWERS = ("AE", "CE")


#: Whether this worker still holds this very attempt.
_HELD_BY = and_(
    message.c.message_id == bindparam("held"),
    message.c.state == RUNNING,
    message.c.worker == bindparam("holder"),
    message.c.attempts == bindparam("attempt"),
)
_BEGIN = (
    update(message)
    .where(_HELD_BY)
    .values(
        in_doubt=message.c.in_doubt + 1, sent_at=func.coalesce(message.c.sent_at, bindparam("at", type_=UtcDateTime))
    )
    .returning(*message.c)
)


def _begin(tx: Transaction, held: OutboundMessage, worker: str, page: DrawnPage | None = None) -> bytes:
    begun = tx.connection.execute(_BEGIN, {"at": tx.now, **_holding(held, worker)}).first()
    if begun is None:
        raise LeaseLost(f"message {held.message_id} is no longer held by {worker}")
    row = MessageRow(*begun)
    body = None if row.page == PageState.DUE.value else message_rows.bodies(tx, [row]).get(row.message_id)
    sha256 = row.body_sha256
    if body is None:
        late = row.page == PageState.DUE.value
        body = messages.with_page(tx, row, page) if late else messages.compose_late(tx, row)
        sha256 = hashlib.sha256(body).hexdigest()
    if row.sent_at == tx.now:  # repeats carry the same bytes, and are the destination's outage
        tx.note(
            "message.sending",
            ecg_id=row.ecg_id,
            message_id=row.message_id,
            destination=row.destination,
            attempt=row.attempts,
            sha256=sha256,
        )
    return body


def _begin_if_ready(tx: Transaction, held: OutboundMessage, worker: str) -> bytes | None:
    """`_begin`, or None, with nothing done, where the message is another's by now, or has no bytes or page yet."""
    has_all = (message.c.body_sha256.is_not(None), func.coalesce(message.c.page, "") != PageState.DUE.value)
    ready = select(message.c.message_id).where(_HELD_BY, *has_all).with_for_update()
    if tx.connection.scalar(ready, _holding(held, worker)) is None:
        return None
    return _begin(tx, held, worker)


def _finish(tx: Transaction, held: OutboundMessage, ack: Ack, worker: str) -> None:
    _held(
        tx, held, worker, state=MessageState.ACKNOWLEDGED.value, acknowledged_at=tx.now, **_ack_columns(tx, held, ack)
    )
    tx.note(
        "message.acknowledged",
        ecg_id=held.ecg_id,
        message_id=held.message_id,
        destination=held.destination,
        attempt=held.attempts,
        code=ack.code,
    )


def _fail(
    tx: Transaction, held: OutboundMessage, retry: Retry, worker: str, *, ack: Ack | None, undelivered: bool
) -> None:
    values: dict[str, object] = {"state": MessageState.DEAD.value}
    if retry.due_at is not None:
        values = {"state": MessageState.WAITING.value, "due_at": retry.due_at}
    # The answer, or the missing connection, says what became of this attempt.
    if undelivered or (ack is not None and not ack.in_doubt):
        values["in_doubt"] = _one_less_in_doubt()
    if ack is not None:
        values |= _ack_columns(tx, held, ack)
    _held(tx, held, worker, **values)
    # Answers that count towards an end are kept one by one; a receiver that says "later" for weeks says it once.
    if retry.due_at is None or retry.error.kind in COUNTED_ANSWERS:
        keep_error(tx, retry.error, message_id=held.message_id)
    elif not keep_last_error(tx, retry.error, message_id=held.message_id):
        return
    tx.note(
        "message.dead" if retry.due_at is None else "message.postponed",
        ecg_id=held.ecg_id,
        message_id=held.message_id,
        destination=held.destination,
        attempt=held.attempts,
        kind=retry.error.kind,
    )


def _one_less_in_doubt() -> ColumnElement[int]:
    return case((message.c.in_doubt > 0, message.c.in_doubt - 1), else_=0)


def _received(tx: Transaction, ecg_ids: Sequence[int]) -> dict[int, datetime]:
    """When each of these ECGs came in."""
    if not ecg_ids:
        return {}
    query = select(ecg.c.ecg_id, ecg.c.received_at).where(ecg.c.ecg_id.in_(ecg_ids))
    return {row.ecg_id: row.received_at for row in tx.connection.execute(query)}


def _ack_columns(tx: Transaction, held: OutboundMessage, ack: Ack) -> dict[str, object]:
    sealed = seals.ACKNOWLEDGEMENT.seal(tx.keyring, to_json(asdict(ack)), control_id=held.control_id)
    return {"ack_code": ack.code if ack.is_hl7 else None, **sealed}  # the column holds MSA-1


def _holding(held: OutboundMessage, worker: str) -> dict[str, int | str]:
    return {"held": held.message_id, "holder": worker, "attempt": held.attempts}


def _held(tx: Transaction, held: OutboundMessage, worker: str, **values: object) -> None:
    done = update(message).where(_HELD_BY).values(worker=None, lease_until=None, **values)
    if tx.connection.execute(done, _holding(held, worker)).rowcount != 1:
        raise LeaseLost(f"message {held.message_id} is no longer held by {worker}")


def reap(tx: Transaction, *, worker: str | None, horizon: datetime) -> int:
    """Messages whose sender is dead: their fate is unknown, so the same bytes go again, as often as it takes."""
    dead = is_dead(message, tx.now, worker=worker, horizon=horizon)
    held = select(message.c.message_id).where(message.c.state == RUNNING, dead).with_for_update(skip_locked=True)
    rows = tx.connection.execute(
        update(message)
        .where(message.c.message_id.in_(held))
        .values(state=MessageState.WAITING.value, due_at=tx.now, worker=None, lease_until=None)
        .returning(message.c.message_id, message.c.ecg_id, message.c.attempts)
    ).all()
    if rows:
        tx.left_to_do.add("report")
    for row in rows:
        tx.note("message.lease-expired", ecg_id=row.ecg_id, message_id=row.message_id, attempt=row.attempts)
    return len(rows)


def release(tx: Transaction, *, worker: str) -> int:
    """Give back what a sender that stops in good order has claimed and not begun to send: it was no attempt."""
    return tx.connection.execute(
        update(message)
        .where(message.c.state == RUNNING, message.c.worker == worker)
        .values(
            state=MessageState.WAITING.value,
            attempts=message.c.attempts - 1,
            worker=None,
            lease_until=None,
        )
    ).rowcount


def prolong(tx: Transaction, worker: str, until: datetime) -> int:
    """Every message this worker holds is its own until then."""
    held = update(message).where(message.c.state == RUNNING, message.c.worker == worker)
    return tx.connection.execute(held.values(lease_until=until)).rowcount
