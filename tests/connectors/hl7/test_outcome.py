"""Ejection fractions and troponins become labels only where they can be read in one way."""

import pytest

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.reading import read

ECHO = "93306^Echocardiography, Transthoracic^CPT"
LAB = "TROP^Troponin^L"


def oru(*obx: str, obr_4: str = LAB, processing: str = "P", pid: str = "1^^^H^MR", filler: str = "F1^LAB") -> bytes:
    head = f"MSH|^~\\&|LIS|LAB|ECGFM|H|20260301090000+0100||ORU^R01|M1|{processing}|2.5.1"
    order = f"OBR|1|P1|{filler}|{obr_4}|||20260301080000||||||||||||||||||F"
    return "\r".join((head, f"PID|1||{pid}||TEST^PATIENT", order, *obx, "")).encode()


def troponin(value: str, unit: str = "ng/L", limit: str = "", code: str = "89579-7^hs-TnI^LN", **more: str) -> str:
    kind, status, sub_id = more.get("kind", "NM"), more.get("status", "F"), more.get("sub_id", "")
    return f"OBX|1|{kind}|{code}|{sub_id}|{value}|{unit}|{limit}||||{status}|||20260301081500"


def lvef(value: str, unit: str = "%", code: str = "18043-0^LVEF^LN", kind: str = "NM", status: str = "F") -> str:
    return f"OBX|1|{kind}|{code}||{value}|{unit}|||||{status}"


def only(contents: Contents) -> Outcome:
    (outcome,) = contents.outcomes
    return outcome


@pytest.mark.parametrize(
    ("value", "unit", "limit", "kind", "expected"),
    [
        ("28", "ng/L", "<26", "NM", (28.0, "", 26.0)),
        ("0.045", "ng/mL", "<0.04", "NM", (45.0, "", 40.0)),
        ("0,045", "ng/mL", "0,00-0,04", "ST", (45.0, "", 40.0)),
        ("12", "pg/mL", "0-14 pg/mL", "NM", (12.0, "", 14.0)),
        ("0.5", "µg/L", "<=0.1", "NM", (500.0, "", 100.0)),
        ("0.5", "ug/L^microgram^UCUM", "", "NM", (500.0, "", None)),
        ("<0.01", "ng/mL", "", "ST", (10.0, "<", None)),
        (">50000", "ng/L", "", "NM", (50000.0, ">", None)),
        ("<^3", "ng/L", "", "SN", (3.0, "<", None)),
        ("<= 6 ng/L", "", "", "ST", (6.0, "<=", None)),
        ("less than 6", "ng/L", "", "ST", (6.0, "<", None)),
        ("28", "ng/L", "M: <34 F: <16", "NM", (28.0, "", None)),
        ("28", "ng/L", ">26", "NM", (28.0, "", None)),
    ],
)
def test_troponin(
    context: ReadingContext,
    value: str,
    unit: str,
    limit: str,
    kind: str,
    expected: tuple[float, str, float | None] | None,
) -> None:
    if expected is None:
        with pytest.raises(Refused):
            read(oru(troponin(value, unit, limit, kind="ST")), context)
        return
    found = only(read(oru(troponin(value, unit, limit, kind=kind)), context))
    assert (found.value, found.comparator, found.upper_reference_limit) == expected
    assert (found.kind, found.unit, found.status) == ("troponin", "ng/L", "final")
    assert found.observed_at.isoformat() == "2026-03-01T08:15:00+01:00"


@pytest.mark.parametrize(
    ("code", "assay"),
    [
        ("89579-7^whatever^LN", "hs-I"),
        ("67151-1^whatever^LN", "hs-T"),
        ("10839-9^whatever^LN", "I"),
        ("6598-7^whatever^LOINC", "T"),
        ("TNI^Troponin I^L", "I"),
        ("X^High sensitivity Troponin T^L", "hs-T"),
        ("X^hs-cTnI^L", "hs-I"),
        ("X^Troponin^L^67151-1^hsTnT^LN", "hs-T"),
    ],
)
def test_the_assay(context: ReadingContext, code: str, assay: str) -> None:
    assert only(read(oru(troponin("5", code=code)), context)).assay == assay


@pytest.mark.parametrize(
    "obx",
    [
        troponin("5", code="89577-1^hs troponin panel^LN"),
        troponin("5", code="X^Troponin delta^L"),
        troponin("5", code="X^Troponin interpretation^L"),
        troponin("140", code="2951-2^Sodium^LN"),
        troponin("5", status="P"),
        troponin("5", status="I"),
        lvef("50", code="X^RV ejection fraction^L"),
        lvef("50", code="X^Prior LVEF^L"),
    ],
)
def test_what_is_no_outcome(context: ReadingContext, obx: str) -> None:
    with pytest.raises(Refused, match="no-ecg"):
        read(oru(obx), context)


@pytest.mark.parametrize(
    ("obx", "code"),
    [
        (troponin("28", "mol/L"), "troponin-unit"),
        (troponin("28", ""), "troponin-unit"),
        (troponin("1,234"), "outcome-not-numeric"),
        (troponin("see note", kind="ST"), "outcome-not-numeric"),
        (lvef("350"), "lvef-implausible"),
        (lvef("0"), "lvef-implausible"),
    ],
)
def test_what_is_doubtful_is_left_out_and_said(context: ReadingContext, obx: str, code: str) -> None:
    contents = read(oru(lvef("55"), obx), context)
    assert [outcome.value for outcome in contents.outcomes] == [55.0]
    assert code in [finding.code for finding in contents.findings]


