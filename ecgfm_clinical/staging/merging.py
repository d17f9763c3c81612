"""A merge (ADT^A40, A47) and the results under way: what certainly never left changes hands, what was sent is listed."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select, update

from ecgfm_clinical.staging import identity, messages
from ecgfm_clinical.staging.schema import message
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_connectors.contents import Merge


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeReport:
    """What one merge did to messages of the retired identity."""

    moved: tuple[int, ...] = ()  #: not sent before: they go out under the surviving identity
    sent: tuple[
        int, ...
    ] = ()  #: sent, or perhaps sent, under the retired one: the receiver must follow the merge itself


def record(tx: Transaction, payload_id: int, event: Merge) -> None:
    """File one merge or change of identifier and move what is not yet sent."""
    keys = identity.file(tx, payload_id, event)
    if keys is None:
        return
    report = _move_messages(tx, *keys)
    tx.note("identity.merged", payload_id=payload_id, moved=_listed(report.moved), sent=_listed(report.sent))


def _move_messages(tx: Transaction, retired: str, surviving: str) -> MergeReport:
    """Messages that certainly never left are composed anew for the survivor, under the number they have."""
    theirs = message.c.patient_key == retired
    unfinished = message.c.state.in_(("waiting", "running"))
    moved = tx.connection.execute(
        update(message)
        .where(theirs, unfinished, message.c.in_doubt == 0)
        .values(patient_key=surviving)
        .returning(*message.c)
    ).all()
    for row in sorted(moved, key=lambda row: row.message_id):
        messages.recompose(tx, row)
    # What is still under way in doubt goes out as it was, and must still come before what follows for this patient.
    under_way = tx.connection.scalars(
        update(message).where(theirs, unfinished).values(patient_key=surviving).returning(message.c.message_id)
    ).all()
    sent = tx.connection.scalars(
        select(message.c.message_id).where(theirs, message.c.state == "acknowledged").order_by(message.c.message_id)
    ).all()
    return MergeReport(moved=tuple(sorted(row.message_id for row in moved)), sent=tuple(sorted([*sent, *under_way])))


def _listed(message_ids: Iterable[int]) -> str:
    return ",".join(map(str, message_ids))
