"""Whose ECG is it: patient keys, merges (ADT^A40, A47) and the surviving identity.

A patient key is a keyed digest of (assigning authority, identifier type, value) of the identifier under which results go
out, `identifiers[0]`. Two patients share a key only if all three are equal, so a number that two authorities issued, or
that is a medical record number here and a visit number there, never brings two people together. The price is that one
person known under two numbers counts as two until a merge says otherwise: a result may then go out in another order, but
never to the wrong patient. An ECG without any identifier gets a key of its own and is never joined with anything.

An alias says: whatever was filed under `retired_key` now belongs to `surviving_key`. Chains (A into B, B into C) are
followed to their end. A later event that lets a retired identity survive again cuts the older alias.
"""

import json
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from ecgfm_clinical.staging import codec, seals
from ecgfm_clinical.staging.schema import identity_alias, identity_event, patient
from ecgfm_clinical.staging.sealing import Keyring, to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import upsert
from ecgfm_connectors.contents import Merge
from ecgfm_connectors.patient import Identifier, Patient


def identifier_key(tx: Reading, identifier: Identifier) -> str:
    return tx.key("patient", identifier.authority, identifier.type, identifier.value)


def patient_key(tx: Reading, patient: Patient, source_key: str) -> str:
    """The key of this patient; one of its own where the sender gave no identifier."""
    if not patient.identifiers:
        return tx.key("nobody", source_key)
    return identifier_key(tx, patient.identifiers[0])


def resolve(connection: Connection, key: str) -> str:
    """The key of the surviving identity."""
    while following := connection.scalar(
        select(identity_alias.c.surviving_key).where(identity_alias.c.retired_key == key)
    ):
        key = following
    return key


def surviving_patient(tx: Reading, received: Patient) -> Patient:
    """The patient with every retired identifier replaced by its survivor, and the survivor's demographics if known."""
    current = tuple(dict.fromkeys(_surviving_identifier(tx, one) for one in received.identifiers))
    if not current or current[0] == received.identifiers[0]:
        return replace(received, identifiers=current)
    known = demographics(tx.connection, tx.keyring, identifier_key(tx, current[0])) or received
    return replace(known, identifiers=current)


def _surviving_identifier(tx: Reading, identifier: Identifier) -> Identifier:
    key = identifier_key(tx, identifier)
    while row := tx.connection.execute(select(identity_alias).where(identity_alias.c.retired_key == key)).first():
        stored = json.loads(seals.IDENTITY_ALIAS.open(tx.keyring, row))
        identifier, key = Identifier(**stored), row.surviving_key
    return identifier


def file(tx: Transaction, payload_id: int, event: Merge) -> tuple[str, str] | None:
    """File one merge or change of identifier: the key that is retired and the one that survives; None where equal."""
    tx.lock_identities(exclusive=True)
    retired, surviving = identifier_key(tx, event.retired), identifier_key(tx, event.surviving)
    _keep_event(tx, payload_id, event, retired, surviving)
    if retired == surviving:
        return None
    if resolve(tx.connection, surviving) == retired:
        # The identity that survives now had been retired in favour of this one: the newer word counts.
        tx.connection.execute(delete(identity_alias).where(identity_alias.c.retired_key == surviving))
    sealed = seals.IDENTITY_ALIAS.seal(tx.keyring, to_json(codec.identifier_dict(event.surviving)), retired_key=retired)
    values = {"surviving_key": surviving, "since": tx.now, **sealed}
    upsert(tx.connection, identity_alias, {"retired_key": retired}, values)
    return retired, resolve(tx.connection, surviving)


def _keep_event(tx: Transaction, payload_id: int, event: Merge, retired: str, surviving: str) -> None:
    both = {"retired": codec.identifier_dict(event.retired), "surviving": codec.identifier_dict(event.surviving)}
    sealed = seals.IDENTITY_EVENT.seal(tx.keyring, to_json(both), retired_key=retired, surviving_key=surviving)
    tx.connection.execute(
        insert(identity_event).values(
            payload_id=payload_id,
            at=tx.now,
            trigger=event.event,
            retired_key=retired,
            surviving_key=surviving,
            **sealed,
        )
    )


def keep_demographics(tx: Transaction, known: Patient) -> None:
    """The latest ADT demographics of a patient, under each of the identifiers."""
    for identifier in known.identifiers:
        key = identifier_key(tx, identifier)
        sealed = seals.PATIENT.seal(tx.keyring, to_json(codec.patient_dict(known)), patient_key=key)
        upsert(tx.connection, patient, {"patient_key": key}, {"updated_at": tx.now, **sealed})


def demographics(connection: Connection, keyring: Keyring, key: str) -> Patient | None:
    """What ADT messages last said about the patient with this key."""
    row: Any = connection.execute(select(patient).where(patient.c.patient_key == key)).first()
    return row and codec.patient_from(json.loads(seals.PATIENT.open(keyring, row)))
