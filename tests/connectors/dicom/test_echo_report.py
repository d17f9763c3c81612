"""Structured reports of echo systems: the ejection fraction by concept code and modifiers, or why there is none."""

import shutil
import subprocess
import warnings
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import PayloadError, Refused
from ecgfm_connectors.outcomes.site import SiteCode, SiteTable
from ecgfm_connectors.reading import read
from tests.connectors.test_fuzz import EDITS, Edit, edited
from tests.helpers import report_writer as sr

pytestmark = pytest.mark.slow

CONTEXT = ReadingContext(default_authority="SITE", zone=ZoneInfo("Europe/Berlin"))


def found(*below: Dataset, context: ReadingContext = CONTEXT, **how: object) -> Contents:
    return read(sr.write(sr.report(*below, **how)), context)  # type: ignore[arg-type]  # the keywords of report


def values(contents: Contents) -> list[tuple[float, str, str]]:
    return [(one.value, one.assay, one.decision.rule if one.decision else "") for one in contents.outcomes]


def reasons(contents: Contents) -> list[str]:
    return [one.reason for one in contents.left_out]


def test_the_value_of_a_report_with_its_patient_time_and_place() -> None:
    volume = sr.number("142", concept=sr.LV_VOLUME, unit="ml")
    (one,) = found(sr.findings(volume, sr.number("57", (sr.METHOD, sr.BIPLANE)))).outcomes
    assert (one.kind, one.value, one.unit, one.status) == ("lvef", 57.0, "%", "final")
    assert (one.code, one.assay) == ("LN|18043-0", "ultrasound biplane")
    assert one.patient.identifiers[0].identity == ("hosp", "MR", "E1")
    assert (one.observed_at, one.precision) == (datetime(2026, 3, 1, 8, 15, tzinfo=CONTEXT.zone), "second")
    assert one.decision is not None
    assert one.decision.source.place == "ContentItem 1.1.2.2"


@pytest.mark.parametrize(("unit", "value"), [("%", "41.5"), ("1", "0.415"), ("{ratio}", "0.415"), ("", "41.5")])
def test_units(unit: str, value: str) -> None:
    contents = found(sr.findings(sr.number(value, unit=unit)))
    expected = [] if unit == "{ratio}" else [41.5]
    assert [round(one.value, 6) for one in contents.outcomes] == expected
    assert reasons(contents) == (["lvef-unit"] if unit == "{ratio}" else [])


@pytest.mark.parametrize(
    ("measurements", "expected"),
    [
        (
            [sr.number("55"), sr.number("61", (sr.SELECTION, sr.MEAN_CHOSEN)), sr.number("58")],
            (61.0, "ultrasound", "report-selected"),
        ),
        (
            [sr.number("70", (sr.METHOD, sr.TEICHHOLZ)), sr.number("48", (sr.METHOD, sr.BIPLANE))],
            (48.0, "ultrasound biplane", "report-biplane"),
        ),
        (
            [sr.number("52"), sr.number("56"), sr.number("54", (sr.DERIVATION, sr.MEAN))],
            (54.0, "ultrasound", "report-mean"),
        ),
        (
            [
                sr.number("71", (sr.METHOD, sr.TEICHHOLZ), (sr.DERIVATION, sr.MEAN)),
                sr.number("46", (sr.METHOD, sr.BIPLANE)),
                sr.number("50", (sr.METHOD, sr.BIPLANE)),
                sr.number("48", (sr.METHOD, sr.BIPLANE), (sr.DERIVATION, sr.MEAN)),
            ],
            (48.0, "ultrasound biplane", "report-mean"),
        ),
    ],
    ids=["chosen", "biplane", "mean", "mean of the biplane ones"],
)
def test_of_several_values_the_one_that_the_report_stands_for(
    measurements: list[Dataset], expected: tuple[float, str, str]
) -> None:
    contents = found(sr.findings(*measurements))
    assert values(contents) == [expected]
    assert contents.left_out == ()
    decision = contents.outcomes[0].decision
    assert decision is not None
    assert len(decision.unused) == len(measurements) - 1


