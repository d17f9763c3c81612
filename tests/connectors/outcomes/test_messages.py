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
    "obx", [troponin("140", code="2951-2^Sodium^LN"), troponin("5", status="P"), troponin("5", status="I")]
)
def test_what_is_no_outcome(context: ReadingContext, obx: str) -> None:
    with pytest.raises(Refused, match="no-ecg"):
        read(oru(obx), context)


@pytest.mark.parametrize(
    ("obx", "reason"),
    [
        (troponin("5", code="89577-1^hs troponin panel^LN"), "troponin-panel"),
        (troponin("5", code="X^Troponin delta^L"), "troponin-change"),
        (troponin("5", code="X^Troponin interpretation^L"), "troponin-interpretation"),
        (troponin("5", code="X^Troponin T 99th percentile^L"), "troponin-limit"),
        (troponin("40", "ng/mL", code="X^Troponin T skeletal^L"), "troponin-other-analyte"),
        (troponin("3", "h", code="X^Troponin hours since onset^L"), "troponin-date-or-time"),
        (lvef("50", code="X^RV ejection fraction^L"), "lvef-other-chamber"),
        (lvef("50", code="8818-7^RVEF by MR^LN"), "lvef-other-chamber"),
        (lvef("50", code="10230-1^RV ejection fraction^LN"), "lvef-code-says-lvef-name-says-other-chamber"),
        (lvef("50", code="X^Prior LVEF^L"), "lvef-prior"),
        (lvef("12", code="X^LVEF change from baseline^L"), "lvef-change"),
        (lvef("3.2", "", code="X^LVEF Z-score^L"), "lvef-score"),
        (lvef("70", "mL", code="10230-1^LVEF^LN"), "lvef-unit"),
        (lvef("28", code="EF^Ejection fraction^L"), "lvef-unknown-service"),
    ],
)
def test_what_means_something_else_is_left_out_and_kept_with_its_reason(
    context: ReadingContext, obx: str, reason: str
) -> None:
    contents = read(oru(obx), context)
    assert contents.outcomes == ()
    (left_out,) = contents.left_out
    assert left_out.reason == reason
    assert left_out.patient.identifiers
    assert left_out.source.place == "OBX[1]-5"
    assert [finding.code for finding in contents.findings] == [reason]


@pytest.mark.parametrize(
    ("obx", "code"),
    [
        (troponin("28", "mol/L"), "troponin-unit"),
        (troponin("28", ""), "troponin-unit"),
        (troponin("1,234"), "ambiguous-number"),
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
        (["<p>Indication: EF 20%</p><p>LVEF: <b>30</b>\\T\\nbsp;%</p>"], (30.0, None, "")),
        (["EF <30 % <br>No effusion"], (30.0, None, "<")),
    ],
)
def test_lvef_in_words(context: ReadingContext, lines: list[str], expected: tuple[float, float | None, str]) -> None:
    found = only(read(oru(*text(*lines), obr_4=ECHO), context))
    assert (found.value, found.upper_value, found.comparator) == expected
    assert found.assay == "report text"


@pytest.mark.parametrize(
    "lines", [["EF slope 45 mm/s"], ["The ejection fraction could not be assessed."], ["LVEF 1935"]]
)
def test_words_that_state_no_lvef(context: ReadingContext, lines: list[str]) -> None:
    with pytest.raises(Refused, match="no-ecg"):
        read(oru(*text(*lines), obr_4=ECHO), context)


@pytest.mark.parametrize(
    ("lines", "role"),
    [
        (["LVEF was 30% last year."], "prior"),
        (["Normal EF is 55%."], "reference"),
        (["INDICATION: heart failure, EF 20%"], "history"),
        (["ICD is not indicated unless EF <= 35%."], "threshold"),
        (["Repeat echo; if EF stays 35%, refer."], "hypothetical"),
        (["RV ejection fraction 41%"], "other-chamber"),
        (["The EF decreased by 15 %."], "change"),
        (["estimated ejection fraction ?50%"], "doubtful"),
        (["EF: 120 mL EDV, 60%"], "doubtful"),
        (["LVEF 4O %"], "doubtful"),
    ],
)
def test_what_a_number_of_a_report_was_taken_for_is_said(context: ReadingContext, lines: list[str], role: str) -> None:
    contents = read(oru(*text(*lines), obr_4=ECHO), context)
    assert contents.outcomes == ()
    (left_out,) = contents.left_out
    assert left_out.reason == "lvef-not-present"
    assert [unused.reason for unused in left_out.unused] == [role]


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
    outcomes = read(oru(troponin("28"), later), context).outcomes
    assert [outcome.value for outcome in outcomes] == [28.0, 145.0]
    assert len({outcome.source_id for outcome in outcomes}) == 2


@pytest.mark.parametrize(("words", "expected"), [("LVEF 55-60 %.", [57.0]), ("LVEF 30 %.", []), ("RVEF 30 %.", [57.0])])
def test_a_value_that_the_report_contradicts_is_left_out(
    context: ReadingContext, words: str, expected: list[float]
) -> None:
    contents = read(oru(lvef("57"), *text(words), obr_4=ECHO), context)
    assert [one.value for one in contents.outcomes] == expected
    assert [one.reason for one in contents.left_out] == ([] if expected else ["lvef-ambiguous"])


