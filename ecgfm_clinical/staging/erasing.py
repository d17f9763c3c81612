"""Erasing one person: what identifies and what was recorded goes, sums and the audit's chain stay true.

Of each recording remain its row without a name, number, time or measurement, its state and its scores: they count, and
lead to nobody. The digest of its payload remains too, so that the same bytes sent again are known and not taken anew.
The audit trail names nobody and is left as it is. What lies outside the store (backups, receivers, archives, files) is
not reached from here.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, or_, select, update

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging import documents, failed_ecgs, identity, messages, pauses, received_messages, seals
from ecgfm_clinical.staging.attempts import is_unfinished
from ecgfm_clinical.staging.compression import Packed, unpack_payload
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.schema import (
    document,
    document_reference,
    early_withdrawal,
    ecg,
    ecg_identity,
    ecg_number,
    hold,
    identity_alias,
    identity_event,
    identity_link,
    left_out,
    message,
    message_body,
    order_answer,
    outcome,
    patient,
    payload,
    payload_content,
    placed_order,
    placed_order_number,
    recording_event,
    saliency,
    score_job,
    signal,
)
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.seals import Seal
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.patient import Identifier

PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What was erased, or would be."""

    ecgs: int
    messages: int
    outcomes: int
    payloads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Where one person stands in the store."""

    keys: frozenset[str]
    recordings: tuple[int, ...]
    ecgs: tuple[int, ...]
    messages: tuple[int, ...]
    outcomes: tuple[int, ...]
    payloads: tuple[int, ...]
    documents: tuple[int, ...]

    def counts(self) -> Erasure:
        return Erasure(
            ecgs=len(self.ecgs),
            messages=len(self.messages),
            outcomes=len(self.outcomes),
            payloads=len(self.payloads),
        )


class Erasing:
    """Erasing from a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def preview(self, identifier: Identifier) -> Erasure:
        """What `erase` would erase now."""
        with self._database.reading() as ask:
            return _rows(ask, identifier).counts()

    def erase(self, identifier: Identifier, *, reason: str, now: datetime, actor: str) -> Erasure:
        """Erase the person with this number and the numbers merged into it, in one transaction.

        Raises StoreError while an ECG of theirs is being scored or a result of theirs is on the wire: nothing was
        erased.
        """
        with self._database.writing(now, actor) as tx:
            tx.lock_identities(exclusive=True)
            if tx.connection.dialect.name == "sqlite":
                tx.connection.exec_driver_sql("PRAGMA secure_delete = ON")  # freed pages are overwritten
            rows = _rows(tx, identifier)
            _refuse_unfinished(tx, rows)
            nobody = tx.key("erased", self._database.random_bytes(16).hex())
            _erase_payloads(tx, rows)
            _erase_ecgs(tx, rows, nobody)
            _erase_messages(tx, rows, nobody)
            _erase_outcomes(tx, rows, nobody)
            _erase_documents(tx, rows)
            _erase_orders(tx, rows)
            _erase_identities(tx, rows)
            found = rows.counts()
            tx.note(
                "patient.erased",
                reason=reason,
                ecgs=found.ecgs,
                messages=found.messages,
                outcomes=found.outcomes,
                payloads=found.payloads,
            )
        self._database.forget_old_pages()
        return found


