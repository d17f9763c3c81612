"""What other systems say of an ECG in DICOM objects: which of them count, what they refer to, what stands in them."""

import shutil
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydicom.dataset import Dataset

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom import multipart
from ecgfm_connectors.document import MAX_TEXT, Document
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.reading import read
from tests.helpers import ecg_documents as made
from tests.helpers import report_writer as sr
from tests.helpers.dicom_results import every_form

CONTEXT = ReadingContext(default_authority="SITE", zone=ZoneInfo("Europe/Berlin"))


def document(content: bytes) -> Document:
    (found,) = read(content, CONTEXT).documents
    return found


def test_an_ecg_report_as_text_with_its_maker_patient_and_the_object_that_it_speaks_of() -> None:
    found = document(sr.write(made.ecg_report()))
    assert (found.kind, found.title, found.maker) == ("report", "ECG Report", "Simulated Reader 3")
    assert found.status == "COMPLETE VERIFIED FINAL"
    assert found.refers.instances == (made.ECG,)
    assert found.refers.numbers == ("A1",)
    assert found.patient.identifiers[0].identity == ("hosp", "MR", "E1")
    assert found.made_at == datetime(2026, 3, 1, 9, 45, tzinfo=CONTEXT.zone)
    assert "QT Interval: 402 ms" in found.text
    assert "Finding: Atrial fibrillation" in found.text


def test_the_ecg_that_a_report_compares_with_is_not_the_one_that_it_speaks_of() -> None:
    report = made.ecg_report(prior=True)
    assert made.EARLIER in str(report)
    assert document(sr.write(report)).refers.instances == (made.ECG,)


def test_another_ais_result_and_a_plain_text_count_by_the_object_they_refer_to() -> None:
    ai = document(sr.write(made.ai_report()))
    assert "Algorithm Name: OTHER-AI" in ai.text
    assert "Probability of amyloidosis: 0.87 {0:1}" in ai.text
    assert ai.refers.instances == (made.ECG,)
    text = made.ecg_report()
    text.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    assert document(sr.write(text)).kind == "report"


def test_a_page_is_known_by_what_it_was_made_from_or_by_its_title() -> None:
    page = document(sr.write(made.page()))
    assert (page.kind, page.title, page.refers.instances) == ("pdf", "ECG resting report", (made.ECG,))
    assert page.pages == (b"%PDF-1.7 invent\n",)
    by_title = document(sr.write(made.page(refers=False)))
    assert (by_title.refers.instances, by_title.refers.study_uid) == ((), "2.25.4700")
    with pytest.raises(Refused, match="no-ecg"):
        read(sr.write(made.page(title="Discharge letter", refers=False)), CONTEXT)


def test_other_reports_and_our_own_are_none() -> None:
    with pytest.raises(Refused, match="no-ecg"):
        read(sr.write(sr.report(sr.findings(sr.number("142", concept=sr.LV_VOLUME, unit="ml")))), CONTEXT)
    assert read(multipart.split(every_form()["result"])[0], CONTEXT).documents == ()


def test_an_echo_report_that_refers_to_an_ecg_is_both() -> None:
    report = sr.report(sr.findings(sr.number("57", (sr.METHOD, sr.BIPLANE))))
    report.ContentSequence.append(made.waveform(made.ECG))
    found = read(sr.write(report), CONTEXT)
    assert [one.value for one in found.outcomes] == [57.0]
    assert [one.refers.instances for one in found.documents] == [(made.ECG,)]


def test_a_document_without_patient_is_kept_with_a_finding_and_a_long_one_is_cut() -> None:
    report = made.ecg_report()
    report.PatientID = ""
    found = read(sr.write(report), CONTEXT)
    assert [one.code for one in found.findings] == ["document-without-patient"]
    long = made.ecg_report()
    long.ContentSequence.append(made.text("Comment", "x" * (2 * MAX_TEXT)))
    assert len(document(sr.write(long)).text) == MAX_TEXT


def test_a_report_inside_a_message_is_its_patients_and_goes_when_it_is_taken_back() -> None:
    from tests.clinical.test_structured_reports import in_a_message

    sent = in_a_message(sr.write(made.ecg_report()), "E1^^^HOSP^MR")
    (one,) = read(sent, CONTEXT).documents
    assert (one.source_id, one.withdrawn) == (made.REPORT, False)
    (undone,) = read(sent.replace(b"||||||F\r", b"||||||W\r"), CONTEXT).documents
    assert undone == replace(one, withdrawn=True)
    with pytest.raises(Refused) as refusal:
        read(in_a_message(sr.write(made.ecg_report()), "E2^^^HOSP^MR"), CONTEXT)
    assert refusal.value.code == "patient-mismatch"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("report", [made.ecg_report(prior=True), made.ai_report()], ids=["TID 3700", "TID 1500"])
def test_dcmtk_reads_the_samples_as_reports_too(report: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "report.dcm"
    file.write_bytes(sr.write(report))
    dump = subprocess.run(["dsrdump", "-Ec", str(file)], capture_output=True, text=True, check=False)
    assert dump.returncode == 0, dump.stderr
    assert "WAVEFORM" in dump.stdout
