"""Who is who: identities, what was merged into what, and the identity that survives.

An identity is an assigning authority and a number (`Identifier.identity`); its key is a keyed digest of them. A number
that two authorities issued, or that is a medical record number here and a visit number there, never brings two people
together. The price is that one person known under two numbers counts as two until a merge says otherwise: a result may
then go out in another order, but never to the wrong patient. An ECG without any identifier gets a key of its own.

An alias says: whatever is filed under `retired_key` belongs to `surviving_key` now. Aliases form trees whose roots are
the identities in use; `merge` keeps it so, whatever order the hospital's words come in. `towards_key` leads further
along the same way, so that a chain of thousands of merges is not walked link by link; where a link is cut, all of them
are put back to the next link.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging import codec, seals
from ecgfm_clinical.staging.rows import PatientRow, first_row
from ecgfm_clinical.staging.schema import ecg_identity, identity_alias, identity_event, identity_link, patient
from ecgfm_clinical.staging.sealing import Keyring, to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import upsert
from ecgfm_connectors.patient import Identifier, Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What one merge did to the aliases."""

    retired: str  #: key of the identity that is retired
    survivor: str  #: key of the identity in use under which its records belong now
    rearranged: frozenset[str] = (
        frozenset()
    )  #: keys that have another survivor, where an older alias was cut or replaced


def identifier_key(tx: Reading, identifier: Identifier) -> str:
    """The digest by which an identity is looked up."""
    return tx.key("identity", *identifier.identity)


def patient_key(tx: Reading, patient: Patient, source_key: str) -> str:
    """The key of this patient; one of its own where the sender gave no identifier."""
    if not patient.identifiers:
        return tx.key("nobody", source_key)
    return identifier_key(tx, patient.identifiers[0])


def resolve(connection: Connection, key: str) -> str:
    """The key of the surviving identity. Raises StoreError where aliases run in a circle, which `merge` never makes."""
    seen = {key}
    while following := connection.scalar(_TOWARDS, {"of": key}):
        if following in seen:
            raise StoreError("the aliases of an identity run in a circle: restore the store from a backup")
        seen.add(following)
        key = following
    return key


_TOWARDS = select(identity_alias.c.towards_key).where(identity_alias.c.retired_key == bindparam("of"))


def surviving_patient(tx: Reading, received: Patient) -> Patient:
    """The patient with every retired identifier replaced by its survivor, and the survivor's demographics if known."""
    identifiers = in_use(tx, received.identifiers)
    if not identifiers or identifiers[0].identity == received.identifiers[0].identity:
        return replace(received, identifiers=identifiers)
    known = demographics(tx.connection, tx.keyring, identifier_key(tx, identifiers[0])) or received
    return replace(known, identifiers=identifiers)


