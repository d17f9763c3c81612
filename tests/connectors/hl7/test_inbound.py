"""An ECG inside an HL7 message is read with the right signal, patient, order, time and identity, or refused
with the reason.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.errors import PayloadError, Refused, Unreadable
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import aecg_writer, dicom_writer, oru_writer

SENT = datetime(2026, 3, 1, 9, tzinfo=UTC)
ORDER = Order(placer="ORD1^CPOE", filler="ECG9^MUSE", visit="V7", stat=True)


@pytest.fixture
def oru(ecg: Ecg) -> Callable[..., bytes]:
    def write(embed: str = "dicom", **changes: object) -> bytes:
        payload = dicom_writer.write_ecg(ecg) if embed == "dicom" else aecg_writer.write_ecg(ecg)
        settings: dict[str, object] = {
            "patient": ecg.patient,
            "order": ORDER,
            "control_id": "M1",
            "sent_at": SENT,
            "statements": ["Normal ECG", "line one\nline two"],
        }
        return oru_writer.write_message([(payload, embed.upper())], **(settings | changes))  # type: ignore[arg-type]  # each test passes options of the right type

    return write


@pytest.mark.parametrize("embed", ["dicom", "aecg"])
def test_an_embedded_ecg(oru: Callable[..., bytes], ecg: Ecg, context: ReadingContext, embed: str) -> None:
    (found,) = read(oru(embed), context).ecgs
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-5)
    assert found.sampling_rate == 500
    assert found.patient.identifiers[0] == ecg.patient.identifiers[0]
    assert (found.patient.birth_date, found.patient.sex) == (ecg.patient.birth_date, "F")
    assert (found.order.placer, found.order.filler, found.order.visit) == ("ORD1^CPOE", "ECG9^MUSE", "V7")
    assert found.order.stat
    assert found.acquired is not None
    assert found.acquired.at == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    assert found.statements == ("Normal ECG", "line one\nline two")
    assert not found.test_data


def test_identity_of_dicom_is_its_own_and_of_the_rest_its_place(
    oru: Callable[..., bytes], context: ReadingContext
) -> None:
    (dicom,) = read(oru("dicom"), context).ecgs
    assert dicom.source_id == "1.2.3.4.5"
    (aecg,) = read(oru("aecg"), context).ecgs
    assert aecg.source_id == "hl7:CART|WARD|ECG9^MUSE|1.1|2026-03-01T08:30:00+00:00"
    later_message = read(oru("aecg", control_id="M2"), context).ecgs[0]
    assert later_message.source_id == aecg.source_id
    unnumbered = oru("aecg").replace(b"|ECG9^MUSE", b"|")
    assert read(unnumbered, context).ecgs[0].source_id == "hl7:CART|WARD|M1||1.1|2026-03-01T08:30:00+00:00"
    nameless = unnumbered.replace(b"|M1|P|", b"||P|")
    first, again = (read(nameless, context).ecgs[0].source_id for _ in range(2))
    assert first == again
    assert first != aecg.source_id


def test_several_recordings_in_one_message_are_several_ecgs(ecg: Ecg, context: ReadingContext) -> None:
    other = replace(ecg, signal=ecg.signal[:, ::-1].copy())
    files = [(aecg_writer.write_ecg(item), "XML") for item in (ecg, other)]
    message = oru_writer.write_message(files, patient=ecg.patient, control_id="M1", sent_at=SENT)
    ids = [found.source_id for found in read(message, context).ecgs]
    assert len(set(ids)) == 2


def test_test_messages_are_marked(oru: Callable[..., bytes], context: ReadingContext) -> None:
    assert read(oru(test=True), context).ecgs[0].test_data


def test_another_number_of_the_same_authority_is_refused(oru: Callable[..., bytes], context: ReadingContext) -> None:
    stranger = Patient(identifiers=(Identifier(authority="HOSP", value="999"),))
    with pytest.raises(Refused) as refusal:
        read(oru(patient=stranger), context)
    assert refusal.value.code == "patient-mismatch"
    assert "999" not in str(refusal.value)
    assert "123" not in str(refusal.value)


def test_numbers_of_different_authorities_are_joined_and_noted(
    oru: Callable[..., bytes], ecg: Ecg, context: ReadingContext
) -> None:
    regional = Identifier(authority="REGION", type="PI", value="555")
    (found,) = read(oru(patient=Patient(identifiers=(regional,))), context).ecgs
    assert found.patient.identifiers == (regional, *ecg.patient.identifiers)
    assert "patient-unconfirmed" in [finding.code for finding in found.findings]
    (found,) = read(oru(patient=replace(ecg.patient, identifiers=(*ecg.patient.identifiers, regional))), context).ecgs
    assert set(found.patient.identifiers) == {*ecg.patient.identifiers, regional}
    assert "patient-unconfirmed" not in [finding.code for finding in found.findings]


JONES = Patient(
    identifiers=(Identifier(authority="MAIN", value="1111"),),
    birth_date=date(1990, 1, 1),
    sex="F",
    family_name="JONES",
    given_name="EVE",
)
SMITH = Patient(
    identifiers=(Identifier(authority="HOSP", value="2222"),),
    birth_date=date(1950, 1, 1),
    sex="M",
    family_name="SMITH",
    given_name="BOB",
)


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (JONES, SMITH),
        (replace(JONES, identifiers=()), SMITH),
        (JONES, replace(SMITH, identifiers=())),
        (replace(JONES, identifiers=SMITH.identifiers), SMITH),
        (replace(JONES, birth_date=None), SMITH),
    ],
    ids=["two numbers", "none inside", "none outside", "one number for both", "name and sex"],
)
def test_two_people_in_one_message_are_never_joined(
    ecg: Ecg, context: ReadingContext, inside: Patient, outside: Patient
) -> None:
    payload = dicom_writer.write_ecg(replace(ecg, patient=inside))
    message = oru_writer.write_message([(payload, "DICOM")], patient=outside, control_id="M1", sent_at=SENT)
    (found,) = read(message, context).ecgs
    assert "two-people" in [finding.code for finding in found.findings]
    assert found.also_named is not None
    assert {found.patient.family_name, found.also_named.family_name} == {"JONES", "SMITH"}
    assert found.patient.identifiers in (inside.identifiers, outside.identifiers)


def test_one_difference_alone_is_told_and_stops_nothing(ecg: Ecg, context: ReadingContext) -> None:
    married = replace(SMITH, family_name="MILLER")
    payload = dicom_writer.write_ecg(replace(ecg, patient=married))
    message = oru_writer.write_message([(payload, "DICOM")], patient=SMITH, control_id="M1", sent_at=SENT)
    (found,) = read(message, context).ecgs
    assert [finding.code for finding in found.findings] == ["name-differs"]
    assert found.also_named is None


def test_a_bare_number_is_compared_with_the_sites_own_before_any_other(ecg: Ecg, context: ReadingContext) -> None:
    """1111 of MAIN reads like the bare number inside, yet the site's own number of this person is 2222."""
    inside = Patient(identifiers=(Identifier(authority="SITE", value="1111"),))
    both = (Identifier(authority="SITE", value="2222"), Identifier(authority="MAIN", value="1111"))
    payload = dicom_writer.write_ecg(replace(ecg, patient=inside))
    message = oru_writer.write_message(
        [(payload, "DICOM")], patient=Patient(identifiers=both), control_id="M1", sent_at=SENT
    )
    with pytest.raises(Refused, match="patient-mismatch"):
        read(message, context)


