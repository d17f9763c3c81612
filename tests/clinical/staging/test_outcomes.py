"""Outcomes in either database: counts by source, code and reason, pages, versions, and reading anew."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ecgfm_clinical.errors import NotFound
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.decision import Decision, LeftOut, Source, Unused
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.patient import Identifier, Patient

PATIENT = Patient(identifiers=(Identifier(authority="TESTHOSP", value="4711"),))
SOURCE = Source(place="OBX[1]-5", code="LN|18043-0", name="LVEF", text="LVEF 35 %", span=(5, 9))


def outcome(value: float = 35.0, source_id: str = "one", **changes: Any) -> Outcome:
    given: dict[str, Any] = {
        "source_id": source_id,
        "patient": PATIENT,
        "kind": "lvef",
        "value": value,
        "unit": "%",
        "code": "LN|18043-0",
        "observed_at": datetime(2031, 1, 1, 12, tzinfo=UTC),
        "precision": "minute",
        "status": "final",
        "text": "LVEF 35 %",
        "decision": Decision(rule="code", source=SOURCE, unused=(Unused(reason="prior", text="EF 50 %", span=(1, 2)),)),
    }
    return Outcome(**(given | changes))


def left_out(reason: str = "lvef-unit") -> LeftOut:
    return LeftOut(kind="lvef", reason=reason, text="why", source=SOURCE, patient=PATIENT)


def test_what_is_stored_comes_back_as_it_was(ward: Any) -> None:
    ward.take(Contents(outcomes=(outcome(),), left_out=(left_out(),)))
    (kept,) = ward.store.outcomes.newest()
    assert kept.outcome == outcome()
    (refused,) = ward.store.outcomes.left_out()
    assert refused.left_out == left_out()
    assert ward.store.outcomes.left_out(reason="another") == []


def test_counts_tell_what_is_taken_and_what_is_not(ward: Any) -> None:
    ward.take(Contents(outcomes=(outcome(), outcome(source_id="two")), left_out=(left_out(), left_out("lvef-prior"))))
    ward.take(Contents(outcomes=(outcome(40.0, status="corrected"),)))
    counts = {(one.source, one.kind, one.code, one.reason): one.number for one in ward.store.outcomes.counts()}
    assert counts == {
        ("carts", "lvef", "LN|18043-0", ""): 2,
        ("carts", "lvef", "LN|18043-0", "lvef-unit"): 1,
        ("carts", "lvef", "LN|18043-0", "lvef-prior"): 1,
    }


def test_pages_and_versions(ward: Any) -> None:
    ward.take(Contents(outcomes=(outcome(), outcome(source_id="two"))))
    ward.take(Contents(outcomes=(outcome(40.0, status="corrected"),)))
    first, second = ward.store.outcomes.newest()
    assert [one.outcome_id for one in ward.store.outcomes.newest(limit=1, before=first.outcome_id)] == [
        second.outcome_id
    ]
    assert [one.outcome.value for one in ward.store.outcomes.versions(first.outcome_id)] == [35.0, 40.0]
    with pytest.raises(NotFound):
        ward.store.outcomes.versions(999)


def test_reading_anew_adds_versions_and_takes_back_what_is_none(ward: Any) -> None:
    ward.take(
        Contents(outcomes=(outcome(), outcome(source_id="two"), outcome(source_id="three")), left_out=(left_out(),))
    )
    ward.take(Contents(outcomes=(outcome(41.0, source_id="three", status="corrected"),)))
    payload_id = ward.store.outcomes.left_out()[0].payload_id
    ward.store.outcomes.replace(
        payload_id,
        [outcome(36.0), outcome(source_id="three")],
        [left_out("lvef-prior")],
        now=ward.now,
        actor="operator",
    )
    newest = {one.outcome.source_id: (one.outcome.value, one.outcome.status) for one in ward.store.outcomes.newest()}
    assert newest == {"one": (36.0, "final"), "two": (35.0, "withdrawn"), "three": (41.0, "corrected")}
    assert [one.left_out.reason for one in ward.store.outcomes.left_out()] == ["lvef-prior"]
    with pytest.raises(NotFound):
        ward.store.outcomes.replace(999, [], [], now=ward.now, actor="operator")
