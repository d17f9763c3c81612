"""Golden messages and reports with measured outcomes: one for each rule of CONFORMANCE, with what must be read.

A reader of outcomes gives for each file `kind`, `value` (percent or ng/L), `upper_value`, `comparator` and, for
troponin, `limit`; or nothing, where `outcomes` is empty.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.helpers import report_writer as sr

HS = "67151-1^Troponin T.cardiac hs^LN"
LVEF = "18043-0^LVEF by US^LN"
ECHO = "93306^Echocardiography, Transthoracic^CPT"
LAB = "TROP^Troponin^L"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One outcome that the file holds."""

    kind: str
    value: float
    upper_value: float | None = None
    comparator: str = ""
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCase:
    """One golden message or structured report."""

    name: str
    shows: str  #: the rule, in a sentence
    content: bytes = field(repr=False)
    outcomes: tuple[Expected, ...] = ()
    reasons: tuple[str, ...] = ()  #: why something was left out


def _message(*obx: str, service: str = LAB, sex: str = "F", obr_7: str = "20260301080000") -> bytes:
    return "\r".join(
        (
            "MSH|^~\\&|LIS|LAB|ECGFM|H|20260301090000+0100||ORU^R01^ORU_R01|G1|P|2.5.1|||||||UNICODE UTF-8",
            f"PID|1||1^^^HOSP^MR||TESTPERSON^ALEX||19550505|{sex}",
            f"OBR|1|P1|F1|{service}|||{obr_7}||||||||||||||||||F",
            *obx,
            "",
        )
    ).encode()


def _troponin(
    value: str, limit: str = "<14", *, kind: str = "ST", code: str = HS, unit: str = "ng/L", end: str = "F"
) -> str:
    return f"OBX|1|{kind}|{code}||{value}|{unit}|{limit}||||{end}|||20260301081500"


def _lvef(value: str, *, kind: str = "ST", code: str = LVEF, unit: str = "%") -> str:
    return f"OBX|1|{kind}|{code}||{value}|{unit}|||||F"


def _report(*lines: str) -> bytes:
    texts = [f"OBX|{at}|TX|59462-2^Echo report^LN||{line}||||||F" for at, line in enumerate(lines, start=1)]
    return _message(*texts, service=ECHO)


def _t(value: float, *, comparator: str = "", limit: float | None = 14.0) -> tuple[Expected, ...]:
    return (Expected(kind="troponin", value=value, comparator=comparator, limit=limit),)


def _e(value: float, upper: float | None = None, comparator: str = "") -> tuple[Expected, ...]:
    return (Expected(kind="lvef", value=value, upper_value=upper, comparator=comparator),)


def _names() -> Iterator[tuple[str, str, bytes, tuple[Expected, ...], tuple[str, ...]]]:
    """Names with the right words that mean something else, one for each meaning."""
    for other, name in (
        ("score", "LVEF Z-score"), ("other-analyte", "Troponin I antibody"), ("other-patient", "Fetal LVEF"),
        ("interpretation", "Troponin T interpretation"), ("derived", "Troponin T maximum"),
        ("other-specimen", "Troponin T pleural fluid"), ("question", "LVEF < 40%"), ("goal", "LVEF target"),
        ("volume", "LVEF volume"), ("method", "LVEF method"), ("regional", "LVEF apical"),
        ("prediction", "LVEF predicted"), ("date-or-time", "Troponin T collected"),
        ("unknown-words", "Troponin T kinetics"),
    ):  # fmt: skip
        kind = "lvef" if "LVEF" in name else "troponin"
        code = f"X^{name}^L"
        content = (
            _message(_lvef("44", code=code), service=ECHO) if kind == "lvef" else _message(_troponin("25", code=code))
        )
        yield f"name-{other}", f"`{name}`", content, (), (f"{kind}-{other}",)
    yield (
        "name-panel",
        "the code of a panel",
        _message(_troponin("25", code="89577-1^Troponin I panel^LN")),
        (),
        ("troponin-panel",),
    )
    yield (
        "service-unknown",
        "EF in an order that is not of the heart",
        _message(_lvef("44", code="EF^Ejection fraction^L"), service="X^Other^L"),
        (),
        ("lvef-unknown-service",),
    )


