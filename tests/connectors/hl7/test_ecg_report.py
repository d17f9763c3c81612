"""Reports about ECGs that come by HL7 without samples: which count, what is kept, what takes them back."""

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.document import Document
from ecgfm_connectors.ecg import Order
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import oru_writer
from tests.helpers.fakes import make_ecg
from tests.helpers.pdf_writer import write_pdf

CONTEXT = ReadingContext(default_authority="SITE", zone=UTC, reports=True)
PDF = write_pdf(["Vorhofflimmern"])
OBR = "OBR|1|PL7^EHR|FI7^MUSE|93000^12-lead ECG^C4|||20310102030405|||||||||||ACC7||||20310102040506|||F"
TEXTS = (
    "OBX|1|NM|8634-8^QT interval^LN||402|ms|||||F",
    "OBX|2|TX|18844-1^EKG impression^LN|1|Vorhofflimmern~Linksschenkelblock||||||F",
    "OBX|3|FT|18844-1^EKG impression^LN|2|Verglichen mit 2030:\\.br\\neu||||||F",
    "OBX|4|CE|8601-7^EKG statement^LN||21^Sinus rhythm^MUSE||||||F",
)
PAGE = f"OBX|1|ED|ECG^Report||^application^pdf^Base64^{b64encode(PDF).decode()}||||||F"


def oru(*segments: str, patient: str = "4711^^^HOSP^MR", event: str = "ORU^R01") -> bytes:
    head = f"MSH|^~\\&|MUSE|CARD|ECGFM|HOSP|20310102050607||{event}|C1|P|2.5.1||||||UNICODE UTF-8"
    return "\r".join((head, f"PID|1||{patient}||Testperson^Ann", *segments, "")).encode()


def document(content: bytes) -> Document:
    (found,) = read(content, CONTEXT).documents
    return found


def test_a_report_of_text_measurements_and_codes_is_kept_line_by_line() -> None:
    found = document(oru(OBR, *TEXTS))
    assert found.text.splitlines() == [
        "QT interval: 402 ms",
        *("EKG impression:", "Vorhofflimmern", "Linksschenkelblock", "Verglichen mit 2030:", "neu"),
        *("EKG statement:", "Sinus rhythm"),
    ]
    assert (found.kind, found.title, found.maker, found.status) == ("report", "12-lead ECG", "MUSE CARD", "FINAL")
    assert found.refers.numbers == ("ACC7", "PL7^EHR", "FI7^MUSE")
    assert found.refers.instances == ()
    assert found.patient.identifiers[0].identity == ("hosp", "MR", "4711")
    assert found.made_at == datetime(2031, 1, 2, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize("shifted", ["^application^pdf^Base64^", "MUSE^AP^PDF^Base64^", "^^PDF^Base64^"])
def test_a_page_is_kept_whatever_its_components_are_called(shifted: str) -> None:
    found = document(oru(OBR, PAGE.replace("^application^pdf^Base64^", shifted)))
    assert (found.kind, found.pages, found.text) == ("pdf", (PDF,), "")
    assert b"PDF" not in repr(found).encode()


def test_a_document_message_is_known_by_its_own_number_and_replaces_another() -> None:
    txa = "TXA|1|ECG^ECG report|AP|20310102|||20310102060000|||||D8^MUSE|D7^MUSE|PL7|FI7||AU"
    found = document(oru(txa, TEXTS[1], event="MDM^T10"))
    assert found.source_id == "hl7-document:MUSE|CARD|D8^MUSE"
    assert found.replaces == ("hl7-document:MUSE|CARD|D7^MUSE",)
    assert (found.status, found.refers.numbers) == ("AUTHENTICATED", ("PL7", "FI7"))
    cancelled = document(oru(txa, TEXTS[1], event="MDM^T11"))
    assert (cancelled.source_id, cancelled.withdrawn, cancelled.text) == (found.source_id, True, "")


def test_a_correction_has_the_number_of_what_it_corrects_and_a_deletion_takes_it_back() -> None:
    first = document(oru(OBR, *TEXTS))
    corrected = document(oru(OBR.removesuffix("F") + "C", TEXTS[1].replace("Linksschenkelblock", "kein Block")))
    assert corrected.source_id == first.source_id
    assert corrected.status == "CORRECTED"
    gone = document(oru(OBR, *(one.replace("||||||F", "||||||W").replace("|||||F", "|||||W") for one in TEXTS)))
    assert (gone.source_id, gone.withdrawn) == (first.source_id, True)
    one_line_less = document(oru(OBR, TEXTS[0], TEXTS[1].replace("||||||F", "||||||D")))
    assert (one_line_less.withdrawn, one_line_less.text) == (False, "QT interval: 402 ms")
    assert document(oru(OBR.removesuffix("F") + "X")).withdrawn


@pytest.mark.parametrize(
    "segments",
    [
        ("OBR|1|PL7|FI7|ECHO^Echocardiography", "OBX|1|TX|RPT^Report||An ECG was written: sinus rhythm||||||F"),
        (OBR, "OBX|1|NM|ECGFM-LVEF^AI-ECG probability^99ECGFM||0.7||||||F"),
    ],
    ids=["of-an-echo", "our-own"],
)
def test_what_is_not_about_an_ecg_or_is_our_own_is_none(segments: tuple[str, ...]) -> None:
    beside = oru(OBR.replace("FI7", "FI8"), *TEXTS, *segments)
    assert [one.source_id for one in read(beside, CONTEXT).documents] == ["hl7-report:MUSE|CARD|FI8^MUSE"]


def test_one_without_a_number_is_known_by_its_message() -> None:
    assert document(oru("OBR|1|||93000^ECG", TEXTS[1])).source_id == "hl7-message:MUSE|CARD|C1"


def test_without_the_setting_everything_is_as_before() -> None:
    before = replace(CONTEXT, reports=False)
    with pytest.raises(Refused, match="pdf: "):
        read(oru(OBR, PAGE), before)
    with pytest.raises(Refused, match="no-ecg: "):
        read(oru(OBR, *TEXTS), before)


def test_a_page_beside_its_recording_is_kept_and_its_words_stay_with_the_recording() -> None:
    ecg = make_ecg(1, order=Order(filler="FI7"))
    message = oru_writer.write_ecg(ecg, control_id="C9", sent_at=datetime(2031, 1, 1, tzinfo=UTC))
    beside = message.decode().rstrip("\r") + "\rOBX|9|ED|ECG^Report||^application^pdf^Base64^" + b64encode(PDF).decode()
    found: Contents = read((beside + "||||||F\rOBX|10|TX|ECG^text||Sinus rhythm||||||F\r").encode(), CONTEXT)
    assert [one.statements for one in found.ecgs] == [("Sinus rhythm",)]
    assert [(one.pages, one.text) for one in found.documents] == [((PDF,), "")]
    assert found.documents[0].refers.instances == (found.ecgs[0].source_id,)


def test_a_page_that_was_cut_off_is_unreadable_and_one_without_patient_has_a_finding() -> None:
    with pytest.raises(Unreadable, match="base64"):
        read(oru(OBR, PAGE.replace("JVBERi", "JVBERi*")), CONTEXT)
    found = read(oru(OBR, *TEXTS, patient=""), CONTEXT)
    assert [one.code for one in found.findings] == ["document-without-patient"]