@pytest.mark.parametrize("status", ["W", "D", "X"])
@pytest.mark.parametrize("value", ["kept", "left out"])
def test_a_senders_withdrawal_names_its_recording(
    oru: Callable[..., bytes], context: ReadingContext, status: str, value: str
) -> None:
    (recording,) = read(oru("aecg"), context).ecgs
    lines = oru("aecg", control_id="M2").split(b"\r")
    for index, line in enumerate(lines):
        fields = line.split(b"|")
        if fields[0] == b"OBX" and fields[2] == b"ED":
            fields[11] = status.encode()
            fields[5] = fields[5] if value == "kept" else b""
            lines[index] = b"|".join(fields)
    contents = read(b"\r".join(lines), context)
    assert contents.ecgs == ()
    (withdrawal,) = contents.withdrawals
    assert withdrawal.status == status
    assert recording.source_id in withdrawal.source_ids or recording.order_id == withdrawal.order_id


@pytest.mark.parametrize("together", ["in one message", "in one batch"])
def test_an_ecg_of_another_patient_beside_a_good_one_is_kept_for_a_person(
    ecg: Ecg, context: ReadingContext, together: str
) -> None:
    """Refusing it alone would let it vanish: the sender hears that the message was taken."""
    other = Patient(identifiers=(replace(ecg.patient.identifiers[0], value="OTHER"),))
    files = [(dicom_writer.write_ecg(one), "DICOM") for one in (ecg, replace(ecg, source_id="1.2.9", patient=other))]
    sent = [
        oru_writer.write_message(some, patient=ecg.patient, control_id=f"M{number}", sent_at=SENT)
        for number, some in enumerate([files] if together == "in one message" else [[one] for one in files])
    ]
    good, doubtful = read(b"".join(sent), context).ecgs
    assert good.also_named is None
    assert doubtful.patient.identifiers == ecg.patient.identifiers
    assert doubtful.also_named is not None
    assert doubtful.also_named.identifiers == other.identifiers


