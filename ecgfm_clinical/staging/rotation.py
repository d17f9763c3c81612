"""Sealing the whole store under the current key: after a new key, after encryption was turned on, or off.

Row by row, in pages, while work goes on: whoever reads opens each value with the key that its row names.
"""

from collections.abc import Iterator
from typing import Any  # Any: SQLAlchemy's rows of whichever table

from sqlalchemy import or_, select, update

from ecgfm_clinical.staging import seals
from ecgfm_clinical.staging.seals import Seal
from ecgfm_clinical.staging.transaction import Reading, Transaction

PAGE = 100


def reseal_page(tx: Transaction, *, plain: bool) -> int:
    """Seal the next page of values that another key, or none, protects; 0 once all are under the current one.

    `plain` opens them for good instead.
    """
    for seal in seals.ALL:
        if done := _reseal(tx, seal, plain):
            tx.note("store.resealed", table=seal.table.name, column=seal.value.name, count=done)
            return done
    return 0


def sealed_with(reading: Reading) -> set[int]:
    """The numbers of the keys that protect any value."""
    return {
        number
        for seal in seals.ALL
        for number in reading.connection.scalars(select(seal.key_id).where(seal.key_id.is_not(None)).distinct())
        if number is not None
    }


def _reseal(tx: Transaction, seal: Seal, plain: bool) -> int:
    done = 0
    (primary,) = seal.table.primary_key.columns
    for row in _rows(tx, seal, None if plain else tx.keyring.current):
        opened = seal.open_value(tx.keyring, row.sealed_with, row.sealed_value, of=row)
        changed: dict[str, bytes | int | None] = {seal.value.name: opened, seal.key_id.name: None}
        if not plain:
            changed = seal.seal(tx.keyring, opened, **{one.name: getattr(row, one.name) for one in seal.bound_by})
        tx.connection.execute(update(seal.table).where(primary == getattr(row, primary.name)).values(changed))
        done += 1
    return done


def _rows(tx: Transaction, seal: Seal, wanted: int | None) -> Iterator[Any]:
    other = seal.key_id.is_not(None) if wanted is None else or_(seal.key_id.is_(None), seal.key_id != wanted)
    (primary,) = seal.table.primary_key.columns
    own = [] if primary in seal.bound_by else [primary]
    query = select(*own, *seal.bound_by, seal.value.label("sealed_value"), seal.key_id.label("sealed_with"))
    if seal.parent is not None:
        query = query.select_from(seal.table).join(seal.parent, seal.parent.c[primary.name] == primary)
    query = query.where(other, seal.value.is_not(None)).limit(PAGE).with_for_update(of=seal.table)
    return iter(tx.connection.execute(query).all())
