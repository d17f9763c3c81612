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
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from ecgfm_clinical.staging import codec
from ecgfm_clinical.staging.schema import identity_alias, identity_event, message, message_body, patient
from ecgfm_clinical.staging.sealing import Keyring, to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import upsert
from ecgfm_connectors.contents import IdentityEvent
from ecgfm_connectors.patient import Identifier, Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeReport:
    """What one merge did to messages of the retired identity."""

    moved: tuple[int, ...]  #: not sent before: they go out under the surviving identity
    sent: tuple[
        int, ...
    ]  #: sent, or perhaps sent, under the retired identity: the receiver must follow the merge itself


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
        stored = json.loads(tx.keyring.open(row.key_id, row.private, f"identity_alias:{key}"))
        identifier, key = Identifier(**stored), row.surviving_key
    return identifier


def record(tx: Transaction, payload_id: int, event: IdentityEvent) -> MergeReport:
    """File one merge or change of identifier and move what is not yet sent."""
    tx.lock_identities(exclusive=True)
    retired, surviving = identifier_key(tx, event.retired), identifier_key(tx, event.surviving)
    _keep_event(tx, payload_id, event, retired, surviving)
    if retired == surviving:
        return MergeReport(moved=(), sent=())
    if resolve(tx.connection, surviving) == retired:
        # The identity that survives now had been retired in favour of this one: the newer word counts.
        tx.connection.execute(delete(identity_alias).where(identity_alias.c.retired_key == surviving))
    key_id, private = tx.keyring.seal(
        to_json(codec.identifier_dict(event.surviving)), bound_to=f"identity_alias:{retired}"
    )
    values = {"surviving_key": surviving, "since": tx.now, "key_id": key_id, "private": private}
    upsert(tx.connection, identity_alias, {"retired_key": retired}, values)
    report = _move_messages(tx, retired, resolve(tx.connection, surviving))
    tx.note("identity.merged", payload_id=payload_id, moved=_listed(report.moved), sent=_listed(report.sent))
    return report


def _keep_event(tx: Transaction, payload_id: int, event: IdentityEvent, retired: str, surviving: str) -> None:
    both = {"retired": codec.identifier_dict(event.retired), "surviving": codec.identifier_dict(event.surviving)}
    key_id, private = tx.keyring.seal(to_json(both), bound_to=f"identity_event:{retired}:{surviving}")
    tx.connection.execute(
        insert(identity_event).values(
            payload_id=payload_id,
            at=tx.now,
            trigger=event.event,
            retired_key=retired,
            surviving_key=surviving,
            key_id=key_id,
            private=private,
        )
    )


def _move_messages(tx: Transaction, retired: str, surviving: str) -> MergeReport:
    """Messages that certainly never left change hands; a body already composed for them is composed anew."""
    theirs = message.c.patient_key == retired
    moved = tx.connection.scalars(
        message.update()
        .where(theirs, message.c.state.in_(("waiting", "running")), message.c.in_doubt == 0)
        .values(patient_key=surviving, body_sha256=None)
        .returning(message.c.message_id)
    ).all()
    tx.connection.execute(delete(message_body).where(message_body.c.message_id.in_(moved)))
    # What is still under way in doubt goes out as it was, and must still come before what follows for this patient.
    under_way = tx.connection.scalars(
        message.update()
        .where(theirs, message.c.state.in_(("waiting", "running")))
        .values(patient_key=surviving)
        .returning(message.c.message_id)
    ).all()
    sent = tx.connection.scalars(
        select(message.c.message_id).where(theirs, message.c.state == "acknowledged").order_by(message.c.message_id)
    ).all()
    return MergeReport(moved=tuple(sorted(moved)), sent=tuple(sorted([*sent, *under_way])))


def _listed(message_ids: Iterable[int]) -> str:
    return ",".join(map(str, message_ids))


def keep_demographics(tx: Transaction, known: Patient) -> None:
    """The latest ADT demographics of a patient, under each of the identifiers."""
    for identifier in known.identifiers:
        key = identifier_key(tx, identifier)
        key_id, private = tx.keyring.seal(to_json(codec.patient_dict(known)), bound_to=f"patient:{key}")
        upsert(
            tx.connection, patient, {"patient_key": key}, {"updated_at": tx.now, "key_id": key_id, "private": private}
        )


def demographics(connection: Connection, keyring: Keyring, key: str) -> Patient | None:
    """What ADT messages last said about the patient with this key."""
    row: Any = connection.execute(select(patient).where(patient.c.patient_key == key)).first()
    return row and codec.patient_from(json.loads(keyring.open(row.key_id, row.private, f"patient:{key}")))
