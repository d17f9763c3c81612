"""Which order a result answers: asked once, when its first message is made, and then fixed under its filler number.

Two things must agree, the patient by (authority, id), merges followed, and the placer or the accession number. Of
placer numbers the namespaces count where both name one. One open order must be left; everything else answers none, with
its reason, and nothing is guessed. While none of its messages may have left, the question is asked anew as they are
composed anew: after a merge, or where the order was cancelled. From then on corrections, withdrawals and repeats name
what the first message named.
"""

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from ecgfm_clinical.staging import numbers, order_codec, recordings, seals
from ecgfm_clinical.staging.holds import Question
from ecgfm_clinical.staging.order_records import AnswerReason, KeptOrder, OrderAnswer, OrderState
from ecgfm_clinical.staging.rows import OrderAnswerRow, PlacedOrderRow, every_row, first_row
from ecgfm_clinical.staging.schema import hold, message, order_answer, placed_order, placed_order_number
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import upsert
from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.placed_order import PlacedOrder


def number_keys(reading: Reading, *, placer: str, accession: str) -> list[str]:
    """The digests under which an order is found by the numbers of an ECG."""
    told = (("placer", placer), ("accession", accession))
    return [reading.key("placed-order", kind, bare) for kind, number in told if (bare := numbers.bare(number))]


def fix(tx: Transaction, recording_id: int, filler: str, subject: Ecg) -> OrderAnswer | None:
    """What the result under this filler number answers; None where it echoes the numbers of its ECG.

    Identities are locked: no merge and no cancellation comes between this and the messages.
    """
    known = fixed(tx, filler)
    if may_have_left(tx, filler):  # before orders were matched here, what was told named what came with the ECG
        return known
    if not tx.telling.answering.matches:
        return known
    found = match(tx, subject)
    sealed = seals.ORDER_ANSWER.seal(
        tx.keyring, to_json(None) if found.order is None else order_codec.order_json(found.order), filler=filler
    )
    values: dict[str, object] = {
        "recording_id": recording_id,
        "order_id": found.order_id,
        "reason": found.reason.value,
        "matched_by": found.by,
        "at": tx.now,
    }
    upsert(tx.connection, order_answer, {"filler": filler}, values | sealed)
    tx.note("result.order", recording_id=recording_id, reason=found.reason.value, order_id=found.order_id)
    return found


def fixed(reading: Reading, filler: str) -> OrderAnswer | None:
    """What was fixed for this filler number; None where nothing was."""
    row = reading.connection.execute(_FIXED, {"of": filler}).first()
    return None if row is None else _answer(reading, OrderAnswerRow(*row))


_FIXED = select(order_answer).where(order_answer.c.filler == bindparam("of"))


def newest_of(reading: Reading, recording_id: int) -> OrderAnswer | None:
    """What the newest result of a recording answers."""
    mine = select(order_answer).where(order_answer.c.recording_id == recording_id)
    row = first_row(reading.connection, OrderAnswerRow, mine.order_by(order_answer.c.answer_id.desc()).limit(1))
    return None if row is None else _answer(reading, row)


def _answer(reading: Reading, row: OrderAnswerRow) -> OrderAnswer:
    return OrderAnswer(
        reason=AnswerReason(row.reason),
        order_id=row.order_id,
        by=row.matched_by,
        order=order_codec.order_from(seals.ORDER_ANSWER.open(reading.keyring, row)),
        at=row.at,
    )


def may_have_left(reading: Reading, filler: str) -> bool:
    """Whether a receiver has, or may have, a message under this filler number."""
    return reading.connection.scalar(_MAY_HAVE_LEFT, {"of": filler}) is not None


_MAY_HAVE_LEFT = (
    select(message.c.message_id)
    .where(message.c.filler == bindparam("of"), (message.c.state == "acknowledged") | (message.c.in_doubt > 0))
    .limit(1)
)


