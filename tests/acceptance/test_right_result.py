"""One recording, one result that stands: faults of results and messages as a hospital saw them, from outside alone."""

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.testing import dicom_writer, oru_writer
from ecgfm_connectors.testing.ehr import Fault
from tests.helpers.fakes import wait_until
from tests.helpers.installation import ecg, first, number, patient
from tests.helpers.outside import LOOPBACK, Outside

pytestmark = pytest.mark.slow(60)

Install = Callable[..., Outside]
SENT = datetime(2031, 1, 1, 8, 0, tzinfo=UTC)


def oru(
    recording: Ecg, control_id: str, *, status: str = "F", stat: bool = False, outer: Patient | None = None
) -> bytes:
    """ORU^R01 around the recording's DICOM object; `status` is OBX-11 of the ECG."""
    written = oru_writer.write_message(
        [(dicom_writer.write_ecg(recording), "DICOM")],
        patient=outer or recording.patient,
        order=replace(recording.order, stat=stat),
        control_id=control_id,
        sent_at=SENT,
    )
    return written.replace(b"||||||F\r", f"||||||{status}\r".encode())


def waveform(control_id: str, *, status: str, who: str = "A") -> bytes:
    """ORU^R01 whose samples stand in the message itself, so that the message's own numbers name the recording."""
    recording = replace(ecg(ord(who) % 10, who), order=Order(filler=f"EKG-{who}"))
    written = oru_writer.write_ecg(recording, control_id=control_id, sent_at=SENT, embed="aecg")
    return written.replace(b"||||||F\r", f"||||||{status}\r".encode())


def test_09_the_same_recording_by_another_route_is_one_result(site: Outside) -> None:
    """With one more number in PID (of A), and as STAT (of B)."""
    site.start()
    recordings = ecg(1, "A"), ecg(2, "B")
    site.c_store(*recordings)
    site.go_on()
    again = (
        oru(recordings[0], "M1", outer=patient("A", number("V-1", type="VN"))),
        oru(recordings[1], "M2", stat=True),
    )
    assert [site.mllp(one) for one in again] == ["AA", "AA"]
    site.go_on()
    assert sorted(site.told) == [("A", "F"), ("B", "F")]


def test_10_what_its_sender_takes_back_is_taken_back(site: Outside) -> None:
    """OBX-11 = W, D or X on what was sent, and W on what was never seen before."""
    site.start()
    for status in "WDX":
        site.mllp(waveform(f"F-{status}", who=status, status="F"))
    site.go_on()
    for status in "WDX":
        site.mllp(waveform(f"{status}-{status}", who=status, status=status))
    site.mllp(oru(ecg(9, "N"), "N", status="W"))
    site.go_on()
    assert sorted(site.told) == [(who, status) for who in "DWX" for status in "FW"]


def test_10_a_final_after_a_preliminary_is_the_same_result(site: Outside) -> None:
    site.start()
    for control_id, status in (("M1", "P"), ("M2", "F")):
        assert site.mllp(waveform(control_id, status=status)) == "AA"
        site.go_on()
    assert [status for _, status in site.told if status == "F"] == ["F"]
    assert len(set(site.fillers)) == 1


def _has_gone_on(site: Outside, before: int) -> bool:
    site.go_on()
    return len(site.told) > before


@pytest.mark.parametrize(
    ("act", "plan", "destination", "follows"),
    [
        ("withdraw", (Fault.DROP_BEFORE_ACK, Fault.DROP_BEFORE_ACK, Fault.AE), "", "W"),
        ("correct", (Fault.DROP_BEFORE_ACK, Fault.DROP_BEFORE_ACK), "max_attempts = 2", "C"),
    ],
    ids=["withdrawn after an AE on the repeat", "corrected after its attempts were spent"],
)
def test_11_what_may_have_left_is_treated_as_if_it_had(
    install: Install, act: str, plan: tuple[Fault, ...], destination: str, follows: str
) -> None:
    site = install(destination=destination)
    site.ehr.plan(*plan)
    site.ingest(ecg(1, "A"))
    assert site.command("score")[0] == 0
    reporter = site.start("report")
    site.ehr.wait_for(len(plan))
    wait_until(lambda: site.document("replay", "--dead", "--list"))
    assert site.stop(reporter) == 0
    assert site.command(act, "1", "--yes", "--reason", "wrong")[0] == 0
    wait_until(lambda: _has_gone_on(site, len(plan)))  # the receiver is tried again after a while
    assert site.told[len(plan) :] == [("A", follows)]
    assert len(set(site.fillers)) == 1


