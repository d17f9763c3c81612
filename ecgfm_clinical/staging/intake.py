"""Taking a payload in: bytes, decoded ECGs, their score jobs, outcomes and merges, in one transaction.

The same bytes are taken once, however often and by whatever route they come. The same `source_id` in other bytes that
say the same is taken once too: a DICOM object has another file meta header, or transfer syntax, as a file than over the
network. If they say anything else they are a new version: kept, flagged, and scored; whether anything is sent again is
decided when its scores are known.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import insert, select, text

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.staging import (
    arrivals,
    documenting,
    identity,
    jobs,
    measuring,
    merging,
    ordering,
    received_messages,
    recordings,
    seals,
)
from ecgfm_clinical.staging.arrivals import Staged
from ecgfm_clinical.staging.compression import Packed, pack_payload, pack_signal
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.group_commit import GroupCommit
from ecgfm_clinical.staging.records import ROUTINE, EcgState, Trust
from ecgfm_clinical.staging.rows import PayloadRow, one_row
from ecgfm_clinical.staging.schema import ecg, payload, payload_content
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_clinical.staging.upsert import for_both
from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.contents import Contents, Move, ReceivedMessage
from ecgfm_connectors.errors import PayloadError, Refused
from ecgfm_connectors.patient import Patient

NEW_VERSION = "new-version"
CAUTIOUS = Trust()

#: Code of what a listener keeps of senders that its list does not name: nothing of it was read.
UNKNOWN_SENDER = "unknown-sender"
#: Refusals that are no failed ECG: the payload never claimed to be one, or nobody may say so.
NOT_AN_ECG = frozenset(
    {"no-ecg", "event-not-followed", "other-order", "order-incomplete", "move-not-followed", UNKNOWN_SENDER}
)

_INSERT_PAYLOAD = for_both(lambda new: new.on_conflict_do_nothing().returning(payload.c.payload_id), payload)
_INSERT_CONTENT = insert(payload_content)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parcel:
    """The arguments of one `Intake.record`."""

    received: Received
    contents: Contents | PayloadError
    now: datetime
    actor: str
    priority: int
    trust: Trust
    not_before: datetime | None
    content: Packed
    messages: tuple[ReceivedMessage, ...]
    signals: tuple[Packed, ...]  #: of `contents.ecgs`, packed before the store's one writer is waited for


class Intake:
    """The way into a store; every payload is one transaction, which on SQLite several may share."""

    def __init__(
        self,
        database: Database,
        *,
        free_bytes: Callable[[], int] | None,
        least_free: int,
        committed: Callable[[], None],
    ) -> None:
        """`free_bytes` of the disk: below `least_free` nothing new is taken in.

        `committed` is called after each commit.
        """
        self._database = database
        self._free_bytes = free_bytes
        self._least_free = least_free
        self._committed = committed
        self._grouped = GroupCommit(self._record)

    def record(
        self,
        received: Received,
        contents: Contents | PayloadError,
        *,
        now: datetime,
        actor: str,
        priority: int = ROUTINE,
        trust: Trust = CAUTIOUS,
        not_before: datetime | None = None,
    ) -> Verdict:
        """Keep one payload with its ECGs, score jobs, outcomes and merges; `trust`:
        what its source may decide by itself. What was set aside and is read now is not scored before `not_before`.

        Idempotent by the payload's SHA-256. Never TRY_LATER: where nothing could be kept it raises StoreUnavailable,
        also when the disk is nearly full. On SQLite, payloads that come while another is committed share one commit.
        """
        if self._free_bytes is not None and self._free_bytes() < self._least_free:
            raise StoreUnavailable(
                f"less than {self._least_free // 1_000_000} MB are free where the store lives; nothing new is taken in"
            )
        ecgs = () if isinstance(contents, PayloadError) else contents.ecgs
        parcel = _Parcel(
            received=received,
            contents=contents,
            now=now,
            actor=actor,
            priority=priority,
            trust=trust,
            not_before=not_before,
            content=pack_payload(received.content),
            messages=received_messages.of(received, contents),
            signals=tuple(pack_signal(one.signal) for one in ecgs),
        )
        if self._database.writes_singly:
            return self._grouped(parcel)
        return self._record([parcel])[0]  # PostgreSQL groups the commits of its connections itself

    def _record(self, parcels: Sequence[_Parcel]) -> list[Verdict]:
        """All of them in one transaction."""
        with self._database.writing(parcels[0].now, parcels[0].actor) as tx:
            verdicts = [_record(replace(tx, now=one.now, actor=one.actor), one) for one in parcels]
        self._committed()
        return verdicts


def _record(tx: Transaction, parcel: _Parcel) -> Verdict:
    """Keep one payload with everything that follows from it."""
    received, contents = parcel.received, _followed(tx, parcel.contents)
    sha256 = hashlib.sha256(received.content).hexdigest()
    payload_id = _insert_payload(tx, received, contents, sha256)
    if payload_id is None:
        return _again(tx, sha256, contents, parcel)
    content = seals.PAYLOAD_CONTENT.seal(tx.keyring, parcel.content.value, sha256=sha256)
    tx.connection.execute(_INSERT_CONTENT, {"payload_id": payload_id, "coding": parcel.content.coding, **content})
    tx.note(
        "payload.received",
        payload_id=payload_id,
        sha256=sha256,
        size=len(received.content),
        transport=received.transport,
        source=received.source,
        disposition=_disposition(contents).value,
        code=_code(contents),
    )
    if isinstance(contents, PayloadError):
        received_messages.keep(tx, payload_id, parcel.messages, {})
        count_failed(tx, received.received_at, received.source, contents.code, 1)
        return _verdict(contents)
    return _stage(tx, payload_id, received, contents, parcel)


def _followed(tx: Transaction, contents: Contents | PayloadError) -> Contents | PayloadError:
    """Refused where the payload moves identifiers or visits of a person who is held here: that is never guessed."""
    if isinstance(contents, PayloadError):
        return contents
    for event in contents.identity_events:
        if isinstance(event, Move) and merging.touches(tx, event):
            text = "the event moves identifiers or visits of a person held here; correct the ECGs one by one"
            return Refused("move-not-followed", text)
    return contents


def _insert_payload(tx: Transaction, received: Received, contents: Contents | PayloadError, sha256: str) -> int | None:
    """The new row's id; None where these bytes are already here."""
    told = {"peer": received.peer, "location": received.location}
    payload_id: int | None = tx.connection.scalar(
        _INSERT_PAYLOAD[tx.connection.dialect.name],
        {
            "sha256": sha256,
            "size": len(received.content),
            "transport": received.transport,
            "source": received.source,
            "received_at": received.received_at,
            **seals.PAYLOAD.seal(tx.keyring, to_json(told), sha256=sha256),
            **_judgement(contents),
        },
    )
    return payload_id


