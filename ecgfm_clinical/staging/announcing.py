"""Which receivers hear of a scoring, and whether they learn anything new by it.

What a message is made of stands in `drafts`; what each receiver holds, and which message it is owed next, in `told`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, select

from ecgfm_clinical.staging import codec, drafts, holds, identity, message_rows, messages, order_answers, recordings
from ecgfm_clinical.staging.codec import PrivatePart
from ecgfm_clinical.staging.holds import Question
from ecgfm_clinical.staging.private import private_of
from ecgfm_clinical.staging.recordings import Standing
from ecgfm_clinical.staging.records import HISTORY, TAKES_BACK, Scoring
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_clinical.staging.schema import ecg
from ecgfm_clinical.staging.told import SentMessage, owed, standing
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.patient import Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What stands of one recording before a scoring of it is told."""

    newest: int  #: its newest version
    held: bool  #: a question about it waits for a person
    decided: Standing
    told: Mapping[str, Sequence[SentMessage]]  #: every message about it so far, by destination, oldest first


def before(tx: Transaction, rows: Collection[EcgVersion]) -> dict[int, Before]:
    """By recording; their rows are locked, or another transaction might change it meanwhile."""
    ids = sorted({row.recording_id for row in rows})
    if not tx.telling.destinations or not ids:
        return {}
    newest = dict(tx.connection.execute(_NEWEST, {"of": ids}).all())
    held = holds.open_ones(tx, ids)
    decided, told = recordings.standings(tx, ids), message_rows.told_of(tx, ids, tx.telling.destinations)
    return {
        one: Before(
            newest=newest[one],
            held=one in held,
            decided=decided.get(one, Standing()),
            told={to: told.get((one, to), []) for to in tx.telling.destinations},
        )
        for one in ids
    }


_NEWEST = (
    select(ecg.c.recording_id, func.max(ecg.c.version))
    .where(ecg.c.recording_id.in_(bindparam("of", expanding=True)))
    .group_by(ecg.c.recording_id)
)


def announce(
    tx: Transaction, ecg_row: EcgVersion, scoring_id: int, found: Scoring, *, again: bool, stands: Before | None
) -> None:
    """A message for each destination that is owed one by this scoring; identities are locked.

    `again`: a person wants it told whether it is news or not. An older version than the newest of its recording tells
    nothing, nor does a recording that is held or was taken back, nor history where nobody asks. `stands`: of the
    recording, where nothing of it was changed since that was asked; None: it is asked now.
    """
    if not tx.telling.destinations:
        return
    stands = before(tx, [ecg_row])[ecg_row.recording_id] if stands is None else stands
    if _is_silent(tx, ecg_row, stands, asked=again):
        return
    decided = stands.decided
    if _is_anothers(tx, ecg_row, stands):
        recordings.renumber(tx, ecg_row, reason="the result was taken back under another identity")
        decided = recordings.standing(tx, ecg_row.recording_id)
    subject = drafts.subject_of(tx, ecg_row, decided.patient)
    digest = codec.output_digest(found)
    if decided.taken_back not in (None, digest):  # it says something else now: what was taken back is past
        recordings.reinstate(tx, ecg_row.recording_id, also_taken_back=True, reason="another result")
        decided = recordings.standing(tx, ecg_row.recording_id)
    if tx.telling.answering.matches and _waits_for_order(tx, ecg_row, decided.generation, subject):
        return
    for destination, sent in stands.told.items():
        counting = [one for one in sent if one.counts]
        due = owed(
            sent,
            ecg_id=ecg_row.ecg_id,
            generation=decided.generation,
            output_digest=digest,
            same_subject=bool(counting) and _same_subject(tx, counting[-1], ecg_row, subject.patient),
            taken_back=decided.taken_back,
            reinstated=decided.reinstated,
            again=again,
        )
        for one in due.take_back:
            messages.take_back(tx, one, destination, kind="W")
        if due.kind is None:
            tx.note("message.unneeded", ecg_id=ecg_row.ecg_id, scoring_id=scoring_id, destination=destination)
            continue
        messages.create(
            tx,
            ecg_row,
            scoring_id,
            destination,
            kind=due.kind,
            filler=due.filler or drafts.filler_number(tx, ecg_row.recording_id, decided.generation),
            generation=decided.generation,
            subject=subject,
            found=found,
            told_before=due.filler is not None,
        )


