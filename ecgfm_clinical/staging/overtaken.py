"""What was set aside needs nobody any more once a later message says what stands of the same result."""

from sqlalchemy import bindparam, update

from ecgfm_clinical.staging.records import TAKES_BACK, Kind, MessageState
from ecgfm_clinical.staging.schema import message
from ecgfm_clinical.staging.transaction import Transaction


def close(tx: Transaction, message_id: int, *, filler: str, destination: str, kind: Kind) -> None:
    """Cancel what was set aside of a result before this message of it, which has its bytes and will go.

    What may have left stays in doubt: only whether anybody must look at it changes. A withdrawal that was set aside is
    overtaken by another withdrawal alone, for the result that it takes back stands until it is taken back.
    """
    closing = _WITHDRAWALS_TOO if kind in TAKES_BACK else _RESULTS
    for row in tx.connection.execute(closing, {"of": filler, "to": destination, "before": message_id}).all():
        tx.note("message.overtaken", ecg_id=row.ecg_id, message_id=row.message_id, destination=destination)


_WITHDRAWALS_TOO = (
    update(message)
    .where(
        message.c.filler == bindparam("of"),
        message.c.destination == bindparam("to"),
        message.c.message_id < bindparam("before"),
        message.c.state == MessageState.DEAD.value,
    )
    .values(state=MessageState.CANCELLED.value)
    .returning(message.c.message_id, message.c.ecg_id)
)
_RESULTS = _WITHDRAWALS_TOO.where(message.c.kind.not_in(TAKES_BACK))
