"""Identities as a person asks for them and changes them, on both databases."""

from typing import Any

import pytest

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging.records import AttemptError, Retry, WhySetAside
from ecgfm_connectors.contents import Contents


def _act(ward: Any) -> dict[str, Any]:
    return {"reason": "checked", "now": ward.later(seconds=9), "actor": "someone"}


def test_a_number_is_heard_of_once_anything_named_it(ward: Any) -> None:
    identities = ward.store.identities
    assert not identities.show(ward.identifier("A")).heard_of
    ward.take(patient=ward.patient("A"))
    ward.take(Contents(demographics=(ward.patient("B"),)))
    for name in "AB":
        assert identities.show(ward.identifier(name)).heard_of
    assert not identities.show(ward.identifier("A", authority="OTHER")).heard_of
    assert "TESTHOSP" in identities.authorities()


def test_an_overruled_number_was_heard_of_all_the_same(ward: Any) -> None:
    ward.take(source_id="1.2.3", patient=ward.patient("A"))
    ward.take(source_id="1.2.3", patient=ward.patient("B"))  # held: it belongs to A until a person decides
    assert ward.store.identities.show(ward.identifier("B")).heard_of


def test_a_person_has_the_recordings_of_the_numbers_merged_into_theirs(ward: Any) -> None:
    ward.take(patient=ward.patient("B"))
    ward.score_all()
    identities = ward.store.identities
    identities.merge(ward.identifier("B"), ward.identifier("A"), **_act(ward))
    retired, survivor = identities.show(ward.identifier("B")), identities.show(ward.identifier("A"))
    assert (retired.state, survivor.state) == ("merged", "known")
    assert retired.survivor == ward.identifier("A")
    assert survivor.merged_into_it == 1
    (recording,) = survivor.recordings
    (result,) = recording.results
    assert (result.kind, result.filed_as.identifiers[0].value) == ("F", "A")


def test_an_undone_merge_leaves_no_question(ward: Any) -> None:
    ward.merge("B", "A")
    ward.take(patient=ward.patient("B"))
    ward.score_all()
    ward.send_all()
    ward.store.identities.unmerge(ward.identifier("B"), **_act(ward))
    assert ward.store.results.holds() == []
    assert ward.store.identities.show(ward.identifier("B")).state == "unmerged"
    (recording,) = ward.store.identities.show(ward.identifier("B")).recordings
    assert recording.results == ()  # withdrawn under A; judged again before it is told under B
    assert len(ward.claim(now=ward.later(seconds=10))) == 1


def test_what_cannot_be_done_is_said(ward: Any) -> None:
    identities, one = ward.store.identities, ward.identifier("A")
    with pytest.raises(StoreError, match="no merge to undo"):
        identities.unmerge(one, **_act(ward))
    for act in (identities.merge, identities.link):
        with pytest.raises(StoreError, match="one identity"):
            act(one, ward.identifier("A", authority="testhosp", type="PI"), **_act(ward))


def test_linked_numbers_name_each_other(ward: Any) -> None:
    ward.store.identities.link(ward.identifier("A"), ward.identifier("B"), **_act(ward))
    found = ward.store.identities.show(ward.identifier("B"))
    assert (found.state, found.linked) == ("linked", (ward.identifier("A"),))


def test_messages_set_aside_are_counted_by_reason_and_by_whether_they_may_have_left(ward: Any) -> None:
    ward.take(patient=ward.patient("A"))
    ward.take(patient=ward.patient("B"))
    ward.score_all()
    for message, kind in zip(ward.claim_messages(), ("AE", "Unreachable"), strict=True):
        ward.begin(message)
        error = AttemptError(at=ward.now, attempt=1, kind=kind, text="")
        ward.store.outbox.fail(message, Retry(due_at=None, error=error), now=ward.later(seconds=5), worker="sender")
    ehr = ward.store.questions.backlog().destinations["ehr"]
    assert ehr.set_aside == {WhySetAside.REFUSED: 1, WhySetAside.SPENT: 1}
    assert ehr.set_aside_in_doubt == 2  # neither attempt was told what became of it