def _judgement(contents: Contents | PayloadError) -> dict[str, object]:
    """What reading the payload came to."""
    if isinstance(contents, PayloadError):
        words = {"code": contents.code, "text": measuring.storable(contents.text)}
        return {"disposition": _disposition(contents).value, "format": "", "findings": [], **words}
    return {
        "disposition": Disposition.STAGED.value,
        "format": next((one.format for one in contents.ecgs), ""),
        "findings": [{"code": finding.code, "text": finding.text} for finding in contents.findings],
        "code": _code(contents),
        "text": _text(contents),
    }


def _again(tx: Transaction, sha256: str, contents: Contents | PayloadError, parcel: _Parcel) -> Verdict:
    """The same bytes once more: counted, and read with better luck than before perhaps."""
    repeated = payload.update().where(payload.c.sha256 == sha256).returning(*payload.c)
    counted = repeated.values(repeats=payload.c.repeats + 1, repeated_at=tx.now)
    row = one_row(tx.connection, PayloadRow, counted)
    if row.disposition == Disposition.STAGED.value:
        known = tx.connection.scalars(
            select(ecg.c.ecg_id).where(ecg.c.payload_id == row.payload_id).order_by(ecg.c.ecg_id)
        )
        ecg_ids = tuple(known)
        for ecg_id in ecg_ids:
            arrivals.come_live(tx, ecg_id, parcel.received.source)
        return Verdict(disposition=Disposition.DUPLICATE, ecg_ids=ecg_ids)
    if isinstance(contents, PayloadError):
        return Verdict(disposition=Disposition(row.disposition), code=row.code, text=row.text)
    return _promote(tx, row, contents, parcel)


def _promote(tx: Transaction, row: PayloadRow, contents: Contents, parcel: _Parcel) -> Verdict:
    """What could not be read once can be read now: it becomes an ECG, received when its bytes were."""
    tx.connection.execute(payload.update().where(payload.c.payload_id == row.payload_id).values(**_judgement(contents)))
    count_failed(tx, row.received_at, row.source, row.code, -1)
    tx.note("payload.read-again", payload_id=row.payload_id, was=row.disposition, code=row.code)
    received_messages.forget(tx, [row.payload_id])
    told = json.loads(seals.PAYLOAD.open(tx.keyring, row))
    received = Received(
        transport=row.transport,
        source=row.source,
        content=b"",
        received_at=row.received_at,
        peer=told["peer"],
        location=told["location"],
    )
    verdict = _stage(tx, row.payload_id, received, contents, parcel)
    if parcel.not_before is not None:
        jobs.put_off(tx, row.payload_id, parcel.not_before)
    return verdict


