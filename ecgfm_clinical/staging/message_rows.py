"""The rows of result messages as they are read: what was told so far, by which bytes, to whom, and how it went."""

import json
from collections.abc import Collection, Sequence

from sqlalchemy import and_, bindparam, or_, select

from ecgfm_clinical.staging import codec, identity, recordings, seals
from ecgfm_clinical.staging.attempts import errors_of, is_unfinished
from ecgfm_clinical.staging.records import TAKES_BACK, AttemptError, MessageState
from ecgfm_clinical.staging.rows import EcgVersion, MessageRow, first_row, one_row
from ecgfm_clinical.staging.schema import attempt_error, message, message_body, scoring
from ecgfm_clinical.staging.told import SentMessage
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack

UNFINISHED = is_unfinished(message)
#: The receiver has it, may have it, or will: `SentMessage.counts` as a condition of a query.
COUNTS = or_(message.c.state.in_(("waiting", "running", "acknowledged")), message.c.in_doubt > 0)


def message_of(tx: Reading, message_id: int) -> MessageRow:
    """One message by its number."""
    return one_row(tx.connection, MessageRow, select(message).where(message.c.message_id == message_id))


def newest_of(tx: Reading, recording_id: int, destination: str) -> MessageRow | None:
    """The newest message about a recording to one destination."""
    mine = and_(message.c.recording_id == recording_id, message.c.destination == destination)
    newest = select(message).where(mine).order_by(message.c.message_id.desc()).limit(1)
    return first_row(tx.connection, MessageRow, newest)


def told_so_far(tx: Reading, recording_id: int, destination: str) -> list[SentMessage]:
    """Every message about a recording to one destination so far, oldest first."""
    return told_of(tx, [recording_id], [destination]).get((recording_id, destination), [])


def told_of(
    tx: Reading, recording_ids: Collection[int], destinations: Collection[str]
) -> dict[tuple[int, str], list[SentMessage]]:
    """The same of several, by recording and destination; where there is none, it is left out."""
    told: dict[tuple[int, str], list[SentMessage]] = {}
    for row in tx.connection.execute(_TOLD, {"of": list(recording_ids), "to": list(destinations)}):
        sent = SentMessage(
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
        told.setdefault((row.recording_id, row.destination), []).append(sent)
    return told


_TOLD = (
    select(
        *(message.c[name] for name in ("message_id", "ecg_id", "scoring_id", "kind", "state", "in_doubt")),
        *(message.c[name] for name in ("filler", "generation", "filed_key", "recording_id", "destination")),
        scoring.c.output_digest,
    )
    .join(scoring, scoring.c.scoring_id == message.c.scoring_id)
    .where(
        message.c.recording_id.in_(bindparam("of", expanding=True)),
        message.c.destination.in_(bindparam("to", expanding=True)),
    )
    .order_by(message.c.message_id)
)


def bodies(tx: Reading, rows: Sequence[MessageRow]) -> dict[int, bytes]:
    """The fixed bytes of these messages, by id."""
    if not rows:
        return {}
    by_id = {row.message_id: row for row in rows}
    stored = tx.connection.execute(select(message_body).where(message_body.c.message_id.in_(by_id)))
    return {row.message_id: seals.MESSAGE_BODY.open(tx.keyring, row, of=by_id[row.message_id]) for row in stored}


def filed_as(tx: Reading, row: MessageRow, ecg_row: EcgVersion) -> Patient:
    """The patient in the message of this row; stores of the first schemas kept it only where it was not the ECG's
    own.
    """
    if row.addressed_to is None:
        return identity.surviving_patient(tx, recordings.own_patient(tx, ecg_row))
    return codec.patient_from(json.loads(seals.ADDRESS.open(tx.keyring, row)))


def taken_back_by(tx: Reading, row: MessageRow) -> MessageRow | None:
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


def ack_of(reading: Reading, row: MessageRow) -> Ack | None:
    """The acknowledgement stored on a message row."""
    if row.ack_private is None:
        return None
    return Ack(**json.loads(seals.ACKNOWLEDGEMENT.open(reading.keyring, row)))


def errors(reading: Reading, message_id: int) -> tuple[AttemptError, ...]:
    """Why each failed attempt to send this message failed, oldest first."""
    mine = select(attempt_error).where(attempt_error.c.message_id == message_id).order_by(attempt_error.c.error_id)
    return errors_of(reading, mine)
