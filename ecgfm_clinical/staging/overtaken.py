"""What was set aside needs nobody any more once a later message says what stands of the same result."""

from sqlalchemy import update

from ecgfm_clinical.staging.records import TAKES_BACK, Kind, MessageState
from ecgfm_clinical.staging.schema import message
from ecgfm_clinical.staging.transaction import Transaction


def close(tx: Transaction, message_id: int, *, filler: str, destination: str, kind: Kind) -> None:
    """Cancel what was set aside of a result before this message of it, which has its bytes and will go.

    What may have left stays in doubt: only whether anybody must look at it changes. A withdrawal that was set aside is
    overtaken by another withdrawal alone, for the result that it takes back stands until it is taken back.
    """
    aside = [
        message.c.filler == filler,
        message.c.destination == destination,
        message.c.message_id < message_id,
        message.c.state == MessageState.DEAD.value,
    ]
    if kind not in TAKES_BACK:
        aside.append(message.c.kind.not_in(TAKES_BACK))
    gone = update(message).where(*aside).values(state=MessageState.CANCELLED.value)
    for row in tx.connection.execute(gone.returning(message.c.message_id, message.c.ecg_id)).all():
        tx.note("message.overtaken", ecg_id=row.ecg_id, message_id=row.message_id, destination=destination)
