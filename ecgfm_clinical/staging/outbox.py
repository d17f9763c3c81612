"""Result messages: made with the score, bytes and all; sent until their fate is known, in order.

A message gets its control id (MSH-10) and its bytes in the transaction that records the score. Both stay, so every repeat
is recognisable to the receiver. The one exception: a message of which it is certain that it never left (`in_doubt` = 0)
is composed anew, under its number, in the transaction that merges its patient. What cannot be composed, because the ECG
names no patient say, is a dead letter from the start, with its reason.

Order: a message may be claimed only if no earlier message for the same patient, or of the same ECG, to the same
destination is unfinished, and none is under way. Dead letters do not hold up what follows.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Exists,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from ecgfm_clinical.errors import LeaseLost, StoreError
from ecgfm_clinical.staging import codec, identity, loading
from ecgfm_clinical.staging.attempts import HORIZON, RUNNING, WAITING, is_dead, is_due, keep_error
from ecgfm_clinical.staging.records import TAKES_BACK, Draft, Kind, MessageState, OutboundMessage, Retry, Scoring
from ecgfm_clinical.staging.retry import refused
from ecgfm_clinical.staging.schema import UtcDateTime, ecg, message, message_body, scoring
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack

_GONE = (MessageState.DEAD.value, MessageState.CANCELLED.value)


def announce(
    tx: Transaction,
    ecg_row: Any,
    scoring_id: int,
    found: Scoring,
    destinations: Sequence[str],
    control_ids: Callable[[], str],
) -> None:
    """A message for each destination that would be told something new by this scoring; identities are locked."""
    if not destinations:
        return
    subject = subject_of(tx, ecg_row)
    for destination in destinations:
        # Messages come with scorings: before the first there is none.
        told = _told(tx, ecg_row.ecg_id, destination) if ecg_row.scoring_id is not None else ()
        if _already_told(tx, ecg_row, codec.output_digest(found), destination, told):
            tx.note("message.unneeded", ecg_id=ecg_row.ecg_id, scoring_id=scoring_id, destination=destination)
            continue
        standing = bool(told) and told[-1].kind not in TAKES_BACK and any(one.state not in _GONE for one in told)
        create(
            tx,
            ecg_row,
            scoring_id,
            destination,
            kind="C" if standing else "F",
            control_id=control_ids(),
            patient_key=identity.patient_key(tx, subject.patient, ecg_row.source_key),
            result_version=told[-1].result_version + 1 if told else 1,
            subject=subject,
            found=found,
        )


def subject_of(tx: Reading, ecg_row: Any, *, addressed_to: Patient | None = None) -> Ecg:
    """The ECG as it is told: without its signal, of the surviving identity of its patient or of `addressed_to`."""
    ecg = codec.ecg_from(ecg_row, loading.private_of(tx, ecg_row), loading.NO_SIGNAL)
    return replace(ecg, patient=identity.surviving_patient(tx, addressed_to or ecg.patient))


def create(
    tx: Transaction,
    ecg_row: Any,
    scoring_id: int,
    destination: str,
    *,
    kind: Kind,
    control_id: str,
    patient_key: str,
    result_version: int,
    addressed_to: Patient | None = None,
    subject: Ecg | None = None,
    found: Scoring | None = None,
) -> int:
    """Compose and queue one message. `addressed_to`: instead of the ECG's patient.

    `subject` and `found` are loaded where the caller does not have them.
    """
    addressed_key_id, address = None, None
    if addressed_to is not None:
        told = to_json(codec.patient_dict(addressed_to))
        addressed_key_id, address = tx.keyring.seal(told, bound_to=f"address:{control_id}")
    draft = Draft(
        destination=destination,
        control_id=control_id,
        kind=kind,
        composed_at=tx.now,
        ecg_id=ecg_row.ecg_id,
        ecg=subject or subject_of(tx, ecg_row, addressed_to=addressed_to),
        scoring=found or loading.load_scoring(tx, scoring_id),
        replaces=_replaced(tx, ecg_row.ecg_id, destination, result_version) if kind == "C" else None,
    )
    body = _composed(tx, draft)
    message_id: int = tx.connection.execute(
        _INSERT,
        {
            "ecg_id": ecg_row.ecg_id,
            "scoring_id": scoring_id,
            "destination": destination,
            "result_version": result_version,
            "control_id": control_id,
            "kind": kind,
            "patient_key": patient_key,
            "state": MessageState.WAITING.value,
            "priority": ecg_row.priority,
            "attempts": 0,
            "in_doubt": 0,
            "due_at": tx.now,
            "created_at": tx.now,
            "addressed_to": address,
            "addressed_key_id": addressed_key_id,
            **_body_columns(body),
        },
    ).scalar_one()
    _keep_body(tx, message_id, control_id, body)
    tx.note(
        "message.created",
        ecg_id=ecg_row.ecg_id,
        message_id=message_id,
        destination=destination,
        control_id=control_id,
        kind=kind,
        result_version=result_version,
        **_told_of(body),
    )
    return message_id


def recompose(tx: Transaction, row: Any) -> None:
    """New bytes under the same number, for a message of which it is certain that no bytes ever left."""
    body = _composed(tx, _draft_of(tx, row))
    tx.connection.execute(delete(message_body).where(message_body.c.message_id == row.message_id))
    changed = _body_columns(body)
    tx.connection.execute(update(message).where(message.c.message_id == row.message_id).values(**changed))
    _keep_body(tx, row.message_id, row.control_id, body)
    tx.note("message.recomposed", ecg_id=row.ecg_id, message_id=row.message_id, **_told_of(body))


def _draft_of(tx: Transaction, row: Any) -> Draft:
    """What the message in this row is composed of today."""
    ecg_row = tx.connection.execute(select(ecg).where(ecg.c.ecg_id == row.ecg_id)).one()
    return Draft(
        destination=row.destination,
        control_id=row.control_id,
        kind=row.kind,
        composed_at=tx.now,
        ecg_id=row.ecg_id,
        ecg=subject_of(tx, ecg_row, addressed_to=addressee(tx, row)),
        scoring=loading.load_scoring(tx, row.scoring_id),
        replaces=_replaced(tx, row.ecg_id, row.destination, row.result_version) if row.kind == "C" else None,
    )


def addressee(tx: Reading, row: Any) -> Patient | None:
    """Whom the message in this row is addressed to, where that is not the ECG's patient any more."""
    if row.addressed_to is None:
        return None
    opened = tx.keyring.open(row.addressed_key_id, row.addressed_to, f"address:{row.control_id}")
    return codec.patient_from(json.loads(opened))


