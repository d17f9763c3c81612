"""What follows from the hospital's word on identities: which messages change hands, and where a person must decide.

Receivers follow the hospital's merges themselves, so a result that was sent stays where it is. Messages that certainly
never left are composed anew for the identity that survives now. Where an older alias was cut or replaced, a result may
stand at an identity to which its recording does not belong any more: a person is asked, or, where a person undid the
merge, it is taken back there and told anew.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from ecgfm_clinical.staging import (
    announcing,
    holds,
    identity,
    message_rows,
    messages,
    misfiled,
    moot,
    recordings,
    reissuing,
)
from ecgfm_clinical.staging.holds import Question
from ecgfm_clinical.staging.private import private_of
from ecgfm_clinical.staging.rows import EcgVersion, MessageRow, every_row
from ecgfm_clinical.staging.schema import ecg, ecg_identity, identity_alias, identity_event, message, outcome, patient
from ecgfm_clinical.staging.told import SentMessage
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.contents import Addition, IdentityEvent, Link, Merge, Move
from ecgfm_connectors.patient import Identifier

OPERATOR = "operator"  #: trigger of what a person does here
OPERATOR_LINKS = "op-link"
LINKS = (
    "A24",
    "A37",
    OPERATOR_LINKS,
)  #: triggers that retire no number; an A37 of a merged pair is another's event too
_UNSENT = (message_rows.UNFINISHED, message.c.in_doubt == 0)  #: certainly no bytes ever left


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
            tx.note("identity.linked", payload_id=payload_id, trigger=event.event, identity_event=_newest_event(tx))
        case Link():
            _unlink(tx, payload_id, event)
        case Move():
            tx.note("identity.move-noted", payload_id=payload_id, trigger=event.event)


def _merge(tx: Transaction, payload_id: int | None, event: Merge) -> None:
    done = identity.merge(tx, event.retired, event.surviving, trigger=event.event, payload_id=payload_id)
    if done is None:
        return
    theirs = [message.c.patient_key == done.retired, message.c.message_id.in_(_naming_further(tx, done.survivor))]
    touched = _recordings_of(tx, done.rearranged)
    moved = recompose_unsent(tx, *theirs, *_about(done.rearranged, touched))
    # After that: a message whose sending began meanwhile has become one that may have left.
    sent = _sent_under(tx, done.retired)
    _carry_along(tx, done.retired)
    tx.note(
        "identity.merged",
        payload_id=payload_id,
        trigger=event.event,
        moved=_listed(moved),
        sent=_listed(sent),
        identity_event=_newest_event(tx),
    )
    _look_at_sent(tx, touched, event.event)
    moot.look_again(tx)


def unmerge(tx: Transaction, payload_id: int | None, identifier: Identifier, trigger: str) -> None:
    """The identity is in use again, with all that follows from it; identities are locked."""
    rearranged = identity.unmerge(tx, identifier, trigger=trigger, payload_id=payload_id)
    if rearranged:
        tx.note("identity.unmerged", payload_id=payload_id, trigger=trigger, identity_event=_newest_event(tx))
        touched = _recordings_of(tx, rearranged)
        recompose_unsent(tx, *_about(rearranged, touched))
        _look_at_sent(tx, touched, trigger)
        moot.look_again(tx)


def _unlink(tx: Transaction, payload_id: int | None, event: Link) -> None:
    retired = identity.merged_pair(tx, event.first, event.second)
    if retired is not None:
        unmerge(tx, payload_id, retired, event.event)
    elif identity.unlink(tx, event.first, event.second, trigger=event.event, payload_id=payload_id):
        tx.note("identity.unlinked", payload_id=payload_id, trigger=event.event, identity_event=_newest_event(tx))


def _newest_event(tx: Reading) -> int | None:
    """The event that this transaction has just kept; identities are locked."""
    newest: int | None = tx.connection.scalar(select(func.max(identity_event.c.event_id)))
    return newest


def _sent_under(tx: Reading, key: str) -> list[int]:
    """What was sent, or perhaps sent, under this identity: the receiver must follow the merge itself."""
    perhaps = and_(message_rows.UNFINISHED, message.c.in_doubt > 0)
    theirs = select(message.c.message_id).where(
        message.c.patient_key == key, or_(message.c.state == "acknowledged", perhaps)
    )
    return list(tx.connection.scalars(theirs.order_by(message.c.message_id)))


def _carry_along(tx: Transaction, key: str) -> None:
    """What may have left goes out as it was, and must still come before what follows for the patient who survives."""
    mine = (message.c.patient_key == key, message_rows.UNFINISHED, message.c.in_doubt > 0)
    tx.connection.execute(update(message).where(*mine).values(patient_key=identity.resolve(tx.connection, key)))


def _naming_further(tx: Reading, survivor: str) -> list[int]:
    """Unsent messages that name a number retired into `survivor` beside the number under which they are filed."""
    rows = tx.connection.execute(
        select(message.c.message_id, ecg_identity.c.identity_key)
        .join(ecg_identity, ecg_identity.c.ecg_id == message.c.ecg_id)
        .join(identity_alias, identity_alias.c.retired_key == ecg_identity.c.identity_key)
        .where(*_UNSENT)
    ).all()
    return sorted({row.message_id for row in rows if identity.resolve(tx.connection, row.identity_key) == survivor})


def _about(keys: frozenset[str], touched: Sequence[int]) -> list[ColumnElement[bool]]:
    """Messages of these recordings, and of ECGs that name one of these identities beside their first."""
    further = select(ecg_identity.c.ecg_id).where(ecg_identity.c.identity_key.in_(sorted(keys)))
    return [message.c.ecg_id.in_(further), message.c.recording_id.in_(touched)] if keys else []


def _recordings_of(tx: Reading, keys: frozenset[str]) -> list[int]:
    """Recordings that belong to these identities, or whose results were filed under them."""
    if not keys:
        return []
    theirs = select(ecg.c.recording_id).where(ecg.c.patient_key.in_(sorted(keys)))
    told_there = select(message.c.recording_id).where(message.c.filed_key.in_(sorted(keys)))
    return sorted({*tx.connection.scalars(theirs), *tx.connection.scalars(told_there)})


def recompose_unsent(tx: Transaction, *any_of: ColumnElement[bool]) -> list[int]:
    """What certainly never left is composed anew, once, for whoever survives now; the ids.

    With a message go those that follow it about the same recording, so that all keep their order, and what was set
    aside of the same result: a withdrawal that is composed anew would overtake it. The rows are locked first: a sender
    of another process either began before, and its message stays as it is, or begins afterwards, with the new bytes.
    """
    if not any_of:
        return []
    first = message.alias("first")
    chosen = select(first.c.message_id).where(
        first.c.message_id.in_(select(message.c.message_id).where(or_(*any_of), *_UNSENT).correlate(None)),
        first.c.recording_id == message.c.recording_id,
        first.c.destination == message.c.destination,
        first.c.message_id <= message.c.message_id,
    )
    aside = and_(
        message.c.state == "dead", message.c.in_doubt == 0, chosen.where(first.c.filler == message.c.filler).exists()
    )
    unsent = and_(*_UNSENT, chosen.exists())
    query = select(message).where(or_(unsent, aside)).order_by(message.c.message_id).with_for_update()
    return messages.recompose(tx, every_row(tx.connection, MessageRow, query))


def _look_at_sent(tx: Transaction, touched: Sequence[int], trigger: str) -> None:
    """A result that stands at an identity to which its recording belongs no more opens a question."""
    for row in [recordings.newest(tx, recording_id) for recording_id in touched]:
        elsewhere = misfiled.elsewhere(tx, row)
        if elsewhere and trigger != OPERATOR:
            _ask(tx, row, elsewhere[0])
        elif elsewhere or (misfiled.waits(tx, row.recording_id) and announcing.is_anothers(tx, row)):
            reissuing.file_again(tx, row, reason="the merge was undone")


def _ask(tx: Transaction, row: EcgVersion, filed: SentMessage) -> None:
    """Both people: whose the recording is by the hospital's newest word, and under whom its result was filed."""
    filed_as = message_rows.filed_as(
        tx, message_rows.message_of(tx, filed.message_id), recordings.version(tx, filed.ecg_id)
    )
    messages.cancel_unsent(tx, row.recording_id)
    holds.ask(tx, row, Question.UNMERGED, (recordings.patient_of(tx, row), filed_as))


