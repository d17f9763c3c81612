"""One person, one history: faults of identity as a hospital saw them, from outside alone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO

import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.testing import dicom_writer, oru_writer
from tests.helpers.installation import adt, ecg, first, merge, number, patient, pid
from tests.helpers.outside import Outside

pytestmark = pytest.mark.slow(60)

Install = Callable[..., Outside]
SENT = datetime(2031, 1, 1, 8, 0, tzinfo=UTC)


def test_01_a_ring_of_merges_is_answered(site: Outside) -> None:
    service = site.start()
    answers = [site.mllp(merge(old, new)) for old, new in (("B", "A"), ("A", "C"), ("A", "B"))]
    assert answers == ["AA", "AA", "AA"]
    assert site.stop(service) == 0
    for seed, who in enumerate("ABC", start=1):
        site.ingest(ecg(seed, who))
    site.go_on()
    assert sorted(site.told) == [("B", "F"), ("B", "F"), ("C", "F")]


def test_02_a_wrong_merge_can_be_undone(site: Outside) -> None:
    """By A37, and by an A28 that names the retired number anew."""
    site.start()
    undone = {"B": adt("A37", pid("A"), pid("B")), "D": adt("A28", pid("D"))}
    assert [site.mllp(one) for who in undone for one in (merge(who, "A"), undone[who])] == ["AA"] * 4
    assert site.c_store(ecg(1, "B"), ecg(2, "D")) == [0, 0]
    site.go_on()
    assert sorted(site.told) == [("B", "F"), ("D", "F")]


def test_03_a_merge_that_is_acknowledged_has_its_effect(site: Outside) -> None:
    """The retired number first in PID-3, type PI against the MR of DICOM, another case of the authority; and a second
    number that stays stale in a message that waits.
    """
    site.start()
    merges = {
        "1": (pid("B1^^^TESTHOSP^MR", "A1^^^TESTHOSP^MR"), "MRG|B1^^^TESTHOSP^MR"),
        "2": (pid("A2^^^TESTHOSP^PI"), "MRG|B2^^^TESTHOSP^PI"),
        "3": (pid("A3^^^TestHosp^MR"), "MRG|B3^^^TestHosp^MR"),
    }
    recordings = [ecg(int(one), f"B{one}") for one in merges]
    site.c_store(*recordings, ecg(4, number("X", authority="REGION"), "B4"))
    assert site.command("score")[0] == 0
    answers = [site.mllp(adt("A40", *segments)) for segments in merges.values()] + [site.mllp(merge("B4", "A4"))]
    assert answers == ["AA"] * 4
    assert site.command("send")[0] == 0
    numbers = sorted([one.split("^")[0] for one in first(one, "PID", 3).split("~")] for one in site.ehr.messages)
    assert numbers == [["A1"], ["A2"], ["A3"], ["X", "A4"]]


JONES = Patient(
    identifiers=(number("1111", authority="MAIN"),), birth_date=date(1990, 1, 1), sex="F", family_name="JONES"
)
SMITH = Patient(identifiers=(number("2222"),), birth_date=date(1950, 1, 1), sex="M", family_name="SMITH")


def test_04_two_people_in_one_payload_are_no_result(site: Outside) -> None:
    """Other authorities, no number inside, and a bare number that is another authority's."""
    site.start()
    pairs = [
        (JONES, SMITH),
        (replace(JONES, identifiers=()), SMITH),
        (
            replace(JONES, identifiers=(number("2222"),)),
            replace(SMITH, identifiers=(number("2222", authority="MAIN"), number("3333"))),
        ),
    ]
    answers = [site.mllp(around(ecg(n, patient=inner), f"M{n}", outer)) for n, (inner, outer) in enumerate(pairs)]
    site.go_on()
    assert site.told == []
    assert set(answers) == {"AE"} or site.needs_a_person()


def around(recording: Ecg, control_id: str, outer: Patient) -> bytes:
    """ORU^R01 with the PID of `outer` around the recording's DICOM object."""
    written = dicom_writer.write_ecg(recording)
    return oru_writer.write_message([(written, "DICOM")], patient=outer, control_id=control_id, sent_at=SENT)


ADULTS = """
[heads.reduced_lvef]
min_age = 18
unknown_age = "{unknown}"
[heads.troponin]
min_age = 18
unknown_age = "{unknown}"
[heads.interpretation]
enabled = false
"""


def altered(recording: Ecg, **tags: str) -> bytes:
    """The recording's DICOM object with other values in its header."""
    with pydicom.config.disable_value_validation():
        dataset = pydicom.dcmread(BytesIO(dicom_writer.write_ecg(recording)))
        for name, value in tags.items():
            setattr(dataset, name, value)
        stream = BytesIO()
        dataset.save_as(stream)
    return stream.getvalue()