@pytest.mark.parametrize("together", ["in one message", "in one batch"])
def test_a_damaged_ecg_beside_a_good_one_is_told_as_not_taken(
    oru: Callable[..., bytes], ecg: Ecg, context: ReadingContext, together: str
) -> None:
    """The sender hears that the message was taken: nobody but a person can miss the part that was not."""
    good, cut_off = dicom_writer.write_ecg(ecg), dicom_writer.write_ecg(replace(ecg, source_id="1.2.9"))[:-4000]
    files = [(good, "DICOM"), (cut_off, "DICOM")]
    sent = [
        oru_writer.write_message(some, patient=ecg.patient, control_id=f"M{number}", sent_at=SENT)
        for number, some in enumerate([files] if together == "in one message" else [[one] for one in files])
    ]
    found = read(b"".join(sent), context)
    assert [one.source_id for one in found.ecgs] == ["1.2.3.4.5"]
    (lost,) = found.not_taken
    assert lost in found.findings


def test_a_report_for_people_beside_an_ecg_is_not_missed(ecg: Ecg, context: ReadingContext) -> None:
    files = [(dicom_writer.write_ecg(ecg), "DICOM"), (b"%PDF-1.4 " + b"x" * 200, "PDF")]
    found = read(oru_writer.write_message(files, patient=ecg.patient, control_id="M1", sent_at=SENT), context)
    assert (len(found.ecgs), found.not_taken) == (1, ())


@pytest.mark.parametrize("status", ["W", "D", "X"])
def test_a_recording_that_no_word_calls_an_ecg_is_taken_back_all_the_same(
    oru: Callable[..., bytes], context: ReadingContext, status: str
) -> None:
    sent = oru("dicom", statements=()).replace(b"11524-6^EKG study^LN", b"R7^Rest 12 leads^L")
    (recording,) = read(sent, context).ecgs
    contents = read(sent.replace(b"||||||F\r", f"||||||{status}\r".encode()), context)
    assert contents.ecgs == ()
    (withdrawal,) = contents.withdrawals
    assert recording.source_id in withdrawal.source_ids


@pytest.mark.parametrize("embed", ["dicom", "aecg"])
def test_a_sender_takes_back_each_recording_of_an_order(ecg: Ecg, context: ReadingContext, embed: str) -> None:
    both = [replace(ecg, source_id=f"1.2.3.4.{number}") for number in (1, 2)]
    write = dicom_writer.write_ecg if embed == "dicom" else aecg_writer.write_ecg
    files = [(write(one), embed.upper()) for one in both]
    sent = oru_writer.write_message(files, patient=ecg.patient, order=ORDER, control_id="M1", sent_at=SENT)
    recordings = read(sent, context).ecgs
    contents = read(sent.replace(b"||||||F\r", b"||||||W\r"), context)
    assert len(recordings) == len(contents.withdrawals) == 2
    for recording, withdrawal in zip(recordings, contents.withdrawals, strict=True):
        assert recording.source_id in withdrawal.source_ids
    first, second = (set(withdrawal.source_ids) for withdrawal in contents.withdrawals)
    assert not first & second


