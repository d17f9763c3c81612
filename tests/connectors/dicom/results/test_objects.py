"""Results as DICOM objects: what stands in them, whose study they go into, and that other programs read them."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from ecgfm_connectors.dicom import multipart
from ecgfm_connectors.dicom.results.composing import compose
from ecgfm_connectors.errors import Misconfigured, Refused
from ecgfm_connectors.message_text import text_of
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Former
from tests.helpers.dicom_results import (
    LVEF,
    PDF,
    PROFILE,
    RESULT,
    TROPONIN,
    WAVEFORM,
    errors,
    every_form,
    objects,
    withdrawal,
)

FORMS = every_form()
KEY_OBJECTS, PDF_CLASS = "1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.5.1.4.1.1.104.1"


def items(parent: Dataset) -> Iterator[Dataset]:
    """Every content item below, in the order of the tree."""
    for one in parent.get("ContentSequence", ()):
        yield one
        yield from items(one)


def named(parent: Dataset, code: str) -> list[Dataset]:
    return [one for one in items(parent) if "ConceptNameCodeSequence" in one and code_of(one) == code]


def code_of(item: Dataset) -> str:
    name = item.ConceptNameCodeSequence[0]
    return str(name.get("CodeValue") or name.LongCodeValue)


@pytest.mark.parametrize("form", FORMS)
def test_the_validator_finds_no_error(form: str, tmp_path: Path) -> None:
    for part in multipart.split(FORMS[form]):
        assert errors(part, tmp_path) == []


def test_the_validator_would_find_one(tmp_path: Path) -> None:
    (part,) = multipart.split(FORMS["result"])
    assert errors(part.replace(b"COMPLETE", b"FINISHED"), tmp_path) != []


def test_a_report_says_the_probability_its_operating_point_and_the_answer() -> None:
    (report,) = objects(FORMS["result"])
    (number,) = [one for one in named(report, "ECGFM-LVEF") if one.ValueType == "NUM"]
    (measured,) = number.MeasuredValueSequence
    assert (str(measured.NumericValue), measured.FloatingPointValue) == ("0.7312", 0.7312345)
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "{0:1}"
    (limit,) = named(number, "ECGFM-THRESHOLD")
    assert limit.RelationshipType == "HAS PROPERTIES"
    assert str(limit.MeasuredValueSequence[0].NumericValue) == "0.5"
    (source,) = named(number, "121112")
    assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == WAVEFORM.sop_instance_uid
    (answer,) = named(report, "ECGFM-ANSWER")
    assert answer.ConceptCodeSequence[0].CodeValue == "ECGFM-POSITIVE"
    assert [one.ConceptCodeSequence[0].CodeValue for one in named(report, "363698007")] == ["87878005", "80891009"]


def test_a_report_that_is_not_evaluable_has_no_number_and_every_reason() -> None:
    (report,) = objects(FORMS["not evaluable"])
    (number,) = [one for one in named(report, "ECGFM-TROP") if one.ValueType == "NUM"]
    assert len(number.MeasuredValueSequence) == 0
    assert number.NumericValueQualifierCodeSequence[0].CodeValue == "114007"
    reasons = [one.ConceptCodeSequence[0] for one in named(report, "ECGFM-NOT-EVAL")]
    assert [one.get("CodeValue") or one.LongCodeValue for one in reasons] == [
        "signal-quality",
        "a-reason-of-a-long-name",
    ]
    assert named(report, "ECGFM-ANSWER") == []


def test_model_digest_device_and_the_demonstration_mark_stand_in_the_report() -> None:
    (report,) = objects(FORMS["result"])
    told = text_of(FORMS["result"])
    assert "Algorithm Name: demo-head" in told
    assert f"bundle SHA-256 {'01' * 32}" in told
    assert "AI-generated" in told
    assert "DEMONSTRATION MODEL, NOT FOR CLINICAL USE" in told
    assert report.SeriesDescription == "DEMONSTRATION, NOT FOR CLINICAL USE: AI-ECG result"
    (device,) = named(report, "121012")
    assert device.UID.startswith("2.25.")


def test_it_lies_beside_the_waveform_object_under_its_patient() -> None:
    for one in objects(FORMS["correction of a paged one"]):
        assert one.StudyInstanceUID == WAVEFORM.study_uid
        assert (one.PatientID, one.IssuerOfPatientID, str(one.PatientName)) == ("P17", "HOSP", "Müller^Ann")
        assert (one.StudyDate, one.StudyID, one.AccessionNumber) == ("20260410", "S17", "ACC-17")
        assert one.SeriesInstanceUID != WAVEFORM.series_uid
    (report,) = objects(FORMS["result"])
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == WAVEFORM.series_uid
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == WAVEFORM.sop_instance_uid


def test_the_same_message_gives_the_same_bytes_and_another_one_other_uids() -> None:
    assert compose(RESULT, PROFILE) == FORMS["result"]
    (first,), (other,) = objects(FORMS["result"]), objects(compose(replace(RESULT, control_id="E2"), PROFILE))
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID != other.SeriesInstanceUID


def test_a_page_goes_beside_its_report() -> None:
    report, page = objects(FORMS["result with page"])
    assert (page.SOPClassUID, page.Modality) == (PDF_CLASS, "DOC")
    assert page.EncapsulatedDocument[: page.EncapsulatedDocumentLength] == PDF
    assert page.DocumentTitle.startswith("DEMONSTRATION")
    assert page.SourceInstanceSequence[0].ReferencedSOPInstanceUID == WAVEFORM.sop_instance_uid
    assert page.StudyInstanceUID == report.StudyInstanceUID


def test_a_correction_names_its_predecessor_and_rejects_it() -> None:
    former_report, former_page = objects(FORMS["result with page"])
    report, page, note = objects(FORMS["correction of a paged one"])
    predecessor = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert [one.ReferencedSOPInstanceUID for one in predecessor] == [former_report.SOPInstanceUID]
    assert rejected(note) == {former_report.SOPInstanceUID, former_page.SOPInstanceUID}
    assert page.SOPInstanceUID not in rejected(note)


def rejected(note: Dataset) -> set[str]:
    assert note.SOPClassUID == KEY_OBJECTS
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    return {
        one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for one in note.ContentSequence
        if one.ValueType == "COMPOSITE"
    }


def test_a_withdrawal_rejects_what_stands_and_nothing_that_was_rejected_before() -> None:
    corrected = FORMS["correction of a paged one"]
    (note,) = objects(compose(withdrawal(RESULT, corrected), PROFILE))
    report, page, _ = objects(corrected)
    assert rejected(note) == {report.SOPInstanceUID, page.SOPInstanceUID}


def test_a_withdrawal_whose_objects_are_not_known_any_more_waits_for_a_person() -> None:
    """Past its retention, or made while the destination of this name was an interface engine."""
    for body in (None, b"MSH|^~\\&|ECGFM\r"):
        with pytest.raises(Refused) as refused:
            compose(replace(withdrawal(RESULT, b""), former=Former(control_id="E1", body=body)), PROFILE)
        assert refused.value.code == "former-unknown"


OTHER = Patient(identifiers=(Identifier(authority="HOSP", value="P18"),))


def test_nothing_is_stored_into_the_study_of_another_patient() -> None:
    with pytest.raises(Refused) as refused:
        compose(replace(RESULT, patient=OTHER), PROFILE)
    assert refused.value.code == "patient-differs"
    assert "P18" not in str(refused.value)
    assert "P17" not in str(refused.value)


def test_a_withdrawal_goes_to_where_the_result_was_stored_whoever_it_belongs_to_now() -> None:
    (note,) = objects(compose(replace(withdrawal(RESULT, FORMS["result"]), patient=OTHER), PROFILE))
    assert note.PatientID == "P17"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"patient_name": "A" * 65}, "dicom-length"),
        ({"patient_name": f"{'A' * 64}={'B' * 64}"}, None),
        ({"patient_id": "1" * 65}, "no-identifier-like-it"),
        ({"accession": "1" * 17}, "dicom-length"),
        ({"study_id": "a\\b"}, "dicom-value"),
        ({"study_uid": "1.2.x"}, "waveform-object-incomplete"),
        ({"series_uid": ""}, "waveform-object-incomplete"),
        ({"study_date": "yesterday"}, None),
    ],
)
def test_what_does_not_fit_is_never_cut(changed: dict[str, str], code: str | None) -> None:
    waveform = replace(WAVEFORM, **changed)
    patient = RESULT.patient
    if "patient_id" in changed:
        patient, code = Patient(identifiers=(Identifier(authority="HOSP", value="1" * 65),)), "dicom-length"
    if code is None:
        assert compose(replace(RESULT, waveform=waveform, patient=patient), PROFILE)
        return
    with pytest.raises(Refused) as refused:
        compose(replace(RESULT, waveform=waveform, patient=patient), PROFILE)
    assert refused.value.code == code


def test_names_keep_every_letter_or_the_message_waits() -> None:
    greek = replace(RESULT, waveform=replace(WAVEFORM, patient_name="Ελένη^Ω"))
    (report,) = objects(compose(greek, PROFILE))
    assert str(report.PatientName) == "Ελένη^Ω"
    (narrow,) = objects(compose(RESULT, replace(PROFILE, character_set="ISO_IR 100")))
    assert str(narrow.PatientName) == "Müller^Ann"
    with pytest.raises(Refused) as refused:
        compose(greek, replace(PROFILE, character_set="ISO_IR 100"))
    assert refused.value.code == "unwritable"


def test_an_ecg_that_came_as_no_object_is_refused_or_gets_a_study_of_its_own() -> None:
    without = replace(RESULT, waveform=None)
    with pytest.raises(Refused) as refused:
        compose(without, PROFILE)
    assert refused.value.code == "no-waveform-object"
    report, page = objects(FORMS["own study"])
    assert report.StudyInstanceUID == page.StudyInstanceUID != WAVEFORM.study_uid
    assert (report.PatientID, report.IssuerOfPatientID) == ("P17", "HOSP")
    assert "CurrentRequestedProcedureEvidenceSequence" not in report
    elsewhere = replace(PROFILE, without_waveform="own-study", installation="OTHER")
    (other,) = objects(compose(without, elsewhere))
    assert other.StudyInstanceUID != report.StudyInstanceUID


def test_no_code_of_a_measured_quantity_is_ever_written() -> None:
    with pytest.raises(Misconfigured):
        compose(replace(RESULT, observations=(replace(LVEF, code="10230-1"),)), PROFILE)


def test_a_long_name_stands_whole_beside_its_shortened_meaning() -> None:
    name = f"AI-ECG probability of a condition with {'a very ' * 8}long name"
    (report,) = objects(compose(replace(RESULT, observations=(replace(LVEF, name=name), TROPONIN)), PROFILE))
    (number,) = [one for one in named(report, "ECGFM-LVEF") if one.ValueType == "NUM"]
    assert number.ConceptNameCodeSequence[0].CodeMeaning.endswith("...")
    assert any(name in one.TextValue for one in named(report, "112039"))


def test_dcmtk_prints_the_report(tmp_path: Path) -> None:
    program = Path("/usr/bin/dsrdump")
    if not program.exists():
        pytest.skip("dcmtk is not installed (apt-get install dcmtk)")
    for form in ("result", "correction", "withdrawal", "own study"):
        path = tmp_path / "report.dcm"
        path.write_bytes(multipart.split(FORMS[form])[0])
        said = subprocess.run([program, "+Pl", path], capture_output=True, text=True, check=True)
        assert "Rejected for Patient Safety" in said.stdout if form == "withdrawal" else "0." in said.stdout
        assert "error" not in said.stderr.lower()


def test_highdicom_reads_the_measurements() -> None:
    """Its 0.28 writes WAVEFORM items and numbers without a value, and fails on reading any: here are none."""
    sr = pytest.importorskip("highdicom.sr")
    only = replace(RESULT, waveform=None, observations=(LVEF,))
    (report,) = objects(compose(only, replace(PROFILE, without_waveform="own-study")))
    (group,) = sr.MeasurementReport.from_sequence([report]).get_image_measurement_groups()
    (measurement,) = group.get_measurements()
    assert (measurement.value, measurement.unit.value) == (0.7312345, "{0:1}")
    assert measurement.name.value == "ECGFM-LVEF"
    assert group.finding_sites[0].value.meaning == "Left ventricle"
