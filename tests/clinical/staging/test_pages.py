"""A page is drawn before the first send, outside any transaction, and goes only while it is true."""

from dataclasses import replace
from typing import Any

import pytest

from ecgfm_clinical.pipeline.composing import Composer
from ecgfm_clinical.pipeline.reporting import DrawPage, Reporter
from ecgfm_clinical.staging.records import Draft, MessageState
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.errors import NotReached
from ecgfm_connectors.hl7.ack import reaction
from ecgfm_connectors.result import Ack, Result
from tests.clinical.staging.conftest import Ward
from tests.helpers.fakes import Clock


def written(result: Result) -> bytes:
    """Whose it is, how it is meant, its page, and what it says of its page."""
    (whose,) = (one.value for one in result.patient.identifiers)
    return f"{whose} {result.status} [{(result.page or b'').decode()}] {result.page_refused}".rstrip().encode()


def drawn(draft: Draft) -> bytes:
    (whose,) = (one.value for one in draft.ecg.patient.identifiers)
    return f"page of {whose}, {draft.ecg.signal.shape[1]} samples".encode()


class Receiver:
    """Takes everything, unless it is away."""

    name = "ehr"

    def __init__(self) -> None:
        self.got: list[str] = []
        self.is_away = False

    def send(self, body: bytes, *, control_id: str) -> Ack:
        if self.is_away:
            raise NotReached("nobody there")
        self.got.append(body.decode())
        return Ack(code="AA", control_id=control_id)

    def check(self) -> str:
        return "answers"

    def close(self) -> None:
        pass


class House:
    """A ward whose results go with pages, and their receiver."""

    def __init__(self, ward: Ward) -> None:
        self.ward = ward
        self.clock = Clock()
        self.clock.now = ward.later(seconds=3)
        self.receiver = Receiver()
        ward.store = ward.with_telling(compose=Composer({"ehr": written}, device_id="d"), with_page=frozenset({"ehr"}))
        ward.take()
        ward.score_all()

    def send(self, draw: DrawPage | None = drawn) -> list[str]:
        """What the receiver got in one round."""
        self.receiver.got.clear()
        self.clock.advance(minutes=10)
        sender = Reporter(
            self.ward.store,
            self.receiver,
            react=reaction,
            worker="sender",
            clock=self.clock,
            max_attempts=None,
            lease=self.ward.lease,
            draw_page=draw,
        )
        sender.run_batch()
        return list(self.receiver.got)

    def pages(self) -> list[str | None]:
        """Of the messages of the first ECG."""
        return [one.page for one in self.ward.store.ecgs.story(1).messages]


@pytest.fixture
def house(ward: Ward) -> House:
    return House(ward)


def test_a_result_waits_with_its_page_due_and_goes_with_it(house: House) -> None:
    assert house.pages() == ["due"]
    assert house.send() == ["4711 F [page of 4711, 10 samples]"]
    assert house.pages() == ["drawn"]


def test_a_merge_while_the_page_is_drawn_lets_another_message_go_with_its_own_page(house: House) -> None:
    asked: list[bytes] = []

    def draw(draft: Draft) -> bytes:
        asked.append(drawn(draft))
        if len(asked) == 1:
            house.ward.merge("4711", "survivor")
        return asked[-1]

    assert house.send(draw) == []
    assert house.send(draw) == ["survivor F [page of survivor, 10 samples]"]
    assert asked == [b"page of 4711, 10 samples", b"page of survivor, 10 samples"]


def _renamed(house: House, name: str) -> None:
    """ADT^A08: the survivor, whose demographics the results carry, is called something else now."""
    house.ward.take(Contents(demographics=(replace(house.ward.patient("survivor"), family_name=name),)))


def test_another_name_while_the_page_is_drawn_makes_it_be_drawn_again(house: House) -> None:
    house.ward.merge("4711", "survivor")
    asked: list[str] = []

    def draw(draft: Draft) -> bytes:
        asked.append(draft.ecg.patient.family_name)
        if len(asked) == 1:
            _renamed(house, "Newly")
        return drawn(draft)

    assert house.send(draw) == ["survivor F [page of survivor, 10 samples]"]
    assert asked[1:] == ["Newly"]


