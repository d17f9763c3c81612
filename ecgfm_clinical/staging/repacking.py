"""Compressing what earlier versions stored as it was, page by page, while work goes on.

Whoever reads a value unpacks it by the coding that stands beside it, so a store may hold both for as long as it likes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Column, literal_column, select, update

from ecgfm_clinical.staging import seals
from ecgfm_clinical.staging.compression import LEADS, SAMPLE, Packed, pack_payload, pack_signal
from ecgfm_clinical.staging.schema import payload_content, signal
from ecgfm_clinical.staging.seals import Seal
from ecgfm_clinical.staging.transaction import Transaction

PAGE = 20  #: values a transaction: other writers never wait long


@dataclass(frozen=True, slots=True, kw_only=True)
class Repacked:
    """What one page, or a whole run, came to."""

    values: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    def plus(self, other: "Repacked") -> "Repacked":
        return Repacked(
            values=self.values + other.values,
            bytes_before=self.bytes_before + other.bytes_before,
            bytes_after=self.bytes_after + other.bytes_after,
        )


def repack_page(tx: Transaction) -> Repacked:
    """Compress the next values that are stored as they came; none once there are no more."""
    for seal, coding, pack in _KINDS:
        found = _repack(tx, seal, coding, pack)
        if found.values:
            tx.note("store.compressed", table=seal.table.name, count=found.values)
            return found
    return Repacked()


def _pack_samples(plain: bytes) -> Packed:
    return pack_signal(np.frombuffer(plain, SAMPLE).reshape(LEADS, -1))


#: What is compressed, where its coding stands, and how.
_KINDS: tuple[tuple[Seal, Column[str], Callable[[bytes], Packed]], ...] = (
    (seals.SIGNAL, signal.c.coding, _pack_samples),
    (seals.PAYLOAD_CONTENT, payload_content.c.coding, pack_payload),
)


def _repack(tx: Transaction, seal: Seal, coding: Column[str], pack: Callable[[bytes], Packed]) -> Repacked:
    table, parent = seal.table, seal.parent
    assert parent is not None
    (primary,) = table.primary_key.columns
    rows = tx.connection.execute(
        select(primary, *seal.bound_by, seal.value.label("stored"), seal.key_id.label("sealed_with"))
        .select_from(table)
        .join(parent, parent.c[primary.name] == primary)
        .where(literal_column(f"{table.name}.coding = ''"))  # a literal: only then is the partial index used
        .limit(PAGE)
        .with_for_update(of=table)
    ).all()
    found = Repacked()
    for row in rows:
        packed = pack(seal.open_value(tx.keyring, row.sealed_with, row.stored, of=row))
        sealed = seal.seal(tx.keyring, packed.value, **{one.name: getattr(row, one.name) for one in seal.bound_by})
        values = {coding.name: packed.coding, **sealed}
        tx.connection.execute(update(table).where(primary == getattr(row, primary.name)).values(values))
        stored = sealed[seal.value.name]
        assert isinstance(stored, bytes)
        found = found.plus(Repacked(values=1, bytes_before=len(row.stored), bytes_after=len(stored)))
    return found
