"""What a person decides at the command line about patients and held recordings, and what the receiver hears of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.testing import dicom_writer, oru_writer
from tests.helpers.installation import Installation, adt, ecg, first, merge, patient, pid

pytestmark = pytest.mark.slow

WHY = ("--reason", "checked with the ward")


def oru(recording: Ecg, control_id: str, *, status: str = "F", filler: str = "EKG-7") -> bytes:
    """ORU^R01 around the recording as DICOM, under the filler number of its sender; `status` is OBX-11 of the ECG."""
    written = oru_writer.write_message(
        [(dicom_writer.write_ecg(recording), "DICOM")],
        patient=recording.patient,
        order=Order(filler=filler),
        acquired_at=recording.acquired.at if recording.acquired else None,
        control_id=control_id,
        sent_at=datetime(2031, 1, 1, tzinfo=UTC),
    )
    return written.replace(b"||||||F\r", f"||||||{status}\r".encode())


def questions(site: Installation) -> list[dict[str, object]]:
    found: list[dict[str, object]] = site.document("held", "list")["questions"]
    return found


def answer(site: Installation, act: str, number: object, *words: str, typed: str = "") -> str:
    code, said = site.command("held", act, number, *WHY, "--yes", *words, answer=typed)
    assert code == 0, said
    site.go_on()
    return said


@pytest.fixture
def held(installed: Installation) -> Installation:
    """One recording that came under FIRST, was sent, and came again under SECOND."""
    installed.dicom(ecg(1, "FIRST"))
    installed.go_on()
    installed.dicom(ecg(1, "SECOND"))
    installed.go_on()
    return installed


def test_a_question_is_listed_shown_and_masked(held: Installation) -> None:
    (one,) = questions(held)
    assert (one["question"], one["patients"]) == ("corrected-patient", ["***", "***"])
    _, shown = held.command("held", "show", "1")
    assert "asked" in shown
    assert "FIRST" not in shown
    _, shown = held.command("held", "show", "1", "--phi")
    assert "TESTHOSP|MR|FIRST" in shown
    assert "TESTHOSP|MR|SECOND" in shown
    assert "1 × corrected-patient, held" in held.command("status")[1]


def test_a_release_moves_the_recording_and_a_rejection_leaves_it(held: Installation) -> None:
    answer(held, "release", 1)
    assert held.told == [("FIRST", "F"), ("FIRST", "W"), ("SECOND", "F")]
    assert not held.needs_a_person()
    code, said = held.command("held", "reject", "1", *WHY, "--yes")
    assert code == 1
    assert "was decided already" in said


def test_a_question_that_a_merge_answers_is_listed_as_moot_with_its_reason(held: Installation) -> None:
    held.mllp(merge("SECOND", "FIRST"))
    assert questions(held) == []
    assert not held.needs_a_person()
    said = held.command("held", "list", "--decided")[1]
    assert "moot: the numbers are one person's now" in said
    code, said = held.command("held", "release", "1", *WHY, "--yes")
    assert (code, "moot" in said) == (1, True)


def test_a_rejection_leaves_the_result_where_it_is(held: Installation) -> None:
    answer(held, "reject", 1)
    assert held.told == [("FIRST", "F")]
    assert not held.needs_a_person()


def test_a_preview_that_is_answered_no_changes_nothing(held: Installation) -> None:
    code, said = held.command("held", "release", "1", *WHY, answer="n\n")
    assert code == 1
    assert "TESTHOSP|MR|SECOND" in said  # somebody is asked, so people are named
    assert "F to ehr, acknowledged" in said
    assert len(questions(held)) == 1


def test_a_release_may_name_somebody_else(held: Installation) -> None:
    code, said = held.command("held", "release", "1", *WHY, "--wrong-patient", "--yes", answer="TESTHOSP|MR|THIRD\n")
    assert code == 1
    assert "THIRD" not in said
    held.mllp(adt("A28", pid("THIRD")))
    answer(held, "release", 1, "--wrong-patient", typed="TESTHOSP|MR|THIRD\n")
    assert held.told == [("FIRST", "F"), ("FIRST", "W"), ("THIRD", "F")]


def test_the_second_of_two_questions_does_not_undo_the_answer_to_the_first(held: Installation) -> None:
    held.dicom(ecg(1, "THIRD"))
    assert len(questions(held)) == 2
    answer(held, "release", 1)
    answer(held, "reject", 2)
    assert held.told == [("FIRST", "F"), ("FIRST", "W"), ("SECOND", "F")]


def test_whoever_names_the_patient_has_answered_the_question(held: Installation) -> None:
    held.mllp(adt("A28", pid("THIRD")))
    words = ("correct", "1", "--wrong-patient", *WHY, "--yes")
    assert held.command(*words, answer="TESTHOSP|MR|THIRD\n")[0] == 0
    held.go_on()
    assert held.told == [("FIRST", "F"), ("FIRST", "W"), ("THIRD", "F")]
    assert not held.needs_a_person()


def test_what_is_held_can_be_scored_meanwhile(install: Callable[..., Installation]) -> None:
    site = install(more="[scoring]\nheld = true\n")
    site.dicom(ecg(1, "FIRST"))
    site.dicom(ecg(1, "SECOND"))
    site.go_on()
    assert site.document("show", "2")["state"] == "scored"
    assert site.told == []


def test_a_recording_sent_anew_after_its_senders_withdrawal_is_told_again(installed: Installation) -> None:
    recording = ecg(1, "A")
    for control_id, status in (("M1", "F"), ("M2", "W")):
        installed.mllp(oru(recording, control_id, status=status))
        installed.go_on()
    installed.mllp(oru(replace(recording, statements=("read again",)), "M3"))
    installed.go_on()
    assert installed.told == [("A", "F"), ("A", "W"), ("A", "F")]
    assert len({first(one, "OBR", 3) for one in installed.ehr.messages}) == 1


def test_a_copy_that_leaves_the_order_out_is_no_news(installed: Installation) -> None:
    installed.mllp(oru(ecg(1, "A"), "M1"))
    installed.go_on()
    installed.dicom(ecg(1, "A"))
    installed.go_on()
    assert installed.told == [("A", "F")]


def test_a_payload_that_names_two_patients_is_counted_until_somebody_has_looked(installed: Installation) -> None:
    inner, outer = ecg(1, "ONE"), patient("OTHER")
    message = oru(inner, "M1").replace(b"ONE^^^TESTHOSP^MR", b"OTHER^^^TESTHOSP^MR")
    assert outer.identifiers[0].value.encode() in message
    installed.mllp(message)
    assert installed.document("status")["needs_person"]["patient_mismatches"] == 1
    (payload,) = installed.document("held", "list")["payloads"]
    assert payload["code"] == "patient-mismatch"
    assert installed.command("held", "reject", f"P{payload['payload_id']}", *WHY, "--yes")[0] == 0
    assert not installed.needs_a_person()
    assert installed.document("status")["set_aside"] == {"patient-mismatch": 1}  # kept all the same


# --- patient ----------------------------------------------------------------------------------------------------------


def test_a_person_is_shown_with_ecgs_and_results_masked_unless_asked(installed: Installation) -> None:
    installed.mllp(adt("A28", pid("A", name="KNOWNFAMILY^EVE")))
    installed.dicom(ecg(1, "A"))
    installed.go_on()
    code, shown = installed.command("patient", "show", answer="testhosp|PI|A\n")
    assert code == 0
    assert "known" in shown
    assert "(F) to ehr: acknowledged" in shown
    assert "KNOWNFAMILY" not in shown
    _, shown = installed.command("patient", "show", "--phi", answer="TESTHOSP|MR|A\n")
    assert "KNOWNFAMILY" in shown
    _, shown = installed.command("patient", "show", answer="TESTHOSP|MR|NOBODY\n")
    assert "never heard of" in shown


def test_an_undone_merge_moves_results_back(installed: Installation) -> None:
    installed.mllp(merge("B", "A"))
    installed.dicom(ecg(1, "B"))
    installed.go_on()
    code, said = installed.command("patient", "unmerge", *WHY, answer="TESTHOSP|MR|B\ny\n")
    assert code == 0, said
    assert "ECG 1" in said
    installed.go_on()
    assert installed.told == [("A", "F"), ("A", "W"), ("B", "F")]
    assert "unmerged" in installed.command("patient", "show", answer="TESTHOSP|MR|B\n")[1]
    code, said = installed.command("patient", "unmerge", *WHY, "--yes", answer="TESTHOSP|MR|B\n")
    assert code == 1
    assert "no merge to undo" in said


def test_a_merge_by_a_person_reaches_what_waits(installed: Installation) -> None:
    installed.mllp(adt("A28", pid("A")))
    installed.dicom(ecg(1, "B"))
    installed.score()
    words = ("patient", "merge", *WHY)
    assert installed.command(*words, "--yes", answer="TESTHOSP|MR|B\nTESTHOSP|MR|NOBODY\n")[0] == 1
    assert installed.command(*words, answer="TESTHOSP|MR|B\nTESTHOSP|MR|A\ny\n")[0] == 0
    installed.send()
    assert installed.told == [("A", "F")]
    assert installed.command(*words, "--yes", answer="TESTHOSP|MR|A\nTESTHOSP|PI|A\n")[0] == 1


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (("TESTHOSP|MR|A", "TESTHOSP|VN|V1"), "no patient's number"),
        (("TESTHOSP|MR|A", "TESTHOSP|pi|A"), "one identity"),
    ],
    ids=["a visit's number", "itself, typed otherwise"],
)
def test_a_merge_by_a_person_that_cannot_be_is_refused_before_it_is_asked(
    installed: Installation, numbers: tuple[str, str], said: str
) -> None:
    visited = oru(ecg(1, "A"), "M1").replace(b"A^^^TESTHOSP^MR", b"A^^^TESTHOSP^MR~V1^^^TESTHOSP^VN")
    installed.mllp(visited)
    code, told = installed.command("patient", "merge", *WHY, answer="\n".join(numbers) + "\n")
    assert code == 1
    assert said in told
    assert "Do it?" not in told
    installed.go_on()
    assert installed.told == [("A", "F")]


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("correct", "99", *WHY), "", "there is no ECG 99"),
        (("correct", "9" * 30, *WHY), "", "there is no ECG"),
        (("withdraw", "9" * 30, *WHY), "", "there is no ECG"),
        (("held", "show", "9" * 30), "", "a question has a number"),
        (("held", "reject", "\N{SUPERSCRIPT TWO}", *WHY), "", "a question has a number"),
        (("held", "release", "P1", *WHY), "", "its sender must send it again"),
        (("held", "reject", "P" + "9" * 30, *WHY), "", "its sender must send it again"),
        (("patient", "unmerge", *WHY), "TESTHOSP|MR|FIRST\n", "no merge to undo"),
        (("patient", "link", *WHY), "TESTHOSP|MR|FIRST\nTESTHOSP|mr|FIRST\n", "one identity"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(
    held: Installation, words: tuple[str, ...], typed: str, said: str
) -> None:
    code, told = held.command(*words, answer=typed)
    assert code == 1
    assert said in told
    assert "Do it?" not in told


def test_payloads_are_shown_before_they_are_declared_seen(installed: Installation) -> None:
    installed.mllp(oru(ecg(1, "ONE"), "M1").replace(b"ONE^^^TESTHOSP^MR", b"OTHER^^^TESTHOSP^MR"))
    code, told = installed.command("held", "reject", "P-all", *WHY, answer="n\n")
    assert code == 1
    assert "P1: patient-mismatch" in told
    assert installed.needs_a_person()


def test_a_number_that_only_a_link_or_an_undone_merge_named_is_heard_of(installed: Installation) -> None:
    installed.mllp(adt("A24", pid("A"), pid("B")))
    installed.mllp(merge("D", "C"))
    installed.mllp(adt("A37", pid("C"), pid("D")))
    for name in "BD":
        assert "never heard of" not in installed.command("patient", "show", answer=f"TESTHOSP|MR|{name}\n")[1]


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_act_without_a_reason_is_refused(held: Installation, reason: str) -> None:
    code, told = held.command("held", "reject", 1, "--reason", reason, "--yes")
    assert code == 2
    assert "say why" in told
    assert held.needs_a_person()


def test_the_preview_names_under_whom_results_of_a_retired_number_go_out(held: Installation) -> None:
    held.mllp(adt("A28", pid("NEW", name="NEWFAMILY^EVE")))
    held.command("patient", "merge", "--force", *WHY, "--yes", answer="TESTHOSP|MR|OLD\nTESTHOSP|MR|NEW\n")
    for words in (("correct", 1), ("held", "release", 1)):
        _, told = held.command(*words, "--wrong-patient", "--reason", "typing", answer="TESTHOSP|MR|OLD\nn\n")
        assert "its results go out under TESTHOSP|MR|NEW" in told
        assert "NEWFAMILY" in told
    _, told = held.command("held", "release", 1, "--wrong-patient", *WHY, "--yes", answer="TESTHOSP|MR|OLD\n")
    assert "NEWFAMILY" not in told


def test_linked_numbers_stay_in_use(installed: Installation) -> None:
    for name in "AB":
        installed.mllp(adt("A28", pid(name)))
    assert installed.command("patient", "link", *WHY, "--yes", answer="TESTHOSP|MR|A\nTESTHOSP|MR|B\n")[0] == 0
    assert "linked" in installed.command("patient", "show", answer="TESTHOSP|MR|B\n")[1]
    installed.dicom(ecg(1, "B"))
    installed.go_on()
    assert installed.told == [("B", "F")]


def test_every_act_is_in_the_audit_with_its_reason_and_names_nobody(held: Installation) -> None:
    held.mllp(adt("A28", pid("THIRD")))
    held.command("patient", "merge", *WHY, "--yes", answer="TESTHOSP|MR|SECOND\nTESTHOSP|MR|THIRD\n")
    held.command("patient", "unmerge", *WHY, "--yes", answer="TESTHOSP|MR|SECOND\n")
    answer(held, "release", 1)
    said = held.command("audit")[1]
    for action in ("identity.merged", "identity.unmerged", "identity.decided", "recording.released"):
        assert action in said
    assert "checked with the ward" in said
    assert not [word for word in ("FIRST", "SECOND", "THIRD", "TESTFAMILY") if word in said]


def test_show_tells_of_every_version_and_result_and_names_people_only_when_asked(held: Installation) -> None:
    found = json.loads(held.command("show", "1", "--json")[1])["recording"]
    assert [one["same_person"] for one in found["versions"]] == [True, False]
    assert {one["patient"] for one in (*found["versions"], *found["results"])} == {"***"}
    _, said = held.command("show", "1", "--phi")
    assert "names another patient (TESTFAMILY" in said
    assert "TESTHOSP|MR|SECOND" in said
