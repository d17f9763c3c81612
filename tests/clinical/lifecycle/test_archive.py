"""What stands at a PACS after answers that leave a doubt: there nothing is replaced by its number, only rejected."""

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
    one.settle()
    one.settle(resend=True)
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
