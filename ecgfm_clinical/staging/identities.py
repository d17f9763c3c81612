"""Identities as a person asks for them and changes them; every act is one transaction.

What follows from an act is what follows from the hospital's own word (`LIFECYCLE.md`), but for an undone merge: its
results are taken back under the survivor and told anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, or_, select

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging import identity, merging, message_rows, objections, recordings
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.merging import OPERATOR, OPERATOR_LINKS
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.rows import EcgVersion, PatientRow, every_row
from ecgfm_clinical.staging.schema import ecg, ecg_identity, identity_alias, identity_event, message, outcome, patient
from ecgfm_clinical.staging.told import standing
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.contents import IdentityEvent, Link, Merge
from ecgfm_connectors.patient import Identifier, Patient

#: So many of the newest patients and ECGs are looked through for the authorities that are known here.
_LOOKED_THROUGH = 500
_NO_MERGE = "this number is not merged into another: there is no merge to undo"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonResult:
    """What stands, or is about to stand, at one receiver of one recording."""

    destination: str
    message_id: int
    kind: str
    state: MessageState
    in_doubt: bool
    filed_as: Patient = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecording:
    """One recording that belongs to an identity."""

    ecg_id: int  #: its newest version
    received_at: datetime
    state: str
    results: tuple[PersonResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One identity as far as this store knows it."""

    identifier: Identifier = field(repr=False)
    heard_of: bool  #: some ECG, outcome, ADT message or merge named it
    state: str  #: known, merged, unmerged or linked
    survivor: Identifier | None = field(repr=False)  #: where it is merged
    merged_into_it: int  #: how many numbers
    linked: tuple[Identifier, ...] = field(repr=False)
    described: Patient | None = field(repr=False)  #: by the newest ADT message, else by its newest ECG
    recordings: tuple[PersonRecording, ...]  #: of this number and of those merged into it, oldest first
    outcomes: int
    kept_out: bool  #: of learning: the person objects, under this number or another that is theirs


def require_mergeable(retired: Identifier, surviving: Identifier) -> None:
    """Raises StoreError where both are one identity, or only one of them numbers a person."""
    if retired.identity == surviving.identity:
        raise StoreError("both numbers are one identity: nothing was merged")
    if retired.identity[1] != surviving.identity[1]:
        raise StoreError(
            f"a number of type {retired.type} can't become one of type {surviving.type}: results would go out under "
            "what is no patient's number; nothing was merged"
        )


def require_linkable(first: Identifier, second: Identifier) -> None:
    """Raises StoreError where both are one identity."""
    if first.identity == second.identity:
        raise StoreError("both numbers are one identity: nothing was linked")


def require_retired(person: Person) -> None:
    """Raises StoreError where the number is in use."""
    if person.survivor is None:
        raise StoreError(_NO_MERGE)


