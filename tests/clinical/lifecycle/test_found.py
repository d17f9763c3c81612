"""Sequences that the machine found to end wrongly, shrunk; each is told as what happened in the hospital.

The number in the comment is the seed of the run that found it. The machine has changed since, so that the same
`--hypothesis-seed` need not find the sequence again: what stands here is the record.
"""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from ecgfm_clinical.staging import checkpointing
from ecgfm_clinical.staging.checkpointing import Checkpointer
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.store import Store
from tests.clinical.lifecycle import places
from tests.clinical.lifecycle.hospital import Hospital, identifier

pytestmark = pytest.mark.slow(20)


@pytest.fixture
def hospital(store_url: str) -> Iterator[Hospital]:
    one = Hospital(lambda telling: Store.open(store_url, create=True, telling=telling), control_ids=itertools.count(1))
    yield one
    one.ends()
    one.store.close()


def test_a_version_under_a_number_merged_then_and_living_again_later(hospital: Hospital) -> None:  # 2
    """A result stands at A; as A is C for a while the recording comes as C's; A lives again: whose is it?"""
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.merge("A", "C")
    hospital.comes_again("R1", "C", corrects=True, follow=True)
    hospital.add_person("A")
    assert len(hospital.open_questions()) == 1


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_correction_that_waits_as_the_person_of_its_result_lives_again(hospital: Hospital, by_hand: bool) -> None:
    """The result stands at A, and what waits to replace it is B's: it may not go out as a correction of A's result."""
    hospital.arrives("R1", "A")
    hospital.scores()
    hospital.sends("ehr", "acknowledged")
    hospital.merge("A", "B")
    hospital.comes_again("R1", "B")
    hospital.scores()
    if by_hand:
        hospital.operator_unmerges("A")
        hospital.settle()
        assert [one.number for one in hospital.receivers["ehr"].of("R1")] == ["B"]
    else:
        hospital.add_person("A")
        assert len(hospital.open_questions()) == 1


@pytest.mark.parametrize("released", [True, False])
def test_versions_that_came_while_a_person_was_asked_wait_no_longer_than_the_question(
    hospital: Hospital, released: bool
) -> None:
    """Found by a kill campaign: the answer had the newest version scored, and the one before it waited for ever."""
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.comes_again("R1", "B")
    (asked,) = hospital.open_questions()
    hospital.comes_again("R1", stat=True)
    hospital.comes_again("R1", stat=False)
    (hospital.releases if released else hospital.rejects)(asked)
    hospital.settle()
    assert hospital.store.questions.counts().waiting == 0


def test_a_refused_result_is_not_sent_again_to_a_survivor_that_survives_no_more(hospital: Hospital) -> None:
    """Found by a kill campaign: composed for A while C was merged into A, and refused; then C lived again."""
    hospital.arrives("R1", "C")
    hospital.scores()
    hospital.merge("C", "A")
    hospital.sends("ehr", "refused")
    hospital.unlink("C", "A")
    hospital.sends_dead_letters_again(recompose=False)
    hospital.settle()
    assert [one.number for one in hospital.receivers["ehr"].of("R1")] == ["C"]


def test_a_refused_result_is_not_sent_again_with_a_number_that_was_merged_since(hospital: Hospital) -> None:
    hospital.arrives("R1", "A", further=True)
    hospital.scores()
    hospital.sends("ehr", "refused")
    cards = {"retired": identifier("card A", "CARDIOLOGY"), "surviving": identifier("card B", "CARDIOLOGY")}
    hospital.store.identities.merge(**cards, reason="x", now=hospital.now, actor="operator")
    hospital.sends_dead_letters_again(recompose=False)
    to_ehr = [one for one in hospital.store.ecgs.story(1).messages if one.destination == "ehr"]
    assert [one.state for one in to_ehr] == [MessageState.CANCELLED, MessageState.WAITING]


def test_a_refused_withdrawal_outlives_a_question_that_is_answered_with_no(hospital: Hospital) -> None:
    """Found by a kill campaign: the question cancelled the withdrawal, and the result stood at the receiver."""
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.withdraws("R1")
    hospital.sends("ehr", "refused")
    hospital.comes_again("R1", "B")
    hospital.rejects(hospital.open_questions()[0])
    hospital.settle(resend=True)
    assert not hospital.receivers["ehr"].of("R1")