def test_different_values_without_a_mark_are_left_out() -> None:
    contents = found(sr.findings(sr.number("38"), sr.number("52")))
    assert contents.outcomes == ()
    assert reasons(contents) == ["lvef-ambiguous", "lvef-ambiguous"]


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (sr.findings(sr.number("44"), site=sr.RIGHT), "lvef-other-chamber"),
        (sr.findings(sr.number("44", (sr.SITE, sr.RIGHT))), "lvef-other-chamber"),
        (sr.container(sr.GROUP, sr.number("44", concept=sr.GENERAL_EF)), "lvef-unknown-chamber"),
        (sr.findings(sr.number("68", (sr.STATE, sr.PEAK_STRESS))), "lvef-stress"),
        (sr.container(sr.STAGED, sr.findings(sr.number("68"))), "lvef-stress"),
        (sr.container(sr.PREVIOUS, sr.findings(sr.number("25"))), "lvef-prior"),
        (
            sr.container(
                sr.FINDINGS, sr.modifier(sr.SUBJECT, sr.FETUS, "HAS OBS CONTEXT"), sr.number("66", (sr.SITE, sr.LEFT))
            ),
            "lvef-other-patient",
        ),
        (sr.findings(sr.number("61", (sr.DERIVATION, sr.MAXIMUM))), "lvef-derived"),
        (sr.findings(sr.number("9", (sr.TYPE, ("125314", "DCM", "Fractional Change")))), "lvef-derived"),
        (sr.findings(sr.number("9", (("X1", "99ACME", "Kind"), ("X2", "99ACME", "Change from prior")))), "lvef-change"),
        (sr.findings(sr.number("61", unit="ml")), "lvef-unit"),
        (sr.findings(sr.number("161")), "lvef-implausible"),
        (sr.findings(sr.number("")), "outcome-not-numeric"),
        (sr.findings(sr.number("35\\40")), "outcome-not-numeric"),
        (sr.findings(sr.number("55", unit="furlong")), "unit-unknown"),
        (sr.findings(sr.number("41", concept=("8815-3", "LN", "RVEF by Angiography"))), "lvef-other-chamber"),
    ],
)
def test_what_is_something_else_is_left_out(section: Dataset, reason: str) -> None:
    contents = found(section)
    assert contents.outcomes == ()
    assert reasons(contents) == [reason]


def test_a_value_at_rest_in_a_staged_report_counts() -> None:
    at_rest = sr.findings(sr.number("55", (sr.STATE, sr.RESTING)))
    at_peak = sr.findings(sr.number("68", (sr.STATE, sr.PEAK_STRESS)))
    contents = found(sr.container(sr.STAGED, at_rest, at_peak))
    assert [one.value for one in contents.outcomes] == [55.0]
    assert reasons(contents) == ["lvef-stress"]


def test_the_simplified_report_names_the_property_and_the_site() -> None:
    """TID 5302: the concept is the device's own, the measured property tells."""
    general = sr.number(
        "43.5",
        (sr.PROPERTY, sr.GENERAL_EF),
        (sr.SITE, sr.LEFT),
        (sr.METHOD, sr.BIPLANE),
        (sr.SELECTION, sr.USER_CHOSEN),
        concept=("EF1", "99ACME", "EF"),
    )
    contents = found(sr.container(sr.POST_COORDINATED, general), sop_class=sr.SIMPLIFIED_ECHO)
    assert [one.value for one in contents.outcomes] == [43.5]
    exact = sr.number("60", concept=("79991-6", "LN", "Left ventricular ejection fraction biplane (MOD)"))
    contents = found(sr.container(sr.PRE_COORDINATED, exact), sop_class=sr.SIMPLIFIED_ECHO)
    assert values(contents) == [(60.0, "ultrasound biplane", "code")]


def test_codes_of_snomed_rt_are_those_of_snomed_ct() -> None:
    old = sr.number("33", concept=("F-32070", "SRT", "Cardiac ejection fraction"))
    section = sr.container(
        sr.FINDINGS, sr.modifier(("G-C0E3", "SRT", "Finding Site"), ("T-32600", "SRT", "Left Ventricle")), old
    )
    assert [one.value for one in found(section).outcomes] == [33.0]