def in_use(tx: Reading, identifiers: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """The identities that survive these now, each once, in their order."""
    return tuple({one.identity: one for one in (_surviving_identifier(tx, one) for one in identifiers)}.values())


def _surviving_identifier(tx: Reading, identifier: Identifier) -> Identifier:
    key = identifier_key(tx, identifier)
    survivor = resolve(tx.connection, key)
    if survivor == key:
        return identifier
    row = tx.connection.execute(select(identity_alias).where(identity_alias.c.surviving_key == survivor).limit(1)).one()
    return Identifier(**json.loads(seals.IDENTITY_ALIAS.open(tx.keyring, row)))


def merge(
    tx: Transaction, retired: Identifier, surviving: Identifier, *, trigger: str, payload_id: int | None
) -> Merged | None:
    """`retired` is `surviving` from now on; None, with nothing done, where they are one identity.

    Identities are locked.
    """
    if identifier_key(tx, retired) == identifier_key(tx, surviving):
        return None
    _keep_event(tx, retired, surviving, trigger=trigger, payload_id=payload_id)
    return alias(tx, retired, surviving, since=tx.now)


def alias(tx: Transaction, retired: Identifier, surviving: Identifier, *, since: datetime) -> Merged | None:
    """File one alias; None where they are one identity.

    Where the survivor had itself been retired in favour of `retired`, the newer word counts and the older alias is cut,
    so that no ring can arise. Where `retired` had another survivor, the newer word counts as well.
    """
    old_key, new_key = identifier_key(tx, retired), identifier_key(tx, surviving)
    if old_key == new_key:
        return None
    before = tx.connection.scalar(select(identity_alias.c.surviving_key).where(identity_alias.c.retired_key == old_key))
    rearranged: frozenset[str] = frozenset()
    if _leads_to(tx.connection, new_key, old_key):
        rearranged |= _cut(tx, new_key)
    if before is not None and before != new_key:
        rearranged |= _cut(tx, old_key)
    sealed = seals.IDENTITY_ALIAS.seal(tx.keyring, to_json(codec.identifier_dict(surviving)), retired_key=old_key)
    survivor = resolve(tx.connection, new_key)
    values = {"surviving_key": new_key, "towards_key": survivor, "since": since, **sealed}
    upsert(tx.connection, identity_alias, {"retired_key": old_key}, values)
    return Merged(retired=old_key, survivor=survivor, rearranged=rearranged)


def unmerge(tx: Transaction, identifier: Identifier, *, trigger: str, payload_id: int | None) -> frozenset[str]:
    """The identity is in use again: the keys that have another survivor by it, none where it was not retired."""
    key = identifier_key(tx, identifier)
    if tx.connection.scalar(select(identity_alias.c.retired_key).where(identity_alias.c.retired_key == key)) is None:
        return frozenset()
    _keep_event(tx, identifier, identifier, trigger=trigger, payload_id=payload_id)
    return _cut(tx, key)


def merged_pair(tx: Reading, first: Identifier, second: Identifier) -> Identifier | None:
    """Which of two identities is retired in favour of the other, directly or along a chain; None where neither is."""
    keys = identifier_key(tx, first), identifier_key(tx, second)
    if _leads_to(tx.connection, keys[0], keys[1]):
        return first
    return second if _leads_to(tx.connection, keys[1], keys[0]) else None


def link(tx: Transaction, first: Identifier, second: Identifier, *, trigger: str, payload_id: int | None) -> None:
    """Both identities name one person and stay in use (A24)."""
    _keep_event(tx, first, second, trigger=trigger, payload_id=payload_id)
    pair = sorted((identifier_key(tx, first), identifier_key(tx, second)))
    both = {"first": codec.identifier_dict(first), "second": codec.identifier_dict(second)}
    keys = {"first_key": pair[0], "second_key": pair[1]}
    sealed = seals.IDENTITY_LINK.seal(tx.keyring, to_json(both), **keys)
    upsert(tx.connection, identity_link, keys, {"since": tx.now, **sealed})


def unlink(tx: Transaction, first: Identifier, second: Identifier, *, trigger: str, payload_id: int | None) -> bool:
    """The two identities name one person no more (A37); whether they were linked."""
    pair = sorted((identifier_key(tx, first), identifier_key(tx, second)))
    mine = (identity_link.c.first_key == pair[0], identity_link.c.second_key == pair[1])
    if not tx.connection.execute(delete(identity_link).where(*mine)).rowcount:
        return False
    _keep_event(tx, first, second, trigger=trigger, payload_id=payload_id)
    return True


def linked(reading: Reading, key: str) -> list[Identifier]:
    """The identities in use that name the same person as this one."""
    rows = reading.connection.execute(
        select(identity_link).where(or_(identity_link.c.first_key == key, identity_link.c.second_key == key))
    ).all()
    found = []
    for row in rows:
        both = json.loads(seals.IDENTITY_LINK.open(reading.keyring, row))
        found += [one for one in (Identifier(**both["first"]), Identifier(**both["second"]))
                  if identifier_key(reading, one) != key]  # fmt: skip
    return found


def retired_into(connection: Connection, key: str) -> frozenset[str]:
    """This key and every key whose records belong to it through aliases."""
    tree = select(identity_alias.c.retired_key).where(identity_alias.c.surviving_key == key).cte("tree", recursive=True)
    tree = tree.union(select(identity_alias.c.retired_key).where(identity_alias.c.surviving_key == tree.c.retired_key))
    return frozenset((key, *connection.scalars(select(tree.c.retired_key))))


def _leads_to(connection: Connection, key: str, other: str) -> bool:
    """Whether `other` lies on the way from `key` to its survivor."""
    if not is_retired(connection, other):
        return key != other and resolve(connection, key) == other
    seen = {key}
    while following := connection.scalar(
        select(identity_alias.c.surviving_key).where(identity_alias.c.retired_key == key)
    ):
        if following == other:
            return True
        if following in seen:
            return False
        seen.add(following)
        key = following
    return False


def _cut(tx: Transaction, key: str) -> frozenset[str]:
    """Remove the alias of `key`; the keys that have another survivor by it."""
    changed = retired_into(tx.connection, key)
    tx.connection.execute(delete(identity_alias).where(identity_alias.c.retired_key == key))
    # Whatever led past the cut leads to the next link again.
    tx.connection.execute(update(identity_alias).values(towards_key=identity_alias.c.surviving_key))
    return changed


def _keep_event(
    tx: Transaction, retired: Identifier, surviving: Identifier, *, trigger: str, payload_id: int | None
) -> None:
    keys = identifier_key(tx, retired), identifier_key(tx, surviving)
    both = {"retired": codec.identifier_dict(retired), "surviving": codec.identifier_dict(surviving)}
    sealed = seals.IDENTITY_EVENT.seal(tx.keyring, to_json(both), retired_key=keys[0], surviving_key=keys[1])
    tx.connection.execute(
        insert(identity_event).values(
            payload_id=payload_id,
            at=tx.now,
            trigger=trigger,
            retired_key=keys[0],
            surviving_key=keys[1],
            **sealed,
        )
    )


def is_retired(connection: Connection, key: str) -> bool:
    """Whether the identity was merged into another."""
    mine = select(identity_alias.c.retired_key).where(identity_alias.c.retired_key == key)
    return connection.scalar(mine) is not None


def keep_demographics(tx: Transaction, known: Patient) -> None:
    """The latest ADT demographics of a patient, under each of the identifiers."""
    for identifier in known.identifiers:
        key = identifier_key(tx, identifier)
        sealed = seals.PATIENT.seal(tx.keyring, to_json(codec.patient_dict(known)), patient_key=key)
        upsert(tx.connection, patient, {"patient_key": key}, {"updated_at": tx.now, **sealed})


def demographics(connection: Connection, keyring: Keyring, key: str) -> Patient | None:
    """What ADT messages last said about the patient with this key."""
    row = first_row(connection, PatientRow, select(patient).where(patient.c.patient_key == key))
    return None if row is None else described_in(keyring, row)


def registered(reading: Reading, keys: Collection[str]) -> dict[str, Patient]:
    """What ADT messages last said of the people of these keys, by key; of a retired number its survivor's."""
    towards: dict[str, str] = dict(reading.connection.execute(_SURVIVORS, {"of": list(keys)}).all())
    wanted = {key: towards.get(key, key) for key in keys}
    rows = reading.connection.execute(_REGISTERED, {"of": list(set(wanted.values()))})
    known = {row.patient_key: described_in(reading.keyring, row) for row in (PatientRow(*one) for one in rows)}
    return {key: known[survivor] for key, survivor in wanted.items() if survivor in known}


_SURVIVORS = select(identity_alias.c.retired_key, identity_alias.c.surviving_key).where(
    identity_alias.c.retired_key.in_(bindparam("of", expanding=True))
)
_REGISTERED = select(patient).where(patient.c.patient_key.in_(bindparam("of", expanding=True)))


def described_in(keyring: Keyring, row: PatientRow) -> Patient:
    """The patient in one row of demographics."""
    return codec.patient_from(json.loads(seals.PATIENT.open(keyring, row)))


def keep_overruled(tx: Transaction, ecg_id: int, patient: Patient) -> None:
    """The number that a version itself names, where its recording belongs to somebody else:
    it was heard of all the same.
    """
    if patient.identifiers:
        row = {"identity_key": identifier_key(tx, patient.identifiers[0]), "ecg_id": ecg_id}
        tx.connection.execute(insert(ecg_identity), row)


def keep_further(tx: Transaction, ecg_id: int, patient: Patient) -> None:
    """The numbers beyond the first under which an ECG may be looked for, and which a merge may retire."""
    first, *further = [identifier_key(tx, one) for one in patient.identifiers] or [""]
    rows = [{"identity_key": key, "ecg_id": ecg_id} for key in dict.fromkeys(further) if key != first]
    if rows:
        tx.connection.execute(insert(ecg_identity), rows)