def _replaced(tx: Transaction, ecg_id: int, destination: str, version: int) -> Scoring | None:
    """What a correction with this version replaces at the receiver."""
    scoring_id = tx.connection.scalar(
        select(message.c.scoring_id)
        .where(
            message.c.ecg_id == ecg_id,
            message.c.destination == destination,
            message.c.result_version < version,
            message.c.state.not_in(_GONE),
        )
        .order_by(message.c.result_version.desc())
        .limit(1)
    )
    return None if scoring_id is None else loading.load_scoring(tx, scoring_id)


def _composed(tx: Transaction, draft: Draft) -> bytes | PayloadError:
    if tx.compose is None:
        raise StoreError("the store was opened without a way to compose messages; open it through the settings")
    try:
        return tx.compose(draft)
    except PayloadError as error:
        return error


def _body_columns(body: bytes | PayloadError) -> dict[str, Any]:
    if isinstance(body, PayloadError):
        return {"state": MessageState.DEAD.value, "body_sha256": None, "worker": None, "lease_until": None}
    return {"body_sha256": hashlib.sha256(body).hexdigest()}


def _keep_body(tx: Transaction, message_id: int, control_id: str, body: bytes | PayloadError) -> None:
    """The bytes, or why there are none."""
    if isinstance(body, PayloadError):
        keep_error(tx, refused(body, attempts=0, now=tx.now).error, message_id=message_id)
        return
    key_id, sealed = tx.keyring.seal(body, bound_to=f"message_body:{control_id}")
    tx.connection.execute(_INSERT_BODY, {"message_id": message_id, "key_id": key_id, "body": sealed})


def _told_of(body: bytes | PayloadError) -> dict[str, Any]:
    """For the audit trail."""
    if isinstance(body, PayloadError):
        return {"refused": body.code}
    return {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}


