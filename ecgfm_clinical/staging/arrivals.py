"""One ECG arrives: a new recording, a copy of a known one, or another version of it, perhaps of another patient.

What is plain is staged with its score job. What is doubtful is held: kept, and neither scored nor told until a person
decides (`LIFECYCLE.md`). What each source may decide by itself stands in its `Trust`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, update

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import (
    codec,
    early,
    holds,
    identity,
    jobs,
    loading,
    messages,
    moot,
    numbers,
    recordings,
    reissuing,
    seals,
)
from ecgfm_clinical.staging.compression import Packed
from ecgfm_clinical.staging.holds import Question
from ecgfm_clinical.staging.recordings import Known, Marks
from ecgfm_clinical.staging.records import BACKFILL, HISTORY, ROUTINE, STAT, EcgState, Trust
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_clinical.staging.schema import ecg, signal
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Withdrawal
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.patient import Patient

_INSERT_ECG = insert(ecg).returning(ecg.c.ecg_id)
_INSERT_SIGNAL = insert(signal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Where an ECG is in the store."""

    ecg_id: int
    version: int
    new: bool  #: False where the store held it already, word for word


def stage(
    tx: Transaction,
    payload_id: int,
    received: Received,
    one: Ecg,
    marks: Marks,
    packed: Packed,
    *,
    priority: int,
    trust: Trust,
) -> Staged:
    """Keep one ECG, its signal `packed`. `priority` of its score job, unless it is STAT.

    History adds nothing to a recording that is known: what came in live holds, and what was decided of it.
    """
    known = recordings.find(tx, one, marks)
    if known is not None and received.source == HISTORY:
        tx.note("ecg.known-before", ecg_id=known.newest.ecg_id, payload_id=payload_id, source=received.source)
        return Staged(ecg_id=known.newest.ecg_id, version=known.newest.version, new=False)
    if known is not None and _is_copy(tx, known, one, marks):
        come_live(tx, known.newest.ecg_id, received.source)
        tx.note("ecg.repeated", ecg_id=known.newest.ecg_id, payload_id=payload_id, source=received.source)
        if _is_stated(one) and recordings.standing(tx, known.newest.recording_id).withdrawn == "by-sender":
            _ask_of_withdrawal(tx, known.newest, one)
        return Staged(ecg_id=known.newest.ecg_id, version=known.newest.version, new=False)
    version = 1 if known is None else known.newest.version + 1
    history = received.source == HISTORY
    urgency = BACKFILL if history else STAT if one.order.stat else priority
    ecg_id = _insert(tx, payload_id, received, one, marks, packed, known, version=version, priority=urgency)
    tx.count(1, received_at=received.received_at, source=received.source, state=EcgState.WAITING.value)
    tx.note("ecg.staged", ecg_id=ecg_id, payload_id=payload_id, version=version, source=received.source)
    _decide(tx, ecg_id, one, known, trust, urgency)
    return Staged(ecg_id=ecg_id, version=version, new=True)


def come_live(tx: Transaction, ecg_id: int, source: str) -> None:
    """An ECG that was history came in by `source`: its result is owed as that of any other that comes so."""
    if source == HISTORY:
        return
    changed = update(ecg).where(ecg.c.ecg_id == ecg_id, ecg.c.source == HISTORY)
    if not tx.connection.execute(changed.values(source=source, priority=ROUTINE)).rowcount:
        return
    row = recordings.version(tx, ecg_id)
    answers = codec.head_states(loading.scores(tx, row.scoring_id)) if row.scoring_id is not None else {}
    for by, where in ((-1, HISTORY), (1, source)):
        tx.count(by, received_at=row.received_at, source=where, state=row.state)
        for head, answer in answers.items():
            tx.count(by, received_at=row.received_at, source=where, head=head, state=answer)
    tx.note("ecg.history-came-live", ecg_id=ecg_id, source=source)
    if not holds.is_open(tx, row.recording_id):
        jobs.hurry(tx, ecg_id, priority=ROUTINE)
        jobs.rescore(tx, row, tell=False)