def test_two_different_troponins_of_one_draw_are_none(context: ReadingContext) -> None:
    contents = read(oru(troponin("28"), troponin("29")), context)
    assert contents.outcomes == ()
    assert {one.reason for one in contents.left_out} == {"troponin-ambiguous"}


def test_a_correction_that_cannot_be_read_withdraws_what_it_corrects(context: ReadingContext) -> None:
    first = only(read(oru(troponin("280", kind="ST")), context))
    contents = read(oru(troponin("see note", kind="ST", status="C")), context)
    assert (only(contents).source_id, only(contents).status) == (first.source_id, "withdrawn")
    assert [one.reason for one in contents.left_out] == ["outcome-not-numeric"]


def test_a_correction_names_the_earlier_value_beside_it(context: ReadingContext) -> None:
    found = only(read(oru(troponin("CORRECTED RESULT: 25 PREVIOUSLY 250", kind="ST", status="C")), context))
    assert (found.value, found.status) == (25.0, "corrected")


def test_point_of_care_keeps_apart_from_the_laboratory(context: ReadingContext) -> None:
    found = read(
        oru(troponin("20", code="X^Troponin I POC^L"), troponin("25", code="X^Troponin I^L")), context
    ).outcomes
    assert [one.assay for one in found] == ["I POC", "I"]


@pytest.mark.parametrize("code", ["X^Troponine I (POCT, Atellica VTLi)^L", "X^B-Troponin I (PNA, i-STAT)^L"])
def test_the_bedside_is_told_in_the_words_of_other_languages(context: ReadingContext, code: str) -> None:
    assert only(read(oru(troponin("20", code=code)), context)).assay == "I POC"


@pytest.mark.parametrize(
    ("observed", "ordered", "expected", "precision"),
    [
        ("20260301", "20260301201500", "2026-03-01T20:15:00+01:00", "second"),
        ("20260301", "202603012015", "2026-03-01T20:15:00+01:00", "minute"),
        ("20260301", "20260228231500", "2026-03-01T00:00:00+01:00", "day"),
        ("20260301", "20260301", "2026-03-01T00:00:00+01:00", "day"),
        ("202603010815", "20260301080000", "2026-03-01T08:15:00+01:00", "minute"),
    ],
)
def test_times_with_their_precision(
    context: ReadingContext, observed: str, ordered: str, expected: str, precision: str
) -> None:
    message = oru(troponin("28").replace("20260301081500", observed)).replace(b"20260301080000", ordered.encode())
    found = only(read(message, context))
    assert (found.observed_at.isoformat(), found.precision) == (expected, precision)


def test_a_document_without_an_order_has_its_time_in_txa(context: ReadingContext) -> None:
    segments = (
        "MSH|^~\\&|ECHO|CARD|||20260301064230||MDM^T02^MDM_T02|M1|P|2.7",
        "EVN|T02|20260301104858",
        "PID|||1^^^H^MR||TEST^A",
        "TXA||Echo||20260301080000",
        "OBX|1|TX|^Echo report^L||Line 1\\X0A\\The LVEF is 30%.\\X0D\\\\X0A\\End||||||F",
    )
    found = only(read("\r".join(segments).encode(), context))
    assert (found.value, found.observed_at.isoformat()) == (30.0, "2026-03-01T08:00:00+01:00")


def test_a_line_feed_in_a_message_that_ends_its_segments_with_cr_is_text(context: ReadingContext) -> None:
    found = only(
        read(oru("OBX|1|TX|59462-2^Echo report^LN||FINDINGS\nLVH\nThe LVEF is 30%.\nMR||||||F", obr_4=ECHO), context)
    )
    assert found.value == 30.0


@pytest.mark.parametrize(
    "value", ["<5", "<0.01", "<= 5", "<-- specimen clotted", "<p>Clear.</p>", "<no growth>", "<HTML><P>x</P>"]
)
@pytest.mark.parametrize("kind", ["ST", "TX", "FT"])
def test_a_text_that_begins_with_a_sign_is_no_document(context: ReadingContext, value: str, kind: str) -> None:
    with pytest.raises(Refused, match="no-ecg"):
        read(oru(f"OBX|1|{kind}|1988-5^CRP^LN||{value}|mg/L|||||F", obr_4="CRP^CRP^L"), context)


def test_test_messages_teach_nothing(context: ReadingContext) -> None:
    with pytest.raises(Refused):
        read(oru(troponin("28"), processing="T"), context)


def test_an_outcome_needs_a_patient(context: ReadingContext) -> None:
    with pytest.raises(Refused):
        read(oru(troponin("28"), pid=""), context)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("89581-3^cTnT URL^LN", "troponin-limit"),
        ("101375-4^TnI 2h^LN", "troponin-change"),
        ("48426-1^TnT Bld Ql^LN", "troponin-method"),
        ("89575-5^TnT^LN", "troponin-interpretation"),
    ],
)
def test_codes_beside_a_troponin_measure_something_else(context: ReadingContext, code: str, reason: str) -> None:
    contents = read(oru(troponin("14", code=code)), context)
    assert contents.outcomes == ()
    assert [one.reason for one in contents.left_out] == [reason]