def test_12_a_restored_store_gives_no_number_again(site: Outside) -> None:
    backup = site.folder / "backup.sqlite"
    assert site.command("backup", backup)[0] == 0
    site.ingest(ecg(1, "A"))
    site.go_on()
    for suffix in ("", "-wal", "-shm"):
        (site.folder / f"staging.sqlite{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, site.folder / "staging.sqlite")
    site.ingest(ecg(2, "B"))
    site.command("score")
    site.command("send")
    told_unasked = len(site.told) - 1
    site.command("store", "adopt", "--as", "restored", "--yes")
    site.command("score")
    site.command("send")
    assert site.told == [("A", "F"), ("B", "F")]
    assert len(set(site.fillers)) == 2
    assert told_unasked == 0  # until somebody has said which store it is


ADULTS = "[heads.{head}]\nmin_age = {years}\n"


def test_13_a_correction_judges_the_ecg_again(install: Install) -> None:
    """The rules of the heads have changed since it was scored."""
    rules = "".join(ADULTS.format(head=head, years=18) for head in ("reduced_lvef", "troponin"))
    site = install(more=rules + "[heads.interpretation]\nenabled = false\n")
    site.ingest(ecg(1, patient=patient("A", birth_date=date(1960, 1, 1))))
    site.go_on()
    site.path.write_text(site.path.read_text().replace("min_age = 18", "min_age = 90"))
    assert site.command("correct", "1", "--yes", "--reason", "new rules")[0] == 0
    site.go_on()
    assert [status for _, status in site.told] == ["F", "X"]
    assert "age-below-range" in first(site.ehr.messages[-1], "OBX", 5)


def test_15_another_birth_date_of_the_same_patient_is_a_correction(site: Outside) -> None:
    for born in (date(1950, 1, 1), date(1960, 1, 1)):
        site.ingest(ecg(1, patient=patient("A", birth_date=born)))
        site.go_on()
    assert site.told == [("A", "F"), ("A", "C")]
    assert len(set(site.fillers)) == 1


def test_15_a_fresh_store_does_not_give_the_numbers_of_another_again(install: Install) -> None:
    fillers = []
    for site in (install(), install()):
        site.ingest(ecg(1, "A"))
        site.go_on()
        fillers += site.fillers
    assert len(set(fillers)) == 2


def test_16_an_outage_is_one_state_of_the_destination(site: Outside) -> None:
    """Ten messages wait for a receiver that ends each connection: not each of them is tried, nor each try audited."""
    port = site.ehr.port
    site.ehr.stop()
    for seed in range(1, 11):
        site.ingest(ecg(seed, f"P{seed}"))
    assert site.command("score")[0] == 0
    connections = 0
    with socket.create_server((LOOPBACK, port)) as away:
        reporter = site.start("report")
        while connections < 3:
            away.accept()[0].close()
            connections += 1
        assert site.stop(reporter) == 0
    tried = [one for one in trail(site) if one["action"].startswith("message.") and "created" not in one["action"]]
    assert len(tried) <= 4


def trail(site: Outside) -> list[dict[str, Any]]:
    """The audit trail."""
    return [json.loads(line) for line in site.command("audit")[1].splitlines() if line.startswith("{")]


def test_17_what_was_never_sent_is_not_called_refused_by_the_receiver(site: Outside) -> None:
    site.ingest(ecg(1, patient=Patient()))
    site.ehr.plan(Fault.AE)
    site.ingest(ecg(2, "A"))
    site.go_on()
    code, said = site.command("status")
    assert code == 1
    assert "1 refused by the receiver" in said
    assert "1 could not be written" in said
