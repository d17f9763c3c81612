"""What follows from the hospital's word on identities: which messages change hands, and where a person must decide.

Receivers follow the hospital's merges themselves, so a result that was sent stays where it is. Messages that certainly
never left are composed anew for the identity that survives now. Where an older alias was cut or replaced, a result may
stand at an identity to which its recording does not belong any more: a person is asked, or, where a person undid the
merge, it is taken back there and told anew.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update

from ecgfm_clinical.staging import holds, identity, messages, recordings, results
from ecgfm_clinical.staging.holds import Question
from ecgfm_clinical.staging.private import private_of
from ecgfm_clinical.staging.schema import ecg, ecg_identity, identity_alias, message, outcome, patient
from ecgfm_clinical.staging.told import SentMessage, standing
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.contents import Addition, IdentityEvent, Link, Merge, Move
from ecgfm_connectors.patient import Identifier

OPERATOR = "operator"  #: trigger of what a person does here
_UNSENT = (messages.UNFINISHED, message.c.in_doubt == 0)  #: certainly no bytes ever left


def record(tx: Transaction, payload_id: int | None, event: IdentityEvent) -> None:
    """File one event with all that follows from it."""
    tx.lock_identities(exclusive=True)
    match event:
        case Merge():
            _merge(tx, payload_id, event)
        case Addition():
            unmerge(tx, payload_id, event.identifier, event.event)
        case Link(linked=True):
            identity.link(tx, event.first, event.second, trigger=event.event, payload_id=payload_id)
            tx.note("identity.linked", payload_id=payload_id, trigger=event.event)
        case Link():
            _unlink(tx, payload_id, event)
        case Move():
            tx.note("identity.move-noted", payload_id=payload_id, trigger=event.event)


def _merge(tx: Transaction, payload_id: int | None, event: Merge) -> None:
    done = identity.merge(tx, event.retired, event.surviving, trigger=event.event, payload_id=payload_id)
    if done is None:
        return
    sent = _sent_under(tx, done.retired)
    moved = _follow(tx, done.retired) + _follow_further(tx, done.survivor)
    tx.note("identity.merged", payload_id=payload_id, trigger=event.event, moved=_listed(moved), sent=_listed(sent))
    _rearrange(tx, done.rearranged, event.event)


def unmerge(tx: Transaction, payload_id: int | None, identifier: Identifier, trigger: str) -> None:
    """The identity is in use again, with all that follows from it; identities are locked."""
    rearranged = identity.unmerge(tx, identifier, trigger=trigger, payload_id=payload_id)
    if rearranged:
        tx.note("identity.unmerged", payload_id=payload_id, trigger=trigger)
        _rearrange(tx, rearranged, trigger)


def _unlink(tx: Transaction, payload_id: int | None, event: Link) -> None:
    retired = identity.merged_pair(tx, event.first, event.second)
    if retired is not None:
        unmerge(tx, payload_id, retired, event.event)
    elif identity.unlink(tx, event.first, event.second, trigger=event.event, payload_id=payload_id):
        tx.note("identity.unlinked", payload_id=payload_id, trigger=event.event)


def _sent_under(tx: Reading, key: str) -> list[int]:
    """What was sent, or perhaps sent, under this identity: the receiver must follow the merge itself."""
    perhaps = and_(messages.UNFINISHED, message.c.in_doubt > 0)
    theirs = select(message.c.message_id).where(
        message.c.patient_key == key, or_(message.c.state == "acknowledged", perhaps)
    )
    return list(tx.connection.scalars(theirs.order_by(message.c.message_id)))


def _follow(tx: Transaction, key: str) -> list[int]:
    """Unfinished messages filed under this identity go to whoever survives now; the ids of those composed anew."""
    rows = tx.connection.execute(
        select(message).where(message.c.patient_key == key, messages.UNFINISHED).order_by(message.c.message_id)
    ).all()
    anew = []
    for row in rows:
        if row.in_doubt == 0:
            messages.recompose(tx, row)
            anew.append(row.message_id)
        else:  # it goes out as it was, and must still come before what follows for this patient
            survivor = identity.resolve(tx.connection, key)
            mine = message.c.message_id == row.message_id
            tx.connection.execute(update(message).where(mine).values(patient_key=survivor))
    return anew


def _follow_further(tx: Transaction, survivor: str) -> list[int]:
    """Unsent messages that name a number retired into `survivor` beside the number under which they are filed."""
    rows = tx.connection.execute(
        select(message, ecg_identity.c.identity_key)
        .join(ecg_identity, ecg_identity.c.ecg_id == message.c.ecg_id)
        .join(identity_alias, identity_alias.c.retired_key == ecg_identity.c.identity_key)
        .where(*_UNSENT)
        .order_by(message.c.message_id)
    ).all()
    anew = {row.message_id: row for row in rows if identity.resolve(tx.connection, row.identity_key) == survivor}
    for row in anew.values():
        messages.recompose(tx, row)
    return list(anew)


def _rearrange(tx: Transaction, keys: frozenset[str], trigger: str) -> None:
    """These keys have another survivor: their recordings' unsent messages follow, and what was sent is looked at."""
    if not keys:
        return
    further = select(ecg_identity.c.ecg_id).where(ecg_identity.c.identity_key.in_(sorted(keys)))
    _recompose_unsent(tx, message.c.ecg_id.in_(further))
    theirs = select(ecg.c.recording_id).where(ecg.c.patient_key.in_(sorted(keys)))
    told_there = select(message.c.recording_id).where(message.c.filed_key.in_(sorted(keys)))
    touched = sorted({*tx.connection.scalars(theirs), *tx.connection.scalars(told_there)})
    for row in [recordings.newest(tx, recording_id) for recording_id in touched]:
        _recompose_unsent(tx, message.c.recording_id == row.recording_id)
        if elsewhere := _elsewhere(tx, row):
            if trigger == OPERATOR:
                results.file_again(tx, row, reason="the merge was undone")
            else:
                _ask(tx, row, elsewhere[0])


