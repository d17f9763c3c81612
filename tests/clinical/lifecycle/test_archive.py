"""What stands at a PACS after answers that leave a doubt: there nothing is replaced by its number, only rejected. And
what is composed anew while something else of the same result is set aside, at whatever receiver.
"""

import itertools
from collections.abc import Iterator

import pytest

from ecgfm_clinical.staging.store import Store
from tests.clinical.lifecycle.hospital import Fate, Hospital

pytestmark = pytest.mark.slow

IN_DOUBT: list[tuple[Fate, ...]] = [
    ("lost on the way", "refused"),
    ("refused, spent",),
    ("lost acknowledgement", "refused"),
]


@pytest.fixture
def hospital(store_url: str) -> Iterator[Hospital]:
    one = Hospital(lambda telling: Store.open(store_url, create=True, telling=telling), control_ids=itertools.count(1))
    one.arrives("R1", "A")
    one.scores()
    yield one
    one.ends()
    one.store.close()


def says_something_else(hospital: Hospital) -> None:
    hospital.says_otherwise("R1", 0.75)
    hospital.scores()


@pytest.mark.parametrize("fates", IN_DOUBT, ids=str)
def test_a_result_lives_again_after_a_withdrawal_in_doubt(hospital: Hospital, fates: tuple[Fate, ...]) -> None:
    hospital.sends("pacs")
    hospital.withdraws("R1")
    for fate in fates:
        hospital.sends("pacs", fate)
    says_something_else(hospital)
    hospital.sends("pacs")
    assert [one.says for one in hospital.pacs.of("R1")] == ["0.75"]


def test_a_result_lives_again_while_its_withdrawal_waits_that_is_refused(hospital: Hospital) -> None:
    hospital.sends("pacs")
    hospital.withdraws("R1")
    says_something_else(hospital)
    hospital.sends("pacs", "refused")
    hospital.sends("pacs")
    assert [one.says for one in hospital.pacs.of("R1")] == ["0.75"]


def test_a_correction_taken_by_half_then_a_withdrawal_in_doubt_then_a_result(hospital: Hospital) -> None:
    hospital.sends("pacs")
    hospital.corrects("R1")
    hospital.scores()
    hospital.sends("pacs", "half taken")
    hospital.withdraws("R1")
    hospital.sends("pacs", "refused, spent")
    hospital.corrects("R1")
    hospital.scores()
    hospital.sends("pacs")
    assert len(hospital.pacs.of("R1")) == 1


@pytest.mark.parametrize("merged", [False, True])
def test_a_result_that_came_and_is_composed_anew(hospital: Hospital, merged: bool) -> None:
    hospital.sends("pacs", "lost acknowledgement")
    hospital.sends("pacs", "refused")
    if merged:
        hospital.merge("A", "B")
    hospital.sends_dead_letters_again(recompose=not merged)
    hospital.sends("pacs")
    assert [one.number for one in hospital.pacs.of("R1")] == ["B" if merged else "A"]


@pytest.mark.parametrize("destination", ["ehr", "pacs"])
def test_a_withdrawal_in_doubt_that_a_result_overtook_which_never_left(hospital: Hospital, destination: str) -> None:
    hospital.sends(destination)
    hospital.withdraws("R1")
    hospital.sends(destination, "refused, spent")
    says_something_else(hospital)
    hospital.sends_dead_letters_again(recompose=False)  # gives way to the result that waits
    hospital.withdraws("R1")
    hospital.settle()
    assert not [*hospital.receivers["ehr"].of("R1"), *hospital.pacs.of("R1")]


@pytest.mark.parametrize("destination", ["ehr", "pacs"])
@pytest.mark.parametrize("withdrawal", ["refused", "refused, spent"])
@pytest.mark.parametrize("merged", [False, True])
def test_a_withdrawal_composed_anew_does_not_overtake_the_refused_result_after_it(
    hospital: Hospital, destination: str, withdrawal: Fate, merged: bool
) -> None:
    """The cause of a result that stood nowhere in the PACS after a campaign of kills (seed 120)."""
    hospital.sends(destination)
    hospital.withdraws("R1")
    hospital.sends(destination, withdrawal)
    says_something_else(hospital)
    hospital.sends(destination, "refused")
    if merged:
        hospital.merge("A", "B")
    hospital.sends_dead_letters_again(recompose=not merged)
    hospital.settle()
    stands = hospital.receivers["ehr"].of("R1") if destination == "ehr" else hospital.pacs.of("R1")
    assert [one.says for one in stands] == ["0.75"]


def test_a_merge_keeps_the_result_that_is_held_behind_a_withdrawal_that_waits(hospital: Hospital) -> None:
    """Its waveform object names A; it can be stored once A lives again."""
    hospital.arrives("R2", "A")
    hospital.settle()
    hospital.withdraws("R2")
    hospital.merge("A", "B")
    hospital.says_otherwise("R2", 0.75)
    hospital.scores()
    hospital.merge("B", "C")
    hospital.settle(resend=True)
    hospital.add_person("A")
    hospital.releases(hospital.open_questions()[0])  # the EHR holds it under C
    hospital.settle(resend=True)
    assert [(one.says, one.number) for one in hospital.pacs.of("R2")] == [("0.75", "A")]


def test_corrections_that_are_composed_anew_reject_what_was_stored(hospital: Hospital) -> None:
    hospital.sends("pacs")
    hospital.corrects("R1")
    hospital.scores()
    says_something_else(hospital)
    hospital.merge("A", "B")
    hospital.settle()
    assert hospital.pacs.rejected < hospital.pacs.kept.keys(), "each note names what the PACS has"
    assert len(hospital.pacs.rejected) == 2


def test_a_correction_that_waited_as_a_person_was_asked_is_told_after_the_answer(hospital: Hospital) -> None:
    """Of the name alone: the result says the same, and the receivers hold it under the name that was corrected."""
    hospital.settle()
    hospital.comes_again("R1", family="Married")
    hospital.scores()
    hospital.sender_withdraws("R1", follow=False)
    hospital.releases(hospital.open_questions()[0])
    hospital.settle()
    assert hospital.heard("ehr") == hospital.heard("archive") == ["F", "C"]
    assert len(hospital.pacs.stored) == 2
