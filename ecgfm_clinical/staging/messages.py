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
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update

from ecgfm_clinical.errors import PageStale
from ecgfm_clinical.staging import (
    codec,
    drafts,
    identity,
    loading,
    message_rows,
    order_answers,
    overtaken,
    recordings,
    seals,
)
from ecgfm_clinical.staging.attempts import keep_error
from ecgfm_clinical.staging.records import (
    TAKES_BACK,
    Draft,
    DrawnPage,
    Kind,
    MessageState,
    PageState,
    Scoring,
)
from ecgfm_clinical.staging.retry import refused
from ecgfm_clinical.staging.rows import EcgVersion, MessageRow
from ecgfm_clinical.staging.schema import ecg, message, message_body, second_thought
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.told import SentMessage
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.patient import Patient

_INSERT = insert(message).returning(message.c.message_id)
_INSERT_BODY = insert(message_body)


def take_back(tx: Transaction, standing: SentMessage, destination: str, *, kind: Kind) -> int:
    """W or D after a result that may have left, under its own filler number and to the patient it was filed under."""
    row = message_rows.message_of(tx, standing.message_id)
    ecg_row = recordings.version(tx, row.ecg_id)
    return create(
        tx,
        ecg_row,
        row.scoring_id,
        destination,
        kind=kind,
        filler=standing.filler,
        generation=standing.generation,
        subject=drafts.subject_of(tx, ecg_row, message_rows.filed_as(tx, row, ecg_row)),
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
        or_(and_(message_rows.UNFINISHED, result), refused if withdrawals else and_(refused, result)),
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
    told_before: bool | None = None,
) -> int:
    """Compose and queue one message about `subject`, under the filler number `filler`.

    `found` is loaded, and whether the receiver was told before under this number is asked, where the caller does not
    have it.
    """
    control_id = tx.telling.control_ids()
    draft = drafts.draft(
        tx,
        ecg_row,
        subject,
        found or loading.load_scoring(tx, scoring_id),
        destination=destination,
        control_id=control_id,
        kind=kind,
        filler=filler,
        composed_at=tx.now,
        told_before=told_before,
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
    return 1 + (tx.connection.scalar(_NEWEST_VERSION, {"of": recording_id, "to": destination}) or 0)


_NEWEST_VERSION = select(func.max(message.c.result_version)).where(
    message.c.recording_id == bindparam("of"), message.c.destination == bindparam("to")
)


def recompose(tx: Transaction, rows: Sequence[MessageRow]) -> list[int]:
    """Messages of which it is certain that no bytes ever left give way to ones with new bytes, in their order; the ids.

    All give way first: none of the new ones follows, or takes back, what is composed anew after it.
    """
    cancelled = {"state": MessageState.CANCELLED.value, "worker": None, "lease_until": None}
    gone = message.c.message_id.in_([row.message_id for row in rows])
    tx.connection.execute(update(message).where(gone).values(**cancelled))
    return [_anew(tx, row) for row in rows]


def _anew(tx: Transaction, row: MessageRow) -> int:
    ecg_row = recordings.version(tx, row.ecg_id)
    subject = drafts.subject_of(tx, ecg_row, drafts.meant_for(tx, row, ecg_row))
    order_answers.fix(tx, row.recording_id, row.filler, subject)
    anew = create(
        tx,
        ecg_row,
        row.scoring_id,
        row.destination,
        kind=row.kind,
        filler=row.filler,
        generation=row.generation,
        subject=subject,
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
    draft = drafts.draft_of(tx, row, row.created_at)  # the same bytes again, should a backup be put back
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


def _address_columns(tx: Transaction, control_id: str, patient: Patient) -> dict[str, bytes | int | None]:
    return seals.ADDRESS.seal(tx.keyring, to_json(codec.patient_dict(patient)), control_id=control_id)


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


def compose_late(tx: Transaction, row: MessageRow) -> bytes:
    """Bytes for a message that has none: refused when it was made,
    or made by the first schema's program before its first send.
    """
    tx.lock_identities(exclusive=False)
    body = tx.telling.compose(drafts.draft_of(tx, row, tx.now))
    tx.connection.execute(update(message).where(message.c.message_id == row.message_id).values(**_body_columns(body)))
    _keep_body(tx, row.message_id, row.control_id, body)
    overtaken.close(tx, row.message_id, filler=row.filler, destination=row.destination, kind=row.kind)
    return body
