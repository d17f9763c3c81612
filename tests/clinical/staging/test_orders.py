"""Which order a result answers, on either database: number and patient must agree, and what was told stays told."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ecgfm_clinical.staging.order_records import Answering, AnswerReason, OrderState
from ecgfm_clinical.staging.ordering import OrderEvent, event_of, state_after
from ecgfm_clinical.staging.records import Draft
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Order
from ecgfm_connectors.hl7.orders import CONTROLS
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.placed_order import PlacedOrder
from ecgfm_connectors.result import Ack
from tests.clinical.staging.conftest import Ward, write

ACCESSION = Order(accession="A7")


def with_order(draft: Draft) -> bytes:
    """A message that also says what it answers."""
    order = draft.answer.order if draft.answer else None
    return write(draft) + f"|{order.placer if order else 'none' if draft.answer else 'echo'}".encode()


class Clinic:
    """A ward to which orders come."""

    def __init__(self, ward: Ward, **answering: Any) -> None:
        self.ward = ward
        self.told_at = ward.now
        telling = {"compose": with_order, "answering": Answering(matches=True, **answering)}
        ward.store = ward.with_telling(**telling)

    def order(self, control: str = "NW", placer: str = "P1^CPOE", patient: str = "4711", **changes: Any) -> None:
        self.told_at += timedelta(seconds=1)
        given: dict[str, Any] = {"accession": "A7", "said_at": self.told_at, "services": (("93000", "ECG"),)}
        one = PlacedOrder(control=control, placer=placer, patient=self.ward.patient(patient), **(given | changes))
        assert self.ward.take(Contents(orders=(one,))).disposition.value == "staged"

    def bodies(self, ecg_id: int = 1) -> list[str]:
        """What each message about an ECG answers, cancelled ones left out."""
        found = self.ward.store.ecgs.story(ecg_id).messages
        return [one.body.decode().split("|")[-1] for one in found if one.body and one.state.value != "cancelled"]

    def reason(self, ecg_id: int = 1) -> AnswerReason:
        orders = self.ward.store.ecgs.story(ecg_id).orders
        assert orders is not None
        assert orders.answer is not None
        return orders.answer.reason

    def scored(self, **ecg: Any) -> None:
        self.ward.take(**({"order": ACCESSION} | ecg))
        self.ward.score_all()


@pytest.fixture
def clinic(ward: Ward) -> Clinic:
    return Clinic(ward)


def test_every_control_code_does_something_and_a_cancelled_order_stays_so() -> None:
    events = {control: event_of(PlacedOrder(control=control, patient=Patient())) for control in CONTROLS}
    assert set(events.values()) == set(OrderEvent)
    cancelled = OrderState.CANCELLED
    assert [state_after(cancelled, event) for event in OrderEvent if event is not OrderEvent.PLACED] == [cancelled] * 4
    assert {state_after(OrderState.ON_HOLD, event) for event in (OrderEvent.CHANGED, OrderEvent.HELD)} == {"on-hold"}
    completed = PlacedOrder(control="SC", status="CM", patient=Patient())
    assert state_after(OrderState.OPEN, event_of(completed)) is OrderState.OPEN
    assert event_of(replace(completed, status="DC")) is OrderEvent.CANCELLED


def test_a_result_answers_the_order_with_its_number_and_patient(clinic: Clinic) -> None:
    clinic.order()
    for told in (ACCESSION, Order(placer="P1"), Order(placer="P1^cpoe"), Order(placer="P1", accession="A7")):
        clinic.scored(order=told)
    assert [clinic.bodies(ecg_id) for ecg_id in (1, 2, 3, 4)] == [["P1^CPOE"]] * 4
    orders = clinic.ward.store.ecgs.story(1).orders
    assert orders is not None
    assert [(one.state.value, one.order.placer) for one in orders.known] == [("open", "P1^CPOE")]


#: Why a result answers no order: what was said of orders, and what the ECG says. `@` is the number of the case.
UNCERTAIN: dict[str, tuple[list[dict[str, Any]], Order]] = {
    "no-number": ([{}], Order()),
    "no-order": ([{}], Order(accession="B@")),
    "no-order of that namespace": ([{}], Order(placer="P@^OTHER")),
    "no-order of a test": ([{"test": True}], Order(accession="A@")),
    "other-patient": ([{"patient": "another"}], Order(accession="A@")),
    "several": ([{}, {"placer": "Q@^CPOE"}], Order(accession="A@")),
    "two-people": ([{}, {"patient": "another"}], Order(accession="A@")),
    "contradicting accession": ([{}], Order(placer="P@", accession="B@")),
    "contradicting placer": ([{}], Order(placer="Q@", accession="A@")),
    "cancelled": ([{}, {"control": "CA"}], Order(accession="A@")),
    "cancelled by its status": ([{}, {"control": "SC", "status": "DC"}], Order(accession="A@")),
    "cancelled before it was placed": ([{"control": "CA", "services": ()}, {"control": "XO"}], Order(accession="A@")),
    "on-hold": ([{}, {"control": "HD"}], Order(accession="A@")),
}


def test_what_is_not_certain_answers_none_and_says_why(clinic: Clinic) -> None:
    for number, (orders, told) in enumerate(UNCERTAIN.values()):
        for one in orders:
            given = {"placer": "P@^CPOE", "accession": "A@"} | one
            clinic.order(**{name: _numbered(value, number) for name, value in given.items()})
        clinic.ward.take(
            order=Order(placer=_numbered(told.placer, number), accession=_numbered(told.accession, number))
        )
    clinic.ward.score_all()
    ecg_ids = range(1, len(UNCERTAIN) + 1)
    assert [clinic.reason(ecg_id).value for ecg_id in ecg_ids] == [why.split()[0] for why in UNCERTAIN]
    assert all(clinic.bodies(ecg_id) == ["none"] for ecg_id in ecg_ids)


def _numbered(value: Any, number: int) -> Any:
    return value.replace("@", str(number)) if isinstance(value, str) else value


def test_an_order_that_took_the_place_of_a_cancelled_one_is_answered(clinic: Clinic) -> None:
    clinic.order()
    clinic.order("RP")
    clinic.order("RO", placer="P2^CPOE")
    clinic.scored()
    assert clinic.bodies() == ["P2^CPOE"]


def test_a_word_that_another_overtook_changes_nothing(clinic: Clinic) -> None:
    clinic.order("CA")
    clinic.order("NW", said_at=clinic.told_at - timedelta(minutes=1))
    clinic.scored()
    assert clinic.reason() is AnswerReason.CANCELLED


def test_an_order_after_the_ecg_and_before_its_result_counts_and_one_after_that_is_only_shown(clinic: Clinic) -> None:
    clinic.ward.take(order=ACCESSION)
    clinic.order()
    clinic.ward.score_all()
    assert clinic.bodies() == ["P1^CPOE"]
    clinic.scored(order=Order(accession="B1"))
    clinic.order(placer="P9^CPOE", accession="B1")
    assert clinic.bodies(2) == ["none"]
    assert len(clinic.ward.send_all()) == 2
    orders = clinic.ward.store.ecgs.story(2).orders
    assert orders is not None
    assert [one.order.placer for one in orders.known] == ["P9^CPOE"]


def test_what_was_told_is_told_again_whatever_becomes_of_the_order(clinic: Clinic) -> None:
    clinic.order()
    clinic.scored()
    clinic.ward.send_all()
    clinic.order("XO", provider=((("77",),),), accession="A8")
    clinic.order("CA")
    clinic.ward.store.results.correct(1, reason="again", now=clinic.ward.now, actor="operator")
    clinic.ward.score_all(probability=0.5)
    clinic.ward.send_all()
    clinic.ward.store.results.withdraw(1, reason="x", now=clinic.ward.now, actor="operator")
    assert clinic.bodies() == ["P1^CPOE"] * 3
    assert clinic.reason() is AnswerReason.MATCHED


def test_a_cancellation_before_the_send_takes_the_order_out_of_what_waits(clinic: Clinic) -> None:
    clinic.order()
    clinic.scored()
    assert clinic.bodies() == ["P1^CPOE"]
    clinic.order("CA")
    assert (clinic.bodies(), clinic.reason()) == (["none"], AnswerReason.CANCELLED)
    assert len(clinic.ward.send_all()) == 1


def test_orders_move_with_their_patient(clinic: Clinic) -> None:
    clinic.order(patient="old")
    clinic.scored(patient=clinic.ward.patient("new"))
    assert clinic.reason() is AnswerReason.OTHER_PATIENT
    clinic.ward.merge("old", "new")
    clinic.scored(patient=clinic.ward.patient("new"), order=Order(placer="P1"))
    assert clinic.bodies(2) == ["P1^CPOE"]
    clinic.order("XO", patient="new", accession="A9")
    clinic.scored(patient=clinic.ward.patient("new"), order=Order(accession="A9"))
    assert clinic.bodies(3) == ["P1^CPOE"], "one order, not two"


def test_a_merge_before_the_send_finds_the_order(clinic: Clinic) -> None:
    clinic.order(patient="old")
    clinic.scored(patient=clinic.ward.patient("new"))
    clinic.ward.merge("new", "old")
    assert clinic.bodies() == ["P1^CPOE"]


def test_a_recording_that_goes_to_another_patient_leaves_the_order_behind(clinic: Clinic) -> None:
    clinic.order()
    clinic.scored()
    clinic.ward.send_all()
    to = clinic.ward.patient("another")
    clinic.ward.store.results.correct(1, patient=to, reason="wrong", now=clinic.ward.now, actor="operator")
    clinic.ward.score_all()
    assert clinic.bodies() == ["P1^CPOE", "P1^CPOE", "none"], "F and W to the one, F to the other"
    assert clinic.reason() is AnswerReason.OTHER_PATIENT


def test_a_result_may_wait_for_its_order(ward: Ward) -> None:
    clinic = Clinic(ward, unmatched="hold")
    clinic.scored()
    (held,) = ward.store.results.holds()
    assert (held.question.value, clinic.bodies()) == ("order", [])
    clinic.order()
    assert ward.store.results.holds() == []
    ward.score_all()
    assert clinic.bodies() == ["P1^CPOE"]


@pytest.mark.parametrize(("released", "heard"), [(True, ["none"]), (False, [])])
def test_a_person_decides_about_a_doubtful_order(ward: Ward, released: bool, heard: list[str]) -> None:
    clinic = Clinic(ward, doubtful="hold")
    clinic.order()
    clinic.order(placer="P2^CPOE")
    clinic.scored()
    (held,) = ward.store.results.holds()
    decide = ward.store.results.release if released else ward.store.results.reject
    decide(held.hold_id, reason="seen", now=ward.now, actor="operator")
    ward.score_all()
    assert clinic.bodies() == heard
    assert ward.store.results.holds() == []
    clinic.scored(order=Order())
    assert clinic.bodies(2) == ["none"], "no order is known: that is not held here"


def test_without_matching_the_numbers_of_the_ecg_are_echoed_and_orders_only_shown(ward: Ward) -> None:
    clinic = Clinic(ward)
    ward.store = ward.with_telling(answering=Answering())
    clinic.order()
    clinic.scored()
    assert clinic.bodies() == ["echo"]
    orders = ward.store.ecgs.story(1).orders
    assert orders is not None
    assert (orders.answer, len(orders.known)) == (None, 1)
    ward.send_all()
    ward.store = ward.with_telling(answering=Answering(matches=True))
    ward.store.results.withdraw(1, reason="x", now=ward.now, actor="operator")
    assert clinic.bodies() == ["echo", "echo"], "a result goes on as it began"


def test_erasure_and_retention_take_orders_along(clinic: Clinic) -> None:
    clinic.order()
    clinic.order(placer="P2^CPOE", patient="another")
    clinic.scored()
    clinic.ward.send_all()
    clinic.ward.store.erasing.erase(clinic.ward.identifier("4711"), reason="x", now=clinic.ward.now, actor="operator")
    clinic.scored(patient=clinic.ward.patient("another"))
    assert clinic.bodies(2) == ["P2^CPOE"]
    ages = {"orders": timedelta(days=90)}
    gone = clinic.ward.store.care.expire(now=clinic.ward.later(days=91), actor="retention", ages=ages)
    assert gone.orders == 1
    assert clinic.reason(2) is AnswerReason.MATCHED
    assert clinic.ward.store.care.audit_faults() == []


def test_the_order_that_the_receiver_placed_is_named_by_what_follows(ward: Ward) -> None:
    ward.store = ward.with_telling(compose=lambda draft: f"{draft.kind}|{draft.placed}".encode())
    ward.take()
    ward.score_all()
    (message,) = ward.claim_messages()
    ack = Ack(code="AA", control_id=message.control_id, placer="P-9^LIS")
    ward.store.outbox.finish(ward.on_the_wire(message), ack, now=ward.now, worker="sender")
    ward.store.results.correct(1, reason="again", now=ward.now, actor="operator")
    ward.score_all(probability=0.5)
    ward.send_all()
    ward.store.results.withdraw(1, reason="x", now=ward.now, actor="operator")
    assert [one.body for one in ward.store.ecgs.story(1).messages] == [b"F|", b"C|P-9^LIS", b"W|P-9^LIS"]