def _recompose_unsent(tx: Transaction, which: ColumnElement[bool]) -> None:
    rows = tx.connection.execute(select(message).where(which, *_UNSENT).order_by(message.c.message_id)).all()
    for row in rows:
        messages.recompose(tx, row)


def _elsewhere(tx: Reading, row: Any) -> list[SentMessage]:
    """Results of the recording that some receiver holds at an identity to which the recording does not belong now."""
    now = identity.resolve(tx.connection, row.patient_key)
    return [
        one for one in _held_anywhere(tx, row.recording_id) if identity.resolve(tx.connection, one.filed_key) != now
    ]


def _held_anywhere(tx: Reading, recording_id: int) -> list[SentMessage]:
    """What each receiver holds or may hold: a correction that waits does not hide the result that it will replace.

    What is being taken back is left out: that message goes on its way.
    """
    destinations = tx.connection.scalars(
        select(message.c.destination).where(message.c.recording_id == recording_id).distinct()
    ).all()
    held = []
    for to in destinations:
        told = messages.told_so_far(tx, recording_id, to)
        staying = {one.filler for one in standing(told)}
        left = standing(one for one in told if one.may_have_left)
        held += [one for one in left if one.filler in staying]
    return held


def _ask(tx: Transaction, row: Any, filed: SentMessage) -> None:
    """Both people: whose the recording is by the hospital's newest word, and under whom its result was filed."""
    told_of = tx.connection.execute(select(message).where(message.c.message_id == filed.message_id)).one()
    version = tx.connection.execute(select(ecg).where(ecg.c.ecg_id == filed.ecg_id)).one()
    filed_as = messages.filed_as(tx, told_of, version)
    messages.cancel_unsent(tx, row.recording_id)
    holds.ask(tx, row, Question.UNMERGED, (recordings.patient_of(tx, row), filed_as))


def touches(tx: Reading, event: Move) -> bool:
    """Whether an event that is not followed names a person or a visit that is held here."""
    keys = [identity.identifier_key(tx, one) for one in (event.source, event.target)]
    if event.event == "A43":
        held = (
            select(ecg.c.ecg_id).where(ecg.c.patient_key.in_(keys)).limit(1),
            select(outcome.c.outcome_id).where(outcome.c.patient_key.in_(keys)).limit(1),
            select(patient.c.patient_key).where(patient.c.patient_key.in_(keys)).limit(1),
        )
        return any(tx.connection.scalar(query) is not None for query in held)
    rows = tx.connection.execute(select(ecg).where(ecg.c.patient_key == keys[0])).all()
    visits = {private_of(tx, row)["order"]["visit"] for row in rows}
    return bool(visits & {"", *event.visits})


def _listed(message_ids: Iterable[int]) -> str:
    return ",".join(map(str, message_ids))