def _stage(tx: Transaction, payload_id: int, received: Received, contents: Contents, parcel: _Parcel) -> Verdict:
    for known in contents.demographics:
        _keep_demographics(tx, payload_id, known)
    for event in contents.identity_events:
        merging.record(tx, payload_id, event)
    _queue_up(tx, {tx.key("outcome", one.source_id) for one in contents.outcomes})
    for one in contents.outcomes:
        measuring.stage(tx, payload_id, received.received_at, one)
    measuring.leave_out(tx, payload_id, received.received_at, contents.left_out)
    _queue_up(tx, {tx.key("source", one.source_id) for one in contents.documents})
    for told in contents.documents:
        documenting.stage(tx, payload_id, received, told)
    _queue_up(tx, {ordering.lock_key(tx, one) for one in contents.orders})
    for order in contents.orders:
        ordering.record(tx, payload_id, received.received_at, order)
    marked = [
        (one, recordings.marks(tx, one), signal) for one, signal in zip(contents.ecgs, parcel.signals, strict=True)
    ]
    keys = {
        key for one, marks, _ in marked for key in (tx.key("source", one.source_id), marks.signal, marks.order) if key
    }
    _queue_up(tx, keys)
    staged: list[Staged] = []
    waiting = list(contents.withdrawals)
    for arrived, marks, signal in marked:
        while waiting and waiting[0].after <= len(staged):
            arrivals.take_back(tx, payload_id, waiting.pop(0), parcel.trust)
        staged.append(
            arrivals.stage(
                tx, payload_id, received, arrived, marks, signal, priority=parcel.priority, trust=parcel.trust
            )
        )
    for withdrawal in waiting:
        arrivals.take_back(tx, payload_id, withdrawal, parcel.trust)
    became = {one.source_id: at.ecg_id for one, at in zip(contents.ecgs, staged, strict=True)}
    received_messages.keep(tx, payload_id, parcel.messages, became)
    known_before = (
        bool(staged)
        and not any(one.new for one in staged)
        and contents == Contents(ecgs=contents.ecgs, findings=contents.findings)
    )
    flagged = any(one.new and one.version > 1 for one in staged)
    return Verdict(
        disposition=Disposition.DUPLICATE if known_before else Disposition.STAGED,
        code=NEW_VERSION if flagged else _code(contents),
        text="the sender used this recording's number before, for other bytes" if flagged else _text(contents),
        ecg_ids=tuple(one.ecg_id for one in staged),
    )


def _keep_demographics(tx: Transaction, payload_id: int, known: Patient) -> None:
    """A number that was merged into another keeps its demographics apart: they are not the survivor's."""
    identity.keep_demographics(tx, known)
    if any(identity.is_retired(tx.connection, identity.identifier_key(tx, one)) for one in known.identifiers):
        tx.note("identity.retired-number-used", payload_id=payload_id)


def _queue_up(tx: Transaction, keys: Collection[str]) -> None:
    """Two payloads of one recording take their version numbers one after the other (SQLite writes singly anyway)."""
    if tx.connection.dialect.name == "postgresql":
        for lock in sorted({int(key[:15], 16) for key in keys}):
            tx.connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


def count_failed(tx: Transaction, received_at: datetime, source: str, code: str, by: int) -> None:
    """Add to the failed ECGs of this source, where what was refused claimed to be one."""
    if code not in NOT_AN_ECG:
        tx.count(by, received_at=received_at, source=source, state=EcgState.FAILED.value)


def _disposition(contents: Contents | PayloadError) -> Disposition:
    if not isinstance(contents, PayloadError):
        return Disposition.STAGED
    return Disposition.REFUSED if isinstance(contents, Refused) else Disposition.UNREADABLE


def _code(contents: Contents | PayloadError) -> str:
    """Why it was refused; where it was taken, why some part of it was not."""
    if isinstance(contents, PayloadError):
        return contents.code
    return next((one.code for one in contents.not_taken), "")


def _text(contents: Contents) -> str:
    lost = contents.not_taken
    if not lost:
        return ""
    return measuring.storable(f"the rest was taken, {len(lost)} not; ask its sender to send that again: {lost[0].text}")


def _verdict(error: PayloadError) -> Verdict:
    return Verdict(disposition=_disposition(error), code=error.code, text=error.text)
