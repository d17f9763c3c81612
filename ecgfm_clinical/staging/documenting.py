"""How what another system said of an ECG is written: the words sealed, what it refers to as keyed digests."""

from sqlalchemy import func, insert, select

from ecgfm_clinical.staging import codec, identity, numbers, seals
from ecgfm_clinical.staging.schema import document, document_reference
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.base import Received
from ecgfm_connectors.document import Document, References


def stage(tx: Transaction, payload_id: int, received: Received, one: Document) -> None:
    """A new document, or the next version of a known one."""
    source_key = tx.key("source", one.source_id)
    newest = tx.connection.scalar(select(func.max(document.c.version)).where(document.c.source_key == source_key))
    version = 1 + (newest or 0)
    sealed = seals.DOCUMENT.seal(tx.keyring, to_json(codec.document_dict(one)), source_key=source_key, version=version)
    document_id = tx.connection.execute(
        insert(document).returning(document.c.document_id),
        {
            "payload_id": payload_id,
            "source_key": source_key,
            "version": version,
            "patient_key": identity.patient_key(tx, one.patient, source_key),
            "kind": one.kind,
            "withdrawn": one.withdrawn,
            "received_at": received.received_at,
            **sealed,
        },
    ).scalar_one()
    rows = [{"reference_key": key, "document_id": document_id} for key in reference_keys(tx, one.refers)]
    if rows:
        tx.connection.execute(insert(document_reference), rows)
    tx.note("document.staged", payload_id=payload_id, kind=one.kind, version=version, withdrawn=one.withdrawn)


def reference_keys(reading: Reading, refers: References) -> list[str]:
    """The digests under which an ECG finds the document. Where it names instances, nothing else leads to it."""
    instances = [reading.key("source", uid) for uid in refers.instances]
    return list(dict.fromkeys(instances or (*study_keys(reading, refers), *order_keys(reading, refers))))


def study_keys(reading: Reading, refers: References) -> list[str]:
    """As `ecg_number.number_key` of its study."""
    return numbers.study_keys(reading, refers.study_uid)


def order_keys(reading: Reading, refers: References) -> list[str]:
    """As `ecg_number.number_key` of accession, placer and filler number."""
    return numbers.keys(reading, refers.numbers)