def _rows(ask: Reading, identifier: Identifier) -> _Rows:
    key = identity.identifier_key(ask, identifier)
    tree = identity.retired_into(ask.connection, identity.resolve(ask.connection, key)) | {key}
    further = select(ecg_identity.c.ecg_id).where(ecg_identity.c.identity_key.in_(tree))
    mine = or_(ecg.c.patient_key.in_(tree), ecg.c.ecg_id.in_(further))
    recordings = tuple(ask.connection.scalars(select(ecg.c.recording_id).where(mine).distinct()))
    ecgs = ask.connection.execute(
        select(ecg.c.ecg_id, ecg.c.payload_id).where(ecg.c.recording_id.in_(recordings)).order_by(ecg.c.ecg_id)
    ).all()
    outcomes = ask.connection.execute(
        select(outcome.c.outcome_id, outcome.c.payload_id).where(outcome.c.patient_key.in_(tree))
    ).all()
    payloads = {row.payload_id for row in (*ecgs, *outcomes)}
    payloads |= set(
        ask.connection.scalars(select(left_out.c.payload_id).where(left_out.c.patient_key.in_(tree)).distinct())
    )
    events = select(identity_event.c.payload_id).where(_names(identity_event, tree))
    payloads |= {one for one in ask.connection.scalars(events) if one is not None}
    orders = select(placed_order.c.payload_id).where(placed_order.c.patient_key.in_(tree))
    payloads |= {*_naming(ask, identifier), *ask.connection.scalars(orders)}
    beside = {one.document_id for recording_id in recordings for one in documents.beside(ask, recording_id)}
    spoken_of = ask.connection.execute(
        select(document.c.document_id, document.c.payload_id).where(
            or_(
                document.c.patient_key.in_(tree),
                document.c.payload_id.in_(payloads),
                document.c.document_id.in_(beside),
            )
        )
    ).all()
    payloads |= {row.payload_id for row in spoken_of}
    told = select(message.c.message_id).where(
        or_(message.c.recording_id.in_(recordings), message.c.patient_key.in_(tree), message.c.filed_key.in_(tree))
    )
    return _Rows(
        keys=tree,
        recordings=recordings,
        ecgs=tuple(row.ecg_id for row in ecgs),
        messages=tuple(ask.connection.scalars(told)),
        outcomes=tuple(row.outcome_id for row in outcomes),
        payloads=tuple(sorted(payloads)),
        documents=tuple(row.document_id for row in spoken_of),
    )


def _names(table: Table, keys: Collection[str]) -> ColumnElement[bool]:
    return or_(table.c.retired_key.in_(keys), table.c.surviving_key.in_(keys))


def _naming(ask: Reading, identifier: Identifier) -> Iterable[int]:
    """Payloads that gave no ECG, such as ADT messages and what was refused, in whose bytes the number stands."""
    number, after = identifier.value.encode(), 0
    gave_none = ~select(ecg.c.ecg_id).where(ecg.c.payload_id == payload.c.payload_id).exists()
    columns = (payload.c.payload_id, payload.c.sha256, *payload_content.c["key_id", "content", "coding"])
    while rows := ask.connection.execute(
        select(*columns)
        .join(payload_content, payload_content.c.payload_id == payload.c.payload_id)
        .where(payload.c.payload_id > after, gave_none)
        .order_by(payload.c.payload_id)
        .limit(PAGE)
    ).all():
        for row in rows:
            stored = seals.PAYLOAD_CONTENT.open(ask.keyring, row, of=row)
            if number in unpack_payload(Packed(coding=row.coding, value=stored)):
                yield row.payload_id
        after = rows[-1].payload_id


def _refuse_unfinished(tx: Transaction, rows: _Rows) -> None:
    busy = select(score_job.c.job_id).where(score_job.c.ecg_id.in_(rows.ecgs), is_unfinished(score_job))
    if tx.connection.scalar(busy.limit(1)) is not None:
        raise StoreError("an ECG of this person waits for its score: nothing was erased; try again once it is scored")
    for recording_id in rows.recordings:
        messages.cancel_unsent(tx, recording_id, withdrawals=True)
    on_its_way = select(message.c.message_id).where(message.c.message_id.in_(rows.messages), is_unfinished(message))
    if tx.connection.scalar(on_its_way.limit(1)) is not None:
        raise StoreError("a result of this person is on its way: nothing was erased; try again once it is answered")


def _erase_payloads(tx: Transaction, rows: _Rows) -> None:
    tx.connection.execute(delete(payload_content).where(payload_content.c.payload_id.in_(rows.payloads)))
    tx.connection.execute(delete(early_withdrawal).where(early_withdrawal.c.payload_id.in_(rows.payloads)))
    received_messages.forget(tx, rows.payloads)
    mine = payload.c.payload_id.in_(rows.payloads)
    _blank(tx, seals.PAYLOAD, mine)
    tx.connection.execute(update(payload).where(mine).values(text=""))


