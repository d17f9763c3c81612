"""ADT messages tell demographics and merges by (assigning authority, type, id), never by a bare number."""

import pytest

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.reading import ReadingContext, read


def adt(event: str, *segments: str) -> bytes:
    return "\r".join(
        (f"MSH|^~\\&|ADT|H|ECGFM|H|20260301||ADT^{event}|M1|P|2.5.1", f"EVN|{event}", *segments, "")
    ).encode()


def merges(contents: Contents) -> list[tuple[str, ...]]:
    return [
        (e.retired.authority, e.retired.type, e.retired.value, e.surviving.authority, e.surviving.value, e.event)
        for e in contents.identity_events
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


def test_merging_a_number_with_itself_is_nothing(context: ReadingContext) -> None:
    assert merges(read(adt("A40", PID, "MRG|NEW^^^HOSP^MR"), context)) == []


@pytest.mark.parametrize("event", ["A11", "A20", "A60"])
def test_other_events_are_nothing_for_us(context: ReadingContext, event: str) -> None:
    with pytest.raises(Refused, match="no-ecg"):
        read(adt(event, PID), context)