def outcome_cases() -> Iterator[OutcomeCase]:
    """All of them, the same bytes each time."""
    none: tuple[Expected, ...] = ()
    for name, shows, content, outcomes, reasons in (
        ("thousands-apostrophe", "thousands by apostrophe", _message(_troponin("1'234")), _t(1234), ()),
        ("thousands-space", "thousands by a no-break space", _message(_troponin("1\u00a0234")), _t(1234), ()),
        ("thousands-point", "thousands by point, decimal comma", _message(_troponin("1.234,5")), _t(1234.5), ()),
        ("decimal-comma", "a decimal comma", _message(_troponin("12,5")), _t(12.5), ()),
        ("exponent", "an exponent", _message(_troponin("1.2E3", kind="NM")), _t(1200), ()),
        ("ambiguous", "a point that may part thousands", _message(_troponin("1.234")), none, ("ambiguous-number",)),
        ("comparator-sign", "a comparator in signs", _message(_troponin("<6")), _t(6, comparator="<"), ()),
        ("comparator-words", "in words", _message(_troponin("inférieur à 6")), _t(6, comparator="<"), ()),
        ("flag", "an abnormal flag behind the value", _message(_troponin("250 H")), _t(250), ()),
        ("two-numbers", "two numbers with a slash", _message(_troponin("15/250")), none, ("outcome-not-numeric",)),
        ("repetitions", "two repetitions", _message(_troponin("15~250")), none, ("outcome-not-numeric",)),
        ("arrow", "an arrow", _message(_troponin("12 -> 250")), none, ("outcome-not-numeric",)),
        ("clock", "a time before the value", _message(_troponin("08:15 250")), none, ("outcome-not-numeric",)),
        ("comment", "a comment behind it", _message(_troponin("45 HEMOLYZED")), none, ("outcome-not-numeric",)),
        ("sn-equal", "SN =", _message(_troponin("=^23", kind="SN")), _t(23), ()),
        ("sn-ratio", "SN ratio", _message(_troponin("1^:^8", kind="SN")), none, ("outcome-not-numeric",)),
        ("unit-converted", "ng/mL, and a limit in ng/L", _message(_troponin("0.045", "<14 ng/L", unit="ng/mL")),
         _t(45), ()),
        ("unit-contradiction", "two units", _message(_troponin("25 ng/mL")), none, ("unit-contradiction",)),
        ("unit-none", "a troponin without a unit", _message(_troponin("25", unit="")), none, ("troponin-unit",)),
        ("unit-limit", "a limit that no troponin has in this unit",
         _message(_troponin("50", "<16", unit="ng/mL")), none, ("unit-contradiction",)),
        ("comment-haemolysed", "a comment that doubts nothing",
         _message(_troponin("25"), "NTE|1|L|Slightly haemolysed."), _t(25), ()),
        ("comment-mixed-up", "a comment that takes the value back",
         _message(_troponin("25"), "NTE|1|L|Probe vertauscht, nicht verwertbar."), none, ("outcome-doubted",)),
        ("name-two-draws", "a change between two draws", _message(_troponin("25", code="X^Troponin T 0/3h^L")), none,
         ("troponin-change",)),
        ("name-delta", "a change by its sign", _message(_troponin("25", code="X^Δ Troponin T^L")), none,
         ("troponin-change",)),
        ("limit-or", "OBX-7 < OR = 14", _message(_troponin("18", "< OR = 14")), _t(18), ()),
        ("limit-by-sex", "two limits by sex", _message(_troponin("18", "M <22~F <14")), _t(18), ()),
        ("limit-other-sex", "a man's limit for a woman", _message(_troponin("18", "<=22 (M)")), _t(18, limit=None), ()),
        ("name-change", "a difference", _message(_troponin("3", code="X^Troponin T difference^L")), none,
         ("troponin-change",)),
        ("name-limit", "a limit", _message(_troponin("14", code="X^Troponin T 99th percentile^L")), none,
         ("troponin-limit",)),
        ("preliminary", "OBX-11 P", _message(_troponin("25", end="P")), none, ()),
        ("corrected", "a correction beside the earlier value", _message(_troponin("25 (prev 250)", end="C")),
         _t(25), ()),
        ("code-and-name", "a code that its name contradicts",
         _message(_lvef("44", code="18043-0^RV ejection fraction^LN")), none,
         ("lvef-code-says-lvef-name-says-other-chamber",)),
        ("lvef-range", "a range", _message(_lvef("35-40 %"), service=ECHO), _e(35, 40), ()),
        ("lvef-fraction", "a fraction of one", _message(_lvef("0.35", unit="1"), service=ECHO), _e(35), ()),
        ("lvef-volume", "a volume", _message(_lvef("70", unit="mL"), service=ECHO), none, ("lvef-unit",)),
        ("lvef-biplane", "two methods", _message(_lvef("60", code="18049-7^LVEF Teichholz^LN"),
         _lvef("48", code="79991-6^LVEF biplane^LN"), service=ECHO), _e(48), ()),
        ("lvef-ambiguous", "two values", _message(_lvef("60"), _lvef("35"), service=ECHO), none, ("lvef-ambiguous",)),
        ("ef-gallbladder", "EF of the gallbladder",
         _message(_lvef("28", code="EF^Ejection fraction^L"), service="HIDA^HIDA scan^L"), none, ("lvef-other-organ",)),
        ("report-prior", "an earlier value beside the present one", _report("LVEF 30% (60% in 2024)."), _e(30), ()),
        ("report-history", "an indication", _report("INDICATION: CHF, EF 20%", "Normal LV."), none,
         ("lvef-not-present",)),
        ("report-threshold", "a threshold", _report("EF 60%.", "ICD is not indicated unless EF <= 35%."), _e(60), ()),
        ("report-change", "a change and the value", _report("EF decreased by 15% and is now 40%."), _e(40), ()),
        ("report-chamber", "another chamber", _report("RV ejection fraction 41%."), none, ("lvef-not-present",)),
        ("report-reference", "a reference range", _report("Ejection fraction 45% (normal 55-70%)"), _e(45), ()),
        ("report-conclusion", "the conclusion counts", _report("FINDINGS: EF 48%.", "CONCLUSION: LVEF 40%."),
         _e(40), ()),
        ("report-several", "two values", _report("LVEF 38%. LVEF with contrast 41%."), none, ("lvef-ambiguous",)),
        ("report-selected", "the value that the report selects among several",
         _report("LVEF by Teichholz 61%. LVEF by A4C 47%.", "Overall LVEF (final read): 50%."), _e(50), ()),
        ("report-current", "of several values the one that is said to be today's",
         _report("Echo in der Akutklinik: EF 32 %.", "Aktuelle Echokardiographie: EF 48 %."), _e(48), ()),
        ("report-echo", "an echocardiogram beside a ventriculogram",
         _report("Cath: LV gram EF 45%. Echo: LVEF 35%, apical akinesis."), _e(35), ()),
        ("report-undecided", "several values, none of them decided on",
         _report("LVEF biplane 38%.", "LVEF visually 50%.", "The readers do not agree."), none, ("lvef-ambiguous",)),
        ("report-education", "what a patient is told of what is normal",
         _report("Education: a normal ejection fraction is above 55%."), none, ("lvef-not-present",)),
        ("report-pairs", "a line of names and values in turn",
         _report("Rhythm;SR;LVEDD;45 mm;LV-EF;62 %;TAPSE;24 mm"), _e(62), ()),
        ("report-label", "a label that says when or why the heart was looked at",
         _report("Echo 3 months after diagnosis: LVEF 45%."), _e(45), ()),
        ("report-bound", "a bound that is a finding among others",
         _report("Echo for ICD decision: LVEF <=30%, LVEDV 212 mL."), _e(30, comparator="<="), ()),
        ("report-nadir", "the lowest value of an earlier time",
         _report("LVEF has recovered to 57% from a nadir of 22% in 2022."), _e(57), ()),
        ("report-stress-heading", "a heading that speaks of stress",
         _report("Resting images: LVEF 60%.", "Peak images: no new abnormality, LVEF 75%."), _e(60), ()),
        ("report-workup", "an examination before an operation", _report("Preop bedömning: EF 50 %."), _e(50), ()),
        ("report-table-of-chambers", "a table with a column for each ventricle",
         _report("\tLV\tRV", "EDV (ml)\t152\t160", "EF (%)\t62\t56"), _e(62), ()),
        ("report-table-of-studies", "a table with a column for each study",
         _report("\tCurrent\t06/2022", "LVEF\t43 %\t51 %"), _e(43), ()),
        ("report-one-plane", "a view in one plane is no biplane value",
         _report("EF 43% (Simpson 4CH), EF 55% (M-mode)."), none, ("lvef-ambiguous",)),
        ("report-methods", "two methods, one of them biplane",
         _report("LVEF 52% by Teichholz, 45% by biplane Simpson."),
         _e(45), ()),
        ("report-corrected", "a corrected report", _report("Addendum: LVEF should read 40%, not 60%."), _e(40), ()),
        ("report-addendum", "an addendum corrects the report",
         _report("Conclusion: LVEF 54%.", "ADDENDUM: typing error, the correct LVEF is 45%."), _e(45), ()),
        ("report-addendum-in-doubt", "an addendum takes the value back and gives none",
         _report("Conclusion: LVEF 54%.", "ADDENDUM: the LVEF was dictated in error."), none, ("lvef-ambiguous",)),
        ("report-course", "a value for each date under a heading, the last one today's",
         _report("LVEF im Verlauf:", "05/2024: 38 %", "aktuell (01.03.2026): 30 %"), _e(30), ()),
        ("report-course-of-old", "a course that ends before the study",
         _report("LVEF trend:", "03/2023: 45%", "05/2024: 38%"), none, ("lvef-not-present",)),
        ("report-table-of-dates", "a table with a row for each study",
         _report("Date\tLVEF\tGLS", "2025-03-01\t60 %\t-20 %", "2026-03-01\t52 %\t-18 %"), _e(52), ()),
        ("report-stay", "an examination of the stay that a letter tells of",
         _report("Admission date: 02/25/2026   Discharge date: 03/01/2026", "Echo 02/26/2026: LVEF 35%."), _e(35), ()),
        ("report-before-stay", "an examination before that stay",
         _report("Admission date: 02/25/2026   Discharge date: 03/01/2026", "Echo 11/22/2025: LVEF 35%."), none,
         ("lvef-not-present",)),
        ("report-compared-with-limit", "the limit that the value is compared with",
         _report("LVEF 32 %, below the 35 % required for an ICD."), _e(32), ()),
        ("report-baseline-of-test", "baseline and stage of a stress test",
         _report("Exercise stress echocardiogram", "Baseline: LVEF 60%.", "Stage 4: LVEF 72%."), _e(60), ()),
        ("report-draft-and-final", "a final report below a preliminary one",
         _report("Vorläufiger Befund: EF 60 %.", "Endgültiger Befund: EF 52 %."), _e(52), ()),
        ("report-draft-alone", "a preliminary value alone", _report("Referto provvisorio: FE 50%."), none,
         ("lvef-not-present",)),
        ("report-other-doctor", "what another doctor measured", _report("Dr Miller's echo (private): EF 60%"), none,
         ("lvef-unknown-words",)),
        ("report-device", "what a device was given for", _report("Portador de DAI por FEVI 25%."), none,
         ("lvef-not-present",)),
        ("lvef-clause", "a value that is a clause",
         _message(_lvef("ca. 60 % (Simpson)", unit=""), service=ECHO), _e(60), ()),
        ("report-donor", "a donor's value", _report("Donante de 30 años, FEVI 65%."), none, ("lvef-not-present",)),
        ("report-goal-beside", "a goal beside the value", _report("LVEF 35%, target > 40%."), _e(35), ()),
        ("troponin-in-a-text", "a text that repeats the name before the value",
         _message("OBX|1|TX|TROP^Troponin I^L||Troponin I 41 ng/L||< 26||||F|||20260301081500"),
         (Expected(kind="troponin", value=41, limit=26),), ()),
        ("report-unknown-words", "a word that no table knows beside the value",
         _report("Expected EF after revascularization 45%."), none, ("lvef-unknown-words",)),
        ("report-tolerated-words", "unknown words that are tied to nothing, far from name and number",
         _report("Handburet eko: EF omkring 55 %, ingen vätska."), _e(55), ()),
        ("report-dangerous-words", "unknown words in a sentence that speaks of another place",
         _report("Handburet eko vårdcentral: EF omkring 55 %."), none, ("lvef-unknown-words",)),
        ("report-typing-error", "a typing error in a harmless word", _report("LV dilted, LVEF appox 40%."), _e(40), ()),
        ("report-fetal", "a fetus", _report("Fetal echo, week 24. EF 70%."), none, ("lvef-not-present",)),
        ("report-unfilled", "an empty field and its normal range", _report("LVEF ..... % (normal > 55 %)"), none,
         ("lvef-not-present",)),
        ("report-words", "a number in words", _report("LVEF thirty-five percent."), _e(35), ()),
        ("report-cut-range", "a range over two lines", _report("LVEF is estimated at 50-", "55%."), _e(50, 55), ()),
        ("report-stress", "rest and stress", _report("Rest EF 55%, stress EF 40%"), _e(55), ()),
        ("report-german", "German", _report("LVEF 35 %, zuvor 50 %."), _e(35), ()),
        ("report-french", "French", _report("FEVG 28 % ce jour, versus 40 % précédemment."), _e(28), ()),
        ("report-spanish", "Spanish", _report("FEVI 28% frente a 40% en el estudio previo."), _e(28), ()),
        ("report-italian", "Italian", _report("FE 28%, era 40% al precedente esame."), _e(28), ()),
        ("report-dutch", "Dutch", _report("De LVEF is verbeterd van 25% naar 50%."), _e(50), ()),
        ("report-portuguese", "Portuguese", _report("FEVE 28%, anteriormente 40%."), _e(28), ()),
        ("report-swedish", "Swedish", _report("EF 28 %, var tidigare 40 %."), _e(28), ()),
        ("report-too-long", "a text too long for a report", _report("LVEF 35%. " + "x" * 200_000), none,
         ("report-too-long",)),
        ("report-hypothetical", "a condition", _report("EF 60%. If the LVEF falls below 40% stop."), _e(60), ()),
        ("report-negated", "a denied bound", _report("No evidence of an EF < 50%."), none, ("lvef-not-present",)),
        ("report-goal", "a goal", _report("Goal: EF above 50%."), none, ("lvef-not-present",)),
        ("report-implausible", "a number that is no ejection fraction", _report("LVEF 0%."), none,
         ("lvef-not-present",)),
        ("report-doubtful", "a number in doubt", _report("LVEF ?50%."), none, ("lvef-not-present",)),
        ("unit-unknown", "OBX-6 is no unit", _message(_troponin("25", unit="zz")), none, ("unit-unknown",)),
        ("no-time", "no field tells when", _message("OBX|1|NM|" + HS + "||25|ng/L|<14||||F", obr_7=""), none,
         ("outcome-without-time",)),
        ("troponin-negative", "a negative concentration", _message(_troponin("-5")), none, ("troponin-implausible",)),
        ("troponin-range", "a range where one number belongs", _message(_troponin("10-25")), none,
         ("troponin-range",)),
        ("troponin-ambiguous", "two values of one draw", _message(_troponin("10"), _troponin("25")), none,
         ("troponin-ambiguous",)),
        ("troponin-serial", "two draws", _message(
            _troponin("10").replace("20260301081500", "20260301080000"), _troponin("25")), _t(10) + _t(25), ()),
        ("troponin-by-name", "a name without a code", _message(_troponin("25", code="X^Troponin T hs^L")), _t(25), ()),
        ("lvef-implausible", "a coded number that is no ejection fraction", _message(_lvef("120"), service=ECHO), none,
         ("lvef-implausible",)),
        *_names(),
        ("nothing-for-us", "a result that begins with <", _message("OBX|1|ST|1988-5^CRP^LN||<5|mg/L|||||F"), none, ()),
    ):  # fmt: skip
        yield OutcomeCase(name=f"outcome-{name}.hl7", shows=shows, content=content, outcomes=outcomes, reasons=reasons)
    yield from _structured_reports()


