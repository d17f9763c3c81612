"""Result messages: created with the score, fixed before the first send, sent until their fate is known, in order.

A message gets its control id (MSH-10) in the transaction that records the score, and its bytes in a transaction before
the first send; neither ever changes, so every repeat is recognisable to the receiver. The one exception: a body of which
it is certain that it never left (`in_doubt` = 0) is composed anew when its patient is merged.

Order: a message may be claimed only if no earlier message for the same patient, or of the same ECG, to the same
destination is unfinished, and none is under way. Dead letters do not hold up what follows.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Exists, and_, bindparam, case, exists, insert, literal_column, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from ecgfm_clinical.errors import IdentityChanged, LeaseLost, NotFound
from ecgfm_clinical.staging import codec, identity, loading
from ecgfm_clinical.staging.attempts import HORIZON, RUNNING, WAITING, is_due, keep_error
from ecgfm_clinical.staging.records import MessageState, OutboundMessage, Retry, Scoring, StagedEcg
from ecgfm_clinical.staging.schema import ecg, message, message_body, scoring
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack


def announce(
    tx: Transaction, ecg_row: Any, scoring_id: int, destinations: Sequence[str], control_ids: Callable[[], str]
) -> None:
    """A message for each destination that would be told something new by this scoring."""
    if not destinations:
        return
    tx.lock_identities(exclusive=False)
    patient_key = identity.resolve(tx.connection, ecg_row.patient_key)
    for destination in destinations:
        told = _told(tx, ecg_row.ecg_id, destination)
        if _already_told(tx, ecg_row, scoring_id, destination, told):
            tx.note("message.unneeded", ecg_id=ecg_row.ecg_id, scoring_id=scoring_id, destination=destination)
            continue
        gone = (MessageState.DEAD.value, MessageState.CANCELLED.value)
        standing = bool(told) and told[-1].kind != "W" and any(one.state not in gone for one in told)
        create(
            tx,
            ecg_row,
            scoring_id,
            destination,
            kind="C" if standing else "F",
            control_id=control_ids(),
            patient_key=patient_key,
            result_version=told[-1].result_version + 1 if told else 1,
        )


def create(
    tx: Transaction,
    ecg_row: Any,
    scoring_id: int,
    destination: str,
    *,
    kind: str,
    control_id: str,
    patient_key: str,
    result_version: int,
    addressed_to: Patient | None = None,
) -> int:
    """Queue one message; its body is composed by whoever sends it. `addressed_to`: instead of the ECG's patient."""
    addressed_key_id, address = None, None
    if addressed_to is not None:
        told = to_json(codec.patient_dict(addressed_to))
        addressed_key_id, address = tx.keyring.seal(told, bound_to=f"address:{control_id}")
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
        },
    ).scalar_one()
    tx.note(
        "message.created",
        ecg_id=ecg_row.ecg_id,
        message_id=message_id,
        destination=destination,
        control_id=control_id,
        kind=kind,
        result_version=result_version,
    )
    return message_id


def _told(tx: Transaction, ecg_id: int, destination: str) -> Sequence[Any]:
    """Every message about this ECG to this destination so far, oldest first, each with what it told."""
    return tx.connection.execute(
        select(message.c.result_version, message.c.kind, message.c.state, scoring.c.output_digest)
        .join(scoring, scoring.c.scoring_id == message.c.scoring_id)
        .where(message.c.ecg_id == ecg_id, message.c.destination == destination)
        .order_by(message.c.result_version)
    ).all()


def _already_told(tx: Transaction, ecg_row: Any, scoring_id: int, destination: str, told: Sequence[Any]) -> bool:
    """Whether the receiver would learn nothing: same model, same values, and the same ECG of the same patient."""
    digest = tx.connection.scalar(select(scoring.c.output_digest).where(scoring.c.scoring_id == scoring_id))
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
    return bool(before and before[-1].kind != "W" and before[-1].output_digest == digest)


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
    fixed = bodies(tx, [row for row in rows if row.body_sha256 is not None])
    ordered = sorted(rows, key=lambda row: (row.priority, row.message_id))
    return [_outbound(row, fixed.get(row.message_id)) for row in ordered]


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
            # A body that is fixed may be on the wire the moment this commits.
            in_doubt=message.c.in_doubt + case((message.c.body_sha256.is_not(None), 1), else_=0),
        )
        .returning(*message.c)
    )


