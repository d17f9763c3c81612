"""The audit trail: who did what when, append-only and hash-chained, committed with the change it tells of.

One chain for the whole store would make every writer wait for every other. So each database connection spins a strand
of its own: entries are numbered 1, 2, … and each hash covers its predecessor's. The first entry of a strand is tied to
the newest entry of the store at that time. Changing or removing an entry in the middle breaks the chain; removing the
newest entries is noticed where another strand is tied to them. The chain has no key: whoever can write the table can
rewrite it all, which the signed heads kept elsewhere show (`signed_heads`). Triggers in the database refuse UPDATE and
DELETE on the table.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, insert, select

from ecgfm_clinical.staging.records import AuditEvent
from ecgfm_clinical.staging.rows import AuditRow, each_row
from ecgfm_clinical.staging.schema import audit, audit_spool
from ecgfm_clinical.staging.sealing import to_json

Detail = str | int | float | bool | None
ORIGIN = "0" * 64
_INSERT = insert(audit)
_SPOOL = insert(audit_spool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line, before it has its place in a strand."""

    at: datetime
    actor: str
    action: str
    ecg_id: int | None
    detail: dict[str, Detail]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One entry by its place and hash, such as the newest of a strand."""

    strand: str
    number: int
    hash: str


class _End(NamedTuple):
    """The end of a strand, kept with the connection that spins it."""

    strand: str
    number: int
    hash: str


def chained(previous: str, strand: str, number: int, entry: Entry) -> str:
    """SHA-256 over the predecessor's hash and everything the entry says."""
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    told = [previous, strand, number, at, entry.actor, entry.action, entry.ecg_id, entry.detail]
    return hashlib.sha256(to_json(told)).hexdigest()


@contextmanager
def appended(
    connection: Connection,
    entries: Sequence[Entry],
    random_bytes: Callable[[int], bytes],
    *,
    spooled: Collection[str] = (),
) -> Iterator[None]:
    """Write `entries`; the caller commits inside the block. Where that fails, the strand ends and a new one begins.

    Entries of the actions `spooled` are to be told elsewhere, too (`audit_spool`).
    """
    if not entries:
        yield
        return
    end: _End = connection.info.pop("audit_end", None) or _new_strand(connection, random_bytes)
    rows: list[dict[str, object]] = []
    for entry in entries:
        number, previous = end.number + 1, end.hash
        end = _End(end.strand, number, chained(previous, end.strand, number, entry))
        rows.append(
            {
                "strand": end.strand,
                "number": number,
                "at": entry.at,
                "actor": entry.actor,
                "action": entry.action,
                "ecg_id": entry.ecg_id,
                "detail": entry.detail,
                "previous": previous,
                "hash": end.hash,
            }
        )
    connection.execute(_INSERT, rows)
    if told := [{name: row[name] for name in ("strand", "number")} for row in rows if row["action"] in spooled]:
        connection.execute(_SPOOL, told)
    info = connection.info
    yield
    info["audit_end"] = end


def _new_strand(connection: Connection, random_bytes: Callable[[int], bytes]) -> _End:
    newest = connection.execute(select(audit.c.hash).order_by(audit.c.audit_id.desc()).limit(1)).scalar()
    return _End(random_bytes(16).hex(), 0, newest or ORIGIN)


def events(connection: Connection, ecg_id: int) -> tuple[AuditEvent, ...]:
    """What happened to one ECG, in order."""
    query = select(audit).where(audit.c.ecg_id == ecg_id).order_by(audit.c.at, audit.c.audit_id)
    return tuple(map(event_from, each_row(connection, AuditRow, query)))


def trail(connection: Connection, *, limit: int, after: int) -> tuple[AuditEvent, ...]:
    """Entries in the order written."""
    query = select(audit).where(audit.c.audit_id > after).order_by(audit.c.audit_id).limit(limit)
    return tuple(map(event_from, each_row(connection, AuditRow, query)))