def test_a_patient_who_changes_all_the_time_gets_the_numbers_without_a_page(house: House) -> None:
    house.ward.merge("4711", "survivor")
    names = iter(["Bee", "Cee", "Dee", "Eff"])

    def draw(draft: Draft) -> bytes:
        _renamed(house, next(names))
        return drawn(draft)

    assert house.send(draw) == ["survivor F [] its patient changed each time that it was drawn"]
    assert house.pages()[-1] == "without"


def test_a_withdrawal_while_the_page_is_drawn_stops_the_message(house: House) -> None:
    def draw(draft: Draft) -> bytes:
        house.ward.store.results.withdraw(1, reason="x", now=house.clock(), actor="operator")
        return drawn(draft)

    assert house.send(draw) == []
    assert [one.state for one in house.ward.store.ecgs.story(1).messages] == [MessageState.CANCELLED]


def test_a_withdrawal_carries_no_page(house: House) -> None:
    house.send()
    house.ward.store.results.withdraw(1, reason="x", now=house.clock(), actor="operator")
    assert house.send() == ["4711 W []"]
    assert house.pages() == ["drawn", None]


def test_what_cannot_be_drawn_holds_no_number_up_and_is_said(house: House) -> None:
    def draw(draft: Draft) -> bytes:
        raise RuntimeError(f"no font for {draft.ecg.patient.family_name}")

    assert house.send(draw) == ["4711 F [] drawing it failed (RuntimeError)"]
    assert house.pages() == ["without"]


def test_a_sender_that_dies_of_drawing_gives_it_up_in_the_end(house: House) -> None:
    def die(draft: Draft) -> bytes:
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            house.send(die)
        house.clock.advance(minutes=10)
        house.ward.store.leases.reap(now=house.clock())
    assert house.send(die) == ["4711 F [] drawing it did not end, several times"]


def test_repeats_are_the_same_bytes_page_and_all(house: House) -> None:
    house.receiver.is_away = True
    house.send()
    house.receiver.is_away = False

    def never(draft: Draft) -> bytes:
        raise AssertionError("the bytes are fixed")

    assert house.send(never) == ["4711 F [page of 4711, 10 samples]"]


def test_a_merge_before_the_first_send_makes_the_page_due_again(house: House) -> None:
    house.receiver.is_away = True
    house.send()
    house.ward.merge("4711", "survivor")
    assert house.pages() == ["drawn", "due"]
    house.receiver.is_away = False
    assert house.send() == ["survivor F [page of survivor, 10 samples]"]


def test_a_signal_that_was_removed_leaves_the_numbers(house: House) -> None:
    from sqlalchemy import delete

    from ecgfm_clinical.staging.schema import signal

    with house.ward.store.database.writing(house.clock(), "retention") as tx:
        tx.connection.execute(delete(signal))
    assert house.send() == ["4711 F [] the signal was removed by retention"]


def test_a_destination_that_wants_pages_no_longer_gets_what_waits_without(house: House) -> None:
    assert house.send(None) == ["4711 F []"]
    assert house.pages() == ["without"]


def test_several_results_of_one_round_each_get_their_own_page(ward: Ward) -> None:
    house = House(ward)
    ward.take(patient=ward.patient("other"))
    ward.score_all()
    assert sorted(house.send()) == ["4711 F [page of 4711, 10 samples]", "other F [page of other, 10 samples]"]


def test_a_correction_has_a_page_of_its_own(house: House, ward: Ward) -> None:
    house.send()
    store: Any = ward.store
    store.results.correct(1, reason="x", now=house.clock(), actor="operator")
    for job in ward.claim(now=house.clock()):
        scored = replace(ward.scoring(job.ecg_id), input_digest="c" * 64)
        store.jobs.finish([(job, scored)], now=house.clock(), worker="scorer")
    assert house.send() == ["4711 C [page of 4711, 10 samples]"]