def _told(tx: Transaction, ecg_id: int, destination: str) -> Sequence[Any]:
    """Every message about this ECG to this destination so far, oldest first, each with what it told."""
    return tx.connection.execute(_TOLD, {"of": ecg_id, "to": destination}).all()


_TOLD = (
    select(message.c.result_version, message.c.kind, message.c.state, scoring.c.output_digest)
    .join(scoring, scoring.c.scoring_id == message.c.scoring_id)
    .where(message.c.ecg_id == bindparam("of"), message.c.destination == bindparam("to"))
    .order_by(message.c.result_version)
)


def _already_told(tx: Transaction, ecg_row: Any, digest: str, destination: str, told: Sequence[Any]) -> bool:
    """Whether the receiver would learn nothing: same model, same values, and the same ECG of the same patient."""
    if told:
        return bool(told[-1].output_digest == digest)
    if ecg_row.version == 1:
        return False
    # The same recording came before in other bytes: it is news only if the values or anything about the patient, the
    # order or the time differ.
    earlier = tx.connection.execute(
        select(ecg)
        .where(ecg.c.source_key == ecg_row.source_key, ecg.c.version < ecg_row.version)
        .order_by(ecg.c.version.desc())
        .limit(1)
    ).first()
    if earlier is None or loading.private_of(tx, earlier) != loading.private_of(tx, ecg_row):
        return False
    before = _told(tx, earlier.ecg_id, destination)
    return bool(before and before[-1].kind not in TAKES_BACK and before[-1].output_digest == digest)


def claim(
    tx: Transaction, *, worker: str, destination: str, limit: int, lease_until: datetime
) -> list[OutboundMessage]:
    """Up to `limit` due messages that may go now, most urgent first, leased to `worker`."""
    given = {
        "now": tx.now,
        "horizon": tx.now + HORIZON,
        "to": destination,
        "up_to": limit,
        "claimed_by": worker,
        "until": lease_until,
    }
    rows = tx.connection.execute(_CLAIM, given).all()
    return [_outbound(row, lease_until) for row in sorted(rows, key=lambda row: (row.priority, row.message_id))]


def _ahead(shared: Column[Any]) -> Exists:
    """Another message with the same value of `shared` must go first."""
    other = message.alias("other")
    return exists().where(
        other.c[shared.name] == shared,
        other.c.destination == message.c.destination,
        literal_column("other.state in ('waiting', 'running')"),
        other.c.message_id != message.c.message_id,
        or_(other.c.message_id < message.c.message_id, other.c.state == RUNNING),
    )


#: What a sender is told; a claim is quick because nothing else is read and converted.
_CLAIMED = (
    *("message_id", "ecg_id", "scoring_id", "destination", "control_id"),
    *("kind", "result_version", "patient_key", "priority", "attempts"),
)


def _claim_statement() -> ReturningUpdate[Any]:
    """Built once: putting it together costs as much as running it."""
    due = (
        select(message.c.message_id)
        .where(
            message.c.state == WAITING,
            message.c.destination == bindparam("to"),
            is_due(message.c.due_at),
            ~_ahead(message.c.patient_key),
            ~_ahead(message.c.ecg_id),
        )
        .order_by(message.c.priority, message.c.due_at, message.c.message_id)
        .limit(bindparam("up_to"))
        .with_for_update(skip_locked=True)
    )
    return (
        update(message)
        .where(message.c.message_id.in_(due))
        .values(
            state=RUNNING,
            worker=bindparam("claimed_by"),
            lease_until=bindparam("until"),
            attempts=message.c.attempts + 1,
        )
        .returning(*(message.c[name] for name in _CLAIMED))
    )


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
_CLAIM = _claim_statement()
_INSERT = insert(message).returning(message.c.message_id)
_INSERT_BODY = insert(message_body)


def bodies(tx: Reading, rows: Sequence[Any]) -> dict[int, bytes]:
    """The fixed bytes of these messages, by id."""
    if not rows:
        return {}
    control_ids = {row.message_id: row.control_id for row in rows}
    stored = tx.connection.execute(select(message_body).where(message_body.c.message_id.in_(control_ids)))
    return {
        row.message_id: tx.keyring.open(row.key_id, row.body, f"message_body:{control_ids[row.message_id]}")
        for row in stored
    }


