"""What the hospital says of its orders: placed, changed, held, cancelled; and what follows for results that wait.

An order is one ORC with its OBR, known by its placer number (ORC-2 with its namespace), else by its filler number, and
by its patient. Whose it is follows merges and their undoing by itself: it is asked at each look. States:

    open        a result may answer it
    on-hold     no result answers it until it is released
    cancelled   cancelled, discontinued or replaced: no result answers it

| event      | ORC-1 (table 0119), ORC-5 (table 0038) | unknown   | open      | on-hold   | cancelled |
| placed     | NW SN NA RO                            | open      | open      | open      | open      |
| changed    | XO XX RU; SC with any other status     | open      | open      | on-hold   | cancelled |
| held       | HD OH; SC with HD                      | on-hold   | on-hold   | on-hold   | cancelled |
| released   | RL OE                                  | open      | open      | open      | cancelled |
| cancelled  | CA OC DC OD RP; SC with CA DC RP       | cancelled | cancelled | cancelled | cancelled |

The newest word counts, by MSH-7, of two of one second the one that comes later: a message that another has overtaken
changes nothing. A word leaves what it does not say (a cancellation has no OBR) as it was. A number that comes for two
people is kept for each, and no result answers either (`two-people`) until a merge makes them one. `completed` (SC with
CM) is no state: the ECG is there, and its result is what is to come.

A result that was made for an order and certainly never left is composed anew where the order is cancelled or held; what
may have left stands. An order that comes after a result was made is not applied to it, only shown; a result that waits
for a person because of its order (`Question.ORDER`) is told once the order comes.
"""

from dataclasses import fields, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, insert, select, update

from ecgfm_clinical.staging import identity, merging, moot, order_answers, order_codec, seals
from ecgfm_clinical.staging.order_records import KeptOrder, OrderState
from ecgfm_clinical.staging.rows import PlacedOrderRow, every_row
from ecgfm_clinical.staging.schema import message, order_answer, placed_order, placed_order_number
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.placed_order import PlacedOrder


class OrderEvent(StrEnum):
    """What one word about an order does."""

    PLACED = "placed"
    CHANGED = "changed"
    HELD = "held"
    RELEASED = "released"
    CANCELLED = "cancelled"


#: ORC-1 -> what it does; of SC the status says more.
BY_CONTROL = {
    **dict.fromkeys(("NW", "SN", "NA", "RO"), OrderEvent.PLACED),
    **dict.fromkeys(("XO", "XX", "RU", "SC"), OrderEvent.CHANGED),
    **dict.fromkeys(("HD", "OH"), OrderEvent.HELD),
    **dict.fromkeys(("RL", "OE"), OrderEvent.RELEASED),
    **dict.fromkeys(("CA", "OC", "DC", "OD", "RP"), OrderEvent.CANCELLED),
}
_BY_STATUS = {"HD": OrderEvent.HELD, **dict.fromkeys(("CA", "DC", "RP"), OrderEvent.CANCELLED)}


def event_of(one: PlacedOrder) -> OrderEvent:
    """What this word does, by the table above."""
    return _BY_STATUS.get(one.status, OrderEvent.CHANGED) if one.control == "SC" else BY_CONTROL[one.control]


def state_after(before: OrderState | None, event: OrderEvent) -> OrderState:
    """The table above; `before` is None for an order that is not known."""
    match event:
        case OrderEvent.PLACED:
            return OrderState.OPEN
        case OrderEvent.CANCELLED:
            return OrderState.CANCELLED
        case _ if before is OrderState.CANCELLED:
            return before
        case OrderEvent.HELD:
            return OrderState.ON_HOLD
        case OrderEvent.RELEASED:
            return OrderState.OPEN
        case OrderEvent.CHANGED:
            return before or OrderState.OPEN


def lock_key(reading: Reading, one: PlacedOrder) -> str:
    """Two payloads about one order take effect one after the other."""
    return order_answers.order_key(reading, one)


def record(tx: Transaction, payload_id: int, received_at: datetime, one: PlacedOrder) -> None:
    """One word about one order, with all that follows from it."""
    tx.lock_identities(exclusive=True)
    said_at = one.said_at or received_at
    known = _find(tx, one)
    if known is not None and said_at < known.said_at:
        tx.note("order.overtaken", payload_id=payload_id, order_id=known.order_id, control=one.control)
        return
    state = state_after(known.state if known else None, event_of(one))
    order_id = _keep(tx, payload_id, received_at, said_at, known, one, state)
    tx.note(
        "order.kept",
        payload_id=payload_id,
        order_id=order_id,
        control=one.control,
        state=state.value,
        new=known is None,
    )
    if known is not None and known.state is OrderState.OPEN and state is not OrderState.OPEN:
        answered = select(order_answer.c.filler).where(order_answer.c.order_id == order_id)
        merging.recompose_unsent(tx, message.c.filler.in_(answered))
    moot.look_again_at_orders(tx)


def _find(tx: Reading, one: PlacedOrder) -> KeptOrder | None:
    """The order of this number and person."""
    key = order_answers.order_key(tx, one)
    person = _person(tx, one)
    query = select(placed_order).where(placed_order.c.order_key == key).order_by(placed_order.c.order_id)
    rows = list(every_row(tx.connection, PlacedOrderRow, query))
    survivor = identity.resolve(tx.connection, person)
    found = [row for row in rows if row.patient_key == person] or [
        row for row in rows if identity.resolve(tx.connection, row.patient_key) == survivor
    ]
    return order_codec.kept(tx, found[-1]) if found else None


def _person(tx: Reading, one: PlacedOrder) -> str:
    return identity.identifier_key(tx, one.patient.identifiers[0])


def _keep(
    tx: Transaction,
    payload_id: int,
    received_at: datetime,
    said_at: datetime,
    known: KeptOrder | None,
    one: PlacedOrder,
    state: OrderState,
) -> int:
    """Write the order as it stands now, and the numbers by which it is found."""
    order = one if known is None else _filled(one, known.order)
    keys = {"order_key": order_answers.order_key(tx, one), "patient_key": _person(tx, one)}
    sealed = seals.PLACED_ORDER.seal(tx.keyring, order_codec.order_json(order), **keys)
    values = {"payload_id": payload_id, "state": state.value, "said_at": said_at, **keys, **sealed}
    if known is None:
        new = insert(placed_order).values(received_at=received_at, **values).returning(placed_order.c.order_id)
        order_id: int = tx.connection.execute(new).scalar_one()
    else:
        order_id = known.order_id
        tx.connection.execute(update(placed_order).where(placed_order.c.order_id == order_id).values(**values))
        tx.connection.execute(delete(placed_order_number).where(placed_order_number.c.order_id == order_id))
    found_by = order_answers.number_keys(tx, placer=order.placer, accession=order.accession)
    if found_by:
        rows = [{"number_key": key, "order_id": order_id} for key in dict.fromkeys(found_by)]
        tx.connection.execute(insert(placed_order_number), rows)
    return order_id


def _filled(newer: PlacedOrder, older: PlacedOrder) -> PlacedOrder:
    """The newer word, with what it does not say as it was."""
    left = {
        each.name: getattr(older, each.name) for each in fields(newer) if getattr(newer, each.name) in ("", (), None)
    }
    return replace(newer, **left)
