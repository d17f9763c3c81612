"""ADT messages tell demographics and merges by (assigning authority, type, id), never by a bare number."""

import pytest

from ecgfm_connectors.contents import Addition, Contents, Link, Merge, Move
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.reading import read


def adt(event: str, *segments: str) -> bytes:
    return "\r".join(
        (f"MSH|^~\\&|ADT|H|ECGFM|H|20260301||ADT^{event}|M1|P|2.5.1", f"EVN|{event}", *segments, "")
    ).encode()


def merges(contents: Contents) -> list[tuple[str, ...]]:
    return [
        (e.retired.authority, e.retired.type, e.retired.value, e.surviving.authority, e.surviving.value, e.event)
        for e in contents.identity_events
        if isinstance(e, Merge)
    ]


PID = "PID|1||NEW^^^HOSP^MR~777^^^REGION^PI||TEST^PATIENT||19500405|F"


@pytest.mark.parametrize("event", ["A01", "A04", "A08", "A31"])
def test_demographics(context: ReadingContext, event: str) -> None:
    contents = read(adt(event, PID), context)
    (patient,) = contents.demographics
    assert [(known.authority, known.value) for known in patient.identifiers] == [("HOSP", "NEW"), ("REGION", "777")]
    assert (patient.family_name, patient.sex, str(patient.birth_date)) == ("TEST", "F", "1950-04-05")
    assert contents.identity_events == ()


@pytest.mark.parametrize("event", ["A18", "A34", "A40", "A47"])
def test_a_merge_stays_inside_its_authority(context: ReadingContext, event: str) -> None:
    contents = read(adt(event, PID, "MRG|OLD^^^HOSP^MR~111^^^REGION^PI"), context)
    assert merges(contents) == [
        ("HOSP", "MR", "OLD", "HOSP", "NEW", event),
        ("REGION", "PI", "111", "REGION", "777", event),
    ]


def test_repeated_pairs(context: ReadingContext) -> None:
    second = "PID|2||B^^^HOSP^MR||OTHER^PATIENT"
    contents = read(adt("A40", PID, "MRG|OLD^^^HOSP^MR", second, "MRG|A^^^HOSP^MR"), context)
    assert [(old, new) for _, _, old, _, new, _ in merges(contents)] == [("OLD", "NEW"), ("A", "B")]


def test_a_bare_number_belongs_to_the_only_authority(context: ReadingContext) -> None:
    contents = read(adt("A40", "PID|1||NEW^^^HOSP^MR||TEST^PATIENT", "MRG|OLD"), context)
    assert merges(contents) == [("HOSP", "MR", "OLD", "HOSP", "NEW", "A40")]


@pytest.mark.parametrize("mrg", ["MRG|OLD^^^ELSEWHERE^MR", "MRG|OLD"])
def test_no_guess_between_authorities(context: ReadingContext, mrg: str) -> None:
    with pytest.raises(Refused, match="merge-unmatched") as refusal:
        read(adt("A40", PID, mrg), context)
    assert "OLD" not in str(refusal.value)


def test_a_number_merged_into_itself_is_refused(context: ReadingContext) -> None:
    with pytest.raises(Refused, match="merge-into-itself"):
        read(adt("A40", PID, "MRG|NEW^^^HOSP^MR"), context)


@pytest.mark.parametrize("segments", [(PID, "MRG|"), (PID,), ("PID|1||||TEST^PATIENT", "MRG|OLD^^^HOSP^MR")])
def test_a_merge_without_a_number_is_refused(context: ReadingContext, segments: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="merge-incomplete"):
        read(adt("A40", *segments), context)


def test_the_retired_number_may_stand_first_in_pid_3(context: ReadingContext) -> None:
    pid = "PID|1||OLD^^^HOSP^MR~NEW^^^HOSP^MR||TEST^PATIENT"
    contents = read(adt("A40", pid, "MRG|OLD^^^HOSP^MR"), context)
    assert [(old, new) for _, _, old, _, new, _ in merges(contents)] == [("OLD", "NEW")]
    assert [known.value for known in contents.demographics[0].identifiers] == ["NEW"]


@pytest.mark.parametrize("mrg", ["OLD^^^hosp^MR", "OLD^^^HOSP^PI", "OLD^^^HOSP"])
def test_authority_and_type_are_compared_by_meaning(context: ReadingContext, mrg: str) -> None:
    contents = read(adt("A40", "PID|1||NEW^^^HOSP^MR||TEST^PATIENT", f"MRG|{mrg}"), context)
    (merge,) = contents.identity_events
    assert isinstance(merge, Merge)
    assert merge.retired.identity == ("hosp", "MR", "OLD")


def test_a_visit_number_is_never_a_person(context: ReadingContext) -> None:
    with pytest.raises(Refused, match="merge-unmatched"):
        read(adt("A40", "PID|1||NEW^^^HOSP^MR||TEST^PATIENT", "MRG|OLD^^^HOSP^VN"), context)


@pytest.mark.parametrize(("event", "linked"), [("A24", True), ("A37", False)])
def test_links_pair_the_numbers_of_one_authority(context: ReadingContext, event: str, linked: bool) -> None:
    contents = read(adt(event, PID, "PID|2||OTHER^^^HOSP^MR~999^^^ELSE^MR||TEST^PATIENT"), context)
    (link,) = contents.identity_events
    assert isinstance(link, Link)
    assert (link.first.value, link.second.value, link.linked) == ("NEW", "OTHER", linked)


def test_a_link_needs_two_people(context: ReadingContext) -> None:
    with pytest.raises(Refused, match="merge-incomplete"):
        read(adt("A37", PID), context)


def test_a28_lets_a_number_live_again(context: ReadingContext) -> None:
    contents = read(adt("A28", PID), context)
    assert contents.identity_events == (Addition(identifier=contents.demographics[0].identifiers[0], event="A28"),)


def test_moves_name_both_people_and_the_visit(context: ReadingContext) -> None:
    contents = read(adt("A45", PID, "MRG|OLD^^^HOSP^MR||||V77^^^HOSP^VN"), context)
    (move,) = contents.identity_events
    assert isinstance(move, Move)
    assert (move.source.value, move.target.value, move.visits) == ("OLD", "NEW", ("V77",))


@pytest.mark.parametrize("event", ["A11", "A20", "A35", "A41", "A42", "A44", "A50", "A51", "A60"])
def test_other_events_are_noted(context: ReadingContext, event: str) -> None:
    with pytest.raises(Refused, match="event-not-followed"):
        read(adt(event, PID), context)