def _outbound(row: Any, lease_until: datetime) -> OutboundMessage:
    return OutboundMessage(
        message_id=row.message_id,
        ecg_id=row.ecg_id,
        scoring_id=row.scoring_id,
        destination=row.destination,
        control_id=row.control_id,
        kind=row.kind,
        result_version=row.result_version,
        patient_key=row.patient_key,
        attempts=row.attempts,
        lease_until=lease_until,
    )


def begin(tx: Transaction, held: OutboundMessage, *, worker: str) -> bytes:
    """The bytes of a message that may be on the wire the moment this commits. Raises LeaseLost.

    A merge that comes before this has composed them for the survivor; one that comes after it leaves them alone. Raises
    PayloadError where an older version of this program left no bytes and none can be composed.
    """
    row = tx.connection.execute(_BEGIN, {"at": tx.now, **_holding(held, worker)}).first()
    if row is None:
        raise LeaseLost(f"message {held.message_id} is no longer held by {worker}")
    body = bodies(tx, [row]).get(row.message_id)
    if body is None:
        body = _late(tx, row)
        sha256 = hashlib.sha256(body).hexdigest()
    else:
        sha256 = row.body_sha256
    tx.note(
        "message.sending",
        ecg_id=row.ecg_id,
        message_id=row.message_id,
        destination=row.destination,
        attempt=row.attempts,
        sha256=sha256,
    )
    return body


def begin_if_ready(tx: Transaction, held: OutboundMessage, *, worker: str) -> bytes | None:
    """`begin`, or None, with nothing done, where the message is another's by now or has no bytes yet."""
    ready = select(message.c.message_id).where(_HELD_BY, message.c.body_sha256.is_not(None)).with_for_update()
    if tx.connection.scalar(ready, _holding(held, worker)) is None:
        return None
    return begin(tx, held, worker=worker)


def _late(tx: Transaction, row: Any) -> bytes:
    """Bytes for a message that has none: refused when it was made, or made by version 0.1 before its first send."""
    tx.lock_identities(exclusive=False)
    body = _composed(tx, _draft_of(tx, row))
    if isinstance(body, PayloadError):
        raise body
    tx.connection.execute(update(message).where(message.c.message_id == row.message_id).values(**_body_columns(body)))
    _keep_body(tx, row.message_id, row.control_id, body)
    return body


def finish(tx: Transaction, held: OutboundMessage, ack: Ack, *, worker: str) -> None:
    """The receiver has it. Raises LeaseLost."""
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


def fail(
    tx: Transaction, held: OutboundMessage, retry: Retry, *, worker: str, ack: Ack | None, undelivered: bool
) -> None:
    """The attempt failed: the same bytes again at `retry.due_at`, or a dead letter. Raises LeaseLost."""
    values: dict[str, Any] = {"state": MessageState.DEAD.value}
    if retry.due_at is not None:
        values = {"state": MessageState.WAITING.value, "due_at": retry.due_at}
    if undelivered:
        values["in_doubt"] = case((message.c.in_doubt > 0, message.c.in_doubt - 1), else_=0)
    if ack is not None:
        values |= _ack_columns(tx, held, ack)
    _held(tx, held, worker, **values)
    keep_error(tx, retry.error, message_id=held.message_id)
    tx.note(
        "message.dead" if retry.due_at is None else "message.postponed",
        ecg_id=held.ecg_id,
        message_id=held.message_id,
        destination=held.destination,
        attempt=held.attempts,
        kind=retry.error.kind,
    )


def _ack_columns(tx: Transaction, held: OutboundMessage, ack: Ack) -> dict[str, Any]:
    key_id, private = tx.keyring.seal(to_json(asdict(ack)), bound_to=f"ack:{held.control_id}")
    return {"ack_code": ack.code, "ack_private": private, "key_id": key_id}


def ack_of(reading: Reading, row: Any) -> Ack | None:
    """The acknowledgement stored on a message row."""
    if row.ack_private is None:
        return None
    return Ack(**json.loads(reading.keyring.open(row.key_id, row.ack_private, f"ack:{row.control_id}")))


def _holding(held: OutboundMessage, worker: str) -> dict[str, Any]:
    return {"held": held.message_id, "holder": worker, "attempt": held.attempts}


def _held(tx: Transaction, held: OutboundMessage, worker: str, **values: Any) -> None:
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
