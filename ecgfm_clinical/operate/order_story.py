"""What `show` says of orders: which one the newest result answers, why, and which others have its ECG's numbers."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ecgfm_clinical.ecg.inspection import MASK

if TYPE_CHECKING:
    from ecgfm_clinical.staging.order_records import KeptOrder, OrderStory


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOrder:
    """One order of the hospital as it stands; numbers, or `***`."""

    order_id: int
    state: str  #: open, on-hold or cancelled
    received_at: datetime
    answered: bool
    placer: str = field(repr=False)
    accession: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOrders:
    """Which order the newest result answers and why, and the orders of its patient that have its numbers."""

    reason: str | None  #: None where nothing was fixed
    words: str
    by: str
    at: datetime | None
    orders: tuple[ShownOrder, ...]

    def to_json(self) -> dict[str, object]:
        """For programs."""
        known = [{**asdict(one), "received_at": one.received_at.isoformat()} for one in self.orders]
        return {**asdict(self), "at": self.at.isoformat() if self.at else None, "orders": known}


def shown_orders(found: "OrderStory", *, phi: bool) -> ShownOrders:
    """Numbers are masked unless `phi`."""
    answer = found.answer

    def shown(one: "KeptOrder") -> ShownOrder:
        return ShownOrder(
            order_id=one.order_id,
            state=one.state.value,
            received_at=one.received_at,
            answered=answer is not None and answer.order_id == one.order_id,
            placer=one.order.placer if phi else MASK,
            accession=one.order.accession if phi else MASK,
        )

    return ShownOrders(
        reason=answer.reason.value if answer else None,
        words=answer.reason.words if answer else "no result was matched with orders",
        by=answer.by if answer else "",
        at=answer.at if answer else None,
        orders=tuple(map(shown, found.known)),
    )


def order_lines(found: ShownOrders) -> Iterator[str]:
    """For people."""
    by = f", by {found.by} number" if found.by else ""
    yield f"  order      {'answered' if found.reason == 'matched' else 'none answered'}{by}: {found.words}"
    for one in found.orders:
        late = "" if one.answered or not found.at or one.received_at <= found.at else ", came after the result was made"
        numbers = "" if one.placer == MASK else f" (placer {one.placer or 'none'}, accession {one.accession or 'none'})"
        yield f"    order {one.order_id}: {one.state}{', answered' if one.answered else ''}{late}{numbers}"