def was_released(reading: Reading, recording_id: int) -> bool:
    """Whether a person has said that the result goes out without an order."""
    asked = (hold.c.recording_id == recording_id, hold.c.question == Question.ORDER.value)
    said = select(hold.c.hold_id).where(*asked, hold.c.decision == "released").limit(1)
    return reading.connection.scalar(said) is not None


def match(reading: Reading, subject: Ecg) -> OrderAnswer:
    """Which order an ECG as it is told answers now."""
    told = subject.order
    if not (told.placer or told.accession):
        return OrderAnswer(reason=AnswerReason.NO_NUMBER)
    named = [one for one in _having(reading, told) if one.order.test == subject.test_data]
    if not named:
        return OrderAnswer(reason=AnswerReason.NO_ORDER)
    mine = [one for one in named if recordings.same_person(reading, one.order.patient, subject.patient)]
    if not mine:
        return OrderAnswer(reason=AnswerReason.OTHER_PATIENT)
    if any(other.order_key == one.order_key and other not in mine for one in mine for other in named):
        return OrderAnswer(reason=AnswerReason.TWO_PEOPLE)
    return _of_one_patient(mine, told)


def _of_one_patient(mine: Sequence[KeptOrder], told: Order) -> OrderAnswer:
    newest = {one.order_key: one for one in sorted(mine, key=lambda one: one.said_at)}  # one order under two numbers
    standing = [one for one in newest.values() if one.state is not OrderState.CANCELLED]
    if not standing:
        return OrderAnswer(reason=AnswerReason.CANCELLED)
    if len(standing) > 1:
        return OrderAnswer(reason=AnswerReason.SEVERAL)
    (one,) = standing
    if one.state is OrderState.ON_HOLD:
        return OrderAnswer(reason=AnswerReason.ON_HOLD)
    agree = _agreement(one.order, told)
    if False in agree.values():
        return OrderAnswer(reason=AnswerReason.CONTRADICTING)
    by = " and ".join(name for name, same in agree.items() if same)
    return OrderAnswer(reason=AnswerReason.MATCHED, order_id=one.order_id, by=by, order=one.order)


def known_for(reading: Reading, subject: Ecg) -> tuple[KeptOrder, ...]:
    """Every order of the ECG's patient that has one of its numbers, whatever became of it."""
    found = _having(reading, subject.order)
    return tuple(one for one in found if recordings.same_person(reading, one.order.patient, subject.patient))


def _having(reading: Reading, told: Order) -> list[KeptOrder]:
    """Orders that have one of the ECG's numbers, oldest first."""
    keys = number_keys(reading, placer=told.placer, accession=told.accession)
    ids = select(placed_order_number.c.order_id).where(placed_order_number.c.number_key.in_(keys))
    query = select(placed_order).where(placed_order.c.order_id.in_(ids)).order_by(placed_order.c.order_id)
    found = [order_codec.kept(reading, row) for row in every_row(reading.connection, PlacedOrderRow, query)]
    return [one for one in found if True in _agreement(one.order, told).values()]


def _agreement(order: PlacedOrder, told: Order) -> dict[str, bool | None]:
    """Of each kind of number whether both give the same; None where one of them gives none."""
    return {
        "placer": _same_entity(order.placer, told.placer) if order.placer and told.placer else None,
        "accession": (
            numbers.bare(order.accession) == numbers.bare(told.accession)
            if order.accession and told.accession
            else None
        ),
    }


def _same_entity(one: str, other: str) -> bool:
    """Whether two entity identifiers are one: a namespace says something only where both name one."""
    (number, space), (other_number, other_space) = (_entity(each) for each in (one, other))
    return number == other_number and (not space or not other_space or space == other_space)


def _entity(text: str) -> tuple[str, str]:
    number, _, rest = text.partition("^")
    namespace, _, rest = rest.partition("^")
    return number.strip(), (namespace or rest.partition("^")[0]).strip().casefold()


def order_key(reading: Reading, order: PlacedOrder) -> str:
    """What an order is known by: its placer number with its namespace, else its filler number."""
    kind, number = ("placer", order.placer) if order.placer else ("filler", order.filler)
    return reading.key("order-of", kind, *_entity(number))
