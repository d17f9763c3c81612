"""The numbers of a hospital by which an ECG is found again, kept as keyed digests."""

from collections.abc import Iterable

from ecgfm_clinical.staging.schema import ecg_number
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import insert_for
from ecgfm_connectors.ecg import Order


def keep(tx: Transaction, ecg_id: int, order: Order, document_ids: Iterable[str]) -> None:
    """Let an ECG be found by the numbers of its order and study, and by its sender's numbers of its document."""
    known = (
        *keys(tx, (order.placer, order.filler, order.accession)),
        *document_keys(tx, document_ids),
        *study_keys(tx, order.study_uid),
    )
    rows = [{"number_key": key, "ecg_id": ecg_id} for key in known]
    if rows:
        tx.connection.execute(insert_for(tx.connection.dialect, ecg_number), rows)


def keys(reading: Reading, numbers: Iterable[str]) -> list[str]:
    """The digests under which numbers are looked up, each once."""
    return [reading.key("number", one) for one in dict.fromkeys(map(bare, numbers)) if one]


def document_keys(reading: Reading, document_ids: Iterable[str]) -> list[str]:
    """The digests of documents, which no search for a number meets."""
    return [reading.key("document", one) for one in dict.fromkeys(document_ids)]


def study_keys(reading: Reading, study_uid: str) -> list[str]:
    """The digest of a study, which no search for a number meets."""
    return [reading.key("study", study_uid)] if study_uid else []


def bare(number: str) -> str:
    """An entity identifier without its namespace (EI.1), as screens show it."""
    return number.partition("^")[0].strip()
