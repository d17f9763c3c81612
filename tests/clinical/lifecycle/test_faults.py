"""Further sides of the faults that tests/acceptance shows from outside, in this process: bytes in, an operator's
commands, the EHR's mail out.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.testing import dicom_writer, oru_writer
from tests.helpers.installation import Installation, adt, ecg, first, merge, number, patient, pid

pytestmark = pytest.mark.slow

Install = Callable[..., Installation]
SENT = datetime(2031, 1, 1, 8, 0, tzinfo=UTC)
FOLLOW = 'corrected_patient = "follow"'


@pytest.fixture
def site(installed: Installation) -> Installation:
    return installed


def oru(recording: Ecg, control_id: str, *, status: str = "F", outer: Patient | None = None) -> bytes:
    """ORU^R01 around the recording as DICOM; `status` is OBX-11 of the ECG."""
    written = oru_writer.write_message(
        [(dicom_writer.write_ecg(recording), "DICOM")],
        patient=outer or recording.patient,
        order=recording.order,
        acquired_at=recording.acquired.at if recording.acquired else None,
        control_id=control_id,
        sent_at=SENT,
    )
    return written.replace(b"||||||F\r", f"||||||{status}\r".encode())


def waveform(control_id: str, *, status: str) -> bytes:
    """ORU^R01 whose samples stand in the message itself, so that the message's own numbers name the recording."""
    recording = ecg(3, "A")
    written = oru_writer.write_ecg(
        replace(recording, order=Order(filler="EKG-7")), control_id=control_id, sent_at=SENT, embed="aecg"
    )
    return written.replace(b"||||||F\r", f"||||||{status}\r".encode())


# --- identity ---------------------------------------------------------------------------------------------------------


def test_02_a_wrong_merge_can_be_undone_by_an_operator(site: Installation) -> None:
    site.mllp(merge("B", "A"))
    code, said = site.command("patient", "unmerge", "--reason", "two people", "--yes", answer="TESTHOSP|MR|B\n")
    assert code == 0, said
    site.dicom(ecg(1, "B"))
    site.go_on()
    assert site.told == [("B", "F")]


def test_04_an_ecg_of_another_patient_beside_a_good_one_waits_for_a_person(site: Installation) -> None:
    files = [(dicom_writer.write_ecg(ecg(seed, who)), "DICOM") for seed, who in ((1, "A"), (2, "B"))]
    message = oru_writer.write_message(files, patient=patient("A"), control_id="M1", sent_at=SENT)
    assert site.mllp(message).code == "AA"
    site.go_on()
    assert site.told == [("A", "F")]
    (held,) = site.document("held", "list")["questions"]
    assert held["question"] == "two-people"
    assert site.needs_a_person()


@pytest.mark.parametrize("retired", ["the cart's", "the message's"])
def test_04_two_numbers_that_a_merge_made_one_are_one_person(site: Installation, retired: str) -> None:
    inner, outer = ("OLD", "NEW") if retired == "the cart's" else ("NEW", "OLD")
    message = oru(ecg(1, inner), "M1", outer=patient(outer))
    assert site.mllp(message).code == "AE"
    site.mllp(merge("OLD", "NEW"))
    assert site.mllp(message).code == "AA"  # the same bytes: what could not be taken once can be taken now
    assert site.mllp(oru(ecg(2, inner), "M2", outer=patient(outer))).code == "AA"
    site.go_on()
    assert site.told == [("NEW", "F"), ("NEW", "F")]
    assert not site.needs_a_person()
    site.mllp(adt("A37", pid("NEW"), pid("OLD")))
    assert site.mllp(oru(ecg(3, inner), "M3", outer=patient(outer))).code == "AE"


def test_06_a_number_that_cannot_be_written_in_ascii_never_leaves_changed(install: Install) -> None:
    site = install(destination='charset = "ASCII"')
    for seed, who in enumerate(("Ж123", "Š123", "Č123"), start=1):
        site.dicom(ecg(seed, who))
    site.go_on()
    assert site.told == []
    listed = site.document("replay", "--dead", "--list")
    assert len(listed) == 3
    assert all("charset" in one["error"]["text"] for one in listed)
    assert site.needs_a_person()


def move(site: Installation, right: str) -> None:
    code, said = site.command("correct", "1", "--wrong-patient", "--reason", "mix-up", "--yes", answer=right + "\n")
    assert code == 0, said


# --- results ----------------------------------------------------------------------------------------------------------


