"""Result messages are made with the score, bytes and all.

A message gets its control id (MSH-10) and its bytes in the transaction that records the score. Both stay, so every repeat
is recognisable to the receiver. The one exception: a message of which it is certain that it never left (`in_doubt` = 0)
is composed anew, under its number, in the transaction that merges its patient. What cannot be composed, because the ECG
names no patient say, is a dead letter from the start, with its reason.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    bindparam,
    delete,
    insert,
    select,
    update,
)

from ecgfm_clinical.staging import codec, identity, loading, seals
from ecgfm_clinical.staging.attempts import errors_from, keep_error
from ecgfm_clinical.staging.records import TAKES_BACK, AttemptError, Draft, Kind, MessageState, Scoring
from ecgfm_clinical.staging.retry import refused
from ecgfm_clinical.staging.schema import attempt_error, ecg, message, message_body, scoring
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack

_GONE = (MessageState.DEAD.value, MessageState.CANCELLED.value)
_INSERT = insert(message).returning(message.c.message_id)
_INSERT_BODY = insert(message_body)


def announce(
    tx: Transaction,
    ecg_row: Any,
    scoring_id: int,
    found: Scoring,
) -> None:
    """A message for each destination that would be told something new by this scoring; identities are locked."""
    if not tx.telling.destinations:
        return
    subject = subject_of(tx, ecg_row)
    for destination in tx.telling.destinations:
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
    patient_key: str,
    result_version: int,
    addressed_to: Patient | None = None,
    subject: Ecg | None = None,
    found: Scoring | None = None,
) -> int:
    """Compose and queue one message. `addressed_to`: instead of the ECG's patient.

    `subject` and `found` are loaded where the caller does not have them.
    """
    control_id = tx.telling.control_ids()
    address: dict[str, Any] = {"addressed_to": None, "addressed_key_id": None}
    if addressed_to is not None:
        told = to_json(codec.patient_dict(addressed_to))
        address = seals.ADDRESS.seal(tx.keyring, told, control_id=control_id)
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
            **address,
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
    return codec.patient_from(json.loads(seals.ADDRESS.open(tx.keyring, row)))


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
    try:
        return tx.telling.compose(draft)
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
    sealed = seals.MESSAGE_BODY.seal(tx.keyring, body, control_id=control_id)
    tx.connection.execute(_INSERT_BODY, {"message_id": message_id, **sealed})


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


def bodies(tx: Reading, rows: Sequence[Any]) -> dict[int, bytes]:
    """The fixed bytes of these messages, by id."""
    if not rows:
        return {}
    by_id = {row.message_id: row for row in rows}
    stored = tx.connection.execute(select(message_body).where(message_body.c.message_id.in_(by_id)))
    return {row.message_id: seals.MESSAGE_BODY.open(tx.keyring, row, of=by_id[row.message_id]) for row in stored}


def compose_late(tx: Transaction, row: Any) -> bytes:
    """Bytes for a message that has none: refused when it was made, or made by the first schema's program before its first send."""
    tx.lock_identities(exclusive=False)
    body = _composed(tx, _draft_of(tx, row))
    if isinstance(body, PayloadError):
        raise body
    tx.connection.execute(update(message).where(message.c.message_id == row.message_id).values(**_body_columns(body)))
    _keep_body(tx, row.message_id, row.control_id, body)
    return body


def ack_of(reading: Reading, row: Any) -> Ack | None:
    """The acknowledgement stored on a message row."""
    if row.ack_private is None:
        return None
    return Ack(**json.loads(seals.ACKNOWLEDGEMENT.open(reading.keyring, row)))


def errors(reading: Reading, message_id: int) -> tuple[AttemptError, ...]:
    """Why each failed attempt to send this message failed, oldest first."""
    mine = select(attempt_error).where(attempt_error.c.message_id == message_id).order_by(attempt_error.c.error_id)
    return errors_from(reading.connection.execute(mine))