def test_a_refused_withdrawal_by_the_sender_outlives_a_merge_that_is_undone(hospital: Hospital) -> None:
    hospital.merge("A", "B")
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.sender_withdraws("R1", follow=True)
    hospital.sends("ehr", "refused")
    hospital.unlink("A", "B")
    for asked in hospital.open_questions():
        hospital.rejects(asked)
    hospital.settle(resend=True)
    assert not hospital.receivers["ehr"].of("R1")


def test_two_people_named_by_a_later_version_and_released_to_the_first_of_them(hospital: Hospital) -> None:  # 3
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.two_people("R1", "C", "B")
    hospital.releases(hospital.open_questions()[0], "C")
    hospital.settle()
    assert [one.number for one in hospital.receivers["ehr"].of("R1")] == ["C"]


def test_a_withdrawal_that_waits_while_its_patient_is_merged_and_unmerged(hospital: Hospital) -> None:  # 4
    hospital.arrives("R1", "A")
    hospital.names_patient("R1", "B")
    hospital.settle()
    hospital.names_patient("R1", "C")
    hospital.operator_merges("B", "C")
    hospital.unlink("C", "B")


def test_the_right_patients_result_waits_for_the_withdrawal_also_of_another_version(hospital: Hospital) -> None:
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.comes_again("R1", "B", follow=True)
    hospital.scores()
    hospital.sends("ehr", "lost on the way")
    hospital.sends("ehr", "never connected", limit=10)


def test_a_result_taken_back_while_it_is_judged_anew(hospital: Hospital) -> None:  # 6
    hospital.merge("C", "A")
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.names_patient("R1", "C")
    hospital.withdraws("R1", delete=True)
    hospital.settle()
    assert not hospital.receivers["ehr"].of("R1")


def test_a_result_taken_back_before_it_left_is_not_told_by_the_next_copy(hospital: Hospital) -> None:
    hospital.arrives("R1", "A")
    hospital.scores()
    hospital.withdraws("R1")
    hospital.comes_again("R1", stat=True)
    hospital.settle()
    assert not hospital.receivers["ehr"].of("R1")


def test_what_a_person_rejected_stays_so_when_its_sender_withdraws_it_and_sends_it_again(hospital: Hospital) -> None:
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.sender_withdraws("R1", follow=False)
    hospital.rejects(hospital.open_questions()[0])
    hospital.sender_withdraws("R1", follow=True)
    hospital.comes_again("R1", stat=True, final=True)
    hospital.settle()
    assert not hospital.receivers["ehr"].of("R1")


def test_rejecting_an_older_question_leaves_the_newer_answer(hospital: Hospital) -> None:
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.comes_again("R1", "B")
    hospital.comes_again("R1", "C")
    first, second = hospital.open_questions()
    hospital.releases(first)
    hospital.rejects(second)
    hospital.settle()
    assert [one.number for one in hospital.receivers["ehr"].of("R1")] == ["B"]


def test_naming_the_patient_answers_the_question_and_brings_back_what_was_withdrawn(hospital: Hospital) -> None:
    hospital.arrives("R1", "A")
    hospital.comes_again("R1", "B")
    hospital.sender_withdraws("R1", follow=True)
    hospital.names_patient("R1", "B")
    assert hospital.open_questions() == []
    hospital.settle()
    assert [one.number for one in hospital.receivers["ehr"].of("R1")] == ["B"]


def test_what_a_person_took_back_stays_so_when_its_sender_sends_it_anew(hospital: Hospital) -> None:  # 1004, 1006
    hospital.arrives("R1", "A")
    hospital.scores()
    hospital.sender_withdraws("R1", follow=True)
    hospital.withdraws("R1")
    hospital.comes_again("R1", stat=True, final=True)
    hospital.settle()
    assert not hospital.receivers["ehr"].of("R1")