def found(
    connection: Connection, *, limit: int, before: int | None, action: str, actor: str, ecg_id: int | None
) -> tuple[AuditEvent, ...]:
    """Newest first; what is left empty is not asked. Actions and actors are asked for by their beginning."""
    query = select(audit).order_by(audit.c.audit_id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.audit_id < before)
    if action:
        query = query.where(audit.c.action.startswith(action, autoescape=True))
    if actor:
        query = query.where(audit.c.actor.startswith(actor, autoescape=True))
    if ecg_id is not None:
        query = query.where(audit.c.ecg_id == ecg_id)
    return tuple(map(event_from, each_row(connection, AuditRow, query)))


def backups(connection: Connection) -> tuple[tuple[datetime, str], ...]:
    """When each backup was made, and into which file."""
    rows = connection.execute(
        select(audit.c.at, audit.c.detail).where(audit.c.action == "store.backed-up").order_by(audit.c.audit_id)
    )
    return tuple((row.at, row.detail["file"]) for row in rows)


def newest(connection: Connection, action: str, about: Mapping[str, Detail]) -> dict[str, Detail] | None:
    """The detail of the newest entry of that action whose detail holds all of `about`; None where there is none."""
    rows = connection.execute(select(audit.c.detail).where(audit.c.action == action).order_by(audit.c.audit_id.desc()))
    return next((dict(row.detail) for row in rows if about.items() <= row.detail.items()), None)


def length(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(audit)) or 0


def heads(connection: Connection) -> tuple[Head, ...]:
    """The newest entry of each strand."""
    newest = select(audit.c.strand, func.max(audit.c.number).label("number")).group_by(audit.c.strand).subquery()
    rows = connection.execute(
        select(audit.c.strand, audit.c.number, audit.c.hash)
        .join(newest, and_(audit.c.strand == newest.c.strand, audit.c.number == newest.c.number))
        .order_by(audit.c.strand)
    )
    return tuple(Head(strand=row.strand, number=row.number, hash=row.hash) for row in rows)


def missing_heads(connection: Connection, signed: Iterable[Head]) -> list[str]:
    """Where the trail is not the one whose heads were signed."""
    found = []
    for one in signed:
        at = (audit.c.strand == one.strand, audit.c.number == one.number)
        there = connection.scalar(select(audit.c.hash).where(*at))
        if there is None:
            found.append(f"strand {one.strand}: entry {one.number}, which was signed, is gone")
        elif there != one.hash:
            found.append(f"strand {one.strand}: up to entry {one.number} it is not the one that was signed")
    return found


def backward_steps(connection: Connection) -> list[str]:
    """Where an entry is dated an hour or more before the one it follows: the clock was set back there."""
    found, strand, at = [], "", datetime.min.replace(tzinfo=UTC)
    query = select(audit.c.strand, audit.c.number, audit.c.at).order_by(audit.c.strand, audit.c.number)
    for row in connection.execute(query).yield_per(1000):
        if row.strand == strand and at - row.at >= timedelta(hours=1):
            found.append(f"strand {strand}: entry {row.number} is dated {at - row.at} before the entry it follows")
        strand, at = row.strand, row.at
    return found


def event_from(row: AuditRow) -> AuditEvent:
    """A row of the trail."""
    return AuditEvent(
        event_id=row.audit_id, at=row.at, actor=row.actor, action=row.action, ecg_id=row.ecg_id, detail=row.detail
    )


def faults(connection: Connection) -> list[str]:
    """Every place where the trail does not hold together; empty where nobody changed it."""
    found: list[str] = []
    missing = set(connection.scalars(select(audit.c.previous).where(audit.c.number == 1))) - {ORIGIN}
    strand, number, previous = "", 0, ORIGIN
    for row in connection.execute(select(audit).order_by(audit.c.strand, audit.c.number)).yield_per(1000):
        if row.strand != strand:
            strand, number, previous = row.strand, 0, row.previous
        number += 1
        entry = Entry(at=row.at, actor=row.actor, action=row.action, ecg_id=row.ecg_id, detail=row.detail)
        if row.number != number or row.previous != previous:
            found.append(f"strand {strand}: entries are missing before number {row.number}")
        elif row.hash != chained(previous, strand, number, entry):
            found.append(f"strand {strand}: entry {number} was changed")
        number, previous = row.number, row.hash
        missing.discard(row.hash)
    return found + [f"the entry with hash {one[:12]}…, to which a strand is tied, is gone" for one in sorted(missing)]