def test_07_a_copy_in_other_bytes_does_not_undo_what_a_person_decided(site: Installation) -> None:
    site.mllp(adt("A28", pid("RIGHT")))
    recording = ecg(1, "WRONG")
    site.dicom(dicom_writer.write_ecg(recording))
    site.go_on()
    move(site, "TESTHOSP|MR|RIGHT")
    site.go_on()
    told = [("WRONG", "F"), ("WRONG", "W"), ("RIGHT", "F")]
    assert site.told == told
    site.dicom(dicom_writer.write_ecg(recording, transfer_syntax=ImplicitVRLittleEndian), transport="file")
    site.mllp(oru(replace(recording, statements=("unchanged but for this",)), "M2"))
    site.go_on()
    assert [one for one in site.told if one[0] == "WRONG"] == told[:2]


def same_object(who: str) -> Ecg:
    return ecg(1, who)


@pytest.mark.parametrize("kind", ["VN", "NI", "SS"])
def test_08_a_visit_or_insurance_number_that_stays_does_not_make_two_patients_one(
    site: Installation, kind: str
) -> None:
    beside = number("SHARED", type=kind)
    for control_id, who in (("M1", "FIRST"), ("M2", "SECOND")):
        recording = same_object(who)
        site.mllp(oru(recording, control_id, outer=replace(recording.patient, identifiers=(number(who), beside))))
        site.go_on()
    assert site.told == [("FIRST", "F")]
    assert site.needs_a_person()


def test_08_or_is_followed_where_the_source_may(install: Install) -> None:
    site = install(listener=FOLLOW)
    for who in ("FIRST", "SECOND"):
        site.dicom(same_object(who))
        site.go_on()
    assert site.told == [("FIRST", "F"), ("FIRST", "W"), ("SECOND", "F")]


def test_10_a_final_after_a_preliminary_is_the_same_result(site: Installation) -> None:
    for control_id, status in (("M1", "P"), ("M2", "F"), ("M3", "C")):
        site.mllp(waveform(control_id, status=status))
        site.go_on()
    fillers = {first(one, "OBR", 3) for one in site.ehr.messages}
    assert len(fillers) == 1
    assert [status for _, status in site.told if status == "F"] == ["F"]


# --- messages that overtake each other, and objects that came by themselves -------------------------------------------


def ordered(seed: int, *, gain: float = 1.0, uid: str = "") -> Ecg:
    """A recording of patient A under the filler number EKG-7, which an object names as well."""
    one = ecg(seed, "A", order=Order(placer="P-7", filler="EKG-7"))
    return replace(one, source_id=uid or one.source_id, signal=(one.signal * gain).astype(one.signal.dtype))


def test_a_correction_of_an_object_that_came_by_itself_is_its_correction(site: Installation) -> None:
    """By C-STORE the object names its filler number, and no system: the patient must be the same as well."""
    site.dicom(ordered(1))
    site.go_on()
    site.mllp(oru(ordered(1, gain=1.25, uid="1.2.3.99"), "CORR", status="C"))
    site.go_on()
    assert site.told == [("A", "F"), ("A", "C")]
    assert fillers(site) == 1


def test_the_same_filler_number_of_another_patient_is_another_recording(site: Installation) -> None:
    site.dicom(ordered(1))
    site.go_on()
    other = replace(ordered(2, gain=1.25, uid="1.2.3.99"), patient=patient("B"))
    site.mllp(oru(other, "CORR", status="C"))
    site.go_on()
    assert site.told == [("A", "F"), ("B", "F")]


def test_a_withdrawal_without_a_value_finds_the_object_that_came_by_itself(site: Installation) -> None:
    site.dicom(ordered(1))
    site.go_on()
    void = oru(ordered(1), "GONE", status="W").split(b"OBX|")[0] + b"OBX|1|ED|11524-6^EKG study^LN|1||||||W\r"
    void = void.replace(b"||||||W", b"|||||||W")
    assert site.mllp(void).code == "AA"
    site.go_on()
    assert site.told == [("A", "F"), ("A", "W")]


def test_an_original_that_its_correction_overtook_waits_for_a_person(site: Installation) -> None:
    site.mllp(oru(ordered(1, gain=1.25, uid="1.2.3.99"), "CORR", status="C"))
    site.go_on()
    site.mllp(oru(ordered(1), "ORIG"))
    site.go_on()
    assert site.told == [("A", "F")]
    (asked,) = site.store.results.holds()
    assert asked.question.value == "sender-withdrawal"
    site.command("held", "reject", asked.hold_id, "--reason", "corrected already", "--yes")
    site.go_on()
    assert site.told == [("A", "F")]


def fillers(site: Installation) -> int:
    return len({first(one, "OBR", 3) for one in site.ehr.messages})
