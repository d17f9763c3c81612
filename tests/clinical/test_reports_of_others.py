"""Reports and pages of other systems through the hall, by HL7 and by C-STORE, beside the ECG once it is opened."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecgfm_connectors.ecg import Order
from tests.helpers import ecg_documents as others
from tests.helpers import report_writer as sr
from tests.helpers.fakes import make_ecg
from tests.helpers.installation import Installation, merge, patient, pid
from tests.helpers.pdf_writer import write_pdf

pytestmark = pytest.mark.slow(8)

PAGE = write_pdf(["Vorhofflimmern", "TESTPERSON"], ["Seite 2"])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, listener="documents = true")
    yield made
    made.close()


def oru(number: str, *observations: str, filler: str = "FI7", control_id: str = "R1") -> bytes:
    head = f"MSH|^~\\&|READER|CARD|ECGFM|H|20310102050607+0000||ORU^R01|{control_id}|P|2.5.1"
    order = f"OBR|1||{filler}^READER|93000^ECG^C4|||20310102030405||||||||||||||||||F"
    return "\r".join((head, pid(number), order, *observations, "")).encode()


TEXT = "OBX|1|TX|ECG^Report||Atrial fibrillation of TESTPERSON||||||F"
PDF = f"OBX|1|ED|ECG^Page||^application^pdf^Base64^{b64encode(PAGE).decode()}||||||F"


def said(house: Installation, ecg_id: int = 1) -> list[Any]:
    found: list[Any] = house.document("show", ecg_id, "--phi").get("documents", [])
    return found


def test_a_report_stands_beside_the_ecg_of_the_same_number_and_patient_that_comes_later(house: Installation) -> None:
    assert house.mllp(oru("P1", TEXT)).code == "AA"
    assert "beside none (no-ecg)" in house.command("documents", "--left")[1]
    house.dicom(make_ecg(1, patient=patient("P1"), order=Order(filler="FI7")))
    house.dicom(make_ecg(2, patient=patient("P2"), order=Order(filler="FI8")))
    (one,) = said(house)
    assert (one["kind"], one["title"], one["maker"], one["status"]) == ("report", "ECG", "READER CARD", "FINAL")
    assert one["text"] == "Report:\nAtrial fibrillation of TESTPERSON"
    assert "TESTPERSON" not in house.command("show", "1")[1]
    assert house.mllp(oru("P1", TEXT, filler="FI8", control_id="R2")).code == "AA"
    assert said(house, 2) == []
    assert "beside none (other-patient)" in house.command("documents", "--left")[1]
    house.mllp(merge("P1", "P2"))
    assert [one["text"] for one in said(house, 2)] == ["Report:\nAtrial fibrillation of TESTPERSON"]


def test_the_words_of_a_page_are_kept_and_its_withdrawal_takes_them_away(house: Installation) -> None:
    pytest.importorskip("pypdf", reason="the package pypdf is not installed")
    house.dicom(make_ecg(1, patient=patient("P1"), order=Order(accession="FI7")))
    assert house.mllp(oru("P1", PDF)).code == "AA"
    (one,) = said(house)
    assert one["kind"] == "pdf"
    assert one["text"] == f"a PDF of {len(PAGE)} bytes, 2 pages\nVorhofflimmern\nTESTPERSON\nSeite 2"
    assert house.mllp(oru("P1", PDF.replace("||||||F", "||||||W"), control_id="R2")).code == "AA"
    assert said(house) == []


def test_a_page_in_a_dicom_object_has_its_words_or_the_reason(house: Installation) -> None:
    pytest.importorskip("pypdf", reason="the package pypdf is not installed")
    house.dicom(make_ecg(1, source_id=others.ECG, patient=patient(), order=Order()))
    for uid, content in (("2.25.61", PAGE), ("2.25.62", b"%PDF-1.7 invent\n")):
        page = others.page(uid=uid)
        page.EncapsulatedDocument = content + bytes(len(content) % 2)
        house.dicom(sr.write(page))
    texts = [one.document.text for one in house.store.documents.newest()]
    assert "Vorhofflimmern" in texts[1]
    assert texts[0].endswith("a PDF of 16 bytes; its words are not here: it is damaged (PdfStreamError)")


def test_a_page_that_was_refused_is_read_again_with_its_words(tmp_path: Path) -> None:
    pytest.importorskip("pypdf", reason="the package pypdf is not installed")
    house = Installation(tmp_path)
    try:
        assert house.mllp(oru("P1", PDF)).code == "AE"
        house.path.write_text(house.path.read_text().replace("port = 0\n", "port = 0\ndocuments = true\n"))
        assert house.command("replay", "--refused")[0] == 0
        (one,) = house.store.documents.newest()
    finally:
        house.close()
    assert "Vorhofflimmern" in one.document.text
