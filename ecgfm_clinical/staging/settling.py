"""What a store needs once: an epoch for its filler numbers, and, from the first schemas, the keys of identities anew.

In the first schemas a key distinguished `HOSP` from `hosp` and MR from PI, and aliases could run in a circle. Every key
is computed again from the sealed identifiers, and the aliases are filed again from the events, in order: the newest
word counts. It needs the key file, so it happens when a store is opened for the first time after `migrate`, in one
transaction.
"""

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any  # Any: SQLAlchemy's rows of whichever table

from sqlalchemy import Row, Table, delete, select, update

from ecgfm_clinical import log
from ecgfm_clinical.staging import codec, epochs, identity, message_rows, seals
from ecgfm_clinical.staging import schema as s
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.private import private_of
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import upsert
from ecgfm_connectors.patient import Identifier

IDENTITY_KEYS = "identity_keys"  #: name in `store_meta`
IDENTITY_SCHEME = b"2"  #: authority without case, kind of number, number
PAGE = 1000

_KEYS = (
    s.ecg.c.patient_key,
    s.outcome.c.patient_key,
    s.left_out.c.patient_key,
    s.message.c.patient_key,
    s.message.c.filed_key,
)


def is_due(tx: Reading) -> bool:
    """Whether the store's keys are those of the first schemas."""
    row = tx.connection.execute(select(s.store_meta).where(s.store_meta.c.name == IDENTITY_KEYS)).first()
    return row is None or seals.STORE_META.open(tx.keyring, row) != IDENTITY_SCHEME


def settle(database: Database, *, now: datetime, actor: str) -> int:
    """Compute every key anew and give an empty store its epoch; how many identities there are.

    Nothing is done where it was done before.
    """
    with database.reading() as ask:
        if not is_due(ask):
            return 0
    with database.writing(now, actor) as tx:
        tx.lock_identities(exclusive=True)
        if not is_due(tx):  # another process was quicker
            return 0
        if tx.connection.scalar(select(s.message.c.message_id).limit(1)) is None:
            epochs.begin(tx, epochs.new(database.random_bytes))
        renamed = dict(_renamed(tx))
        rings = [frozenset(renamed.get(key, key) for key in ring) for ring in _rings(tx)]
        _rename_everywhere(tx, renamed)
        _rename_demographics(tx, renamed)
        _file_again(tx)
        for ring in rings:
            _report(tx, ring)
        _further_identifiers(tx)
        _towards_survivors(tx)
        sealed = seals.STORE_META.seal(tx.keyring, IDENTITY_SCHEME, name=IDENTITY_KEYS)
        upsert(tx.connection, s.store_meta, {"name": IDENTITY_KEYS}, sealed)
        tx.note("store.settled", identities=len(renamed))
    return len(renamed)


def _old_key(tx: Reading, one: Identifier) -> str:
    return tx.key("patient", one.authority, one.type, one.value)


def _identifiers(tx: Reading) -> Iterator[Identifier]:
    """Every identifier that the store has met."""
    for version in (EcgVersion(*one) for one in _rows(tx, s.ecg)):
        yield from private_of(tx, version).patient.identifiers
    for row in _rows(tx, s.outcome):
        yield from codec.patient_from(json.loads(seals.OUTCOME.open(tx.keyring, row))["patient"]).identifiers
    for row in _rows(tx, s.patient):
        yield from codec.patient_from(json.loads(seals.PATIENT.open(tx.keyring, row))).identifiers
    for row in _rows(tx, s.identity_event):
        both = json.loads(seals.IDENTITY_EVENT.open(tx.keyring, row))
        yield from (Identifier(**both["retired"]), Identifier(**both["surviving"]))


def _rows(tx: Reading, table: Table) -> Iterator[Row[*tuple[Any, ...]]]:
    """All rows, read in pages, so that none of it fills the memory."""
    (primary,) = table.primary_key.columns
    last = None
    while True:
        query = select(table).order_by(primary).limit(PAGE)
        page = tx.connection.execute(query if last is None else query.where(primary > last)).all()
        yield from page
        if len(page) < PAGE:
            return
        last = getattr(page[-1], primary.name)


