"""Faults that were seen on running installations, each from outside:
bytes in, an operator's commands, the EHR's mail out.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO

import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Order
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.testing import dicom_writer, oru_writer
from ecgfm_connectors.testing.ehr import Fault
from tests.helpers.installation import Installation, adt, ecg, first, merge, number, patient, pid

pytestmark = pytest.mark.slow

Install = Callable[..., Installation]
SENT = datetime(2031, 1, 1, 8, 0, tzinfo=UTC)
FOLLOW = 'corrected_patient = "follow"'


@pytest.fixture
def site(installed: Installation) -> Installation:
    return installed


def oru(
    recording: Ecg, control_id: str, *, status: str = "F", outer: Patient | None = None, stat: bool = False
) -> bytes:
    """ORU^R01 around the recording as DICOM; `status` is OBX-11 of the ECG."""
    written = oru_writer.write_message(
        [(dicom_writer.write_ecg(recording), "DICOM")],
        patient=outer or recording.patient,
        order=replace(recording.order, stat=stat),
        acquired_at=recording.acquired.at if recording.acquired else None,
        control_id=control_id,
        sent_at=SENT,
    )
    return written.replace(b"||||||F\r", f"||||||{status}\r".encode())


def waveform(control_id: str, *, status: str, numbers: str = "A", filler: str = "EKG-7", gain: int = 1) -> bytes:
    """ORU^R01 whose samples stand in the message itself, so that the message's own numbers name the recording."""
    recording = ecg(3, numbers)
    written = oru_writer.write_ecg(
        replace(recording, order=Order(filler=filler)), control_id=control_id, sent_at=SENT, embed="aecg"
    )
    return written.replace(b"||||||F\r", f"||||||{status}\r".encode())


# --- identity ---------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(60)
def test_01_a_ring_of_merges_is_answered_and_the_newest_word_counts(site: Installation) -> None:
    for retired, surviving in (("B", "A"), ("A", "C"), ("A", "B")):
        assert site.mllp(merge(retired, surviving)).code == "AA"
    for seed, who in enumerate("ABC", start=1):
        site.dicom(ecg(seed, who))
    site.go_on()
    assert sorted(site.told) == [("B", "F"), ("B", "F"), ("C", "F")]


@pytest.mark.parametrize("how", ["A37", "A28", "command"])
def test_02_a_wrong_merge_can_be_undone(site: Installation, how: str) -> None:
    site.mllp(merge("B", "A"))
    undone: str
    if how == "A37":
        undone = site.mllp(adt("A37", pid("A"), pid("B"))).code
    elif how == "A28":
        undone = site.mllp(adt("A28", pid("B"))).code
    else:
        code, _ = site.command("patient", "unmerge", "--reason", "two people", "--yes", answer="TESTHOSP|MR|B\n")
        undone = "AA" if code == 0 else ""
    assert undone == "AA"
    site.dicom(ecg(1, "B"))
    site.go_on()
    assert site.told == [("B", "F")]


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (["B^^^TESTHOSP^MR", "A^^^TESTHOSP^MR"], "B^^^TESTHOSP^MR"),
        (["A^^^TESTHOSP^PI"], "B^^^TESTHOSP^PI"),
        (["A^^^TestHosp^MR"], "B^^^TestHosp^MR"),
    ],
    ids=["the retired number first", "type PI", "another case"],
)
def test_03_a_merge_that_is_acknowledged_has_its_effect(site: Installation, new: list[str], old: str) -> None:
    site.dicom(ecg(1, "B"))
    site.score()
    assert site.mllp(adt("A40", pid(*new), f"MRG|{old}")).code == "AA"
    site.send()
    assert site.told == [("A", "F")]


def test_03_a_merged_second_number_does_not_stay_in_waiting_messages(site: Installation) -> None:
    site.dicom(ecg(1, number("X", authority="REGION"), "B"))
    site.score()
    site.mllp(merge("B", "A"))
    site.send()
    (message,) = site.ehr.messages
    assert [one.split("^")[0] for one in first(message, "PID", 3).split("~")] == ["X", "A"]


JONES = Patient(
    identifiers=(number("1111", authority="MAIN"),), birth_date=date(1990, 1, 1), sex="F", family_name="JONES"
)
SMITH = Patient(identifiers=(number("2222"),), birth_date=date(1950, 1, 1), sex="M", family_name="SMITH")


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (JONES, SMITH),
        (replace(JONES, identifiers=()), SMITH),
        (
            replace(JONES, identifiers=(number("2222"),)),
            replace(SMITH, identifiers=(number("2222", authority="MAIN"), number("3333"))),
        ),
    ],
    ids=["other authorities", "no number inside", "the number of another authority"],
)
def test_04_two_people_in_one_payload_are_no_result(site: Installation, inner: Patient, outer: Patient) -> None:
    answer = site.mllp(oru(ecg(1, patient=inner), "M1", outer=outer))
    site.go_on()
    assert site.told == []
    assert answer.code == "AE" or site.needs_a_person()  # refused with its reason, or held for a person


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


