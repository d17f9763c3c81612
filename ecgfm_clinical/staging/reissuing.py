"""Steps that change what was told of one recording: taken back, moved to another patient, filed again."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import identity, jobs, message_rows, messages, misfiled, moot, recordings
from ecgfm_clinical.staging.records import Kind, Reissue
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_clinical.staging.schema import ecg, message
from ecgfm_clinical.staging.told import standing, taken_back_in_doubt
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.patient import Patient


def take_back(tx: Transaction, row: EcgVersion, kind: Kind) -> Reissue:
    """Cancel what never left of the recording of this version, and send W or D after each result that may stand."""
    cancelled = messages.cancel_unsent(tx, row.recording_id, withdrawals=True)
    created = []
    for destination in _told_to(tx, row.recording_id):
        told = message_rows.told_so_far(tx, row.recording_id, destination)
        for one in (*standing(told), *taken_back_in_doubt(told)):
            created.append(messages.take_back(tx, one, destination, kind=kind))
    return Reissue(created=tuple(created), cancelled=tuple(cancelled))


def _told_to(tx: Reading, recording_id: int) -> list[str]:
    mine = select(message.c.destination).where(message.c.recording_id == recording_id).distinct()
    return sorted(tx.connection.scalars(mine))


def move(tx: Transaction, row: EcgVersion, patient: Patient, *, reason: str) -> Reissue:
    """The recording of this version belongs to `patient`: taken back where it was told, judged again, told anew."""
    moved = not recordings.same_person(tx, recordings.patient_of(tx, row), patient) or bool(
        misfiled.not_at(tx, row, identity.patient_key(tx, patient, row.source_key))
    )
    report = take_back(tx, row, "W") if moved else Reissue()
    recordings.assign(tx, row, patient, moved=moved, reason=reason)
    jobs.rescore(tx, recordings.newest(tx, row.recording_id), tell=True)
    return report


def with_demographics(tx: Reading, patient: Patient) -> Patient:
    """A patient who was named by number only, with what ADT messages said of that number."""
    if not patient.identifiers or patient.family_name:
        return patient
    known = identity.demographics(tx.connection, tx.keyring, identity.identifier_key(tx, patient.identifiers[0]))
    return replace(known, identifiers=patient.identifiers) if known else patient


def file_again(tx: Transaction, row: EcgVersion, reason: str) -> Reissue:
    """The result stands at an identity to which the recording does not belong: W there, F where it does."""
    report = take_back(tx, row, "W")
    jobs.rescore(tx, row, tell=recordings.renumber(tx, row, reason=reason))
    return report


def withdraw_recording(tx: Transaction, row: EcgVersion, *, by: recordings.Withdrawn, reason: str) -> Reissue:
    """Nothing of the recording is told any more; what stands is taken back."""
    report = take_back(tx, row, "W")
    recordings.withdraw(tx, row.recording_id, by=by, reason=reason)
    moot.close(tx, row.recording_id, f"the recording was taken back: {reason}")
    jobs.drop(tx, row.recording_id)
    tx.note("recording.withdrawn", ecg_id=row.ecg_id, reason=reason, messages=listed(report.created))
    return report


def locked(tx: Transaction, ecg_id: int) -> EcgVersion:
    """The ECG's row; its recording is nobody else's to change until commit. Raises NotFound."""
    recording_id = tx.connection.scalar(select(ecg.c.recording_id).where(ecg.c.ecg_id == ecg_id))
    if recording_id is None:
        raise NotFound(f"there is no ECG {ecg_id} in the store")
    tx.connection.execute(select(ecg.c.ecg_id).where(ecg.c.ecg_id == recording_id).with_for_update())
    return recordings.version(tx, ecg_id)


def listed(message_ids: Sequence[int]) -> str:
    """Numbers of messages, as the audit trail has them."""
    return ",".join(map(str, message_ids))