def test_what_was_taken_back_is_past_once_the_recording_said_something_else(hospital: Hospital) -> None:  # 5001
    """0.5 is taken back; 0.25 is told, and called off by a question before it leaves; then it says 0.5 again."""
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.withdraws("R1")
    hospital.settle()
    hospital.says_otherwise("R1", 0.25)
    hospital.scores()
    hospital.comes_again("R1", "B")
    hospital.says_otherwise("R1", 0.5)
    hospital.rejects(hospital.open_questions()[0])
    hospital.settle()
    assert [one.says for one in hospital.receivers["ehr"].of("R1")] == ["0.5"]


def test_a_version_that_was_superseded_ends_nothing_that_was_taken_back(hospital: Hospital) -> None:  # 5001
    hospital.arrives("R1", "A")
    hospital.scores()
    hospital.comes_again("R1", corrects=True)
    hospital.withdraws("R1")
    hospital.comes_again("R1", corrects=True)
    hospital.says_otherwise("R1", 0.25)
    hospital.scores(1)
    hospital.says_otherwise("R1", 0.5)
    hospital.settle()
    assert not hospital.receivers["ehr"].of("R1")


def test_taking_back_twice_takes_back_what_was_said_last(hospital: Hospital) -> None:
    """0.5 was sent, and 0.25 is about to replace it as both are taken back, twice: 0.25 is no news then."""
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.says_otherwise("R1", 0.25)
    hospital.scores()
    hospital.withdraws("R1")
    hospital.withdraws("R1")
    hospital.says_otherwise("R1", 0.25)
    hospital.settle()
    assert not hospital.receivers["ehr"].of("R1")


@pytest.mark.parametrize("scored_before", [True, False])
def test_a_number_under_which_a_result_was_taken_back_from_another(hospital: Hospital, scored_before: bool) -> None:
    """D left under C, which A was merged into; as A lives again its result needs a number of its own (7002)."""
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.operator_merges("A", "C")
    hospital.withdraws("R1", delete=True)
    hospital.settle()
    if scored_before:
        hospital.corrects("R1")
        hospital.scores()
        hospital.add_person("A")
    else:
        hospital.add_person("A")
        hospital.corrects("R1")
    hospital.settle()
    (stands,) = hospital.receivers["ehr"].of("R1")
    assert stands.number == "A"
    assert len(hospital.receivers["ehr"].fillers) == 2


def test_naming_the_patient_to_whom_it_belongs_already_takes_it_back_from_the_other(hospital: Hospital) -> None:  # 5008
    hospital.merge("C", "B")
    hospital.arrives("R1", "C")
    hospital.settle()
    hospital.add_person("C")
    hospital.releases(hospital.open_questions()[0], "C")
    hospital.settle()
    assert [one.number for one in hospital.receivers["ehr"].of("R1")] == ["C"]
    assert hospital.heard("ehr") == ["F", "W", "F"]


def test_a_recording_taken_back_before_it_came_waits_for_a_person(hospital: Hospital) -> None:
    hospital.sender_withdraws_early("R1")
    hospital.arrives("R1", "A")
    hospital.settle()
    assert hospital.heard("ehr") == []
    hospital.releases(hospital.open_questions()[0])
    hospital.settle()
    assert hospital.heard("ehr") == ["F"]


def test_an_order_taken_back_before_its_recording_came_waits_for_a_person(hospital: Hospital) -> None:
    hospital.sender_withdraws_early("R1", by_order=True)
    hospital.arrives("R1", "A")
    hospital.rejects(hospital.open_questions()[0])
    hospital.settle()
    assert hospital.heard("ehr") == []
    assert hospital.store.questions.counts().failed == 1, "nothing of it will be scored"


@pytest.mark.parametrize(
    ("more", "heard"),
    [
        ({"final": True}, "F W F"),
        ({"corrects": True}, "F W F"),
        ({"final": True, "source": "archive"}, "F W"),
        ({}, "F W"),
    ],
)
def test_only_who_took_it_back_brings_it_back_by_itself(hospital: Hospital, more: dict[str, Any], heard: str) -> None:
    """A version that does not say that it is final or corrected, or that comes from elsewhere, waits for a person."""
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.sender_withdraws("R1", follow=True)
    hospital.settle()
    hospital.comes_again("R1", stat=True, **more)
    hospital.settle()
    assert hospital.heard("ehr") == heard.split()
    for one in hospital.open_questions():
        hospital.releases(one)
    hospital.settle()
    assert hospital.heard("ehr") == ["F", "W", "F"]


