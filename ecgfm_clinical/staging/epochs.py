"""The epoch of a store stands in every filler number, so that a restored store never gives one out twice.

A store of the first schemas has an empty one, because its results are at the receivers under numbers without an epoch.
"""

import base64
from collections.abc import Callable

from sqlalchemy import select

from ecgfm_clinical.staging import seals
from ecgfm_clinical.staging.schema import store_meta
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import upsert

NAME = "epoch"


def new(random_bytes: Callable[[int], bytes]) -> str:
    """Four letters and digits and a hyphen: `K7QF-`."""
    return base64.b32encode(random_bytes(3)).decode()[:4] + "-"


def current(tx: Reading) -> str:
    """The epoch of new filler numbers."""
    row = tx.connection.execute(_CURRENT).first()
    return "" if row is None else seals.STORE_META.open(tx.keyring, row).decode()


_CURRENT = select(store_meta).where(store_meta.c.name == NAME)


def begin(tx: Transaction, epoch: str) -> None:
    """Filler numbers get this epoch from now on."""
    upsert(tx.connection, store_meta, {"name": NAME}, seals.STORE_META.seal(tx.keyring, epoch.encode(), name=NAME))
    tx.note("store.epoch-began", epoch=epoch)
