"""Who objects to learning: no ECG of the person comes into any cohort, whatever number it came in under.

Kept is the keyed digest of the number alone. It holds for the numbers merged and linked with it, also later ones.
"""

from datetime import datetime

from sqlalchemy import delete, func, insert, select

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging import identity
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.schema import ecg, identity_link, objection
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.patient import Identifier


class Objections:
    """The objections of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, identifier: Identifier, *, reason: str, now: datetime, actor: str) -> None:
        """From now on no cohort holds an ECG of this person. Raises StoreError where that is so already."""
        with self._database.writing(now, actor) as tx:
            key = identity.identifier_key(tx, identifier)
            if _known(tx, key):
                raise StoreError("this number is kept out of learning already")
            tx.connection.execute(insert(objection).values(patient_key=key, since=now, actor=actor))
            tx.note("patient.objected", reason=reason, of_ecg=_newest_ecg(tx, key))

    def lift(self, identifier: Identifier, *, reason: str, now: datetime, actor: str) -> None:
        """The person objects no longer. Raises StoreError where this number did not."""
        with self._database.writing(now, actor) as tx:
            key = identity.identifier_key(tx, identifier)
            if not _known(tx, key):
                raise StoreError("this number is not kept out of learning; perhaps one merged or linked with it is")
            tx.connection.execute(delete(objection).where(objection.c.patient_key == key))
            tx.note("patient.objection-lifted", reason=reason, of_ecg=_newest_ecg(tx, key))

    def count(self) -> int:
        """How many numbers are kept out."""
        with self._database.reading() as ask:
            return len(ask.connection.scalars(select(objection.c.patient_key)).all())


def keys(reading: Reading) -> frozenset[str]:
    """The keys of everyone who objects, with all that are merged and linked with them today."""
    found: set[str] = set()
    left = set(reading.connection.scalars(select(objection.c.patient_key)))
    links = reading.connection.execute(select(identity_link.c.first_key, identity_link.c.second_key)).all()
    while left:
        tree = {one for key in left for one in _tree(reading, key)}
        beside = {two for one, two in links if one in tree} | {one for one, two in links if two in tree}
        found |= tree
        left = beside - found
    return frozenset(found)


def _tree(reading: Reading, key: str) -> set[str]:
    root = identity.resolve(reading.connection, key)
    return {key, root, *identity.retired_into(reading.connection, root)}


def _newest_ecg(reading: Reading, key: str) -> int | None:
    """An ECG of the person, by which the audit message finds their number; None where none is here."""
    newest = select(func.max(ecg.c.ecg_id)).where(ecg.c.patient_key.in_(_tree(reading, key)))
    found: int | None = reading.connection.scalar(newest)
    return found


def _known(reading: Reading, key: str) -> bool:
    asked = select(objection.c.patient_key).where(objection.c.patient_key == key)
    return reading.connection.scalar(asked) is not None
