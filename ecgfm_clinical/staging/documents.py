"""To which ECG a document of another system belongs: found anew at each look, so that an ECG that comes later, a merge
and a corrected patient need no step of their own.

Two things must agree, the number of the recording and the patient by (authority, id), and one recording must be left.
Everything else stays without an ECG, with its reason; nothing is guessed, and nothing is scored or sent of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import Row, Select, exists, or_, select

from ecgfm_clinical.staging import codec, documenting, holds, recordings, seals
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_clinical.staging.schema import document, document_reference, ecg, ecg_number, payload
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.document import Document

#: Why a document stands beside no ECG.
Reason = Literal["no-patient", "no-ecg", "other-patient", "several-ecgs", "held", "withdrawn"]
WORDS: dict[Reason, str] = {
    "no-patient": "it names no patient",
    "no-ecg": "the ECG that it refers to is not here, or it refers to none",
    "other-patient": "the ECG that it refers to belongs to another patient",
    "several-ecgs": "its study or order has several ECGs of this patient",
    "held": "a question about its ECG waits for a person",
    "withdrawn": "its sender has taken it back",
}
#: Documents shown beside one ECG.
MOST = 50

_NEWER = document.alias("newer")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDocument:
    """One document in its newest version, and where it belongs."""

    document_id: int
    version: int
    source: str  #: the listener or source that it came by
    received_at: datetime
    document: Document = field(repr=False)
    recording_ids: tuple[int, ...]  #: the recordings beside which it stands
    reason: Reason | None  #: why it stands beside none


class Documents:
    """What other systems say of ECGs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, *, limit: int = 100, before: int | None = None) -> list[KeptDocument]:
        """Documents with the place of each, newest first; `before` is the last document_id of the page before."""
        query = _newest().order_by(document.c.document_id.desc()).limit(limit)
        query = query if before is None else query.where(document.c.document_id < before)
        with self._database.reading() as ask:
            return [_kept(ask, row) for row in ask.connection.execute(query)]


def beside(reading: Reading, recording_id: int) -> tuple[KeptDocument, ...]:
    """The documents that belong to a recording, oldest first; none that another of them replaces."""
    mine = select(ecg.c.ecg_id).where(ecg.c.recording_id == recording_id)
    sources = select(ecg.c.source_key).where(ecg.c.recording_id == recording_id)
    known = select(ecg_number.c.number_key).where(ecg_number.c.ecg_id.in_(mine))
    meant = select(document_reference.c.document_id).where(
        or_(document_reference.c.reference_key.in_(sources), document_reference.c.reference_key.in_(known))
    )
    query = _newest().where(document.c.document_id.in_(meant)).order_by(document.c.document_id.desc()).limit(MOST)
    found = [_kept(reading, row) for row in reading.connection.execute(query)]
    here = [one for one in found if recording_id in one.recording_ids]
    replaced = {uid for one in here for uid in one.document.replaces}
    return tuple(one for one in reversed(here) if one.document.source_id not in replaced)


def _newest() -> Select[tuple[object, ...]]:
    superseded = exists().where(_NEWER.c.source_key == document.c.source_key, _NEWER.c.version > document.c.version)
    joined = select(*document.c, payload.c.source).join(payload, payload.c.payload_id == document.c.payload_id)
    return joined.where(~superseded)


def _kept(reading: Reading, row: Row[tuple[object, ...]]) -> KeptDocument:
    told = codec.document_from(seals.DOCUMENT.open(reading.keyring, row))
    recording_ids, reason = _place(reading, told)
    return KeptDocument(
        document_id=row.document_id,
        version=row.version,
        source=row.source,
        received_at=row.received_at,
        document=told,
        recording_ids=recording_ids,
        reason=reason,
    )


def _place(reading: Reading, one: Document) -> tuple[tuple[int, ...], Reason | None]:
    if one.withdrawn:
        return (), "withdrawn"
    if not one.patient.identifiers:
        return (), "no-patient"
    named = _named(reading, one)
    if not named:
        return (), "no-ecg"
    mine = [row for row in named if recordings.same_person(reading, recordings.patient_of(reading, row), one.patient)]
    if not mine or (one.refers.instances and len(mine) < len(named)):
        return (), "other-patient"
    if len(mine) > 1 and not one.refers.instances:
        return (), "several-ecgs"
    clear = tuple(row.recording_id for row in mine if not holds.is_open(reading, row.recording_id))
    return clear, None if clear else "held"


def _named(reading: Reading, one: Document) -> Sequence[EcgVersion]:
    """The recordings that it names: by instance, else by study, else by the numbers of the order."""
    if one.refers.instances:
        return recordings.by_numbers(reading, one.refers.instances)
    study = documenting.study_keys(reading, one.refers)
    return recordings.by_number_keys(reading, study) or recordings.by_number_keys(
        reading, documenting.order_keys(reading, one.refers)
    )