CHILDREN = """
[heads.reduced_lvef]
min_age = 18
unknown_age = "refuse"
[heads.troponin]
min_age = 18
unknown_age = "refuse"
[heads.interpretation]
enabled = false
"""


def altered(recording: Ecg, **tags: str) -> bytes:
    """The recording's DICOM object with other values in its header."""
    dataset = pydicom.dcmread(BytesIO(dicom_writer.write_ecg(recording)))
    for name, value in tags.items():
        setattr(dataset, name, value)
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


@pytest.mark.parametrize("placeholder", ["00010101", "17530101", "19000101"])
def test_05_a_placeholder_is_no_birth_date(install: Install, placeholder: str) -> None:
    site = install(more=CHILDREN)
    with pydicom.config.disable_value_validation():
        site.dicom(altered(ecg(1, "A"), PatientBirthDate=placeholder))
    site.go_on()
    (message,) = site.ehr.messages
    assert first(message, "OBX", 11) == "X"
    assert "age-unknown" in first(message, "OBX", 5)
    assert first(message, "PID", 7) == ""


def test_05_a_stated_age_outlives_an_impossible_acquisition_time(install: Install) -> None:
    site = install(more=CHILDREN.replace('"refuse"', '"score"'))
    born = patient("A", birth_date=date(2029, 5, 1))
    early = AcquiredAt(at=datetime(2020, 1, 1, tzinfo=UTC), zone_source="offset", original="20200101000000+0000")
    site.dicom(altered(ecg(1, patient=born, acquired=early), PatientAge="005Y"))
    site.go_on()
    (message,) = site.ehr.messages
    assert first(message, "OBX", 11) == "X"
    assert "age-below-range" in first(message, "OBX", 5)


def test_05_a_result_that_moves_to_a_child_is_judged_by_the_childs_age(install: Install) -> None:
    site = install(more=CHILDREN)
    site.mllp(adt("A28", pid("CHILD", born="20250101")))
    site.dicom(ecg(1, patient=patient("ADULT", birth_date=date(1950, 1, 1))))
    site.go_on()
    move(site, "TESTHOSP|MR|CHILD")
    site.go_on()
    assert site.told == [("ADULT", "F"), ("ADULT", "W"), ("CHILD", "X")]


def move(site: Installation, right: str, *words: str) -> None:
    code, said = site.command(
        "correct", "1", "--wrong-patient", "--reason", "mix-up", "--yes", *words, answer=right + "\n"
    )
    assert code == 0, said


@pytest.mark.parametrize("charset", ["8859/1", "ASCII"])
def test_06_a_number_that_cannot_be_written_never_leaves_changed(install: Install, charset: str) -> None:
    site = install(destination=f'charset = "{charset}"')
    for seed, who in enumerate(("Ж123", "Š123", "Č123"), start=1):
        site.dicom(ecg(seed, who))
    site.go_on()
    assert site.told == []
    listed = site.document("replay", "--dead", "--list")
    assert len(listed) == 3
    assert all("charset" in one["error"]["text"] for one in listed)
    assert site.needs_a_person()


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


def same_signal(who: str) -> Ecg:
    device = Device(manufacturer="Simulated", serial="S-1")
    return ecg(1, who, source_id=f"1.2.3.{ord(who[0])}", device=device)


@pytest.mark.parametrize("resent", [same_object, same_signal])
def test_08_a_recording_that_comes_again_under_another_patient_asks_a_person(
    site: Installation, resent: Callable[[str], Ecg]
) -> None:
    site.dicom(resent("FIRST"))
    site.go_on()
    site.dicom(resent("SECOND"))
    site.go_on()
    assert site.told == [("FIRST", "F")]
    assert site.needs_a_person()
    _, said = site.command("show", "1")
    assert "waits for a person" in said
    assert "another patient" in said


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


@pytest.mark.parametrize("what", ["one more number", "STAT"])
def test_09_the_same_recording_by_another_route_is_one_result(site: Installation, what: str) -> None:
    recording = ecg(1, "A")
    site.dicom(recording)
    site.go_on()
    more = patient("A", number("V-1", type="VN")) if what == "one more number" else recording.patient
    site.mllp(oru(recording, "M1", outer=more, stat=what == "STAT"))
    site.go_on()
    assert site.told == [("A", "F")]


