"""Entries of the audit trail that still have to be told to an audit repository.

What must be told is decided where the store is opened (`Database.spooled`, actions). A row is written in the same
transaction as the act and its entry, and removed once the entry was delivered. It holds no patient: who was concerned
is looked up when the message is made, so that an erased patient is named no more.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any  # Any: JSON of a sealed column

from sqlalchemy import delete, func, select

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import audit as trail
from ecgfm_clinical.staging import codec, loading, seals
from ecgfm_clinical.staging.audit import Detail
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import AuditEvent
from ecgfm_clinical.staging.rows import AuditRow
from ecgfm_clinical.staging.schema import audit, audit_spool, document, ecg, identity_event, left_out, outcome, payload
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.patient import Identifier

#: Detail of an entry -> the row that names its people.
_NAMING = (
    ("identity_event", identity_event.c.event_id, seals.IDENTITY_EVENT),
    ("outcome_id", outcome.c.outcome_id, seals.OUTCOME),
    ("document_id", document.c.document_id, seals.DOCUMENT),
    ("left_out_id", left_out.c.left_out_id, seals.LEFT_OUT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """The recording that an entry is about."""

    ecg: Ecg  #: without its signal, of the patient to whom it belongs now
    transport: str  #: by which it came
    peer: str  #: calling AE title or address


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """One entry that was not yet told."""

    spool_id: int
    event: AuditEvent
    concerned: Concerned | None  #: None where it is about no recording
    people: tuple[Identifier, ...] = ()  #: whose identities were merged, linked, or parted again


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """How much waits."""

    count: int
    oldest: datetime | None


class AuditSpool:
    """The spool of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def first(self, *, limit: int) -> list[Spooled]:
        """What waits, oldest first."""
        query = (
            select(audit_spool.c.spool_id, *audit.c)
            .join_from(
                audit_spool,
                audit,
                (audit.c.strand == audit_spool.c.strand) & (audit.c.number == audit_spool.c.number),
            )
            .order_by(audit_spool.c.spool_id)
            .limit(limit)
        )
        with self._database.reading() as ask:
            found = [(one, trail.event_from(AuditRow(*entry))) for one, *entry in ask.connection.execute(query).all()]
            return [
                Spooled(spool_id=one, event=event, concerned=_concerned(ask, event), people=_people(ask, event))
                for one, event in found
            ]

    def told(self, spool_ids: Sequence[int], *, now: datetime, actor: str) -> None:
        """These were delivered."""
        with self._database.writing(now, actor) as tx:
            tx.connection.execute(delete(audit_spool).where(audit_spool.c.spool_id.in_(spool_ids)))

    def untold(self) -> Untold:
        """How many entries wait, and since when."""
        oldest = (
            select(audit.c.at)
            .join_from(
                audit_spool,
                audit,
                (audit.c.strand == audit_spool.c.strand) & (audit.c.number == audit_spool.c.number),
            )
            .order_by(audit_spool.c.spool_id)
            .limit(1)
        )
        with self._database.reading() as ask:
            count = ask.connection.scalar(select(func.count()).select_from(audit_spool)) or 0
            return Untold(count=count, oldest=ask.connection.scalar(oldest) if count else None)

    def note(
        self,
        action: str,
        *,
        now: datetime,
        actor: str,
        ecg_ids: Sequence[int] = (),
        detail: Mapping[str, Detail] = MappingProxyType({}),
    ) -> None:
        """Put an act with which nothing else in the store changes into the trail, for each of these recordings."""
        with self._database.writing(now, actor) as tx:
            for ecg_id in ecg_ids or (None,):
                tx.note(action, ecg_id=ecg_id, **detail)

    def note_each(self, action: str, kind: str, numbers: Sequence[int], *, now: datetime, actor: str) -> None:
        """The same for each of these rows of a kind (outcome_id, left_out_id, document_id)."""
        with self._database.writing(now, actor) as tx:
            for number in numbers:
                tx.note(action, **{kind: number})


def _concerned(ask: Reading, event: AuditEvent) -> Concerned | None:
    ecg_id = event.ecg_id or _number(event, "of_ecg")
    if ecg_id is None and (number := _number(event, "payload_id")) is not None:
        ecg_id = ask.connection.scalar(select(func.min(ecg.c.ecg_id)).where(ecg.c.payload_id == number))
    if ecg_id is None:
        return None
    try:
        (staged,) = loading.load(ask, [ecg_id], signals=False)
    except NotFound:
        return None
    row = ask.connection.execute(select(payload).where(payload.c.payload_id == staged.payload_id)).one()
    told = json.loads(seals.PAYLOAD.open(ask.keyring, row))
    return Concerned(ecg=staged.ecg, transport=row.transport, peer=told["peer"])


def _people(ask: Reading, event: AuditEvent) -> tuple[Identifier, ...]:
    for name, column, seal in _NAMING:
        number = _number(event, name)
        row = ask.connection.execute(select(seal.table).where(column == number)).one_or_none() if number else None
        if row is not None:
            return tuple(dict.fromkeys(_identifiers(json.loads(seal.open(ask.keyring, row)))))
    return ()


def _identifiers(private: Mapping[str, Any]) -> Iterator[Identifier]:
    """Of a patient, or of both sides of a merge or link."""
    if "patient" in private:
        yield from codec.patient_from(private["patient"]).identifiers
    else:
        yield from (Identifier(**private[side]) for side in ("retired", "surviving"))


def _number(event: AuditEvent, name: str) -> int | None:
    found = event.detail.get(name)
    return found if isinstance(found, int) else None