def _structured_reports() -> Iterator[OutcomeCase]:
    """DICOM SR: TID 5200 and 5300."""
    none: tuple[Expected, ...] = ()
    biplane, teichholz = (sr.METHOD, sr.BIPLANE), (sr.METHOD, sr.TEICHHOLZ)
    chosen, peak = (sr.SELECTION, sr.MEAN_CHOSEN), (sr.STATE, sr.PEAK_STRESS)
    general = sr.number("43", (sr.PROPERTY, sr.GENERAL_EF), (sr.SITE, sr.LEFT), concept=("EF1", "99ACME", "EF"))
    yield OutcomeCase(
        name="outcome-sr-preliminary.dcm",
        shows="a preliminary report",
        content=sr.write(sr.report(sr.findings(sr.number("57")), preliminary=True)),
        reasons=("lvef-preliminary",),
    )
    nowhere = sr.container(sr.FINDINGS, sr.number("57", concept=sr.GENERAL_EF))
    yield OutcomeCase(
        name="outcome-sr-unknown-chamber.dcm",
        shows="the general code without a site",
        content=sr.write(sr.report(nowhere)),
        reasons=("lvef-unknown-chamber",),
    )
    for name, shows, section, outcomes, reasons in (
        ("one", "one measurement in the section of the left ventricle", sr.findings(sr.number("57", biplane)),
         _e(57), ()),
        ("chosen", "the measurement marked as chosen", sr.findings(sr.number("55"), sr.number("61", chosen)),
         _e(61), ()),
        ("biplane", "two methods", sr.findings(sr.number("70", teichholz), sr.number("48", biplane)), _e(48), ()),
        ("mean", "the mean of two beats",
         sr.findings(sr.number("52"), sr.number("56"), sr.number("54", (sr.DERIVATION, sr.MEAN))), _e(54), ()),
        ("ambiguous", "two values, none marked", sr.findings(sr.number("38"), sr.number("52")), none,
         ("lvef-ambiguous",)),
        ("fraction", "UCUM 1", sr.findings(sr.number("0.35", unit="1")), _e(35), ()),
        ("volume", "a unit of something else", sr.findings(sr.number("61", unit="ml")), none, ("lvef-unit",)),
        ("right", "the section of the right ventricle", sr.findings(sr.number("44"), site=sr.RIGHT), none,
         ("lvef-other-chamber",)),
        ("stress", "at peak stress", sr.findings(sr.number("68", peak)), none, ("lvef-stress",)),
        ("previous", "an earlier examination", sr.container(sr.PREVIOUS, sr.findings(sr.number("25"))), none,
         ("lvef-prior",)),
        ("post-coordinated", "TID 5302: the measured property and the site tell",
         sr.container(sr.POST_COORDINATED, general), _e(43), ()),
        ("failed", "a measurement that failed", sr.findings(sr.number("")), none, ("outcome-not-numeric",)),
    ):  # fmt: skip
        content = sr.write(sr.report(section))
        yield OutcomeCase(
            name=f"outcome-sr-{name}.dcm", shows=shows, content=content, outcomes=outcomes, reasons=reasons
        )
