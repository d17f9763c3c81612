"""What follows from a person's yes or no to a question about a recording."""

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging import holds, identity, jobs, misfiled, moot, recordings
from ecgfm_clinical.staging.holds import Hold, Question
from ecgfm_clinical.staging.records import Reissue
from ecgfm_clinical.staging.reissuing import file_again, locked, move, with_demographics, withdraw_recording
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_connectors.patient import Patient


def answer_by_naming(tx: Transaction, recording_id: int, reason: str) -> None:
    """Whoever names the patient has answered every open question of whose the recording is."""
    for one in holds.listed(tx, recording_id=recording_id):
        if one.question is Question.ORDER:  # of the other patient another order may be here
            holds.close(tx, one, moot.MOOT, reason)
        elif one.question is not Question.SENDER_WITHDRAWAL:
            holds.close(tx, one, "released", reason)
    moot.settle(tx, recording_id, reason)


def undecided(tx: Transaction, hold_id: int) -> Hold:
    """The question, and its recording, nobody else's to change until commit. Raises NotFound, StoreError."""
    held = holds.load(tx, hold_id)
    locked(tx, held.ecg_id)
    tx.lock_identities(exclusive=True)
    held = holds.load(tx, hold_id)  # another person may have decided it while the lock was awaited
    if held.decision is not None:
        raise StoreError(f"question {hold_id} was decided already: {held.decision} by {held.decided_by}")
    return held


def release(tx: Transaction, held: Hold, patient: Patient | None, reason: str) -> Reissue:
    """Yes, or with `patient`: the recording belongs to that one instead."""
    holds.close(tx, held, "released", reason)
    row = recordings.newest(tx, held.recording_id)
    if patient is not None:
        answer_by_naming(tx, held.recording_id, reason)
        return move(tx, row, with_demographics(tx, patient), reason=reason)
    match held.question:
        case Question.CORRECTED_PATIENT | Question.SAME_SIGNAL:
            return move(tx, row, held.patients[-1], reason=reason)
        case Question.TWO_PEOPLE:
            return move(tx, row, held.patients[0], reason=reason)
        case Question.UNMERGED:
            return file_again(tx, row, reason)
        case Question.ORDER:
            jobs.rescore(tx, row, tell=False)
            return Reissue()
        case Question.SENDER_WITHDRAWAL:
            if recordings.standing(tx, row.recording_id).withdrawn == "by-sender":
                recordings.reinstate(tx, row.recording_id, also_taken_back=False, reason=reason)
                moot.ask_again(tx, row)
            jobs.rescore(tx, row, tell=False)
            return Reissue()


def reject(tx: Transaction, held: Hold, reason: str) -> Reissue:
    """No."""
    holds.close(tx, held, "rejected", reason)
    row = recordings.newest(tx, held.recording_id)
    match held.question:
        case Question.CORRECTED_PATIENT | Question.SAME_SIGNAL:  # it stays with whom it belongs to by now
            jobs.rescore(tx, row, tell=False)
            return Reissue()
        case Question.UNMERGED:
            stays_with = held.patients[-1]
            if misfiled.not_at(tx, row, identity.patient_key(tx, stays_with, row.source_key)):
                return move(tx, row, stays_with, reason=reason)  # another receiver holds it under somebody else
            recordings.assign(tx, row, stays_with, moved=False, reason=reason)
            jobs.rescore(tx, row, tell=False)
            return Reissue()
        case Question.TWO_PEOPLE | Question.SENDER_WITHDRAWAL | Question.ORDER:
            return withdraw_recording(tx, row, by="by-person", reason=reason)