def touches(tx: Reading, event: Move) -> bool:
    """Whether an event that is not followed names a person or a visit that is held here, under whatever number."""
    if event.event == "A43":
        return any(_is_held(tx, _all_numbers(tx, one)) for one in (event.source, event.target))
    theirs = select(ecg).where(_theirs(_all_numbers(tx, event.source)))
    visits = {private_of(tx, row).order.visit for row in every_row(tx.connection, EcgVersion, theirs)}
    return bool(visits if not event.visits else visits & {"", *event.visits})


def _all_numbers(tx: Reading, one: Identifier) -> list[str]:
    """The keys of everything that is this person by now."""
    survivor = identity.resolve(tx.connection, identity.identifier_key(tx, one))
    return sorted(identity.retired_into(tx.connection, survivor))


def _theirs(keys: Sequence[str]) -> ColumnElement[bool]:
    """ECGs filed under one of these numbers, or naming one of them beside it."""
    further = select(ecg_identity.c.ecg_id).where(ecg_identity.c.identity_key.in_(keys))
    return or_(ecg.c.patient_key.in_(keys), ecg.c.ecg_id.in_(further))


def _is_held(tx: Reading, keys: Sequence[str]) -> bool:
    held = (
        select(ecg.c.ecg_id).where(_theirs(keys)).limit(1),
        select(outcome.c.outcome_id).where(outcome.c.patient_key.in_(keys)).limit(1),
        select(patient.c.patient_key).where(patient.c.patient_key.in_(keys)).limit(1),
    )
    return any(tx.connection.scalar(query) is not None for query in held)


def _listed(message_ids: Iterable[int]) -> str:
    return ",".join(map(str, message_ids))