def test_05_a_placeholder_is_no_birth_date(install: Install) -> None:
    site = install(more=ADULTS.format(unknown="refuse"))
    for seed, placeholder in enumerate(("00010101", "17530101", "19000101")):
        site.ingest(altered(ecg(seed, f"P{seed}"), PatientBirthDate=placeholder))
    site.go_on()
    told = [(first(one, "OBX", 11), first(one, "PID", 7)) for one in site.ehr.messages]
    assert told == [("X", "")] * 3
    assert all("age-unknown" in first(one, "OBX", 5) for one in site.ehr.messages)


def test_05_a_child_is_scored_by_no_adult_head(install: Install) -> None:
    """A stated age beside an acquisition before birth, and a correction from an adult to a child."""
    site = install(more=ADULTS.format(unknown="score"))
    site.start()
    site.mllp(adt("A28", pid("CHILD", born="20250101")))
    early = AcquiredAt(at=datetime(2020, 1, 1, tzinfo=UTC), zone_source="offset", original="20200101000000+0000")
    site.ingest(ecg(1, patient=patient("ADULT", birth_date=date(1950, 1, 1))))
    born = patient("BORN", birth_date=date(2025, 5, 1))
    site.ingest(altered(ecg(2, patient=born, acquired=early), PatientAge="005Y"))
    site.go_on()
    moved(site, "TESTHOSP|MR|CHILD")
    site.go_on()
    assert site.told == [("ADULT", "F"), ("BORN", "X"), ("ADULT", "W"), ("CHILD", "X")]


def moved(site: Outside, right: str) -> None:
    """ECG 1 is the recording of another person, says an operator."""
    words = ("correct", "1", "--wrong-patient", "--reason", "mix-up", "--yes")
    code, said = site.command(*words, answer=right + "\n")
    assert code == 0, said


def test_06_a_number_that_cannot_be_written_never_leaves_changed(install: Install) -> None:
    site = install(destination='charset = "8859/1"')
    for seed, who in enumerate(("Ж123", "Š123", "Č123"), start=1):
        site.ingest(ecg(seed, who))
    site.go_on()
    assert site.told == []
    listed = site.document("replay", "--dead", "--list")
    assert ["charset" in one["error"]["text"] for one in listed] == [True] * 3
    assert site.needs_a_person()


def test_07_a_copy_in_other_bytes_does_not_undo_what_a_person_decided(site: Outside) -> None:
    service = site.start()
    site.mllp(adt("A28", pid("RIGHT")))
    recording = ecg(1, "WRONG")
    site.c_store(recording)
    site.go_on()
    moved(site, "TESTHOSP|MR|RIGHT")
    site.go_on()
    told = [("WRONG", "F"), ("WRONG", "W"), ("RIGHT", "F")]
    assert site.told == told
    site.ingest(dicom_writer.write_ecg(recording, transfer_syntax=ImplicitVRLittleEndian))
    site.stop(service)
    site.go_on()
    assert site.told == told


def test_08_a_recording_that_comes_again_under_another_patient_asks_a_person(site: Outside) -> None:
    """The same SOP Instance UID (ECG 1), and the same signal of the same device as another object (ECG 2)."""
    device = Device(manufacturer="Simulated", serial="S-1")
    site.ingest(ecg(1, "FIRST"))
    site.ingest(ecg(2, "ONE", source_id="1.2.3.70", device=device))
    site.go_on()
    site.ingest(ecg(1, "SECOND"))
    site.ingest(ecg(2, "TWO", source_id="1.2.3.71", device=device))
    site.go_on()
    assert site.told == [("FIRST", "F"), ("ONE", "F")]
    assert site.needs_a_person()
    assert "another patient" in site.command("show", "1")[1]


def test_14_both_people_are_named_and_a_typing_error_is_caught(site: Outside) -> None:
    site.start()
    site.mllp(adt("A28", pid("4711", name="RIGHTFAMILY^EVE")))
    site.ingest(ecg(1, "WRONG"))
    site.go_on()
    words = ("correct", "1", "--wrong-patient", "--reason", "mix-up")
    mistyped = [site.command(*words, "--yes", answer=f"{one}\n")[0] for one in ("TESTHOPS|MR|4711", "TESTHOSP|MR|4712")]
    assert mistyped == [1, 1]
    code, said = site.command(*words, answer="TESTHOSP|MR|4711\nn\n")
    assert code == 1
    assert "RIGHTFAMILY" in said
    assert "WRONG" in said
    site.go_on()
    assert site.told == [("WRONG", "F")]
