"""Outcome tables of archives: every good row becomes an outcome, every bad one is counted, none is quoted."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import PayloadError, Refused, Unreadable
from ecgfm_connectors.outcomes.site import SiteFinding, SiteTable
from ecgfm_connectors.reading import read, sniff

pytestmark = pytest.mark.slow(3)

CONTEXT = ReadingContext(default_authority="TESTHOSP", zone=ZoneInfo("Europe/Zurich"))
HEAD = "patient_id,kind,value,unit,observed_at"


def table(*lines: str, head: str = HEAD) -> bytes:
    return "\n".join((head, *lines, "")).encode()


def test_rows_become_outcomes() -> None:
    head = HEAD + ",upper_value,comparator,upper_reference_limit,assay,status,authority"
    found = read(
        table(
            "4711,lvef,35,%,2031-05-06T08:00:00+00:00,40,,,,,",
            "4712,troponin,5,ng/L,2031-05-06 10:00,,<,14,hs-T,corrected,OTHER",
            head=head,
        ),
        CONTEXT,
    )
    first, second = found.outcomes
    assert (first.kind, first.value, first.upper_value, first.unit, first.status) == ("lvef", 35, 40, "%", "final")
    assert first.patient.identifiers[0].authority == "TESTHOSP"
    assert (second.comparator, second.upper_reference_limit, second.assay) == ("<", 14, "hs-T")
    assert second.patient.identifiers[0].authority == "OTHER"
    assert second.observed_at == datetime(2031, 5, 6, 8, tzinfo=UTC), "the site's zone where none is given"


def test_a_result_id_ties_a_correction_to_what_it_corrects() -> None:
    head = HEAD + ",result_id"
    first = read(table("4711,lvef,35,%,2031-05-06T08:00:00Z,R1", head=head), CONTEXT).outcomes[0]
    second = read(table("4711,lvef,55,%,2031-05-06T08:00:00Z,R1", head=head), CONTEXT).outcomes[0]
    assert first.source_id == second.source_id
    plain = [read(table("4711,lvef,35,%,2031-05-06T08:00:00Z"), CONTEXT).outcomes[0].source_id for _ in range(2)]
    assert plain[0] == plain[1]
    assert "4711" not in plain[0]


def test_every_unit_is_brought_into_ours_the_limit_with_it() -> None:
    head = HEAD + ",upper_value,upper_reference_limit"
    found = read(
        table(
            "4711,lvef,0.35,1,2031-05-06T08:00:00Z,0.40,",
            "4712,troponin,0.035,ng/mL,2031-05-06T08:00:00Z,,0.014",
            "4713,troponin,35,pg/mL,2031-05-06T08:00:00Z,,14",
            "4714,troponin,0.035,µg/L,2031-05-06T08:00:00Z,,",
            head=head,
        ),
        CONTEXT,
    )
    told = [(one.value, one.upper_value, one.unit, one.upper_reference_limit) for one in found.outcomes]
    assert told == [(35, 40, "%", None), (35, None, "ng/L", 14), (35, None, "ng/L", 14), (35, None, "ng/L", None)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("lvef,0.35,%", "an ejection fraction outside 3–95 % is left out"),
        ("lvef,35,", "there is no unit"),
        ("lvef,35,mL", "an ejection fraction in a unit of something else is left out"),
        ("troponin,35,", "there is no unit"),
        ("troponin,35,nmol/L", "a troponin in a unit that is no mass by volume is left out"),
        ("troponin,35,stones", "the unit is none that we know"),
        ("troponin,-3,ng/L", "a negative concentration is left out"),
        ("troponin,1e20,ng/L", "a troponin beyond every assay's range is left out"),
        ("troponin,1e400,g/L", "value is not a number"),
        ("troponin,1e999999,g/L", "value is not a number"),
        ("troponin,1e-999999,g/L", "value is not a number"),
    ],
)
def test_a_value_that_cannot_be_or_has_no_known_unit_is_left_out(row: str, reason: str) -> None:
    with pytest.raises(Refused, match=f"1 rows left out: {reason}"):
        read(table(f"4711,{row},2031-05-06T08:00:00Z"), CONTEXT)


def test_a_result_is_taken_back_without_its_value() -> None:
    (found,) = read(table("4711,troponin,,,2031-05-06T08:00:00Z,withdrawn", head=HEAD + ",status"), CONTEXT).outcomes
    assert (found.status, found.value, found.unit) == ("withdrawn", 0.0, "ng/L")


def test_bad_rows_are_counted_and_never_quoted() -> None:
    found = read(
        table(
            "4711,lvef,35,%,2031-05-06T08:00:00Z",
            "4712,lvef,secret,%,2031-05-06T08:00:00Z",
            "4713,lvef,nan,%,2031-05-06T08:00:00Z",
            "4714,potassium,4,mmol/L,2031-05-06T08:00:00Z",
            "4715,lvef,35,%,yesterday",
            ",lvef,35,%,2031-05-06T08:00:00Z",
        ),
        CONTEXT,
    )
    assert len(found.outcomes) == 1
    texts = sorted(finding.text for finding in found.findings)
    assert texts == [
        "1 rows left out: kind is neither lvef nor troponin, nor one that the settings declare",
        "1 rows left out: no patient_id",
        "1 rows left out: observed_at is not an ISO 8601 time",
        "2 rows left out: value is not a number",
    ]


@pytest.mark.parametrize(
    ("content", "error", "code"),
    [
        (table(), Refused, "no-outcome"),
        (table("4711,lvef,secret,%,2031-05-06T08:00:00Z"), Refused, "no-outcome"),
        (b"\xff\xfe" + table()[2:], PayloadError, ""),
        (b"PAR1 and nothing else", Unreadable, "damaged"),
    ],
)
def test_tables_that_give_nothing(content: bytes, error: type[PayloadError], code: str) -> None:
    with pytest.raises(error) as caught:
        read(content, CONTEXT)
    assert not code or caught.value.code == code


def test_parquet_gives_the_same_as_csv() -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra parquet)")
    from pyarrow import parquet

    at = datetime(2031, 5, 6, 8, tzinfo=UTC)
    stream = io.BytesIO()
    rows = {
        "patient_id": ["4711"],
        "kind": ["lvef"],
        "value": [35.0],
        "unit": ["%"],
        "observed_at": [at],
        "assay": [None],
    }
    parquet.write_table(arrow.table(rows), stream)
    assert sniff(stream.getvalue()) == "outcome-table"
    (outcome,) = read(stream.getvalue(), CONTEXT).outcomes
    (same,) = read(table("4711,lvef,35,%,2031-05-06T08:00:00+00:00"), CONTEXT).outcomes
    assert outcome == same


def test_a_parquet_file_that_would_grow_without_end_is_refused() -> None:
    """A row of a few bits: five columns of 100 000 times one text are 60 kB in the file and 500 MB outside."""
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra parquet)")
    from pyarrow import parquet

    count = 100_000
    columns = {name: arrow.array(["x" * 1000] * count) for name in HEAD.split(",")}
    stream = io.BytesIO()
    parquet.write_table(arrow.table(columns), stream, compression="zstd")
    assert len(stream.getvalue()) < 100_000
    with pytest.raises(Refused, match="too-large"):
        read(stream.getvalue(), CONTEXT)


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + bytes(40), b"PAR1" + bytes(40) + b"PAR1"])
def test_a_damaged_parquet_file(content: bytes) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra parquet)")
    with pytest.raises(Unreadable, match="damaged"):
        read(content, CONTEXT)


def test_a_finding_of_the_site_is_1_or_0_or_one_of_its_answers() -> None:
    lvh = SiteFinding(name="lvh", present=("LVH present",), absent=("LVH absent",))
    rows = [f"{number},lvh,{value},,2031-05-06T08:00:00Z" for number, value in enumerate(
        ("1", "0", "lvh  PRESENT", "LVH absent", "no LVH present", "2", "")
    )]  # fmt: skip
    found = read(table(*rows), replace(CONTEXT, outcome_table=SiteTable(findings=(lvh,))))
    assert [(one.patient.identifiers[0].value, one.value, one.unit) for one in found.outcomes] == [
        ("0", 1.0, ""), ("1", 0.0, ""), ("2", 1.0, ""), ("3", 0.0, ""),
    ]  # fmt: skip
    assert sorted(finding.text for finding in found.findings) == [
        "1 rows left out: there is no value",
        "2 rows left out: the answer is none that the site lists",
    ]
