"""Correcting, withdrawing and sending again what was told: an operator's acts on results, each one transaction.

What certainly never left is cancelled and costs the receiver nothing. What was sent, or may have been, is followed by a
message of its own: W withdraws it (posted wrongly), D deletes it (it never should have been), C replaces it. A result
that went to the wrong patient is withdrawn there, under the identity it went out with, before it goes to the right one.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select, update

from ecgfm_clinical.errors import NotFound, StoreError
from ecgfm_clinical.staging import codec, identity, loading, messages, seals
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import TAKES_BACK, Kind, MessageState, Reissue, Told
from ecgfm_clinical.staging.schema import ecg, message, scoring
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
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
        """The standing result of each ECG at each destination: what a withdrawal or correction would change.

        `model_id` may be the beginning of a digest; `since` is the time of scoring.
        """
        with self._database.reading() as ask:
            return _told(ask, ecg_id=ecg_id, model_id=model_id, since=since, destination=destination)

    def withdraw(self, ecg_id: int, *, reason: str, delete: bool = False, now: datetime, actor: str) -> Reissue:
        """Take back every standing result of one ECG, at every destination (OBX-11 W; with `delete` D). Raises NotFound."""
        with self._database.writing(now, actor) as tx:
            row = _locked(tx, ecg_id)
            tx.lock_identities(exclusive=False)
            report = _take_back(tx, row, "D" if delete else "W", addressed_to=None)
            act = "ecg.deleted" if delete else "ecg.withdrawn"
            tx.note(act, ecg_id=ecg_id, reason=reason, messages=_listed(report.created + report.cancelled))
        return report

    def correct(
        self, ecg_id: int, *, patient: Patient | None = None, reason: str, now: datetime, actor: str
    ) -> Reissue:
        """Send the current scoring again (OBX-11 C), or move it to the patient it really is of (W there, F here).

        Raises NotFound, and StoreError where there is nothing to tell yet.
        """
        with self._database.writing(now, actor) as tx:
            return _correct(tx, ecg_id, patient, reason)

    def resend(
        self,
        *,
        destination: str | None = None,
        message_ids: Sequence[int] | None = None,
        recompose: bool = False,
        now: datetime,
        actor: str,
    ) -> Reissue:
        """Dead letters go again: the same bytes under the same number, or composed anew under a new one.

        Composed anew also where the patient was merged since. What a later result of the same ECG has overtaken is
        cancelled.
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
            for dead in tx.connection.execute(query.with_for_update()).all():
                again = _again(tx, dead, recompose)
                created += [] if again is None else [again]
                cancelled += [] if again == dead.message_id else [dead.message_id]
        return Reissue(created=tuple(created), cancelled=tuple(cancelled))