@pytest.mark.parametrize("status", ["W", "D", "X"])
def test_10_what_its_sender_takes_back_is_taken_back(site: Installation, status: str) -> None:
    site.mllp(waveform("M1", status="F"))
    site.go_on()
    site.mllp(waveform("M2", status=status))
    site.mllp(oru(ecg(5, "B"), "M3", status=status))  # never seen before
    site.go_on()
    assert site.told == [("A", "F"), ("A", "W")]


def test_10_a_final_after_a_preliminary_is_the_same_result(site: Installation) -> None:
    for control_id, status in (("M1", "P"), ("M2", "F"), ("M3", "C")):
        site.mllp(waveform(control_id, status=status))
        site.go_on()
    fillers = {first(one, "OBR", 3) for one in site.ehr.messages}
    assert len(fillers) == 1
    assert [status for _, status in site.told if status == "F"] == ["F"]


@pytest.mark.parametrize(
    ("plan", "destination"),
    [
        ((Fault.DROP_BEFORE_ACK, Fault.DROP_BEFORE_ACK, Fault.AE), ""),
        ((Fault.DROP_BEFORE_ACK, Fault.DROP_BEFORE_ACK), "max_attempts = 2"),
    ],
    ids=["an AE on the repeat", "attempts spent"],
)
@pytest.mark.parametrize("act", ["withdraw", "correct"])
def test_11_what_may_have_left_is_withdrawn_and_corrected_as_if_it_had(
    install: Install, plan: tuple[Fault, ...], destination: str, act: str
) -> None:
    site = install(destination=destination)
    site.ehr.plan(*plan)
    site.dicom(ecg(1, "A"))
    site.score()
    site.send_until(len(plan))
    assert site.command(act, "1", "--yes", "--reason", "wrong")[0] == 0
    site.score()
    site.send_until(len(plan) + 1)
    assert site.told[len(plan) :] == [("A", "W" if act == "withdraw" else "C")]
    assert len({first(one, "OBR", 3) for one in site.ehr.messages}) == 1


def test_13_a_correction_judges_the_ecg_again(install: Install) -> None:
    """The rules of the head have changed since it was scored."""
    site = install(more=CHILDREN)
    site.dicom(ecg(1, patient=patient("A", birth_date=date(1960, 1, 1))))
    site.go_on()
    site.path.write_text(site.path.read_text().replace("min_age = 18", "min_age = 90"))
    assert site.command("correct", "1", "--yes", "--reason", "new rules")[0] == 0
    assert site.command("score")[0] == 0
    site.send()
    assert site.told[0] == ("A", "F")
    assert first(site.ehr.messages[-1], "OBX", 11) == "X"
    assert "age-below-range" in first(site.ehr.messages[-1], "OBX", 5)


def test_14_the_preview_names_both_people_and_a_typing_error_is_caught(site: Installation) -> None:
    site.mllp(adt("A28", pid("4711", name="RIGHTFAMILY^EVE")))
    site.dicom(ecg(1, "WRONG"))
    site.go_on()
    words = ("correct", "1", "--wrong-patient", "--reason", "mix-up")
    code, said = site.command(*words, "--yes", answer="TESTHOPS|MR|4711\n")
    assert code == 1
    assert "TESTHOSP" in said  # the authority that was meant
    code, said = site.command(*words, "--yes", answer="TESTHOSP|MR|4712\n")
    assert code == 1
    assert "--force" in said
    code, said = site.command(*words, answer="TESTHOSP|MR|4711\nn\n")
    assert code == 1
    assert "RIGHTFAMILY" in said
    assert "WRONG" in said
    site.go_on()
    assert site.told == [("WRONG", "F")]


def test_15_another_birth_date_of_the_same_patient_is_a_correction(site: Installation) -> None:
    for born in (date(1950, 1, 1), date(1960, 1, 1)):
        site.dicom(ecg(1, patient=patient("A", birth_date=born)))
        site.go_on()
    assert site.told == [("A", "F"), ("A", "C")]
    assert len({first(one, "OBR", 3) for one in site.ehr.messages}) == 1


def test_15_a_fresh_store_does_not_give_the_numbers_of_another_again(install: Install) -> None:
    fillers = []
    for site in (install(), install()):
        site.dicom(ecg(1, "A"))
        site.go_on()
        fillers.append(first(site.ehr.messages[0], "OBR", 3))
    assert fillers[0] != fillers[1]


def test_17_what_was_never_sent_is_not_called_refused_by_the_receiver(site: Installation) -> None:
    site.dicom(ecg(1, patient=Patient()))
    site.ehr.plan(Fault.AE)
    site.dicom(ecg(2, "A"))
    site.go_on()
    code, said = site.command("status")
    assert code == 1
    assert "2 set aside" in said
    assert "1 could not be written" in said
    assert "1 refused by the receiver" in said


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