def test_a_counter_that_begins_anew_names_another_recording(ecg: Ecg, context: ReadingContext) -> None:
    """MSH-10 1 of last year and MSH-10 1 of today, without a filler number: one is no correction of the other."""
    assert ecg.acquired is not None
    later = replace(ecg, acquired=replace(ecg.acquired, at=ecg.acquired.at.replace(year=2027)))
    messages = [
        oru_writer.write_message(
            [(aecg_writer.write_ecg(one), "AECG")], patient=ecg.patient, control_id="1", sent_at=SENT
        )
        for one in (ecg, later)
    ]
    first, second = (read(one, context).ecgs[0].source_id for one in messages)
    assert first != second


def test_a_senders_correction_says_so(oru: Callable[..., bytes], context: ReadingContext) -> None:
    content = oru("dicom")
    corrected = content.replace(b"||||||F", b"||||||C")
    assert corrected != content
    assert read(corrected, context).ecgs[0].corrects


@pytest.mark.parametrize(("inside", "outside"), [("SITE", "HOSP"), ("HOSP", "SITE")])
def test_a_bare_number_takes_the_authority_that_the_other_side_names(
    ecg: Ecg, context: ReadingContext, inside: str, outside: str
) -> None:
    """SITE is only what we assume where a sender names no authority."""

    def known_by(authority: str) -> Patient:
        return Patient(identifiers=(Identifier(authority=authority, value="123"),))

    payload = dicom_writer.write_ecg(replace(ecg, patient=known_by(inside)))
    message = oru_writer.write_message([(payload, "DICOM")], patient=known_by(outside), control_id="M1", sent_at=SENT)
    (found,) = read(message, context).ecgs
    assert found.patient.identifiers == known_by("HOSP").identifiers
    assert found.findings == ()


def test_a_document_message_names_its_order_in_txa(oru: Callable[..., bytes], context: ReadingContext) -> None:
    lines = oru("aecg").replace(b"ORU^R01^ORU_R01", b"MDM^T02^MDM_T02").split(b"\r")
    txa = b"TXA|1|CN|||||||||||D1|P7^CPOE|F7^MUSE"
    kept = [line for line in lines if not line.startswith((b"ORC", b"OBR"))]
    (found,) = read(b"\r".join([*kept[:3], txa, *kept[3:]]), context).ecgs
    assert (found.order.placer, found.order.filler) == ("P7^CPOE", "F7^MUSE")


def test_the_message_completes_what_the_object_lacks(
    oru: Callable[..., bytes], ecg: Ecg, context: ReadingContext
) -> None:
    bare = dicom_writer.write_ecg(replace(ecg, patient=Patient(), acquired=None))
    message = oru_writer.write_message(
        [(bare, "DICOM")], patient=ecg.patient, order=ORDER, acquired_at=SENT, control_id="M1", sent_at=SENT
    )
    (found,) = read(message, context).ecgs
    assert found.patient == ecg.patient
    assert found.acquired is not None
    assert found.acquired.at == SENT


@pytest.mark.parametrize(
    ("payload", "code", "kind"),
    [
        (b"%PDF-1.4 ...", "pdf", Refused),
        (b"\xff\xd8\xff\xe0 ...", "picture", Refused),
        (b"<ClinicalDocument xmlns='urn:hl7-org:v3'/>", "document", Refused),
        (b"MSH|^~\\&|A\rPID|1", "nested-message", Refused),
        (b"\x00\x01\x02\x03", "unknown-format", Unreadable),
    ],
)
def test_what_is_no_recording_says_why(
    payload: bytes, code: str, kind: type[PayloadError], patient: Patient, context: ReadingContext
) -> None:
    message = oru_writer.write_message([(payload, "X")], patient=patient, control_id="M1", sent_at=SENT)
    with pytest.raises(kind) as refusal:
        read(message, context)
    assert refusal.value.code == code


def test_reports_that_are_about_something_else_are_nothing_for_us(patient: Patient, context: ReadingContext) -> None:
    message = oru_writer.write_message([(b"%PDF-1.4", "PDF")], patient=patient, control_id="M1", sent_at=SENT)
    other = message.replace(b"11524-6^EKG study^LN", b"11529-5^Surgical pathology^LN")
    with pytest.raises(Refused) as refusal:
        read(other, context)
    assert refusal.value.code == "no-ecg"