def _is_copy(tx: Transaction, known: Known, one: Ecg, marks: Marks) -> bool:
    """Whether the newest version said the same: what came last holds, also where it came before.

    Stores of the first schemas have no mark on their versions; there the version itself is compared.
    """
    if known.newest.said_key is None:
        return _says_the_same(tx, known.newest, one)
    return bool(known.newest.said_key == marks.said)


def _says_the_same(tx: Transaction, row: EcgVersion, one: Ecg) -> bool:
    """Whether the stored version says what `one` says, to the last sample."""
    try:
        (stored,) = loading.load(tx, [row.ecg_id], signals=True, as_received=True)
    except NotFound:  # its signal is past its retention: nobody can tell any more
        return False
    return recordings.marks(tx, stored.ecg).said == recordings.marks(tx, one).said


def _insert(
    tx: Transaction,
    payload_id: int,
    received: Received,
    one: Ecg,
    marks: Marks,
    packed: Packed,
    known: Known | None,
    *,
    version: int,
    priority: int,
) -> int:
    source_key = tx.key("source", one.source_id)
    sealed = seals.ECG.seal(tx.keyring, to_json(codec.private(one)), source_key=source_key, version=version)
    ecg_id: int = tx.connection.execute(
        _INSERT_ECG,
        {
            "payload_id": payload_id,
            "recording_id": 0 if known is None else known.newest.recording_id,
            "source_key": source_key,
            "said_key": marks.said,
            "signal_key": marks.signal,
            "order_key": marks.order,
            "version": version,
            "source": received.source,
            "format": one.format,
            "received_at": received.received_at,
            "acquired_at": one.acquired and one.acquired.at,
            "patient_key": identity.patient_key(tx, one.patient, source_key),
            "state": EcgState.WAITING.value,
            "priority": priority,
            "sampling_rate": one.sampling_rate,
            "samples": one.signal.shape[1],
            "about": codec.about(one),
            **sealed,
        },
    ).scalar_one()
    if known is None:  # the first version gives the recording its number
        tx.connection.execute(update(ecg).where(ecg.c.ecg_id == ecg_id).values(recording_id=ecg_id))
    identity.keep_further(tx, ecg_id, one.patient)
    numbers.keep(tx, ecg_id, one.order, one.document_ids)
    samples = seals.SIGNAL.seal(tx.keyring, packed.value, source_key=source_key, version=version)
    tx.connection.execute(_INSERT_SIGNAL, {"ecg_id": ecg_id, "coding": packed.coding, **samples})
    return ecg_id


def _decide(tx: Transaction, ecg_id: int, one: Ecg, known: Known | None, trust: Trust, priority: int) -> None:
    """Whether the version is scored and told, held for a person, or moves its recording to another patient."""
    row = recordings.version(tx, ecg_id)
    anew = _counts_again(tx, row, one, known)
    if one.also_named is not None:
        if known is not None:  # until a person decides it stays with whom it belonged to
            recordings.assign(
                tx, row, recordings.patient_of(tx, known.newest), moved=False, reason="two people are named"
            )
        _hold(tx, row, Question.TWO_PEOPLE, (one.patient, one.also_named), trust, priority)
        return
    if known is None:
        if one.corrects and row.order_key is not None:
            early.keep_correction(tx, row, row.order_key)
        _queue(tx, row, trust, priority)
        return
    anew = (
        anew and recordings.standing(tx, row.recording_id).taken_back is None
    )  # by a person: not its sender's to undo
    before = recordings.patient_of(tx, known.newest)
    if recordings.same_person(tx, before, one.patient):
        recordings.keep_patient(tx, row)
        _queue(tx, row, trust, priority, tell=anew)
        return
    # A copy under a patient whom a person or the sender has overruled: the decision stands, and is written down.
    overruled = recordings.named_before(tx, row, one.patient)
    identity.keep_overruled(tx, ecg_id, one.patient)
    recordings.assign(tx, row, before, moved=False, reason="it came again under another patient")
    if overruled:
        _queue(tx, row, trust, priority, tell=anew)
    elif known.how != "signal" and trust.corrected_patient == "follow":
        tx.lock_identities(exclusive=False)
        reissuing.move(tx, row, one.patient, reason="its sender named another patient")
    else:
        question = Question.SAME_SIGNAL if known.how == "signal" else Question.CORRECTED_PATIENT
        _hold(tx, row, question, (before, one.patient), trust, priority)


