"""Every HL7 message of the corpus is read, or refused for its true reason."""

from pathlib import Path

import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.reading import read

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpus" / "hl7v2"

#: File -> reason code, or what is read from it.
EXPECTED = {
    "ORU-multiline-short-mixed.hl7": "no-ecg",  # an echo report whose text is blanked out
    "ORU-multiline-short.hl7": "no-ecg",
    "sample_unix.hl7": "demographics",  # MSH-2 with a doubled backslash, literal \r
    "invalid__misc__bad-phone-example.hl7": "unsupported-type",
    "valid__athena-health__oru-example.hl7": "no-ecg",
    "valid__catalyze-io__orm-example.hl7": "order NW 73610",
    "valid__cerner__cerner_bordetella.hl7": "no-ecg",
    "valid__cerner__cerner_en.hl7": "no-ecg",
    "valid__corepoint-health__siu-example.hl7": "unsupported-type",
    "valid__health-standards__bar-example.hl7": "unsupported-type",
    "valid__healthcare-it-systems__adt-example.hl7": "single-segment",  # segments joined by spaces
    "valid__mieweb__dft-example.hl7": "unsupported-type",  # two messages in one file
    "valid__mirthproject__mfn-example.hl7": "unsupported-type",
    "valid__nist__ORU_R01_2.5.1_SampleTestCase2.hl7": "no-ecg",
    "valid__nist__ORU_R01_2.5.1_SampleTestCase3.hl7": "no-ecg",
    "valid__nist__ORU_R01_2.5.1_SampleTestCase4.hl7": "no-ecg",
    "valid__nist__ORU_R01_2.5.1_SampleTestCase5.hl7": "no-ecg",
    "valid__realm__realm-campylobacter-jejuni.hl7": "no-ecg",
    "valid__realm__realm-cj-badloinc.hl7": "no-ecg",
    "valid__realm__realm-cj-joeslab.hl7": "no-ecg",
    "valid__remote-operations__mdm-example.hl7": "no-ecg",
    "small.hl7": "no-ecg",
    "ADT^A31-UpdatePersonInfo-Veterinary.hl7": "demographics",
    "ADT^A31-UpdatePersonInfo.hl7": "demographics",
    "ADT^A47-ChangePatientID.hl7": "demographics merge",
    "OMI^O23-ImagingOrder.hl7": "order NW 10637-7",
    "ORM^O01-GeneralOrder.hl7": "order NW 10637-7",
    "ORU^R01-CDA.hl7": "no-ecg",  # a CDA document
    "ORU^R01-SR.hl7": "no-ecg",
    "SIU^S12-NewAppointmentBooking.hl7": "unsupported-type",
    "adt_a03.txt": "demographics",
    "cv.04_001_chem.hl7": "unsupported-type",
    "example_oml_o21.hl7": "unsupported-type",  # thirteen messages in one file
    "omd_o03.txt": "unsupported-type",
    "ecg_order_orm_v24.hl7": "order NW 93000",
    "ecg_report_pdf_epic.hl7": "pdf",
    "ecg_report_pdf_latin1.hl7": "pdf",
    "ecg_result_oru_v24_nm.hl7": "no-ecg",  # measurements only
    "ecg_result_rp_dicom_pointer.hl7": "pointer-not-followed",
    "echo_lvef35_loinc18043.hl7": "lvef 35.0 %",
    "mindray_egateway_waveform_na_dummy.hl7": "sample-text",  # words where samples belong
    "troponin_order_orm_stat.hl7": "order NW 89579-7",
    "troponin_panel_ngml_utf8.hl7": "troponin 45.0 ng/L < 40.0",
    "troponin_serial_shifted_obx8.hl7": "troponin 28.0 ng/L < 26.0, troponin 145.0 ng/L < 26.0",
}


def found_in(path: Path, context: ReadingContext) -> str:
    try:
        contents = read(path.read_bytes(), context)
    except PayloadError as error:
        return error.code
    told = [
        f"{outcome.kind} {outcome.value} {outcome.unit}"
        + (f" < {outcome.upper_reference_limit}" if outcome.upper_reference_limit else "")
        for outcome in contents.outcomes
    ]
    told += [f"order {one.control} {one.services[0][0] if one.services else ''}" for one in contents.orders]
    words = ["ecg"] * len(contents.ecgs) + ["demographics"] * bool(contents.demographics)
    return ", ".join(told) or " ".join(words + ["merge"] * bool(contents.identity_events))


def test_every_message_of_the_corpus(context: ReadingContext) -> None:
    files = sorted(CORPUS.rglob("*.*"))
    if not files:
        pytest.skip(f"no corpus at {CORPUS}")
    assert {path.name: found_in(path, context) for path in files} == EXPECTED


def test_a_pointer_is_followed_once_its_folder_is_allowed(context: ReadingContext, tmp_path: Path) -> None:
    from dataclasses import replace

    path = CORPUS / "public-er7-excerpts" / "ecg_result_rp_dicom_pointer.hl7"
    if not path.exists():
        pytest.skip(f"no corpus at {CORPUS}")
    with pytest.raises(PayloadError) as refusal:
        read(path.read_bytes(), replace(context, allowed_roots=(tmp_path,)))
    assert refusal.value.code == "pointer-outside"
