"""Correcting, withdrawing and sending again what was told: an operator's acts on results, each one transaction.

What certainly never left is cancelled and costs the receiver nothing. What was sent, or may have been, is followed by a
message of its own: W withdraws it (posted wrongly), D deletes it (it never should have been), C replaces it. A result
that went to the wrong patient is withdrawn there, under the identity it went out with; the ECG is judged again before
its result goes to the right one, for age, sex and patient are part of the judgement.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select, update

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging import deciding, holds, jobs, messages, moot, recordings, reissuing, resending
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.holds import Hold
from ecgfm_clinical.staging.records import TAKES_BACK, MessageState, Reissue, Told
from ecgfm_clinical.staging.rows import MessageRow, every_row
from ecgfm_clinical.staging.schema import ecg, message, scoring, second_thought
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import upsert
from ecgfm_connectors.patient import Patient

_CANCELLED = MessageState.CANCELLED.value


class Results:
    """The results of a store at their receivers; every act is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def told(
        self,
        *,
        ecg_id: int | None = None,
        model_id: str | None = None,
        since: datetime | None = None,
        destination: str | None = None,
    ) -> list[Told]:
        """The standing result of each recording at each destination: what a withdrawal or correction would change.

        `ecg_id` of any version of the recording; `model_id` may be the beginning of a digest, `since` is the time of
        scoring.
        """
        with self._database.reading() as ask:
            return _told(ask, ecg_id=ecg_id, model_id=model_id, since=since, destination=destination)

    def withdraw(
        self,
        ecg_id: int,
        *,
        reason: str,
        delete: bool = False,
        not_before: datetime | None = None,
        now: datetime,
        actor: str,
    ) -> Reissue:
        """Take back every standing result of one recording, at every destination (OBX-11 W; with `delete` D).

        A later scoring that says something new is told again, but the answer that a paused head owes is not given any
        more. What follows is not sent before `not_before`. Raises NotFound.
        """
        with self._database.writing(now, actor) as tx:
            row = reissuing.locked(tx, ecg_id)
            tx.lock_identities(exclusive=False)
            said = _last_said(tx, row.recording_id)
            report = reissuing.take_back(tx, row, "D" if delete else "W")
            _put_off(tx, report.created, not_before)
            jobs.hush(tx, row.recording_id)
            if said is not None:
                jobs.owe_nothing(tx, row.recording_id)
                recordings.result_taken_back(tx, row.recording_id, said, reason=reason)
            act = "ecg.deleted" if delete else "ecg.withdrawn"
            tx.note(act, ecg_id=ecg_id, reason=reason, messages=reissuing.listed(report.created + report.cancelled))
        return report

    def correct(
        self, ecg_id: int, *, patient: Patient | None = None, reason: str, now: datetime, actor: str
    ) -> Reissue:
        """Judge the recording again and tell its result anew (OBX-11 C), or move it to `patient` (W there, F here).

        Raises NotFound, and StoreError where nothing was scored yet and no patient is named.
        """
        with self._database.writing(now, actor) as tx:
            row = recordings.newest(tx, reissuing.locked(tx, ecg_id).recording_id)
            if row.scoring_id is None and patient is None:
                raise StoreError(f"ECG {ecg_id} has no score yet: there is no result to correct")
            tx.lock_identities(exclusive=patient is not None)
            _reinstate(tx, row.recording_id, reason)
            if patient is None:
                report = Reissue(cancelled=tuple(messages.cancel_unsent(tx, row.recording_id, withdrawals=True)))
                jobs.rescore(tx, row, tell=True)
            else:
                deciding.answer_by_naming(tx, row.recording_id, reason)
                report = reissuing.move(tx, row, reissuing.with_demographics(tx, patient), reason=reason)
            tx.note("ecg.corrected", ecg_id=ecg_id, reason=reason, reassigned=patient is not None)
        return report

    def holds(self, *, ecg_id: int | None = None, decided: bool = False) -> list[Hold]:
        """What waits for a person, oldest first; with `decided` also what no longer does."""
        with self._database.reading() as ask:
            recording_id = None
            if ecg_id is not None:
                recording_id = ask.connection.scalar(select(ecg.c.recording_id).where(ecg.c.ecg_id == ecg_id))
            return holds.listed(ask, recording_id=recording_id, decided=decided)

    def hold(self, hold_id: int) -> Hold:
        """Raises NotFound."""
        with self._database.reading() as ask:
            return holds.load(ask, hold_id)

    def release(
        self, hold_id: int, *, patient: Patient | None = None, reason: str, now: datetime, actor: str
    ) -> Reissue:
        """Answer a question with yes, as `LIFECYCLE.md` says; `patient`: to whom the recording belongs instead.

        Raises NotFound, and StoreError where it is decided already.
        """
        with self._database.writing(now, actor) as tx:
            return deciding.release(tx, deciding.undecided(tx, hold_id), patient, reason)

    def reject(self, hold_id: int, *, reason: str, now: datetime, actor: str) -> Reissue:
        """Answer a question with no, as `LIFECYCLE.md` says. Raises NotFound, StoreError."""
        with self._database.writing(now, actor) as tx:
            return deciding.reject(tx, deciding.undecided(tx, hold_id), reason)

    def resend(
        self,
        *,
        destination: str | None = None,
        message_ids: Sequence[int] | None = None,
        recompose: bool = False,
        not_before: datetime | None = None,
        now: datetime,
        actor: str,
    ) -> Reissue:
        """Dead letters go again: the same bytes under the same number, or composed anew under a new one.

        Composed anew also where there are no bytes, or the patient was merged since. What a later result of the same
        ECG has overtaken is cancelled. Nothing is sent before `not_before`.
        """
        query = select(message).where(message.c.state == MessageState.DEAD.value).order_by(message.c.message_id)
        if destination is not None:
            query = query.where(message.c.destination == destination)
        if message_ids is not None:
            query = query.where(message.c.message_id.in_(message_ids))
        created: list[int] = []
        cancelled: list[int] = []
        with self._database.writing(now, actor) as tx:
            tx.lock_identities(exclusive=False)
            for dead in every_row(tx.connection, MessageRow, query.with_for_update()):
                again = resending.again(tx, dead, recompose)
                created += again
                cancelled += [] if dead.message_id in again else [dead.message_id]
            _put_off(tx, created, not_before)
        return Reissue(created=tuple(created), cancelled=tuple(cancelled))

    def undo_resend(self, done: Reissue, *, due_at: datetime, now: datetime, actor: str) -> int:
        """Set aside again what `resend(not_before=due_at)` put on its way, as far as none of it was taken up yet.

        Where a message was composed anew for another one, the old one is set aside and the new one cancelled. Returns
        how many were undone; what was taken up goes on.
        """
        untouched = (message.c.state == MessageState.WAITING.value, message.c.due_at == due_at)
        with self._database.writing(now, actor) as tx:
            fillers = dict(tx.connection.execute(_FILLERS.where(message.c.message_id.in_(done.cancelled))).all())
            undone = 0
            for message_id in done.created:
                mine = tx.connection.execute(
                    update(message)
                    .where(message.c.message_id == message_id, *untouched)
                    .values(state=MessageState.DEAD.value)
                    .returning(message.c.ecg_id, message.c.filler, message.c.destination, message.c.attempts)
                ).first()
                if mine is None:
                    continue
                undone += 1
                old = [one for one, place in fillers.items() if place == f"{mine.filler} {mine.destination}"]
                if old and mine.attempts == 0:  # it was composed anew instead of these
                    _set(tx, [message_id], _CANCELLED)
                    _set(tx, old, MessageState.DEAD.value)
                tx.note("message.set-aside-again", ecg_id=mine.ecg_id, message_id=message_id)
        return undone

    def undo_withdrawal(self, ecg_id: int, created: Sequence[int], *, now: datetime, actor: str) -> bool:
        """The result stands as before a withdrawal of which no message was taken up yet, and what never left is told
        after all. False, with nothing done, where some of `created` may have left. Raises NotFound.
        """
        with self._database.writing(now, actor) as tx:
            row = recordings.newest(tx, reissuing.locked(tx, ecg_id).recording_id)
            tx.lock_identities(exclusive=False)
            mine = (message.c.message_id.in_(created), message.c.recording_id == row.recording_id)
            waits = (message.c.state == MessageState.WAITING.value, message.c.attempts == 0)
            every = tx.connection.scalar(select(func.count()).select_from(message).where(*mine)) or 0
            untouched = tx.connection.scalars(select(message.c.message_id).where(*mine, *waits).with_for_update()).all()
            if len(untouched) < every:
                return False
            _set(tx, untouched, _CANCELLED)
            _reinstate(tx, row.recording_id, "undone")
            if row.scoring_id is not None:
                jobs.rescore(tx, row, tell=False)
            tx.note("ecg.withdrawal-undone", ecg_id=ecg_id, messages=reissuing.listed(untouched))
        return True