def _waits_for_order(tx: Transaction, ecg_row: EcgVersion, generation: int, subject: Ecg) -> bool:
    """Fix which order the result answers; whether a person is asked first, because it answers none for certain."""
    recording_id = ecg_row.recording_id
    filler = drafts.filler_number(tx, recording_id, generation)
    answer = order_answers.fix(tx, recording_id, filler, subject)
    if answer is None or not tx.telling.answering.holds(answer.reason):
        return False
    if order_answers.may_have_left(tx, filler) or order_answers.was_released(tx, recording_id):
        return False
    holds.ask(tx, ecg_row, Question.ORDER, (subject.patient,))
    messages.cancel_unsent(tx, recording_id)
    tx.note("message.unneeded", ecg_id=ecg_row.ecg_id, reason="held")
    return True


def is_anothers(tx: Transaction, ecg_row: EcgVersion) -> bool:
    """Whether a result was taken back that was, as merges stand now, another person's than the recording is.

    Its filler number speaks of that person at the receiver, and may speak of nobody else.
    """
    found = before(tx, [ecg_row])
    return bool(found) and _is_anothers(tx, ecg_row, found[ecg_row.recording_id])


def _is_anothers(tx: Transaction, ecg_row: EcgVersion, stands: Before) -> bool:
    for sent in stands.told.values():
        # A withdrawal that waits goes on its way: what it takes back is as good as taken back.
        gone = [one for one in sent if one.may_have_left or (one.kind in TAKES_BACK and one.counts)]
        mine = [one for one in gone if one.generation == stands.decided.generation]
        if not mine or standing(mine):
            continue
        if identity.resolve(tx.connection, mine[-1].filed_key) != identity.resolve(tx.connection, ecg_row.patient_key):
            return True
    return False


def _is_silent(tx: Transaction, ecg_row: EcgVersion, stands: Before, *, asked: bool) -> bool:
    """Whether nothing may be told of this version now."""
    if stands.held:
        reason = "held"
    elif stands.decided.withdrawn:
        reason = "withdrawn"
    elif stands.newest != ecg_row.version:
        reason = "superseded"
    elif ecg_row.source == HISTORY and not asked:
        reason = "history"
    else:
        return False
    tx.note("message.unneeded", ecg_id=ecg_row.ecg_id, reason=reason)
    return True


def _same_subject(tx: Transaction, told: SentMessage, ecg_row: EcgVersion, patient: Patient) -> bool:
    """Whether the message names the same patient, order and time: then a receiver would file nothing anew.

    Urgency and further numbers of the patient are no news.
    """
    if told.ecg_id == ecg_row.ecg_id:
        return True
    row, earlier = message_rows.message_of(tx, told.message_id), recordings.version(tx, told.ecg_id)
    before, now = private_of(tx, earlier), private_of(tx, ecg_row)
    if _says_another_order(before.order, now.order) or _moment(before) != _moment(now):
        return False
    named = message_rows.filed_as(tx, row, earlier)
    return _described(named) == _described(patient) and recordings.same_person(tx, named, patient)


def _moment(private: PrivatePart) -> str | None:
    return None if private.acquired is None else private.acquired.at.isoformat()


def _described(patient: Patient) -> tuple[object, ...]:
    return patient.birth_date, patient.sex, patient.family_name, patient.given_name


def _says_another_order(before: Order, now: Order) -> bool:
    """Whether an order number was added or changed; a copy that leaves one out says nothing against it."""
    numbers = ((one.placer, one.filler, one.accession, one.study_uid) for one in (before, now))
    return any(new and new != old for old, new in zip(*numbers, strict=True))