def _counts_again(tx: Transaction, row: EcgVersion, one: Ecg, known: Known | None) -> bool:
    """Whether this version brings back a recording that its sender had taken back; what is doubtful there is asked.

    Only the source that took it back brings it back, and only where it says that the version is final or corrected.
    """
    decided = recordings.standing(tx, row.recording_id)
    if decided.withdrawn == "by-sender" and _is_stated(one) and decided.withdrawn_by == row.source:
        recordings.reinstate(tx, row.recording_id, also_taken_back=False, reason="its sender sent it anew")
        moot.ask_again(tx, row)
        return True
    if decided.withdrawn == "by-sender" or early.found(tx, row, first=known is None):
        _ask_of_withdrawal(tx, row, one)
    return False


def _is_stated(one: Ecg) -> bool:
    return one.final or one.corrects


def _ask_of_withdrawal(tx: Transaction, row: EcgVersion, one: Ecg) -> None:
    holds.ask(tx, row, Question.SENDER_WITHDRAWAL, (recordings.patient_of(tx, row), one.patient))
    messages.cancel_unsent(tx, row.recording_id)


def _queue(tx: Transaction, row: EcgVersion, trust: Trust, priority: int, *, tell: bool = False) -> None:
    """What is held is scored only where the settings say so."""
    if trust.score_held or not holds.is_open(tx, row.recording_id):
        jobs.queue(tx, row.ecg_id, priority, tell=tell)


def _hold(
    tx: Transaction, row: EcgVersion, question: Question, patients: Sequence[Patient], trust: Trust, priority: int
) -> None:
    holds.ask(tx, row, question, patients)
    messages.cancel_unsent(tx, row.recording_id)
    _queue(tx, row, trust, priority)


def take_back(tx: Transaction, payload_id: int, one: Withdrawal, trust: Trust) -> None:
    """The sender takes a recording back. Which one must be certain, and of the same patient; else a person is asked."""
    named = recordings.by_numbers(tx, one.source_ids) or recordings.by_documents(tx, one.document_ids)
    meant = named or recordings.by_order(tx, one.order_id) or recordings.by_filler(tx, one.filler, one.patient)
    tx.lock_identities(exclusive=False)
    if not meant:
        early.keep(tx, payload_id, one)
        return
    for row in meant:
        plain = not one.doubtful and (bool(named) or one.says_ecg)
        certain = len(meant) == 1 and plain and _speaks_of(tx, row, one.patient)
        if certain and trust.sender_withdrawal == "follow":
            reissuing.withdraw_recording(tx, row, by="by-sender", reason="its sender took it back")
        else:
            holds.ask(tx, row, Question.SENDER_WITHDRAWAL, (recordings.patient_of(tx, row), one.patient))
            messages.cancel_unsent(tx, row.recording_id)


def _speaks_of(tx: Transaction, row: EcgVersion, patient: Patient) -> bool:
    """Whether a message that names this patient, or nobody, is about the recording of this version."""
    if not patient.identifiers:
        return True
    people = (recordings.patient_of(tx, row), recordings.own_patient(tx, row))
    return any(recordings.same_person(tx, patient, known) for known in people)
