"""`connectors/LIFECYCLE.md` says what the program does: its tables are read, and compared with the code."""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import get_args

import pytest

from ecgfm_clinical.staging import home
from ecgfm_clinical.staging.holds import Question
from ecgfm_clinical.staging.order_records import OrderState
from ecgfm_clinical.staging.ordering import BY_CONTROL, OrderEvent, state_after
from ecgfm_clinical.staging.recordings import EVENTS
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.schema import recording_event
from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.staging.told import ResultState
from ecgfm_connectors.hl7 import adt
from tests.clinical.lifecycle import document
from tests.clinical.lifecycle.hospital import Hospital

pytestmark = pytest.mark.slow


def _states_of(title: str) -> set[str]:
    return set(document.states(title))


def _triggers(event: str) -> tuple[str, ...]:
    (row,) = (row for row in document.tables("Identity")[1] if row[0] == event)
    return tuple(re.findall(r"A\d\d", row[1]))


def test_the_states_of_a_result_are_the_codes() -> None:
    assert _states_of("Result") == {one.value for one in ResultState}


def test_the_states_of_a_message_are_the_codes_words() -> None:
    assert _states_of("Message") == {one.word for one in MessageState}


def test_the_states_of_a_store_and_what_a_person_may_say_of_it() -> None:
    assert _states_of("Store") == {"at home", "displaced"}
    assert set(re.findall(r"store adopt --as (\w+)", document.TEXT)) == set(get_args(home.Adoption))


def test_the_questions_are_the_codes() -> None:
    assert {row[0].strip("`") for row in document.tables("Questions")[0]} == {one.value for one in Question}


def test_the_states_and_events_of_an_order_are_the_codes() -> None:
    assert _states_of("Order") == {one.value for one in OrderState}
    assert set(document.events("Order")) == {one.value for one in OrderEvent}
    for name, (_, trigger, before, after, _) in document.events("Order").items():
        controls = re.findall(r"\b[A-Z]{2}\b", trigger.split(", SC with")[0])
        assert {control for control, event in BY_CONTROL.items() if event == name and control != "SC"} == set(controls)
        for state in map(OrderState, document.named(before, "Order")):
            expected = state.value if after.startswith("unchanged") else after.strip("`")
            assert state_after(state, OrderEvent(name)).value == expected


def test_what_is_kept_of_a_recording_is_named() -> None:
    told = document.TEXT.split("Kept beside the versions (`recording_event`):")[1].split("\n\n")[0]
    assert set(re.findall(r"`([a-z-]+)`", told)) == set(EVENTS)
    (check,) = (str(one.sqltext) for one in recording_event.constraints if one.name == "ck_recording_event_kind")  # type: ignore[attr-defined]  # a CHECK has its text
    assert set(re.findall(r"'([a-z-]+)'", check)) == set(EVENTS)


def test_every_trigger_of_adt_is_followed_as_it_is_written() -> None:
    assert {*_triggers("demographics"), *_triggers("add person")} == set(adt.DEMOGRAPHICS)
    assert _triggers("merge") == adt.MERGES
    assert {**dict.fromkeys(_triggers("link"), True), **dict.fromkeys(_triggers("unlink"), False)} == adt.LINKS
    assert _triggers("undo a merge") == _triggers("unlink")
    assert (*_triggers("move identifiers"), *_triggers("move visit")) == adt.MOVES
    assert _triggers("account or visit") == adt.ACCOUNTS


# --- each event of a recording, done once: what each receiver hears
# -----------------------------------------------------


@pytest.fixture
def hospital(store_url: str) -> Iterator[Hospital]:
    one = Hospital(lambda telling: Store.open(store_url, create=True, telling=telling), control_ids=itertools.count(1))
    one.arrives("R1", "A")
    one.settle()
    yield one
    one.settle(resend=True)
    one.store.close()


def _sent(hospital: Hospital) -> None:
    """A result stands already: that is how each sequence begins."""


def _release(hospital: Hospital) -> None:
    hospital.comes_again("R1", "B")
    hospital.releases(hospital.open_questions()[0])


def _reject(hospital: Hospital) -> None:
    hospital.sender_withdraws("R1", follow=False)
    hospital.rejects(hospital.open_questions()[0])


def _anew(hospital: Hospital) -> None:
    hospital.sender_withdraws("R1", follow=True)
    hospital.settle()
    hospital.comes_again("R1", stat=True, final=True)


def _doubtfully(hospital: Hospital) -> None:
    hospital.sender_withdraws("R1", follow=True)
    hospital.settle()
    hospital.comes_again("R1", stat=True)


def _early(hospital: Hospital) -> None:
    hospital.sender_withdraws_early("R2")
    hospital.arrives("R2", "B")


#: Event of the table -> the same done here, and the kinds of message that the receiver has heard in the end.
RECORDING: dict[str, tuple[Callable[[Hospital], None], str]] = {
    "arrives": (_sent, "F"),
    "the same bytes again": (lambda one: one.comes_again("R1"), "F"),
    "a copy in other bytes that says the same": (lambda one: one.comes_again("R1"), "F"),
    "new version, same person": (lambda one: one.comes_again("R1", family="Married"), "F C"),
    "new version, another patient": (lambda one: one.comes_again("R1", "B", follow=True), "F W F"),
    "two people in one payload": (lambda one: one.two_people("R1", "A", "B"), "F"),
    "withdrawn by its sender": (lambda one: one.sender_withdraws("R1", follow=True), "F W"),
    "withdrawn before it came": (_early, "F"),
    "sent anew after its withdrawal": (_anew, "F W F"),
    "sent anew, and not said to be final": (_doubtfully, "F W"),
    "operator takes the result back": (lambda one: one.withdraws("R1", delete=True), "F D"),
    "operator names the patient": (lambda one: one.names_patient("R1", "B"), "F W F"),
    "operator corrects": (lambda one: one.corrects("R1"), "F C"),
    "operator releases": (_release, "F W F"),
    "operator rejects": (_reject, "F W"),
}


def heard_of(event: str) -> str:
    """What each receiver hears, as it is written."""
    (written,) = (row[4] for row in document.tables("Recording")[1] if row[0] == event)
    return written


def test_every_event_of_a_recording_is_tried_here() -> None:
    assert {row[0] for row in document.tables("Recording")[1]} == set(RECORDING)


@pytest.mark.parametrize("event", RECORDING)
def test_each_event_of_a_recording_tells_what_is_written(hospital: Hospital, event: str) -> None:
    act, heard = RECORDING[event]
    act(hospital)
    hospital.settle()
    (to,) = (row[3] for row in document.tables("Recording")[1] if row[0] == event)
    assert bool(hospital.open_questions()) == (to == "`held`" and "follow" not in heard_of(event))
    assert hospital.heard("ehr") == heard.split()
    if to != "`held`" and len(heard.split()) > 1:
        assert heard.split()[-1] in re.findall(r"\b[FCWD]\b", heard_of(event))
