"""Result messages are made with the score, bytes and all.

A message gets its control id (MSH-10) and its bytes in the transaction that records the score. Both stay, so every
repeat is recognisable to the receiver. A message of which it is certain that it never left (`in_doubt` = 0) gives way
to one that is composed anew, in the transaction that merges its patient. That one has a number of its own: in a store
that is put back from a backup the former waits again, and may not go out with other bytes under a number that was used
since. What cannot be composed, because the ECG names no patient say, is a dead letter from the start, with its reason.

Where the destination wants a page, that is drawn before the first send, outside any transaction, and the transaction
that begins the send composes the message anew with it (`with_page`).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Select, and_, bindparam, delete, func, insert, or_, select, update

from ecgfm_clinical.errors import NotFound, PageStale
from ecgfm_clinical.staging import codec, epochs, identity, loading, overtaken, recordings, seals
from ecgfm_clinical.staging.attempts import errors_of, is_unfinished, keep_error
from ecgfm_clinical.staging.private import private_of
from ecgfm_clinical.staging.records import (
    TAKES_BACK,
    AttemptError,
    Draft,
    DrawnPage,
    Kind,
    MessageState,
    PageState,
    Scoring,
)
from ecgfm_clinical.staging.retry import refused
from ecgfm_clinical.staging.rows import EcgVersion, MessageRow, first_row, one_row
from ecgfm_clinical.staging.schema import attempt_error, ecg, message, message_body, scoring, second_thought
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.told import SentMessage
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack, Former

UNFINISHED = is_unfinished(message)
#: The receiver has it, may have it, or will: `SentMessage.counts` as a condition of a query.
COUNTS = or_(message.c.state.in_(("waiting", "running", "acknowledged")), message.c.in_doubt > 0)

_INSERT = insert(message).returning(message.c.message_id)
_INSERT_BODY = insert(message_body)


def filler_number(tx: Reading, recording_id: int, generation: int) -> str:
    """OBR-3 of the result of one recording for one patient: never used for anything else, whatever is restored."""
    return f"ECGFM-{epochs.current(tx)}{recording_id}" + (f"-{generation}" if generation else "")


def subject_of(tx: Reading, ecg_row: EcgVersion, patient: Patient | None = None) -> Ecg:
    """The ECG as it is told: without its signal, of the surviving identity of `patient` or of whom it names itself."""
    ecg = codec.ecg_from(ecg_row, private_of(tx, ecg_row), loading.NO_SIGNAL)
    return replace(ecg, patient=identity.surviving_patient(tx, patient or ecg.patient))


def take_back(tx: Transaction, standing: SentMessage, destination: str, *, kind: Kind) -> int:
    """W or D after a result that may have left, under its own filler number and to the patient it was filed under."""
    row = message_of(tx, standing.message_id)
    ecg_row = recordings.version(tx, row.ecg_id)
    return create(
        tx,
        ecg_row,
        row.scoring_id,
        destination,
        kind=kind,
        filler=standing.filler,
        generation=standing.generation,
        subject=subject_of(tx, ecg_row, filed_as(tx, row, ecg_row)),
    )


def cancel_unsent(tx: Transaction, recording_id: int, *, withdrawals: bool = False) -> list[int]:
    """Results of a recording that certainly never left, or were refused: the receiver holds none of them.

    `withdrawals`: those too that were refused, because what follows takes the result back anew or replaces it. Where
    nothing follows, as while a person is asked, they stay: the result that they take back stands at the receiver. A
    withdrawal that waits is left alone. Returns the ids.
    """
    result = message.c.kind.not_in(TAKES_BACK)
    refused = message.c.state == MessageState.DEAD.value
    gone = and_(
        message.c.recording_id == recording_id,
        message.c.in_doubt == 0,
        or_(and_(UNFINISHED, result), refused if withdrawals else and_(refused, result)),
    )
    rows = tx.connection.execute(
        update(message)
        .where(gone)
        .values(state=MessageState.CANCELLED.value, worker=None, lease_until=None)
        .returning(message.c.message_id, message.c.ecg_id, message.c.destination)
    ).all()
    for row in rows:
        tx.note("message.cancelled", ecg_id=row.ecg_id, message_id=row.message_id, destination=row.destination)
    return [row.message_id for row in rows]


def create(
    tx: Transaction,
    ecg_row: EcgVersion,
    scoring_id: int,
    destination: str,
    *,
    kind: Kind,
    filler: str,
    generation: int,
    subject: Ecg,
    found: Scoring | None = None,
) -> int:
    """Compose and queue one message about `subject`, under the filler number `filler`.

    `found` is loaded where the caller does not have it.
    """
    control_id = tx.telling.control_ids()
    draft = Draft(
        destination=destination,
        control_id=control_id,
        kind=kind,
        filler=filler,
        composed_at=tx.now,
        ecg_id=ecg_row.ecg_id,
        ecg=subject,
        scoring=found or loading.load_scoring(tx, scoring_id),
        replaces=_replaced(tx, filler, destination) if kind == "C" else None,
        revives=kind == "F" and _told_before(tx, filler, destination),
        former=_former(tx, filler, destination) if kind != "F" else None,
    )
    body = _composed(tx, draft)
    key = identity.patient_key(tx, subject.patient, ecg_row.source_key)
    version = _next_version(tx, ecg_row.recording_id, destination)
    message_id: int = tx.connection.execute(
        _INSERT,
        {
            "ecg_id": ecg_row.ecg_id,
            "recording_id": ecg_row.recording_id,
            "scoring_id": scoring_id,
            "destination": destination,
            "result_version": version,
            "control_id": control_id,
            "kind": kind,
            "filler": filler,
            "generation": generation,
            "patient_key": key,
            "filed_key": key,
            "state": MessageState.WAITING.value,
            "priority": ecg_row.priority,
            "attempts": 0,
            "in_doubt": 0,
            "due_at": tx.now,
            "created_at": tx.now,
            "page": _page_due(tx, destination, kind),
            **_address_columns(tx, control_id, subject.patient),
            **_body_columns(body),
        },
    ).scalar_one()
    _keep_body(tx, message_id, control_id, body)
    tx.left_to_do.add("report")
    tx.note(
        "message.created",
        ecg_id=ecg_row.ecg_id,
        message_id=message_id,
        destination=destination,
        control_id=control_id,
        kind=kind,
        result_version=version,
        **_told_of(body),
    )
    if isinstance(body, bytes):
        overtaken.close(tx, message_id, filler=filler, destination=destination, kind=kind)
    return message_id


def _next_version(tx: Transaction, recording_id: int, destination: str) -> int:
    mine = and_(message.c.recording_id == recording_id, message.c.destination == destination)
    return 1 + (tx.connection.scalar(select(func.max(message.c.result_version)).where(mine)) or 0)


def recompose(tx: Transaction, row: MessageRow) -> int:
    """A message of which it is certain that no bytes ever left gives way to one with new bytes; the id of that one."""
    cancelled = {"state": MessageState.CANCELLED.value, "worker": None, "lease_until": None}
    tx.connection.execute(update(message).where(message.c.message_id == row.message_id).values(**cancelled))
    ecg_row = recordings.version(tx, row.ecg_id)
    anew = create(
        tx,
        ecg_row,
        row.scoring_id,
        row.destination,
        kind=row.kind,
        filler=row.filler,
        generation=row.generation,
        subject=subject_of(tx, ecg_row, meant_for(tx, row, ecg_row)),
    )
    tx.note("message.recomposed", ecg_id=row.ecg_id, message_id=row.message_id, destination=row.destination, anew=anew)
    may_be_undone = second_thought.c.message_id == row.message_id
    tx.connection.execute(update(second_thought).where(may_be_undone).values(message_id=anew))
    return anew


def with_page(tx: Transaction, row: MessageRow, page: DrawnPage | None) -> bytes:
    """The bytes of a message whose page was due, composed anew with it; it is sent now for the first time.

    None: its sender draws none any more, and it goes as it is. Raises PageStale where the page names somebody else than
    the message does by now, and PayloadError where no bytes can be made.
    """
    tx.lock_identities(exclusive=False)
    draft = draft_of(tx, row, row.created_at)  # the same bytes again, should a backup be put back
    if page is not None and page.pdf is not None and page.patient != draft.ecg.patient:
        raise PageStale(f"message {row.message_id} speaks of another patient than its page")
    if page is not None:
        draft = replace(draft, page=page.pdf, page_refused=page.refused)
    state = PageState.WITHOUT if page is None or page.pdf is None else PageState.DRAWN
    body = _write_anew(tx, row, draft, page=state.value)
    overtaken.close(tx, row.message_id, filler=row.filler, destination=row.destination, kind=row.kind)
    return body


def _page_due(tx: Transaction, destination: str, kind: Kind) -> str | None:
    """What takes a result back carries no page."""
    wanted = destination in tx.telling.with_page and kind not in TAKES_BACK
    return PageState.DUE.value if wanted else None


def _write_anew(tx: Transaction, row: MessageRow, draft: Draft, *, page: str) -> bytes:
    body = tx.telling.compose(draft)
    tx.connection.execute(delete(message_body).where(message_body.c.message_id == row.message_id))
    source_key = tx.connection.scalar(select(ecg.c.source_key).where(ecg.c.ecg_id == row.ecg_id))
    key = identity.patient_key(tx, draft.ecg.patient, source_key or "")
    changed = _body_columns(body) | _address_columns(tx, row.control_id, draft.ecg.patient)
    changed |= {"patient_key": key, "filed_key": key, "page": page}
    tx.connection.execute(update(message).where(message.c.message_id == row.message_id).values(**changed))
    _keep_body(tx, row.message_id, row.control_id, body)
    tx.note("message.completed", ecg_id=row.ecg_id, message_id=row.message_id, **_told_of(body))
    return body


def draft_of(tx: Reading, row: MessageRow, now: datetime) -> Draft:
    """What the message in this row is composed of today."""
    ecg_row = recordings.version(tx, row.ecg_id)
    return Draft(
        destination=row.destination,
        control_id=row.control_id,
        kind=row.kind,
        filler=row.filler,
        composed_at=now,
        ecg_id=row.ecg_id,
        ecg=subject_of(tx, ecg_row, meant_for(tx, row, ecg_row)),
        scoring=loading.load_scoring(tx, row.scoring_id),
        replaces=_replaced(tx, row.filler, row.destination, before=row.message_id) if row.kind == "C" else None,
        revives=row.kind == "F" and _told_before(tx, row.filler, row.destination, before=row.message_id),
        former=_former(tx, row.filler, row.destination, before=row.message_id) if row.kind != "F" else None,
    )


def newest_of(tx: Reading, recording_id: int, destination: str) -> MessageRow | None:
    """The newest message about a recording to one destination."""
    mine = and_(message.c.recording_id == recording_id, message.c.destination == destination)
    newest = select(message).where(mine).order_by(message.c.message_id.desc()).limit(1)
    return first_row(tx.connection, MessageRow, newest)


def first_draft(tx: Reading, ecg_row: EcgVersion, destination: str, now: datetime) -> Draft:
    """What a first result of this recording would be made of, without a control id. Raises NotFound: no score yet."""
    if ecg_row.scoring_id is None:
        raise NotFound(f"ECG {ecg_row.ecg_id} has no score yet: no message can be made of it")
    generation = recordings.standing(tx, ecg_row.recording_id).generation
    return Draft(
        destination=destination,
        control_id="",
        kind="F",
        filler=filler_number(tx, ecg_row.recording_id, generation),
        composed_at=now,
        ecg_id=ecg_row.ecg_id,
        ecg=subject_of(tx, ecg_row, recordings.patient_of(tx, ecg_row)),
        scoring=loading.load_scoring(tx, ecg_row.scoring_id),
        replaces=None,
    )


def meant_for(tx: Reading, row: MessageRow, ecg_row: EcgVersion) -> Patient:
    """A withdrawal goes to whom the result was filed under; anything else to whom the recording belongs now."""
    if row.kind not in TAKES_BACK:
        return recordings.patient_of(tx, recordings.newest(tx, row.recording_id))
    result = _taken_back_by(tx, row)
    return filed_as(tx, row if result is None else result, ecg_row)


def _taken_back_by(tx: Reading, row: MessageRow) -> MessageRow | None:
    """The result that this withdrawal takes back; its address stays as it left, whoever was merged since."""
    earlier = (
        select(message)
        .where(
            message.c.filler == row.filler,
            message.c.destination == row.destination,
            message.c.message_id < row.message_id,
            message.c.kind.not_in(TAKES_BACK),
            or_(message.c.state == MessageState.ACKNOWLEDGED.value, message.c.in_doubt > 0),
        )
        .order_by(message.c.message_id.desc())
        .limit(1)
    )
    return first_row(tx.connection, MessageRow, earlier)


def filed_as(tx: Reading, row: MessageRow, ecg_row: EcgVersion) -> Patient:
    """The patient in the message of this row; stores of the first schemas kept it only where it was not the ECG's
    own.
    """
    if row.addressed_to is None:
        return identity.surviving_patient(tx, recordings.own_patient(tx, ecg_row))
    return codec.patient_from(json.loads(seals.ADDRESS.open(tx.keyring, row)))


def _address_columns(tx: Transaction, control_id: str, patient: Patient) -> dict[str, bytes | int | None]:
    return seals.ADDRESS.seal(tx.keyring, to_json(codec.patient_dict(patient)), control_id=control_id)


def _replaced(tx: Reading, filler: str, destination: str, *, before: int | None = None) -> Scoring | None:
    """What a correction under this filler number replaces at the receiver: what the message before it told."""
    scoring_id = tx.connection.scalar(_newest_told(filler, destination, before).with_only_columns(message.c.scoring_id))
    return None if scoring_id is None else loading.load_scoring(tx, scoring_id)


def _told_before(tx: Reading, filler: str, destination: str, *, before: int | None = None) -> bool:
    """Whether the receiver was told anything under this filler number, or may have been, before this message."""
    told = _newest_told(filler, destination, before).with_only_columns(message.c.message_id)
    return tx.connection.scalar(told) is not None


def _former(tx: Reading, filler: str, destination: str, *, before: int | None = None) -> Former | None:
    """The message under this filler number that the receiver holds, or may hold, the result by."""
    held = _newest_told(filler, destination, before).where(message.c.kind.not_in(TAKES_BACK))
    row = first_row(tx.connection, MessageRow, held)
    return None if row is None else Former(control_id=row.control_id, body=bodies(tx, [row]).get(row.message_id))


def _newest_told(filler: str, destination: str, before: int | None) -> Select[tuple[object, ...]]:
    """The newest message that counts under this filler number; `before`: of those before this message."""
    told = select(message).where(message.c.filler == filler, message.c.destination == destination, COUNTS)
    if before is not None:
        told = told.where(message.c.message_id < before)
    return told.order_by(message.c.message_id.desc()).limit(1)


def _composed(tx: Transaction, draft: Draft) -> bytes | PayloadError:
    try:
        return tx.telling.compose(draft)
    except PayloadError as error:
        return error


def _body_columns(body: bytes | PayloadError) -> dict[str, str | None]:
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


def _told_of(body: bytes | PayloadError) -> dict[str, str | int]:
    """For the audit trail."""
    if isinstance(body, PayloadError):
        return {"refused": body.code}
    return {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}


def told_so_far(tx: Reading, recording_id: int, destination: str) -> list[SentMessage]:
    """Every message about a recording to one destination so far, oldest first."""
    return [
        SentMessage(
            message_id=row.message_id,
            ecg_id=row.ecg_id,
            scoring_id=row.scoring_id,
            kind=row.kind,
            state=MessageState(row.state),
            in_doubt=row.in_doubt > 0,
            filler=row.filler,
            generation=row.generation,
            filed_key=row.filed_key,
            output_digest=row.output_digest,
        )
        for row in tx.connection.execute(_TOLD, {"of": recording_id, "to": destination})
    ]


_TOLD = (
    select(
        *(message.c[name] for name in ("message_id", "ecg_id", "scoring_id", "kind", "state", "in_doubt")),
        *(message.c[name] for name in ("filler", "generation", "filed_key")),
        scoring.c.output_digest,
    )
    .join(scoring, scoring.c.scoring_id == message.c.scoring_id)
    .where(message.c.recording_id == bindparam("of"), message.c.destination == bindparam("to"))
    .order_by(message.c.message_id)
)


def bodies(tx: Reading, rows: Sequence[MessageRow]) -> dict[int, bytes]:
    """The fixed bytes of these messages, by id."""
    if not rows:
        return {}
    by_id = {row.message_id: row for row in rows}
    stored = tx.connection.execute(select(message_body).where(message_body.c.message_id.in_(by_id)))
    return {row.message_id: seals.MESSAGE_BODY.open(tx.keyring, row, of=by_id[row.message_id]) for row in stored}


def compose_late(tx: Transaction, row: MessageRow) -> bytes:
    """Bytes for a message that has none: refused when it was made,
    or made by the first schema's program before its first send.
    """
    tx.lock_identities(exclusive=False)
    body = tx.telling.compose(draft_of(tx, row, tx.now))
    tx.connection.execute(update(message).where(message.c.message_id == row.message_id).values(**_body_columns(body)))
    _keep_body(tx, row.message_id, row.control_id, body)
    overtaken.close(tx, row.message_id, filler=row.filler, destination=row.destination, kind=row.kind)
    return body


def ack_of(reading: Reading, row: MessageRow) -> Ack | None:
    """The acknowledgement stored on a message row."""
    if row.ack_private is None:
        return None
    return Ack(**json.loads(seals.ACKNOWLEDGEMENT.open(reading.keyring, row)))


def message_of(tx: Reading, message_id: int) -> MessageRow:
    """One message by its number."""
    return one_row(tx.connection, MessageRow, select(message).where(message.c.message_id == message_id))


def errors(reading: Reading, message_id: int) -> tuple[AttemptError, ...]:
    """Why each failed attempt to send this message failed, oldest first."""
    mine = select(attempt_error).where(attempt_error.c.message_id == message_id).order_by(attempt_error.c.error_id)
    return errors_of(reading, mine)