def test_a_code_that_tells_no_assay_leaves_it_to_the_name(context: ReadingContext) -> None:
    one = only(read(oru(troponin("28", code="105000003^hs-Troponin T^SCT")), context))
    assert (one.value, one.assay) == (28.0, "hs-T")


@pytest.mark.parametrize(
    "name",
    [
        "LVEF drop",
        "LVEF decline",
        "LVEF old",
        "Most recent LVEF",
        "Calf muscle pump EF",
        "LVEF confidence",
        "Troponin I rise",
        "Troponin T Anstieg",
        "TroponinDelta",
        "Troponin I/CK-MB",
        "Troponin C",
        "Troponin CV",
        "Troponin I after PEG",
    ],
)
def test_a_name_with_an_unknown_word_decides_nothing(context: ReadingContext, name: str) -> None:
    service, unit = (ECHO, "%") if "EF" in name else (LAB, "ng/L")
    contents = read(oru(f"OBX|1|NM|X1^{name}^L||44|{unit}|||||F|||20260301081500", obr_4=service), context)
    assert contents.outcomes == ()
    assert [one.reason.partition("-")[2] for one in contents.left_out] == ["unknown-words"]


@pytest.mark.parametrize("name", ["LVEF biplane Simpson", "LV Ejection Fraction (2D, MOD-bp)", "FEVG Simpson biplan"])
def test_a_name_of_known_words_decides(context: ReadingContext, name: str) -> None:
    assert only(read(oru(lvef("44", code=f"X1^{name}^L"), obr_4=ECHO), context)).value == 44.0


def test_a_code_whose_name_says_something_else_is_left_out(context: ReadingContext) -> None:
    contents = read(oru(lvef("44", code="10230-1^Previous LVEF^LN"), obr_4=ECHO), context)
    assert [one.reason for one in contents.left_out] == ["lvef-code-says-lvef-name-says-prior"]


@pytest.mark.parametrize("specimen", ["SPM|1|||PLR^Pleural fluid^HL70487", "SPM|1|||URN^Urine^HL70487"])
def test_a_troponin_of_another_specimen_is_left_out(context: ReadingContext, specimen: str) -> None:
    contents = read(oru(troponin("28"), specimen), context)
    assert contents.outcomes == ()
    assert [one.reason for one in contents.left_out] == ["troponin-other-specimen"]


@pytest.mark.parametrize(
    ("limit", "expected"), [("14-52", None), ("3-14", 14.0), ("Ref: <14", 14.0), ("Negative <14", 14.0)]
)
def test_a_limit_is_of_healthy_people(context: ReadingContext, limit: str, expected: float | None) -> None:
    assert only(read(oru(troponin("28", limit=limit)), context)).upper_reference_limit == expected


def test_words_in_place_of_a_number_leave_the_report_its_say(context: ReadingContext) -> None:
    text = "OBX|2|TX|59462-2^Echo report^LN||LVEF 55%.||||||F"
    assert only(read(oru(lvef("see report", kind="ST"), text, obr_4=ECHO), context)).value == 55.0
    assert read(oru(lvef("60/35", kind="ST"), text, obr_4=ECHO), context).outcomes == ()


@pytest.mark.parametrize(
    ("comment", "taken"),
    [
        ("Slightly haemolysed.", True),
        ("Result phoned to ward 5.", True),
        ("WRONG PATIENT - do not use", False),
        ("Probe vertauscht", False),
        ("Erreur d'identité", False),
        ("Muestra contaminada", False),
        ("Campione non idoneo", False),
        ("Uitslag onbetrouwbaar", False),
        ("Resultado não válido", False),
        ("Ogiltigt svar", False),
    ],
)
def test_a_comment_can_take_a_result_back(context: ReadingContext, comment: str, taken: bool) -> None:
    for_one = read(oru(troponin("5"), f"NTE|1|L|{comment}", troponin("28", code="6598-7^TnT^LN")), context)
    assert [outcome.value for outcome in for_one.outcomes] == ([5.0] if taken else []) + [28.0]
    for_all = read(oru(f"NTE|1|L|{comment}", troponin("5")), context)
    assert bool(for_all.outcomes) is taken
    assert [one.reason for one in for_all.left_out] == ([] if taken else ["outcome-doubted"])


def test_a_comment_on_the_patient_takes_nothing_back(context: ReadingContext) -> None:
    content = oru(troponin("5")).replace(b"OBR|", b"NTE|1|L|Result of the last visit was in error\rOBR|")
    assert only(read(content, context)).value == 5.0


def test_a_correction_that_its_comment_takes_back_withdraws_what_it_corrects(context: ReadingContext) -> None:
    contents = read(oru(troponin("5", status="C"), "NTE|1|L|Wrong patient"), context)
    assert [outcome.status for outcome in contents.outcomes] == ["withdrawn"]
    assert [one.reason for one in contents.left_out] == ["outcome-doubted"]
