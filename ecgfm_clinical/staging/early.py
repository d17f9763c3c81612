"""A sender's withdrawal that came before its recording: kept, and found again when the recording comes.

Messages overtake each other in an interface engine. The withdrawal waits under the keyed digests by which a recording
is known to its sender: the numbers that it names, its document and its order.
"""

from collections.abc import Collection

from sqlalchemy import insert, or_, select, update

from ecgfm_clinical.staging import numbers
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_clinical.staging.schema import early_withdrawal, ecg_number
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_connectors.contents import Withdrawal


def keep(tx: Transaction, payload_id: int, one: Withdrawal) -> None:
    """No recording is known under any of its numbers, nor of its document or order.

    An order that may be another department's is not waited for: its number may come again for an ECG of anybody.
    """
    keys = {tx.key("source", number) for number in one.source_ids} | {*numbers.document_keys(tx, one.document_ids)}
    if one.order_id and one.says_ecg:
        keys.add(tx.key("order", one.order_id))
    _expect(tx, payload_id, keys)
    tx.note("recording.withdrawal-unmatched", payload_id=payload_id, status=one.status)


def keep_correction(tx: Transaction, row: EcgVersion, order_key: str) -> None:
    """A correction came of which no original is known: whatever comes of its order has been corrected already."""
    _expect(tx, row.payload_id, {order_key})
    tx.note("recording.correction-unmatched", ecg_id=row.ecg_id)


def _expect(tx: Transaction, payload_id: int, keys: Collection[str]) -> None:
    rows = [{"payload_id": payload_id, "known_by": key} for key in sorted(keys)]
    if rows:
        tx.connection.execute(insert(early_withdrawal), rows)


def found(tx: Transaction, row: EcgVersion, *, first: bool) -> bool:
    """Whether the recording of this version was taken back before it came; `first`: no other version came before.

    A withdrawal by number is spent on the recording that came under it. One that named an order or document alone is
    asked of each recording of it, as it would have been had they been there.
    """
    waiting = (early_withdrawal.c.recording_id.is_(None),)
    by_number = tx.connection.scalars(
        select(early_withdrawal.c.payload_id).where(early_withdrawal.c.known_by == row.source_key, *waiting)
    ).all()
    if by_number:
        mine = early_withdrawal.c.payload_id.in_(by_number)
        tx.connection.execute(update(early_withdrawal).where(mine, *waiting).values(recording_id=row.recording_id))
        return True
    if not first:
        return False
    documents = select(ecg_number.c.number_key).where(ecg_number.c.ecg_id == row.ecg_id)
    alike = or_(early_withdrawal.c.known_by == row.order_key, early_withdrawal.c.known_by.in_(documents))
    together = select(early_withdrawal.c.withdrawal_id).where(alike, *waiting)
    return tx.connection.scalar(together.limit(1)) is not None
