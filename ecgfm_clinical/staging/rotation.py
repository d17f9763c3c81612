"""Sealing the whole store under the current key: after a new key, after encryption was turned on, or off.

Row by row, in pages, while work goes on: whoever reads opens each value with the key that its row names.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table, or_, select, update

from ecgfm_clinical.staging import schema as s
from ecgfm_clinical.staging.transaction import Transaction

PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    """One sealed column: where its key number stands and what its values are bound to."""

    table: Table
    value: Column[Any]
    key_id: Column[Any]
    bound_to: Callable[[Any], str]
    parent: Table | None = None  #: joined by the table's own primary key, where it names what the value is bound to


SEALED = (
    _Sealed(
        table=s.payload,
        value=s.payload.c.private,
        key_id=s.payload.c.key_id,
        bound_to=lambda row: f"payload:{row.sha256}",
    ),
    _Sealed(
        table=s.payload_content,
        value=s.payload_content.c.content,
        key_id=s.payload_content.c.key_id,
        bound_to=lambda row: f"payload_content:{row.sha256}",
        parent=s.payload,
    ),
    _Sealed(
        table=s.ecg,
        value=s.ecg.c.private,
        key_id=s.ecg.c.key_id,
        bound_to=lambda row: f"ecg:{row.source_key}:{row.version}",
    ),
    _Sealed(
        table=s.signal,
        value=s.signal.c.samples,
        key_id=s.signal.c.key_id,
        bound_to=lambda row: f"signal:{row.source_key}:{row.version}",
        parent=s.ecg,
    ),
    _Sealed(
        table=s.message,
        value=s.message.c.ack_private,
        key_id=s.message.c.key_id,
        bound_to=lambda row: f"ack:{row.control_id}",
    ),
    _Sealed(
        table=s.message,
        value=s.message.c.addressed_to,
        key_id=s.message.c.addressed_key_id,
        bound_to=lambda row: f"address:{row.control_id}",
    ),
    _Sealed(
        table=s.message_body,
        value=s.message_body.c.body,
        key_id=s.message_body.c.key_id,
        bound_to=lambda row: f"message_body:{row.control_id}",
        parent=s.message,
    ),
    _Sealed(
        table=s.outcome,
        value=s.outcome.c.private,
        key_id=s.outcome.c.key_id,
        bound_to=lambda row: f"outcome:{row.source_key}:{row.version}",
    ),
    _Sealed(
        table=s.patient,
        value=s.patient.c.private,
        key_id=s.patient.c.key_id,
        bound_to=lambda row: f"patient:{row.patient_key}",
    ),
    _Sealed(
        table=s.identity_alias,
        value=s.identity_alias.c.private,
        key_id=s.identity_alias.c.key_id,
        bound_to=lambda row: f"identity_alias:{row.retired_key}",
    ),
    _Sealed(
        table=s.identity_event,
        value=s.identity_event.c.private,
        key_id=s.identity_event.c.key_id,
        bound_to=lambda row: f"identity_event:{row.retired_key}:{row.surviving_key}",
    ),
    _Sealed(
        table=s.store_meta,
        value=s.store_meta.c.value,
        key_id=s.store_meta.c.key_id,
        bound_to=lambda row: f"store_meta:{row.name}",
    ),
)


def reseal_page(tx: Transaction, *, plain: bool) -> int:
    """Seal the next page of values that another key, or none, protects; 0 once all are under the current one.

    `plain` opens them for good instead.
    """
    for sealed in SEALED:
        if done := _reseal(tx, sealed, None if plain else tx.keyring.current):
            tx.note("store.resealed", table=sealed.table.name, column=sealed.value.name, count=done)
            return done
    return 0


def _reseal(tx: Transaction, sealed: _Sealed, wanted: int | None) -> int:
    done = 0
    for row in _rows(tx, sealed, wanted):
        bound_to = sealed.bound_to(row)
        opened = tx.keyring.open(row.sealed_with, row.sealed_value, bound_to)
        number, stored = (None, opened) if wanted is None else tx.keyring.seal(opened, bound_to)
        (primary,) = sealed.table.primary_key.columns
        tx.connection.execute(
            update(sealed.table)
            .where(primary == getattr(row, primary.name))
            .values({sealed.value.name: stored, sealed.key_id.name: number})
        )
        done += 1
    return done


def _rows(tx: Transaction, sealed: _Sealed, wanted: int | None) -> Iterator[Any]:
    other = sealed.key_id.is_not(None) if wanted is None else or_(sealed.key_id.is_(None), sealed.key_id != wanted)
    (primary,) = sealed.table.primary_key.columns
    named_in = sealed.table if sealed.parent is None else sealed.parent
    natural = [column for column in named_in.c if column.name in _NATURAL]
    own = [] if primary in natural else [primary]
    query = select(*own, *natural, sealed.value.label("sealed_value"), sealed.key_id.label("sealed_with"))
    if sealed.parent is not None:
        query = query.select_from(sealed.table).join(sealed.parent, sealed.parent.c[primary.name] == primary)
    query = query.where(other, sealed.value.is_not(None)).limit(PAGE).with_for_update(of=sealed.table)
    return iter(tx.connection.execute(query).all())


_NATURAL = frozenset(
    ("sha256", "source_key", "version", "control_id", "patient_key", "retired_key", "surviving_key", "name")
)