_FILLERS = select(message.c.message_id, message.c.filler + " " + message.c.destination)


def _put_off(tx: Transaction, message_ids: Sequence[int], not_before: datetime | None) -> None:
    """A person may still think better of it."""
    if not_before is None:
        return
    tx.connection.execute(delete(second_thought).where(second_thought.c.until < tx.now))
    mine = (message.c.message_id.in_(message_ids), message.c.state == MessageState.WAITING.value)
    waits = update(message).where(*mine).values(due_at=not_before).returning(message.c.message_id)
    for message_id in tx.connection.scalars(waits).all():
        upsert(tx.connection, second_thought, {"message_id": message_id}, {"until": not_before})


def _set(tx: Transaction, message_ids: Sequence[int], state: str) -> None:
    tx.connection.execute(update(message).where(message.c.message_id.in_(message_ids)).values(state=state))


def _told(
    reading: Reading, *, ecg_id: int | None, model_id: str | None, since: datetime | None, destination: str | None
) -> list[Told]:
    """The standing result of each ECG at each destination: what a withdrawal or correction would change.

    `model_id` may be the beginning of a digest; `since` is the time of scoring.
    """
    newest = (
        select(message.c.filler, message.c.destination, func.max(message.c.message_id).label("message_id"))
        .where(or_(message.c.state != _CANCELLED, message.c.in_doubt > 0))
        .group_by(message.c.filler, message.c.destination)
    )
    if ecg_id is not None:
        of = select(ecg.c.recording_id).where(ecg.c.ecg_id == ecg_id).scalar_subquery()
        newest = newest.where(message.c.recording_id == of)
    latest = newest.subquery()
    query = (
        select(*message.c, scoring.c.model_id, scoring.c.model_name, scoring.c.model_version, scoring.c.scored_at)
        .join(latest, latest.c.message_id == message.c.message_id)
        .join(scoring, scoring.c.scoring_id == message.c.scoring_id)
        .where(message.c.kind.not_in(TAKES_BACK))
        .order_by(message.c.message_id)
    )
    if model_id is not None:
        query = query.where(scoring.c.model_id.startswith(model_id, autoescape=True))
    if since is not None:
        query = query.where(scoring.c.scored_at >= since)
    if destination is not None:
        query = query.where(message.c.destination == destination)
    return [
        Told(
            message_id=row.message_id,
            ecg_id=row.ecg_id,
            destination=row.destination,
            control_id=row.control_id,
            kind=row.kind,
            state=MessageState(row.state),
            may_have_left=row.in_doubt > 0,
            model_id=row.model_id,
            model=f"{row.model_name} {row.model_version}",
            scored_at=row.scored_at,
            acknowledged_at=row.acknowledged_at,
        )
        for row in reading.connection.execute(query)
    ]


def _last_said(tx: Reading, recording_id: int) -> str | None:
    """The digest of what the newest result of the recording tells, sent or not."""
    mine = (message.c.recording_id == recording_id, message.c.kind.not_in(TAKES_BACK))
    told = select(scoring.c.output_digest).join(message, message.c.scoring_id == scoring.c.scoring_id).where(*mine)
    return tx.connection.scalar(told.order_by(message.c.message_id.desc()).limit(1))


def _reinstate(tx: Transaction, recording_id: int, reason: str) -> None:
    """A person wants it told, whatever was taken back before."""
    decided = recordings.standing(tx, recording_id)
    if decided.withdrawn or decided.taken_back:
        recordings.reinstate(tx, recording_id, also_taken_back=True, reason=reason)
    if decided.withdrawn:
        moot.ask_again(tx, recordings.newest(tx, recording_id))