def _told(
    reading: Reading, *, ecg_id: int | None, model_id: str | None, since: datetime | None, destination: str | None
) -> list[Told]:
    """The standing result of each ECG at each destination: what a withdrawal or correction would change.

    `model_id` may be the beginning of a digest; `since` is the time of scoring.
    """
    newest = (
        select(message.c.ecg_id, message.c.destination, func.max(message.c.result_version).label("result_version"))
        .where(message.c.state != _CANCELLED)
        .group_by(message.c.ecg_id, message.c.destination)
    )
    if ecg_id is not None:
        newest = newest.where(message.c.ecg_id == ecg_id)
    latest = newest.subquery()
    query = (
        select(*message.c, scoring.c.model_id, scoring.c.model_name, scoring.c.model_version, scoring.c.scored_at)
        .join(
            latest,
            and_(
                latest.c.ecg_id == message.c.ecg_id,
                latest.c.destination == message.c.destination,
                latest.c.result_version == message.c.result_version,
            ),
        )
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


def _correct(tx: Transaction, ecg_id: int, patient: Patient | None, reason: str) -> Reissue:
    row = _locked(tx, ecg_id)
    if row.scoring_id is None:
        raise StoreError(f"ECG {ecg_id} has no score yet: there is no result to correct")
    tx.lock_identities(exclusive=patient is not None)
    taken_back = Reissue()
    if patient is not None:
        old = identity.surviving_patient(tx, codec.patient_from(loading.private_of(tx, row)["patient"]))
        taken_back = _take_back(tx, row, "W", addressed_to=old)
        row = _reassign(tx, row, patient)
    key = identity.resolve(tx.connection, row.patient_key)
    created, cancelled = [], []
    for destination in tx.telling.destinations:
        if patient is None:
            cancelled += _cancel_unsent(tx, row, destination)
        created.append(_next(tx, row, destination, key, first=patient is not None))
    tx.note("ecg.corrected", ecg_id=ecg_id, reason=reason, reassigned=patient is not None, messages=_listed(created))
    return Reissue(created=(*taken_back.created, *created), cancelled=(*taken_back.cancelled, *cancelled))


def _next(tx: Transaction, row: Any, destination: str, key: str, *, first: bool) -> int:
    """C where the receiver holds a result of this ECG, else F."""
    standing = tx.connection.execute(
        select(message.c.kind, message.c.state)
        .where(message.c.ecg_id == row.ecg_id, message.c.destination == destination, message.c.state != _CANCELLED)
        .order_by(message.c.result_version.desc())
    ).all()
    holds = bool(standing) and standing[0].kind not in TAKES_BACK and any(one.state != "dead" for one in standing)
    return messages.create(
        tx,
        row,
        row.scoring_id,
        destination,
        kind="C" if holds and not first else "F",
        patient_key=key,
        result_version=_next_version(tx, row.ecg_id, destination),
    )


def _take_back(tx: Transaction, row: Any, kind: Kind, *, addressed_to: Patient | None) -> Reissue:
    """Cancel what never left and send W or D after the rest; `addressed_to` where the ECG is about to change hands."""
    created: list[int] = []
    cancelled: list[int] = []
    for standing in _told(tx, ecg_id=row.ecg_id, model_id=None, since=None, destination=None):
        cancelled += _cancel_unsent(tx, row, standing.destination)
        sent = _last_sent(tx, row.ecg_id, standing.destination)
        if sent is None or sent.kind in TAKES_BACK:
            continue
        created.append(
            messages.create(
                tx,
                row,
                sent.scoring_id,
                standing.destination,
                kind=kind,
                patient_key=sent.patient_key,
                result_version=_next_version(tx, row.ecg_id, standing.destination),
                addressed_to=addressed_to,
            )
        )
    return Reissue(created=tuple(created), cancelled=tuple(cancelled))


def _cancel_unsent(tx: Transaction, row: Any, destination: str) -> list[int]:
    """Messages of this ECG that certainly never left, and dead letters: the receiver holds nothing of either."""
    never_left = and_(message.c.state.in_(("waiting", "running")), message.c.in_doubt == 0)
    refused = message.c.state == MessageState.DEAD.value
    found = tx.connection.scalars(
        update(message)
        .where(message.c.ecg_id == row.ecg_id, message.c.destination == destination, or_(never_left, refused))
        .values(state=_CANCELLED, worker=None, lease_until=None)
        .returning(message.c.message_id)
    ).all()
    for message_id in found:
        tx.note("message.cancelled", ecg_id=row.ecg_id, message_id=message_id, destination=destination)
    return list(found)


def _last_sent(tx: Transaction, ecg_id: int, destination: str) -> Any:
    return tx.connection.execute(
        select(message)
        .where(
            message.c.ecg_id == ecg_id,
            message.c.destination == destination,
            message.c.state.in_(("waiting", "running", "acknowledged")),
        )
        .order_by(message.c.result_version.desc())
        .limit(1)
    ).first()


def _next_version(tx: Transaction, ecg_id: int, destination: str) -> int:
    mine = and_(message.c.ecg_id == ecg_id, message.c.destination == destination)
    return 1 + (tx.connection.scalar(select(func.max(message.c.result_version)).where(mine)) or 0)


def _reassign(tx: Transaction, row: Any, patient: Patient) -> Any:
    """The ECG belongs to `patient` from now on, under the demographics ADT messages gave; its payload stays as it was."""
    if patient.identifiers and not patient.family_name:
        key = identity.identifier_key(tx, patient.identifiers[0])
        known = identity.demographics(tx.connection, tx.keyring, key)
        patient = replace(known, identifiers=patient.identifiers) if known else patient
    private = loading.private_of(tx, row) | {"patient": codec.patient_dict(patient)}
    sealed = seals.ECG.seal(tx.keyring, to_json(private), source_key=row.source_key, version=row.version)
    return tx.connection.execute(
        update(ecg)
        .where(ecg.c.ecg_id == row.ecg_id)
        .values(**sealed, patient_key=identity.patient_key(tx, patient, row.source_key))
        .returning(*ecg.c)
    ).one()


def _locked(tx: Transaction, ecg_id: int) -> Any:
    """The ECG's row, nobody else's to change until commit. Raises NotFound."""
    row = tx.connection.execute(select(ecg).where(ecg.c.ecg_id == ecg_id).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no ECG {ecg_id} in the store")
    return row


def _again(tx: Transaction, dead: Any, recompose: bool) -> int | None:
    """The message that goes; None where a later result has overtaken this one."""
    version = _next_version(tx, dead.ecg_id, dead.destination)
    # What went to the wrong patient must be taken back there, whatever the right one has been told since.
    overtaken = version > dead.result_version + 1 and dead.addressed_to is None
    row = _locked(tx, dead.ecg_id)
    key = identity.resolve(tx.connection, dead.patient_key)
    mine = message.c.message_id == dead.message_id
    if not overtaken and not recompose and key == dead.patient_key:
        tx.connection.execute(update(message).where(mine).values(state=MessageState.WAITING.value, due_at=tx.now))
        tx.note("message.resent", ecg_id=dead.ecg_id, message_id=dead.message_id, destination=dead.destination)
        return int(dead.message_id)
    tx.connection.execute(update(message).where(mine).values(state=_CANCELLED))
    tx.note("message.cancelled", ecg_id=dead.ecg_id, message_id=dead.message_id, destination=dead.destination)
    if overtaken:
        return None
    return messages.create(
        tx,
        row,
        dead.scoring_id,
        dead.destination,
        kind=dead.kind,
        patient_key=key,
        result_version=version,
        addressed_to=messages.addressee(tx, dead),
    )


def _listed(message_ids: Sequence[int]) -> str:
    return ",".join(map(str, message_ids))
