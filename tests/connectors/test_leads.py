"""Leads, units and times: the small tables that decide what a number means."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from ecgfm_connectors.leads import Lead, from_code, from_label
from ecgfm_connectors.times import acquired_at, parse_date, parse_offset, parse_timestamp
from ecgfm_connectors.units import millivolts


@pytest.mark.parametrize(
    ("code", "lead"),
    [
        ("2:1", Lead("I")),
        ("2:61", Lead("III")),
        ("2:62", Lead("aVR")),
        ("2:65", Lead("aVR", sign=-1)),
        ("131137", Lead("aVR", sign=-1)),
        ("131134", Lead("aVR")),
        ("2:8", Lead("V6")),
        ("2:9", Lead("V7")),
        ("2:12", Lead("V4R")),
        ("2:66", Lead("V8")),
        ("5.6.3-9-3", Lead("V1")),
        ("5.6.3-9-64", Lead("aVF")),
        ("2:112", Lead("aVR", reconstructed=True)),
        ("2:31", Lead("I", reconstructed=True)),
        ("MDC_ECG_LEAD_AVL", Lead("aVL")),
        ("mdc_ecg_lead_v3", Lead("V3")),
        ("2:0", None),
        ("3:1", None),
        ("EKG7", None),
    ],
)
def test_lead_codes(code: str, lead: Lead | None) -> None:
    assert from_code(code) == lead


@pytest.mark.parametrize(
    ("label", "lead"),
    [
        ("I", Lead("I")),
        ("Lead I (Einthoven)", Lead("I")),
        ("LEAD_II", Lead("II")),
        ("DIII", Lead("III")),
        ("AVF", Lead("aVF")),
        ("avl", Lead("aVL")),
        ("-aVR", Lead("aVR", sign=-1)),
        ("− aVR", Lead("aVR", sign=-1)),
        ("C4", Lead("V4")),
        ("ECG V5", Lead("V5")),
        ("v 6", Lead("V6")),
        ("-V1", None),
        ("MLII", None),
        ("RESP", None),
        ("", None),
    ],
)
def test_lead_labels(label: str, lead: Lead | None) -> None:
    assert from_label(label) == lead


def test_only_twelve_leads_are_canonical() -> None:
    assert not Lead("V7").canonical
    assert Lead("V6").canonical


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        *(("uV", 0.001), ("µV", 0.001), ("μV", 0.001), ("ÂµV", 0.001), ("UV", 0.001), ("microvolt", 0.001)),
        *(("mV", 1.0), ("MV", 1.0), ("mv", 1.0), ("Millivolts", 1.0), ("V", 1000.0), ("nV", 1e-6)),
        *(("MDC_DIM_MICRO_VOLT", 0.001), ("266418", 1.0), ("mm[Hg]", None), ("", None), ("%", None)),
    ],
)
def test_units(unit: str, factor: float | None) -> None:
    assert millivolts(unit) == factor


BERLIN = ZoneInfo("Europe/Berlin")


def test_offset_in_the_time_wins() -> None:
    found = acquired_at("20260329143000.5-0330", site=BERLIN)
    assert found is not None
    assert found.at == datetime(2026, 3, 29, 18, 0, 0, 500_000, tzinfo=UTC)
    assert (found.zone_source, found.original) == ("offset", "20260329143000.5-0330")


def test_message_zone_comes_before_the_site() -> None:
    found = acquired_at("202603291430", site=BERLIN, message=timezone(timedelta(hours=9)))
    assert found is not None
    assert (found.at.utcoffset(), found.zone_source) == (timedelta(hours=9), "message")


def test_site_zone_knows_summer_time() -> None:
    winter, summer = acquired_at("20260328120000", site=BERLIN), acquired_at("20260330120000", site=BERLIN)
    assert winter is not None
    assert summer is not None
    assert (winter.at.utcoffset(), summer.at.utcoffset()) == (timedelta(hours=1), timedelta(hours=2))
    assert summer.zone_source == "site"


@pytest.mark.parametrize("text", ["", "2026", "20261301", "20260101250000", "20260101120000+9999", "now", "20260230"])
def test_what_is_no_time(text: str) -> None:
    assert parse_timestamp(text) is None


def test_years_out_of_range_are_no_time() -> None:
    assert acquired_at("00010101000000+1400", site=BERLIN) is None


def test_dates_and_offsets() -> None:
    assert parse_date("1956-07-01") == parse_date("19560701") == date(1956, 7, 1)
    assert parse_offset("+1600") is None
    assert parse_offset("-0330") == timezone(-timedelta(hours=3, minutes=30))