def test_a_devices_own_code_is_known_by_its_name_or_by_the_sites_table() -> None:
    own = sr.findings(sr.number("52", concept=("EFBP", "99ACME", "LV EF Biplane")))
    assert values(found(own)) == [(52.0, "ultrasound biplane", "name")]
    nameless = sr.findings(sr.number("52", concept=("M17", "99ACME", "Calc 17")))
    with pytest.raises(Refused, match="no ejection fraction"):
        found(nameless)
    table = SiteTable(codes=(SiteCode(code="M17", means="lvef", assay="ultrasound biplane"),))
    context = ReadingContext(default_authority="SITE", zone=CONTEXT.zone, outcome_table=table)
    assert values(found(nameless, context=context)) == [(52.0, "ultrasound biplane", "site-code")]


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        (("125196", "DCM", "Fetal Cardiac Ultrasound Report"), "lvef-other-patient"),
        (("11524-0", "LN", "ECG Report"), "lvef-prediction"),
        (("R1", "99ACME", "AI summary"), "lvef-unknown-service"),
    ],
)
def test_reports_of_other_kinds(title: sr.Code, reason: str) -> None:
    contents = found(sr.findings(sr.number("55")), title=title)
    assert contents.outcomes == ()
    assert reasons(contents) == [reason]


def test_a_preliminary_report_is_left_out_and_a_replacement_corrects() -> None:
    assert reasons(found(sr.findings(sr.number("55")), preliminary=True)) == ["lvef-preliminary"]
    (first,) = found(sr.findings(sr.number("55"))).outcomes
    (second,) = found(sr.findings(sr.number("35")), replaces="2.25.4711", uid="2.25.4712").outcomes
    assert (second.status, second.source_id) == ("corrected", first.source_id)


def test_a_date_alone_takes_the_time_of_the_same_day() -> None:
    (one,) = found(sr.findings(sr.number("55")), study_time="").outcomes
    assert (one.observed_at.hour, one.precision) == (9, "second")


def test_a_report_without_an_ejection_fraction_holds_nothing_for_us() -> None:
    with pytest.raises(Refused) as refusal:
        found(sr.findings(sr.number("142", concept=sr.LV_VOLUME, unit="ml")))
    assert refusal.value.code == "no-ecg"


def test_numbers_below_a_number_are_what_it_was_made_of() -> None:
    beats = [sr.number("40"), sr.number("60")]
    for beat in beats:
        beat.RelationshipType = "INFERRED FROM"
    assert [one.value for one in found(sr.findings(sr.number("50", below=beats))).outcomes] == [50.0]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_transfer_syntaxes(syntax: object) -> None:
    content = sr.write(sr.report(sr.findings(sr.number("57"))), syntax)  # type: ignore[arg-type]
    assert [one.value for one in read(content, CONTEXT).outcomes] == [57.0]


def test_a_tree_without_end_is_refused() -> None:
    section = sr.number("57")
    for _ in range(40):
        section = sr.container(sr.GROUP, section)
    with pytest.raises(Refused) as refusal:
        found(section)
    assert refusal.value.code == "too-large"


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dcmtk's dsrdump is not installed")
def test_dcmtk_reads_the_same_report(tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    path.write_bytes(sr.write(sr.report(sr.findings(sr.number("57", (sr.METHOD, sr.BIPLANE))))))
    dumped = subprocess.run(["dsrdump", str(path)], check=True, capture_output=True, text=True).stdout
    assert '"57" (%,UCUM' in dumped
    assert "Method of Disks, Biplane" in dumped


SEED = sr.write(
    sr.report(sr.findings(sr.number("57", (sr.METHOD, sr.BIPLANE)), sr.number("61", (sr.METHOD, sr.TEICHHOLZ))))
)


def attempt(content: bytes) -> tuple[Contents, str]:
    """What is read, or the refusal. Warnings are silenced: those about odd characters are no failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read(content, CONTEXT), ""
        except PayloadError as error:
            return Contents(), str(error)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EDITS)
def test_damaged_reports_never_crash(edits: list[Edit]) -> None:
    contents, refusal = attempt(edited(SEED, edits))
    assert not refusal.startswith("damaged"), "the catch-all of read met an error of another kind"
    assert "TESTPERSON" not in refusal
    assert all(3 <= one.value <= 95 for one in contents.outcomes)