class Identities:
    """The identities of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def show(self, identifier: Identifier) -> Person:
        """Everything this store knows of one identity; also of one that it never heard of."""
        with self._database.reading() as ask:
            return _person(ask, identifier)

    def one_person(self, one: Patient, other: Patient) -> bool:
        """Whether both descriptions name one person, as merges stand now."""
        with self._database.reading() as ask:
            return recordings.same_person(ask, one, other)

    def ecg_ids(self, identifier: Identifier) -> tuple[int, ...]:
        """Every version of every recording of this person, under the numbers merged into this one too."""
        with self._database.reading() as ask:
            tree = identity.retired_into(ask.connection, identity.identifier_key(ask, identifier))
            further = select(ecg_identity.c.ecg_id).where(ecg_identity.c.identity_key.in_(tree))
            mine = or_(ecg.c.patient_key.in_(tree), ecg.c.ecg_id.in_(further))
            return tuple(ask.connection.scalars(select(ecg.c.ecg_id).where(mine).order_by(ecg.c.ecg_id)))

    def authorities(self) -> tuple[str, ...]:
        """Assigning authorities of the newest patients and ECGs."""
        with self._database.reading() as ask:
            return tuple(sorted(_authorities(ask)))

    def merge(self, retired: Identifier, surviving: Identifier, *, reason: str, now: datetime, actor: str) -> None:
        """`retired` is `surviving` from now on. Raises StoreError as `require_mergeable` does."""
        require_mergeable(retired, surviving)
        self._record(Merge(retired=retired, surviving=surviving, event=OPERATOR), reason, now, actor)

    def unmerge(self, identifier: Identifier, *, reason: str, now: datetime, actor: str) -> None:
        """The identity is in use again: its results are taken back under the survivor and told anew.

        Raises StoreError.
        """
        with self._database.writing(now, actor) as tx:
            tx.lock_identities(exclusive=True)
            if not identity.is_retired(tx.connection, identity.identifier_key(tx, identifier)):
                raise StoreError(_NO_MERGE)
            merging.unmerge(tx, None, identifier, OPERATOR)
            tx.note("identity.decided", act="unmerge", reason=reason)

    def link(self, first: Identifier, second: Identifier, *, reason: str, now: datetime, actor: str) -> None:
        """Both name one person and stay in use. Raises StoreError where both are one identity."""
        require_linkable(first, second)
        self._record(Link(first=first, second=second, linked=True, event=OPERATOR_LINKS), reason, now, actor)

    def _record(self, event: IdentityEvent, reason: str, now: datetime, actor: str) -> None:
        with self._database.writing(now, actor) as tx:
            merging.record(tx, None, event)
            tx.note("identity.decided", act=type(event).__name__.lower(), reason=reason)


def _person(ask: Reading, identifier: Identifier) -> Person:
    key = identity.identifier_key(ask, identifier)
    tree = sorted(identity.retired_into(ask.connection, key))
    survivor = _survivor(ask, identifier, key)
    linked = tuple(identity.linked(ask, key))
    rows = ask.connection.execute(
        select(ecg).where(ecg.c.patient_key.in_(tree), ecg.c.ecg_id == ecg.c.recording_id).order_by(ecg.c.ecg_id)
    ).all()
    described = identity.demographics(ask.connection, ask.keyring, key)
    if described is None and rows:
        described = recordings.patient_of(ask, recordings.newest(ask, rows[-1].recording_id))
    outcomes = select(func.count()).select_from(outcome).where(outcome.c.patient_key.in_(tree))
    return Person(
        identifier=identifier,
        heard_of=_heard_of(ask, key),
        state=_state(ask, key, merged=survivor is not None, linked=bool(linked)),
        survivor=survivor,
        merged_into_it=len(tree) - 1,
        linked=linked,
        described=described,
        recordings=tuple(_recording(ask, row.recording_id) for row in rows),
        outcomes=ask.connection.scalar(outcomes) or 0,
        kept_out=key in objections.keys(ask),
    )


def _survivor(ask: Reading, identifier: Identifier, key: str) -> Identifier | None:
    if not identity.is_retired(ask.connection, key):
        return None
    return identity.surviving_patient(ask, Patient(identifiers=(identifier,))).identifiers[0]


def _state(ask: Reading, key: str, *, merged: bool, linked: bool) -> str:
    if merged:
        return "merged"
    if linked:
        return "linked"
    retired_once = (identity_event.c.retired_key == key, identity_event.c.trigger.not_in(merging.LINKS))
    event = ask.connection.scalar(select(identity_event.c.event_id).where(*retired_once).limit(1))
    return "known" if event is None else "unmerged"


def _heard_of(ask: Reading, key: str) -> bool:
    places = (
        select(ecg.c.ecg_id).where(ecg.c.patient_key == key),
        select(ecg_identity.c.ecg_id).where(ecg_identity.c.identity_key == key),
        select(patient.c.patient_key).where(patient.c.patient_key == key),
        select(outcome.c.outcome_id).where(outcome.c.patient_key == key),
        select(message.c.message_id).where(message.c.patient_key == key),
        select(identity_alias.c.retired_key).where(
            or_(identity_alias.c.retired_key == key, identity_alias.c.surviving_key == key)
        ),
        select(identity_event.c.event_id).where(
            or_(identity_event.c.retired_key == key, identity_event.c.surviving_key == key)
        ),
    )
    return any(ask.connection.scalar(query.limit(1)) is not None for query in places)


def _recording(ask: Reading, recording_id: int) -> PersonRecording:
    newest = recordings.newest(ask, recording_id)
    told_to = select(message.c.destination).where(message.c.recording_id == recording_id).distinct()
    return PersonRecording(
        ecg_id=newest.ecg_id,
        received_at=newest.received_at,
        state=newest.state,
        results=tuple(
            result
            for destination in sorted(ask.connection.scalars(told_to))
            for result in _results(ask, recording_id, destination)
        ),
    )


def _results(ask: Reading, recording_id: int, destination: str) -> Iterable[PersonResult]:
    for one in standing(message_rows.told_so_far(ask, recording_id, destination)):
        row = message_rows.message_of(ask, one.message_id)
        yield PersonResult(
            destination=destination,
            message_id=one.message_id,
            kind=one.kind,
            state=one.state,
            in_doubt=one.in_doubt and one.state is not MessageState.ACKNOWLEDGED,
            filed_as=message_rows.filed_as(ask, row, recordings.version(ask, row.ecg_id)),
        )


def _authorities(ask: Reading) -> set[str]:
    known = select(patient).order_by(patient.c.updated_at.desc()).limit(_LOOKED_THROUGH)
    described = [identity.described_in(ask.keyring, row) for row in every_row(ask.connection, PatientRow, known)]
    newest = select(ecg).order_by(ecg.c.ecg_id.desc()).limit(_LOOKED_THROUGH)
    described += [recordings.own_patient(ask, row) for row in every_row(ask.connection, EcgVersion, newest)]
    return {one.authority for who in described for one in who.identifiers}
