"""What a message is made of: the ECG as it is told, its scoring, and what the receiver was told before."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Select, select

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import codec, epochs, identity, loading, message_rows, order_answers, recordings
from ecgfm_clinical.staging.private import private_of
from ecgfm_clinical.staging.records import TAKES_BACK, Draft, Kind, MessageState, Scoring
from ecgfm_clinical.staging.rows import EcgVersion, MessageRow, every_row, first_row
from ecgfm_clinical.staging.schema import message
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Former


def filler_number(tx: Reading, recording_id: int, generation: int) -> str:
    """OBR-3 of the result of one recording for one patient: never used for anything else, whatever is restored."""
    return f"ECGFM-{epochs.current(tx)}{recording_id}" + (f"-{generation}" if generation else "")


def subject_of(tx: Reading, ecg_row: EcgVersion, patient: Patient | None = None) -> Ecg:
    """The ECG as it is told: without its signal, of the surviving identity of `patient` or of whom it names itself."""
    ecg = codec.ecg_from(ecg_row, private_of(tx, ecg_row), loading.NO_SIGNAL)
    return replace(ecg, patient=identity.surviving_patient(tx, patient or ecg.patient))


def meant_for(tx: Reading, row: MessageRow, ecg_row: EcgVersion) -> Patient:
    """A withdrawal goes to whom the result was filed under; anything else to whom the recording belongs now."""
    if row.kind not in TAKES_BACK:
        return recordings.patient_of(tx, recordings.newest(tx, row.recording_id))
    result = message_rows.taken_back_by(tx, row)
    return message_rows.filed_as(tx, row if result is None else result, ecg_row)


def draft(
    tx: Reading,
    ecg_row: EcgVersion,
    subject: Ecg,
    found: Scoring,
    *,
    destination: str,
    control_id: str,
    kind: Kind,
    filler: str,
    composed_at: datetime,
    told_before: bool | None = None,
    before: int | None = None,
) -> Draft:
    """What a message about `subject` is composed of, under the filler number `filler`.

    `told_before`: whether the receiver was told anything under that number, or may have been; None: the store is asked.
    `before`: the message that stands under the control id already; what is later than that does not count.
    """
    if kind == "F" and told_before is None:
        told_before = _told_before(tx, filler, destination, before=before)
    return Draft(
        destination=destination,
        control_id=control_id,
        kind=kind,
        filler=filler,
        composed_at=composed_at,
        ecg_id=ecg_row.ecg_id,
        ecg=subject,
        scoring=found,
        replaces=_replaced(tx, filler, destination, before=before) if kind == "C" else None,
        revives=kind == "F" and bool(told_before),
        former=_former(tx, kind, filler, destination, before=before) if kind != "F" or told_before else None,
        answer=order_answers.fixed(tx, filler),
        placed=_placed(tx, filler, destination) if kind != "F" or told_before else "",
    )


def draft_of(tx: Reading, row: MessageRow, now: datetime) -> Draft:
    """What the message in this row is composed of today."""
    ecg_row = recordings.version(tx, row.ecg_id)
    return draft(
        tx,
        ecg_row,
        subject_of(tx, ecg_row, meant_for(tx, row, ecg_row)),
        loading.load_scoring(tx, row.scoring_id),
        destination=row.destination,
        control_id=row.control_id,
        kind=row.kind,
        filler=row.filler,
        composed_at=now,
        before=row.message_id,
    )


def first_draft(tx: Reading, ecg_row: EcgVersion, destination: str, now: datetime, *, matches_orders: bool) -> Draft:
    """What a first result of this recording would be made of, without a control id. Raises NotFound: no score yet."""
    if ecg_row.scoring_id is None:
        raise NotFound(f"ECG {ecg_row.ecg_id} has no score yet: no message can be made of it")
    generation = recordings.standing(tx, ecg_row.recording_id).generation
    subject = subject_of(tx, ecg_row, recordings.patient_of(tx, ecg_row))
    return Draft(
        destination=destination,
        control_id="",
        kind="F",
        filler=filler_number(tx, ecg_row.recording_id, generation),
        composed_at=now,
        ecg_id=ecg_row.ecg_id,
        ecg=subject,
        scoring=loading.load_scoring(tx, ecg_row.scoring_id),
        replaces=None,
        answer=order_answers.match(tx, subject) if matches_orders else None,
    )


def _replaced(tx: Reading, filler: str, destination: str, *, before: int | None = None) -> Scoring | None:
    """What a correction under this filler number replaces at the receiver: what the message before it told."""
    scoring_id = tx.connection.scalar(_newest_told(filler, destination, before).with_only_columns(message.c.scoring_id))
    return None if scoring_id is None else loading.load_scoring(tx, scoring_id)


def _told_before(tx: Reading, filler: str, destination: str, *, before: int | None = None) -> bool:
    """Whether the receiver was told anything under this filler number, or may have been, before this message."""
    told = _newest_told(filler, destination, before).with_only_columns(message.c.message_id)
    return tx.connection.scalar(told) is not None


def _former(tx: Reading, kind: Kind, filler: str, destination: str, *, before: int | None = None) -> Former | None:
    """The message under this filler number that the receiver holds, or may hold, the result by.

    Of a result that is told as if for the first time: one in doubt, or the withdrawal in doubt after which it may stand
    still.
    """
    held = _newest_told(filler, destination, before)
    row = first_row(tx.connection, MessageRow, held if kind == "F" else held.where(message.c.kind.not_in(TAKES_BACK)))
    if row is None:
        return None
    in_doubt = row.state != MessageState.ACKNOWLEDGED.value
    if kind == "F" and row.kind in TAKES_BACK and not in_doubt:
        return None
    return Former(control_id=row.control_id, body=message_rows.bodies(tx, [row]).get(row.message_id), in_doubt=in_doubt)


def _placed(tx: Reading, filler: str, destination: str) -> str:
    """The placer number under which the receiver keeps this result, where it said so (ORU^R30, R31)."""
    mine = (message.c.filler == filler, message.c.destination == destination, message.c.ack_private.is_not(None))
    rows = every_row(tx.connection, MessageRow, select(message).where(*mine).order_by(message.c.message_id))
    acks = (message_rows.ack_of(tx, row) for row in rows)
    return next((ack.placer for ack in acks if ack is not None and ack.placer), "")


def _newest_told(filler: str, destination: str, before: int | None) -> Select[tuple[object, ...]]:
    """The newest message that counts under this filler number; `before`: of those before this message."""
    told = select(message).where(message.c.filler == filler, message.c.destination == destination, message_rows.COUNTS)
    if before is not None:
        told = told.where(message.c.message_id < before)
    return told.order_by(message.c.message_id.desc()).limit(1)
