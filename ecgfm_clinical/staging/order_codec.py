"""How an order becomes JSON and comes back exactly as it was."""

import json
from dataclasses import fields
from datetime import datetime

from ecgfm_clinical.staging import codec, seals
from ecgfm_clinical.staging.order_records import KeptOrder, OrderState
from ecgfm_clinical.staging.rows import PlacedOrderRow
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.placed_order import PlacedOrder


def order_json(one: PlacedOrder) -> bytes:
    """Everything that an order says: a person may be named anywhere."""
    told = {each.name: getattr(one, each.name) for each in fields(one)}
    times = {name: told[name] and told[name].isoformat() for name in ("requested_at", "said_at")}
    return to_json(told | times | {"patient": codec.patient_dict(one.patient)})


def order_from(stored: bytes) -> PlacedOrder | None:
    """The inverse of `order_json`; None where nothing is there."""
    told = json.loads(stored)
    if told is None:
        return None
    times = {name: told[name] and datetime.fromisoformat(told[name]) for name in ("requested_at", "said_at")}
    provider = tuple(tuple(tuple(part) for part in repetition) for repetition in told["provider"])
    services = tuple((code, text) for code, text in told["services"])
    patient = codec.patient_from(told["patient"])
    return PlacedOrder(**(told | times | {"provider": provider, "services": services, "patient": patient}))


def kept(reading: Reading, row: PlacedOrderRow) -> KeptOrder:
    """One row of `placed_order`."""
    order = order_from(seals.PLACED_ORDER.open(reading.keyring, row))
    assert order is not None
    return KeptOrder(
        order_id=row.order_id,
        order_key=row.order_key,
        patient_key=row.patient_key,
        state=OrderState(row.state),
        received_at=row.received_at,
        said_at=row.said_at,
        order=order,
    )
