"""Deaths of ADT messages: PID-29 and PID-30, kept where the site asks, doubtful ones left out with their reason."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.outcomes.site import SiteTable
from ecgfm_connectors.reading import read

ZONE = ZoneInfo("Europe/Zurich")
CONTEXT = ReadingContext(default_authority="TEST", zone=ZONE, outcome_table=SiteTable(deaths=True))


def adt(date: str, indicator: str, *, event: str = "A08", processing: str = "P", number: str = "T1^^^TEST^MR") -> bytes:
    fields = ["PID", "1", "", number, "", "TESTFAMILY^ONE", "", "19600517", "F", *[""] * 20, date, indicator]
    header = f"MSH|^~\\&|ADT|TEST|ECGFM|TEST|20310506100000||ADT^{event}|D1|{processing}|2.5.1"
    return f"{header}\rEVN|{event}|20310506\r{'|'.join(fields)}\r".encode()


def told(content: bytes, context: ReadingContext = CONTEXT) -> Contents:
    return read(content, context)


@pytest.mark.parametrize("event", ["A03", "A08", "A31"])
def test_a_date_of_death_is_an_outcome_of_the_number(event: str) -> None:
    (one,) = told(adt("203105051420", "Y", event=event)).outcomes
    assert (one.kind, one.value, one.unit, one.status, one.precision) == ("death", 1.0, "", "final", "minute")
    assert one.observed_at == datetime(2031, 5, 5, 14, 20, tzinfo=ZONE)
    assert [(known.authority, known.value) for known in one.patient.identifiers] == [("TEST", "T1")]
    (again,) = told(adt("20310505", "")).outcomes
    assert (again.source_id, again.precision) == (one.source_id, "day")
    (other,) = told(adt("20310505", "Y", number="T2^^^TEST^MR")).outcomes
    assert other.source_id != one.source_id


@pytest.mark.parametrize(("date", "indicator"), [("", "N"), ('""', "N"), ('""', "")])
def test_who_lives_after_all_takes_the_death_back(date: str, indicator: str) -> None:
    (one,) = told(adt(date, indicator)).outcomes
    assert one.status == "withdrawn"
    assert one.source_id == told(adt("20310505", "Y")).outcomes[0].source_id


@pytest.mark.parametrize(
    ("date", "indicator", "reason"),
    [
        ("", "Y", "death-without-time"),
        ("2031", "Y", "death-without-time"),
        ("unknown", "", "death-without-time"),
        ('""', "Y", "death-without-time"),
        ("20310505", "N", "death-doubtful"),
        ("20310509", "Y", "death-doubtful"),
        ("99991231", "Y", "death-doubtful"),
        ("19000101", "Y", "death-doubtful"),
    ],
)
def test_a_doubtful_death_is_left_out_with_its_reason(date: str, indicator: str, reason: str) -> None:
    found = told(adt(date, indicator))
    assert found.outcomes == ()
    assert [(one.kind, one.reason) for one in found.left_out] == [("death", reason)]
    assert found.demographics


@pytest.mark.parametrize(
    "content",
    [
        adt("", ""),
        adt("20310505", "Y", event="A01"),
        adt("20310505", "Y", processing="T"),
    ],
)
def test_nothing_is_said_of_a_death(content: bytes) -> None:
    found = told(content)
    assert (found.outcomes, found.left_out) == ((), ())


def test_a_site_that_does_not_ask_keeps_no_deaths() -> None:
    found = told(adt("20310505", "Y"), replace(CONTEXT, outcome_table=SiteTable()))
    assert (found.outcomes, found.left_out) == ((), ())
    assert found.demographics
