"""HL7 messages that came in, found again by their own number (MSH-10): what each gave, and from whom it came.

The number is kept as a keyed digest, for some senders put an order number there. Two senders may use one number, so
whoever asks is given all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, func, insert, select, update

from ecgfm_clinical.staging.measuring import storable
from ecgfm_clinical.staging.schema import outcome, payload, received_message
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents, ReceivedMessage
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.hl7.inbound import headers

LONGEST_SENDER = 200  #: characters of MSH-3 and MSH-4 that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardMessage:
    """One message that came in under a number, and what became of it."""

    sender: str  #: MSH-3|MSH-4
    payload_id: int
    received_at: datetime
    source: str  #: the listener or source that it came by
    disposition: str
    code: str  #: why it was set aside, or a part of it
    ecg_ids: tuple[int, ...]
    outcome_ids: tuple[int, ...]  #: in their newest version


def of(received: Received, contents: Contents | PayloadError) -> tuple[ReceivedMessage, ...]:
    """The messages of a payload; of one that was not taken by their headers alone, for its sender asks by their numbers
    what became of them.
    """
    if isinstance(contents, Contents):
        return contents.messages
    return headers(received.content) if received.content[:64].lstrip()[:3] in (b"MSH", b"FHS", b"BHS") else ()


def keep(tx: Transaction, payload_id: int, messages: Iterable[ReceivedMessage], ecgs: Mapping[str, int]) -> None:
    """`ecgs`: source_id -> the ECG that it became, or of which it was a copy."""
    rows: list[dict[str, object]] = []
    for one in messages:
        sender = storable(one.sender[:LONGEST_SENDER])
        row = {"number_key": _key(tx, one.control_id), "sender": sender, "payload_id": payload_id}
        gave: list[dict[str, object]] = [
            {"ecg_id": ecgs[source_id], "outcome_key": None}
            if source_id in ecgs
            else {"ecg_id": None, "outcome_key": tx.key("outcome", source_id)}
            for source_id in one.source_ids
        ]
        rows += [row | each for each in gave or [{"ecg_id": None, "outcome_key": None}]]
    if rows:
        tx.connection.execute(_INSERT, rows)


_INSERT = insert(received_message)


def forget(tx: Transaction, payload_ids: Iterable[int]) -> None:
    """Nothing is found by the messages of these payloads any more."""
    tx.connection.execute(delete(received_message).where(received_message.c.payload_id.in_(payload_ids)))


def unread(tx: Transaction, payload_id: int) -> None:
    """The payload is set aside again: its messages are known, and gave nothing."""
    mine = received_message.c.payload_id == payload_id
    tx.connection.execute(update(received_message).where(mine).values(ecg_id=None, outcome_key=None))


def ecgs_of(reading: Reading, number: str) -> Select[int]:
    """The ids of the ECGs that a message of this number gave."""
    mine = received_message.c.number_key == _key(reading, number)
    return select(received_message.c.ecg_id).where(mine, received_message.c.ecg_id.is_not(None))


def heard(reading: Reading, number: str) -> list[HeardMessage]:
    """Every message of this number, oldest first."""
    newest = (
        select(func.max(outcome.c.outcome_id))
        .where(outcome.c.source_key == received_message.c.outcome_key)
        .scalar_subquery()
    )
    columns = (received_message.c.sender, received_message.c.ecg_id, newest.label("outcome_id"))
    told = (payload.c.payload_id, payload.c.received_at, payload.c.source, payload.c.disposition, payload.c.code)
    query = (
        select(*columns, *told)
        .join_from(received_message, payload, payload.c.payload_id == received_message.c.payload_id)
        .where(received_message.c.number_key == _key(reading, number))
        .order_by(received_message.c.row_id)
    )
    found: dict[tuple[int, str], HeardMessage] = {}
    gave: dict[tuple[int, str], tuple[list[int], list[int]]] = {}
    for row in reading.connection.execute(query):
        place = (row.payload_id, row.sender)
        ecg_ids, outcome_ids = gave.setdefault(place, ([], []))
        ecg_ids += [] if row.ecg_id is None else [row.ecg_id]
        outcome_ids += [] if row.outcome_id is None else [row.outcome_id]
        found[place] = HeardMessage(
            sender=row.sender,
            payload_id=row.payload_id,
            received_at=row.received_at,
            source=row.source,
            disposition=row.disposition,
            code=row.code,
            ecg_ids=tuple(dict.fromkeys(ecg_ids)),
            outcome_ids=tuple(dict.fromkeys(outcome_ids)),
        )
    return list(found.values())


def _key(reading: Reading, number: str) -> str:
    return reading.key("message", number.strip())