@pytest.mark.parametrize(
    ("value", "unit", "kind", "expected"),
    [
        ("35", "%", "NM", (35.0, None, "")),
        ("0.35", "1", "NM", (35.0, None, "")),
        ("35-40", "%", "ST", (35.0, 40.0, "")),
        ("35 - 40 %", "", "ST", (35.0, 40.0, "")),
        ("55 to 60%", "", "ST", (55.0, 60.0, "")),
        ("<20", "%", "ST", (20.0, None, "<")),
        ("≥ 70 %", "", "ST", (70.0, None, ">=")),
        ("^35^-^40", "%", "SN", (35.0, 40.0, "")),
        (">^70", "%", "SN", (70.0, None, ">")),
    ],
)
def test_lvef(
    context: ReadingContext, value: str, unit: str, kind: str, expected: tuple[float, float | None, str]
) -> None:
    found = only(read(oru(lvef(value, unit, kind=kind), obr_4=ECHO), context))
    assert (found.value, found.upper_value, found.comparator) == expected
    assert (found.kind, found.unit, found.assay, found.code) == ("lvef", "%", "ultrasound", "LN|18043-0")
    assert found.observed_at.isoformat() == "2026-03-01T08:00:00+01:00"


@pytest.mark.parametrize(
    "code", ["10230-1^x^LN", "8806-2^x^LN", "EF^LV Ejection Fraction^L", "X^LVEF (biplane)^L", "X^EF^L^10230-1^x^LN"]
)
def test_lvef_under_several_codes(context: ReadingContext, code: str) -> None:
    assert only(read(oru(lvef("40", code=code), obr_4=ECHO), context)).value == 40


def text(*lines: str) -> list[str]:
    return [f"OBX|{n}|TX|59462-2^Echo impression^LN||{line}||||||F" for n, line in enumerate(lines, start=1)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["EF 35-40 %"], (35.0, 40.0, "")),
        (["IMPRESSION: Severe dysfunction with estimated LVEF 35%. Dilated."], (35.0, None, "")),
        (["Left ventricular ejection fraction is visually estimated at 55 to 60%."], (55.0, 60.0, "")),
        (["LVEF: <20%"], (20.0, None, "<")),
        (["Prior LVEF was 30%.", "LVEF now 45%."], (45.0, None, "")),
        (["LVEF 45 %.", "As said, EF 45%."], (45.0, None, "")),
        (["RVEF 40%. LVEF 60%."], (60.0, None, "")),
    ],
)
def test_lvef_in_words(context: ReadingContext, lines: list[str], expected: tuple[float, float | None, str]) -> None:
    found = only(read(oru(*text(*lines), obr_4=ECHO), context))
    assert (found.value, found.upper_value, found.comparator) == expected
    assert found.assay == "report text"


@pytest.mark.parametrize(
    "lines",
    [
        ["LVEF was 30% last year."],
        ["Normal EF is 55%."],
        ["EF slope 45 mm/s"],
        ["The ejection fraction could not be assessed."],
        ["LVEF 1935"],
    ],
)
def test_words_that_state_no_lvef(context: ReadingContext, lines: list[str]) -> None:
    with pytest.raises(Refused, match="no-ecg"):
        read(oru(*text(*lines), obr_4=ECHO), context)


def test_two_different_values_in_words_are_none(context: ReadingContext) -> None:
    contents = read(oru(*text("LVEF 30%.", "EF 55%."), troponin("5"), obr_4=ECHO), context)
    assert [outcome.kind for outcome in contents.outcomes] == ["troponin"]
    assert "lvef-ambiguous" in [finding.code for finding in contents.findings]


def test_a_letter_that_is_no_echo_report_is_not_searched(context: ReadingContext) -> None:
    letter = [line.replace("59462-2^Echo impression^LN", "LETTER^Discharge letter^L") for line in text("LVEF 35%.")]
    with pytest.raises(Refused, match="no-ecg"):
        read(oru(*letter, obr_4="LETTER^Discharge letter^L"), context)


@pytest.mark.parametrize(("status", "expected"), [("C", "corrected"), ("W", "withdrawn"), ("D", "withdrawn")])
def test_a_correction_carries_the_identity_of_what_it_corrects(
    context: ReadingContext, status: str, expected: str
) -> None:
    first = only(read(oru(troponin("28")), context))
    later = only(read(oru(troponin("31", status=status)).replace(b"|M1|", b"|M2|"), context))
    assert later.source_id == first.source_id
    assert (later.status, later.value) == (expected, 31.0)


def test_a_withdrawal_needs_no_value(context: ReadingContext) -> None:
    assert only(read(oru(troponin("", status="W")), context)).status == "withdrawn"


def test_serial_results_keep_apart(context: ReadingContext) -> None:
    later = troponin("145").replace("20260301081500", "20260301111500")
    outcomes = read(oru(troponin("28"), later, troponin("29")), context).outcomes
    assert [outcome.value for outcome in outcomes] == [28.0, 145.0, 29.0]
    assert len({outcome.source_id for outcome in outcomes}) == 3


def test_test_messages_teach_nothing(context: ReadingContext) -> None:
    with pytest.raises(Refused):
        read(oru(troponin("28"), processing="T"), context)


def test_an_outcome_needs_a_patient(context: ReadingContext) -> None:
    with pytest.raises(Refused):
        read(oru(troponin("28"), pid=""), context)