_CLAIM = _claim_statement()
_INSERT = insert(message).returning(message.c.message_id)


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


def _outbound(row: Any, body: bytes | None) -> OutboundMessage:
    return OutboundMessage(
        message_id=row.message_id,
        ecg_id=row.ecg_id,
        scoring_id=row.scoring_id,
        destination=row.destination,
        control_id=row.control_id,
        kind=row.kind,
        result_version=row.result_version,
        patient_key=row.patient_key,
        body=body,
        attempts=row.attempts,
        lease_until=row.lease_until,
    )


def compose_input(tx: Reading, wanted: OutboundMessage) -> tuple[StagedEcg, Scoring]:
    """The ECG, under its surviving identity and without its signal, and the scoring the message tells of."""
    staged = loading.load(tx, [wanted.ecg_id], signals=False)[0]
    surviving = identity.surviving_patient(tx, _addressee(tx, wanted) or staged.ecg.patient)
    staged = replace(staged, ecg=replace(staged.ecg, patient=surviving))
    return staged, loading.load_scoring(tx, wanted.scoring_id)


def _addressee(reading: Reading, wanted: OutboundMessage) -> Patient | None:
    row = reading.connection.execute(
        select(message.c.addressed_to, message.c.addressed_key_id).where(message.c.message_id == wanted.message_id)
    ).one()
    if row.addressed_to is None:
        return None
    opened = reading.keyring.open(row.addressed_key_id, row.addressed_to, f"address:{wanted.control_id}")
    return codec.patient_from(json.loads(opened))


def fix_body(tx: Transaction, held: OutboundMessage, body: bytes) -> OutboundMessage:
    """Commit the bytes that are about to be sent for the first time.

    Raises LeaseLost, and IdentityChanged where the patient was merged since the message was claimed.
    """
    tx.lock_identities(exclusive=False)
    sha256 = hashlib.sha256(body).hexdigest()
    row = tx.connection.execute(
        update(message)
        .where(
            message.c.message_id == held.message_id,
            message.c.state == RUNNING,
            message.c.attempts == held.attempts,
            message.c.body_sha256.is_(None),
            message.c.patient_key == held.patient_key,
        )
        .values(body_sha256=sha256, in_doubt=message.c.in_doubt + 1, sent_at=tx.now)
        .returning(*message.c)
    ).first()
    if row is None:
        raise _why_not(tx, held)
    key_id, sealed = tx.keyring.seal(body, bound_to=f"message_body:{held.control_id}")
    tx.connection.execute(insert(message_body), {"message_id": held.message_id, "key_id": key_id, "body": sealed})
    tx.note("message.fixed", ecg_id=held.ecg_id, message_id=held.message_id, sha256=sha256, size=len(body))
    return _outbound(row, body)


def _why_not(tx: Transaction, held: OutboundMessage) -> LeaseLost | IdentityChanged | NotFound:
    row = tx.connection.execute(select(message).where(message.c.message_id == held.message_id)).first()
    if row is None:
        return NotFound(f"there is no message {held.message_id}")
    if row.state == MessageState.RUNNING.value and row.attempts == held.attempts and row.body_sha256 is None:
        return IdentityChanged(f"the patient of message {held.message_id} was merged while it was composed")
    return LeaseLost(f"message {held.message_id} is no longer held by this worker")


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


def _held(tx: Transaction, held: OutboundMessage, worker: str, **values: Any) -> None:
    """Update the message if this worker still holds this very attempt of it."""
    mine = and_(
        message.c.message_id == held.message_id,
        message.c.state == RUNNING,
        message.c.worker == worker,
        message.c.attempts == held.attempts,
    )
    done = update(message).where(mine).values(worker=None, lease_until=None, **values)
    if tx.connection.execute(done).rowcount != 1:
        raise LeaseLost(f"message {held.message_id} is no longer held by {worker}")


def reap(tx: Transaction, *, worker: str | None) -> int:
    """Messages whose sender is dead: their fate is unknown, so the same bytes go again, as often as it takes."""
    dead = message.c.worker == worker if worker is not None else message.c.lease_until <= tx.now
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