def test_a_bad_part_does_not_take_the_good_one_with_it(ecg: Ecg, context: ReadingContext) -> None:
    files = [(b"%PDF-1.4", "PDF"), (dicom_writer.write_ecg(ecg), "DICOM")]
    contents = read(oru_writer.write_message(files, patient=ecg.patient, control_id="M1", sent_at=SENT), context)
    assert len(contents.ecgs) == 1
    assert [finding.code for finding in contents.findings] == ["pdf"]


@pytest.mark.parametrize(
    ("mangle", "code"),
    [
        (lambda message: message[: message.index(b"^Base64^") + 8 + 40_001], "base64"),
        (lambda message: message.replace(b"^Base64^", b"^Base64^*"), "base64"),
        (lambda message: message.replace(b"^Base64^", b"^Hex^"), "hex"),
        (lambda message: message.replace(b"|2.5.1|", b"|3.0|"), "unsupported-version"),
        (lambda message: message.replace(b"ORU^R01^ORU_R01", b"SIU^S12"), "unsupported-type"),
    ],
)
def test_damage_is_named(
    oru: Callable[..., bytes], context: ReadingContext, mangle: Callable[[bytes], bytes], code: str
) -> None:
    with pytest.raises(PayloadError) as refusal:
        read(mangle(oru()), context)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "version", ["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.9", ""]
)
def test_every_version_is_read(oru: Callable[..., bytes], context: ReadingContext, version: str) -> None:
    assert len(read(oru().replace(b"|2.5.1|", f"|{version}|".encode()), context).ecgs) == 1


@pytest.mark.parametrize(
    "change",
    [
        (b"^AP^DICOM^Base64^", b"^AP^DICOM^BASE64^"),
        (b"CART^AP^DICOM^Base64^", b"^application^dicom^Base64^"),
        (b"CART^AP^DICOM^Base64^", b"DICOM^Base64^"),
        (b"CART^AP^DICOM^Base64^", b"^^^^"),
        (b"AAAA", b"AA\\.br\\AA"),
        (b"AAAA", b"AA\\X0D0A\\AA"),
        (b"AAAA", b"AA AA"),
        (b"\rOBX", b"\rZEC|local\rOBX"),
        (b"\r", b"\r\n"),
        (b"\r", b"\n"),
    ],
    ids=str,
)
def test_senders_habits_are_tolerated(
    oru: Callable[..., bytes], ecg: Ecg, context: ReadingContext, change: tuple[bytes, bytes]
) -> None:
    (found,) = read(oru().replace(*change), context).ecgs
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-5)


def test_xml_in_a_text_type_is_read(ecg: Ecg, context: ReadingContext) -> None:
    from ecgfm_connectors.hl7.escapes import escape

    xml = aecg_writer.write_ecg(ecg).decode("utf-8")
    message = oru_writer.write_message([], patient=ecg.patient, control_id="M1", sent_at=SENT)
    message += f"OBX|1|FT|11524-6^EKG^LN||{escape(xml, formatted=True)}||||||F\r".encode()
    assert len(read(message, context).ecgs) == 1


@pytest.fixture
def pointing(patient: Patient) -> Callable[[str], bytes]:
    def write(pointer: str) -> bytes:
        message = oru_writer.write_message([], patient=patient, control_id="M1", sent_at=SENT)
        return message + f"OBX|1|RP|WAVEFORM^ECG||{pointer}^DICOM^Image||||||F\r".encode()

    return write


@pytest.mark.parametrize("form", ["ecg.dcm", "{root}/ecg.dcm", "file://{root}/ecg.dcm", "sub/../ecg.dcm"])
def test_a_pointer_into_an_allowed_folder_is_followed(
    pointing: Callable[[str], bytes], ecg: Ecg, context: ReadingContext, tmp_path: Path, form: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "ecg.dcm").write_bytes(dicom_writer.write_ecg(ecg))
    allowed = replace(context, allowed_roots=(tmp_path,))
    (found,) = read(pointing(form.format(root=tmp_path)), allowed).ecgs
    assert found.source_id == "1.2.3.4.5"