def test_a_question_between_two_numbers_is_moot_once_they_are_one_persons(hospital: Hospital) -> None:
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.comes_again("R1", "B")
    hospital.merge("B", "A")
    assert hospital.open_questions() == []
    (closed,) = hospital.store.results.holds(decided=True)
    assert (closed.decision, closed.reason) == ("moot", "the numbers are one person's now")
    hospital.add_person("B")
    (asked,) = hospital.open_questions()
    hospital.releases(asked)
    hospital.settle()
    assert [one.number for one in hospital.receivers["ehr"].of("R1")] == ["B"]
    hospital.merge("B", "A")
    hospital.add_person("B")
    assert hospital.open_questions() == [], "a person said whose it is"


def test_a_question_about_an_undone_merge_is_moot_once_it_is_merged_again(hospital: Hospital) -> None:
    hospital.merge("A", "B")
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.add_person("A")
    assert len(hospital.open_questions()) == 1
    hospital.merge("A", "B")
    assert hospital.open_questions() == []
    hospital.settle()
    assert hospital.heard("ehr") == ["F"]


def test_what_its_sender_takes_back_needs_nobody_until_it_comes_anew(hospital: Hospital) -> None:
    """Whose it is was open; it is open again as soon as the recording counts again."""
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.comes_again("R1", "B")
    hospital.sender_withdraws("R1", follow=True)
    assert hospital.open_questions() == []
    hospital.comes_again("R1", "B", stat=True, final=True)
    (asked,) = hospital.open_questions()
    hospital.rejects(asked)
    hospital.settle()
    assert [one.number for one in hospital.receivers["ehr"].of("R1")] == ["A"]


def test_what_was_said_before_two_withdrawals_is_news_after_the_second(hospital: Hospital) -> None:  # 15007
    """0.5 is taken back, and so is 0.75, which was to take its place; then it says 0.5 again: that is news."""
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.withdraws("R1", delete=True)
    hospital.says_otherwise("R1", 0.75)
    hospital.scores()
    hospital.withdraws("R1")
    hospital.says_otherwise("R1", 0.5)
    hospital.settle()
    assert [one.says for one in hospital.receivers["ehr"].of("R1")] == ["0.5"]


def test_moving_a_result_that_a_person_took_back_does_not_tell_it_again(hospital: Hospital) -> None:  # 11011
    """Its withdrawal could not be written for one receiver, so it stands there as the merge is undone."""
    hospital.operator_merges("C", "B")
    hospital.arrives("R2", "C")
    hospital.scores()
    hospital.sends("archive", limit=100)
    hospital.operator_merges("B", "Ж")
    hospital.withdraws("R2")
    hospital.add_person("C")
    hospital.releases(hospital.open_questions()[0])
    hospital.settle()
    assert not hospital.receivers["ehr"].of("R2")


def test_a_sender_dies_with_two_messages_in_hand(hospital: Hospital) -> None:
    """Both go back to the queue, and the one that may have left goes again with the same bytes (seed 77003)."""
    hospital.arrives("R1", "A")
    hospital.arrives("R2", "B")
    hospital.settle(resend=False)
    hospital.withdraws("R2", delete=True)
    hospital.sender_withdraws("R1", follow=True, by_order=True, speaking_of=None)
    assert hospital.sends("ehr", "sender died after", 10) == 2
    hospital.settle()
    assert sorted(hospital.heard("ehr")) == ["D", "F", "F", "W"]


def test_a_copy_does_not_tell_again_what_could_not_be_taken_back(hospital: Hospital) -> None:  # 44002
    """A person takes the result back, one receiver's withdrawal can't be written, and an urgent copy is no news."""
    hospital.arrives("R1", "A")
    hospital.settle()
    hospital.comes_again("R1", stat=True, final=True)
    hospital.merge("B", "Ж")
    hospital.withdraws("R1", delete=True)
    hospital.merge("A", "B")
    hospital.operator_merges("B", "A")
    hospital.settle()
    assert hospital.heard("archive") == ["F"]
    hospital.settle(resend=True)
    assert hospital.heard("archive") == ["F", "D"]


