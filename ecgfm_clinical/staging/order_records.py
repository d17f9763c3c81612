"""What is kept of orders, and how a result is told to answer one."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from ecgfm_connectors.placed_order import PlacedOrder


class OrderState(StrEnum):
    """Where an order stands; `ordering` says which event leads where."""

    OPEN = "open"  #: a result may answer it
    ON_HOLD = "on-hold"  #: no result answers it until it is released
    CANCELLED = "cancelled"  #: cancelled, discontinued or replaced: no result answers it


class AnswerReason(StrEnum):
    """Which order a result answers, or why it answers none."""

    MATCHED = "matched"
    NO_NUMBER = "no-number"
    NO_ORDER = "no-order"
    CANCELLED = "cancelled"
    ON_HOLD = "on-hold"
    OTHER_PATIENT = "other-patient"
    TWO_PEOPLE = "two-people"
    SEVERAL = "several"
    CONTRADICTING = "contradicting"

    @property
    def words(self) -> str:
        """For people."""
        return _WORDS[self]

    @property
    def is_unknown(self) -> bool:
        """No order is known."""
        return self in (AnswerReason.NO_NUMBER, AnswerReason.NO_ORDER)

    @property
    def is_doubtful(self) -> bool:
        """An order is there, and which one is meant, or whether it is, cannot be said for certain."""
        return self in (
            AnswerReason.OTHER_PATIENT,
            AnswerReason.TWO_PEOPLE,
            AnswerReason.SEVERAL,
            AnswerReason.CONTRADICTING,
        )


_WORDS = {
    AnswerReason.MATCHED: "its number and its patient are those of one open order",
    AnswerReason.NO_NUMBER: "the ECG names neither a placer nor an accession number",
    AnswerReason.NO_ORDER: "no order that came has its numbers",
    AnswerReason.CANCELLED: "its order was cancelled",
    AnswerReason.ON_HOLD: "its order was put on hold",
    AnswerReason.OTHER_PATIENT: "the order that has its number is another patient's",
    AnswerReason.TWO_PEOPLE: "its order came for two patients",
    AnswerReason.SEVERAL: "several open orders of its patient have its numbers",
    AnswerReason.CONTRADICTING: "of its placer and accession number one is the order's and the other is not",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """How this installation's results answer orders."""

    matches: bool = False  #: False: a result echoes the numbers that came with its ECG, whatever orders came
    unmatched: Literal["unsolicited", "hold"] = "unsolicited"  #: where no order is known
    doubtful: Literal["unsolicited", "hold"] = "unsolicited"  #: where `AnswerReason.is_doubtful`

    def holds(self, reason: AnswerReason) -> bool:
        """Whether a person is asked before a result without this order goes out."""
        if reason.is_unknown:
            return self.unmatched == "hold"
        return reason.is_doubtful and self.doubtful == "hold"


#: Whatever orders came, a result echoes the numbers of its ECG.
ECHO = Answering()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswer:
    """Which order the result under one filler number answers: fixed before the first of its messages left."""

    reason: AnswerReason
    order_id: int | None = None
    by: str = ""  #: the numbers that agree: `placer`, `accession`, or both
    order: PlacedOrder | None = field(default=None, repr=False)  #: as it stood then
    at: datetime | None = None  #: when that was fixed; None where it is asked only now


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOrder:
    """One order as it stands."""

    order_id: int
    order_key: str
    patient_key: str
    state: OrderState
    received_at: datetime  #: of its first message
    said_at: datetime  #: of the newest word
    order: PlacedOrder = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStory:
    """The orders of one recording, for `show`."""

    answer: OrderAnswer | None  #: None where nothing was fixed
    known: tuple[KeptOrder, ...]  #: every order of its patient that has one of its numbers, oldest first