@pytest.mark.parametrize(
    ("pointer", "code"),
    [
        ("../secret.dcm", "pointer-outside"),
        ("/etc/passwd", "pointer-outside"),
        ("link.dcm", "pointer-outside"),
        ("missing.dcm", "pointer-outside"),
        ("\\E\\\\E\\server\\E\\share\\E\\ecg.dcm", "pointer-outside"),
        ("https://pacs.example/ecg.dcm", "pointer-scheme"),
        ("file://pacs.example/ecg.dcm", "pointer-scheme"),
    ],
)
def test_a_pointer_elsewhere_is_not(
    pointing: Callable[[str], bytes], ecg: Ecg, context: ReadingContext, tmp_path: Path, pointer: str, code: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.dcm").write_bytes(dicom_writer.write_ecg(ecg))
    (root / "link.dcm").symlink_to(tmp_path / "secret.dcm")
    with pytest.raises(Refused) as refusal:
        read(pointing(pointer), replace(context, allowed_roots=(root,)))
    assert refusal.value.code == code


def test_without_allowed_folders_no_pointer_is_followed(
    pointing: Callable[[str], bytes], context: ReadingContext
) -> None:
    with pytest.raises(Refused, match="pointer-not-followed"):
        read(pointing("/etc/passwd"), context)


def test_a_batch_gives_the_ecgs_of_all_its_messages(
    oru: Callable[..., bytes], ecg: Ecg, context: ReadingContext
) -> None:
    second = oru("aecg", control_id="M2")
    damaged = oru(control_id="M3").replace(b"^Base64^", b"^Base64^*")
    batch = b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + oru() + second + damaged + b"BTS|3\rFTS|1\r"
    contents = read(batch, context)
    assert [found.source_id for found in contents.ecgs] == [
        "1.2.3.4.5",
        "hl7:CART|WARD|ECG9^MUSE|1.1|2026-03-01T08:30:00+00:00",
    ]
    assert [finding.code for finding in contents.findings] == ["base64"]


@pytest.mark.parametrize(
    ("pid_3", "expected"),
    [
        ("123", [("SITE", "MR", "123")]),
        ("123^^^HOSP&1.2.3&ISO^MR", [("HOSP", "MR", "123")]),
        ("123^^^&1.2.3&ISO^MRN", [("1.2.3", "MR", "123")]),
        ("7^^^GOV^NI~123^^^HOSP^MR~7^^^GOV^NI", [("HOSP", "MR", "123"), ("GOV", "NI", "7")]),
        ("101^^^^JHN^^^^ON&ONTARIO&HL70347", [("ON", "JHN", "101")]),
        ('""', []),
    ],
)
def test_identifiers_carry_their_authority(
    oru: Callable[..., bytes], ecg: Ecg, context: ReadingContext, pid_3: str, expected: list[tuple[str, str, str]]
) -> None:
    bare = dicom_writer.write_ecg(replace(ecg, patient=Patient()))
    message = oru_writer.write_message([(bare, "DICOM")], patient=ecg.patient, control_id="M1", sent_at=SENT)
    (found,) = read(message.replace(b"123^^^HOSP^MR", pid_3.encode()), context).ecgs
    assert [(known.authority, known.type, known.value) for known in found.patient.identifiers] == expected


def test_an_identifier_that_does_not_decode_is_refused(patient: Patient, context: ReadingContext) -> None:
    from ecgfm_connectors.hl7 import message
    from ecgfm_connectors.hl7.pid import read_patient

    damaged = message.Segment(("PID", "1", "", "12\ufffd3^^^HOSP^MR"))
    with pytest.raises(Refused, match="identifier-damaged"):
        read_patient(damaged, "SITE")


def test_nothing_of_interest(patient: Patient, context: ReadingContext) -> None:
    def never(content: bytes, given: ReadingContext) -> Contents:
        raise AssertionError

    message = oru_writer.write_message([], patient=patient, control_id="M1", sent_at=SENT)
    with pytest.raises(Refused, match="no-ecg"):
        read(message + b"OBX|1|NM|2951-2^Sodium^LN||140|mmol/L|||||F\r", context)