def _erase_ecgs(tx: Transaction, rows: _Rows, nobody: str) -> None:
    failed_ecgs.settle(tx, rows.ecgs)
    tx.connection.execute(delete(signal).where(signal.c.ecg_id.in_(rows.ecgs)))
    tx.connection.execute(delete(saliency).where(saliency.c.ecg_id.in_(rows.ecgs)))
    tx.connection.execute(delete(ecg_identity).where(ecg_identity.c.ecg_id.in_(rows.ecgs)))
    tx.connection.execute(delete(ecg_number).where(ecg_number.c.ecg_id.in_(rows.ecgs)))
    mine = ecg.c.ecg_id.in_(rows.ecgs)
    _blank(tx, seals.ECG, mine)
    _blank(tx, seals.HOLD, hold.c.recording_id.in_(rows.recordings))
    _blank(tx, seals.RECORDING_EVENT, recording_event.c.recording_id.in_(rows.recordings))
    for row in tx.connection.execute(
        select(ecg.c.ecg_id, ecg.c.about, ecg.c.received_at, ecg.c.source).where(mine)
    ).all():
        pauses.forget(tx, row.ecg_id, received_at=row.received_at, source=row.source)
        values = {"about": row.about | {"measurements": []}, "patient_key": nobody, "acquired_at": None}
        values |= dict.fromkeys(("said_key", "signal_key", "order_key"))
        tx.connection.execute(update(ecg).where(ecg.c.ecg_id == row.ecg_id).values(values))


def _erase_messages(tx: Transaction, rows: _Rows, nobody: str) -> None:
    mine = message.c.message_id.in_(rows.messages)
    tx.connection.execute(delete(message_body).where(message_body.c.message_id.in_(rows.messages)))
    _blank(tx, seals.ADDRESS, mine)
    values = {"ack_private": None, "patient_key": nobody, "filed_key": nobody}
    tx.connection.execute(update(message).where(mine).values(values))
    dead = update(message).where(mine, message.c.state == MessageState.DEAD.value)
    tx.connection.execute(dead.values(state=MessageState.CANCELLED.value))


def _erase_outcomes(tx: Transaction, rows: _Rows, nobody: str) -> None:
    for table, seal in ((outcome, seals.OUTCOME), (left_out, seals.LEFT_OUT)):
        mine = table.c.patient_key.in_(rows.keys)
        _blank(tx, seal, mine)
        tx.connection.execute(update(table).where(mine).values(patient_key=nobody))


def _erase_documents(tx: Transaction, rows: _Rows) -> None:
    """What other systems said of the person: nothing of it counts, so nothing stays."""
    tx.connection.execute(delete(document_reference).where(document_reference.c.document_id.in_(rows.documents)))
    tx.connection.execute(delete(document).where(document.c.document_id.in_(rows.documents)))


def _erase_orders(tx: Transaction, rows: _Rows) -> None:
    """The person's orders, and which of them were answered."""
    tx.connection.execute(delete(order_answer).where(order_answer.c.recording_id.in_(rows.recordings)))
    theirs = select(placed_order.c.order_id).where(placed_order.c.patient_key.in_(rows.keys))
    tx.connection.execute(delete(placed_order_number).where(placed_order_number.c.order_id.in_(theirs)))
    tx.connection.execute(delete(placed_order).where(placed_order.c.patient_key.in_(rows.keys)))


def _erase_identities(tx: Transaction, rows: _Rows) -> None:
    keys = rows.keys
    tx.connection.execute(delete(patient).where(patient.c.patient_key.in_(keys)))
    tx.connection.execute(delete(identity_alias).where(_names(identity_alias, keys)))
    tx.connection.execute(delete(identity_event).where(_names(identity_event, keys)))
    linked = or_(identity_link.c.first_key.in_(keys), identity_link.c.second_key.in_(keys))
    tx.connection.execute(delete(identity_link).where(linked))


def _blank(tx: Transaction, seal: Seal, mine: ColumnElement[bool]) -> None:
    """Seal each value anew, its form kept and its content gone."""
    (primary,) = seal.table.primary_key.columns
    columns = {one.name: one for one in (primary, *seal.bound_by, seal.value, seal.key_id)}
    query = select(*columns.values()).where(mine, seal.value.is_not(None))
    for row in tx.connection.execute(query).all():
        told = json.loads(seal.open(tx.keyring, row))
        bound = {one.name: getattr(row, one.name) for one in seal.bound_by}
        sealed = seal.seal(tx.keyring, to_json(_emptied(told)), **bound)
        tx.connection.execute(update(seal.table).where(primary == getattr(row, primary.name)).values(sealed))


#: Values that are read as something else than a text, and what stands for "not known" there.
_UNKNOWN: Mapping[str, object] = {"birth_date": None, "acquired": None, "sex": "U", "identifiers": []}


def _emptied(told: object) -> object:
    if isinstance(told, dict):
        return {name: _UNKNOWN[name] if name in _UNKNOWN else _emptied(inside) for name, inside in told.items()}
    if isinstance(told, list):
        return [_emptied(one) for one in told if isinstance(one, dict) and "identifiers" in one]
    return "" if isinstance(told, str) else told