def test_another_person_while_the_withdrawal_waits(hospital: Hospital) -> None:
    """What waits to be taken back at B is told to C under a filler number of its own (seed 61010)."""
    hospital.merge("A", "B")
    hospital.arrives("R2", "A", further=True)
    hospital.scores()
    hospital.sends("ehr", limit=100)
    hospital.withdraws("R2", delete=False)
    hospital.says_otherwise("R2", 0.75)
    hospital.operator_merges("A", "C")
    hospital.settle()
    assert hospital.heard("ehr") == ["F", "W", "F"]


def test_it_stays_with_whom_one_receiver_has_it_and_another_one_must_take_it_back(hospital: Hospital) -> None:
    """Named another's, and one receiver cannot write that number; "it stays" then holds for both (seed 62009)."""
    hospital.arrives("R1", "C")
    hospital.settle(resend=True)
    hospital.names_patient("R1", "Ж")
    hospital.operator_merges("C", "Ж")
    hospital.settle(resend=False)
    hospital.merge("C", "A")
    hospital.rejects(hospital.open_questions()[0])


def test_what_a_person_decided_is_told_by_the_version_that_came_meanwhile(hospital: Hospital) -> None:
    """Taken back, then released to its patient; a copy comes before the score, and is not the one released (64005)."""
    hospital.arrives("R1", "Ж", further=True)
    hospital.scores()
    hospital.comes_again("R1", "A", follow=True, other_object=True)
    hospital.two_people("R1", "B", "Ж")
    hospital.withdraws("R1", delete=True)
    hospital.releases(hospital.open_questions()[1], "Ж")
    hospital.comes_again("R1", stat=True, final=True, source="carts")
    hospital.settle()
    assert hospital.heard("ehr") == ["F"]


def test_of_two_results_set_aside_the_newer_goes(hospital: Hospital) -> None:
    """Neither could be written; both can be, once the number is merged (seed 62011)."""
    hospital.operator_merges("B", "Ж")
    hospital.arrives("R2", "B", further=True)
    hospital.settle(resend=True)
    hospital.says_otherwise("R2", 0.25)
    hospital.settle(resend=True)
    hospital.merge("Ж", "C")
    hospital.settle(resend=True)
    assert hospital.heard("archive") == ["F"]


def test_a_withdrawal_composed_anew_still_goes_before_what_follows_it(hospital: Hospital) -> None:
    """The merge concerns the withdrawal alone, not the result for another patient behind it (seed 62014)."""
    hospital.arrives("R1", "C")
    hospital.names_patient("R1", "B")
    hospital.settle(resend=False)
    hospital.comes_again("R1", "A", follow=True, other_object=True)
    hospital.releases(hospital.open_questions()[0], "Ж")
    hospital.scores(100)
    hospital.operator_merges("B", "C")
    hospital.settle()
    assert hospital.heard("ehr") == ["F", "W", "F"]


def test_a_backup_does_not_send_what_was_composed_anew_since_under_the_same_number(
    tmp_path: Path,
) -> None:
    """A merge is undone after the backup, the message composed anew and sent; the backup is put back (seed 61004)."""
    place = places.on_sqlite(tmp_path)()
    hospital = Hospital(place.open, control_ids=itertools.count(1))
    hospital.arrives("R1", "C")
    hospital.scores()
    hospital.operator_merges("C", "B")
    backup = (place.save(), hospital.truth())
    hospital.add_person("C")
    hospital.sends("ehr", limit=100)
    hospital.is_restored(*backup)
    hospital.settle()
    assert len(hospital.receivers["ehr"].control_ids) == 2
    hospital.store.close()


def test_stopping_just_before_the_checkpointers_flag_falls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's thread cleared the flag by which `stop` woke it, and `close` waited for ever (seed 2)."""
    monkeypatch.setattr(checkpointing, "PAUSE", 0.0)
    checkpointer = Checkpointer(tmp_path / "store.db")

    class StoppedMeanwhile(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            before = super().wait(timeout)
            self.set()
            checkpointer._written.set()
            return before

    checkpointer._stopping = StoppedMeanwhile()
    checkpointer.nudge()
    thread = cast(threading.Thread, checkpointer._thread)
    thread.join(20)
    assert not thread.is_alive()