def _renamed(tx: Reading) -> Iterator[tuple[str, str]]:
    return ((_old_key(tx, one), identity.identifier_key(tx, one)) for one in _identifiers(tx))


def _rename_everywhere(tx: Transaction, renamed: dict[str, str]) -> None:
    for column in _KEYS:
        for old, new in renamed.items():
            tx.connection.execute(update(column.table).where(column == old).values({column.name: new}))


def _rename_demographics(tx: Transaction, renamed: dict[str, str]) -> None:
    """Two spellings of one identity become one row: the newer demographics."""
    rows = tx.connection.execute(select(s.patient).order_by(s.patient.c.updated_at)).all()
    opened = [(row, seals.PATIENT.open(tx.keyring, row)) for row in rows]
    tx.connection.execute(delete(s.patient))
    for row, private in opened:
        key = renamed.get(row.patient_key, row.patient_key)
        sealed = seals.PATIENT.seal(tx.keyring, private, patient_key=key)
        upsert(tx.connection, s.patient, {"patient_key": key}, {"updated_at": row.updated_at, **sealed})


def _file_again(tx: Transaction) -> None:
    """The aliases from the events, oldest first; each event under its new keys."""
    events = tx.connection.execute(select(s.identity_event).order_by(s.identity_event.c.event_id)).all()
    opened = [(row, json.loads(seals.IDENTITY_EVENT.open(tx.keyring, row))) for row in events]
    tx.connection.execute(delete(s.identity_alias))
    for row, both in opened:
        retired, surviving = Identifier(**both["retired"]), Identifier(**both["surviving"])
        keys = {
            "retired_key": identity.identifier_key(tx, retired),
            "surviving_key": identity.identifier_key(tx, surviving),
        }
        sealed = seals.IDENTITY_EVENT.seal(tx.keyring, to_json(both), **keys)
        mine = s.identity_event.c.event_id == row.event_id
        tx.connection.execute(update(s.identity_event).where(mine).values(**keys, **sealed))
        identity.alias(tx, retired, surviving, since=row.at)


def _rings(tx: Reading) -> list[frozenset[str]]:
    """Aliases of the first schemas that run in a circle: each as the keys in it."""
    aliases = select(s.identity_alias.c.retired_key, s.identity_alias.c.surviving_key)
    towards = {row.retired_key: row.surviving_key for row in tx.connection.execute(aliases)}
    seen: set[str] = set()
    found = []
    for key in sorted(towards):
        way: list[str] = []
        while key in towards and key not in seen:
            seen.add(key)
            way.append(key)
            key = towards[key]
        if key in way:
            found.append(frozenset(way[way.index(key) :]))
    return found


def _report(tx: Transaction, ring: frozenset[str]) -> None:
    """In the audit and the log: the newest word says which number survives; a person should look whether it does."""
    theirs = select(s.ecg.c.ecg_id).where(s.ecg.c.patient_key.in_(sorted(ring))).order_by(s.ecg.c.ecg_id)
    ecgs = ",".join(map(str, tx.connection.scalars(theirs)))
    tx.note("identity.ring-cut", numbers=len(ring), ecgs=ecgs)
    log.event("identity.ring-cut", logging.WARNING, numbers=len(ring), ecgs=ecgs)


def _further_identifiers(tx: Transaction) -> None:
    for row in (EcgVersion(*one) for one in _rows(tx, s.ecg)):
        identity.keep_further(tx, row.ecg_id, private_of(tx, row).patient)


def _towards_survivors(tx: Transaction) -> None:
    """Unfinished messages keep their order under whoever survives now."""
    unfinished = select(s.message.c.message_id, s.message.c.patient_key).where(message_rows.UNFINISHED)
    for row in tx.connection.execute(unfinished).all():
        key = identity.resolve(tx.connection, row.patient_key)
        tx.connection.execute(update(s.message).where(s.message.c.message_id == row.message_id).values(patient_key=key))
