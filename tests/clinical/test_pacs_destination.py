"""Results to a PACS through the whole hall: told, corrected, taken back, and held where the patient differs by now."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from ecgfm_clinical import wiring
from ecgfm_clinical.extras import have
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.story_records import MessageStory
from ecgfm_connectors.dicom.results.storing import STORED
from ecgfm_connectors.dicom.sop_classes import VERIFICATION
from ecgfm_connectors.testing import dicom_writer, oru_writer
from tests.helpers.fakes import Clock, make_ecg, wait_until
from tests.helpers.installation import Installation, merge, patient
from tests.helpers.ports import free_port

pytestmark = pytest.mark.slow(20)

KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"


class Pacs:
    """A storage SCP that keeps what comes, or answers with `status`."""

    def __init__(self) -> None:
        self.status = 0x0000
        self.got: list[Dataset] = []
        self.moods: list[str] = []  #: of the next objects
        self.asks_for_all = False  #: refuses a note as a whole that names what is not here
        self.refused = 0  #: such notes
        self.port = free_port()
        entity = AE(ae_title="PACS")
        for uid in (VERIFICATION, *STORED):
            entity.add_supported_context(uid)
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def _store(self, event: Any) -> int:
        mood = self.moods.pop(0) if self.moods else "takes"
        if mood == "drops":
            event.assoc.abort()
            return 0x0000
        if mood == "takes and drops":
            self.got.append(event.dataset)
            event.assoc.abort()
            return 0x0000
        if mood in ("full", "never"):
            return 0xA700 if mood == "full" else 0xA900
        is_note = event.dataset.SOPClassUID == KEY_OBJECTS
        if is_note and self.asks_for_all and not rejected(event.dataset) <= {one.SOPInstanceUID for one in self.got}:
            self.refused += 1
            return 0xA772
        if self.status == 0x0000:
            self.got.append(event.dataset)
        return self.status

    @property
    def table(self) -> str:
        """It, in the settings."""
        return f'[[destinations.dicom]]\nname = "pacs"\nhost = "127.0.0.1"\nport = {self.port}\nae_title = "PACS"\n'

    def close(self) -> None:
        assert self._server is not None
        self._server.shutdown()


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    made = Pacs()
    yield made
    made.close()


@pytest.fixture
def house(tmp_path: Path, pacs: Pacs) -> Iterator[Installation]:
    made = Installation(tmp_path, more=pacs.table)
    yield made
    made.close()


@pytest.fixture
def paged(tmp_path: Path, pacs: Pacs) -> Iterator[Installation]:
    """Stores the page beside each report."""
    if not have("page"):
        pytest.skip("the extra page is not installed")
    made = Installation(tmp_path, more=f"{pacs.table}page = true\n")
    yield made
    made.close()


def at_pacs(house: Installation, ecg_id: int = 1) -> list[Any]:
    """The messages of an ECG to the PACS, as `show` tells them."""
    return [one for one in house.document("show", ecg_id)["messages"] if one["destination"] == "pacs"]


def rejected(note: Dataset) -> set[str]:
    assert note.SOPClassUID == KEY_OBJECTS
    found = [one for one in note.ContentSequence if one.ValueType == "COMPOSITE"]
    return {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in found}


def test_a_result_lies_beside_its_waveform_object(house: Installation, pacs: Pacs) -> None:
    recording = dicom_writer.write_ecg(make_ecg(1, patient=patient("P1")))
    house.dicom(recording)
    house.go_on()
    (report,) = pacs.got
    assert report.StudyInstanceUID == dcmread(BytesIO(recording)).StudyInstanceUID
    assert (report.PatientID, report.IssuerOfPatientID) == ("P1", "TESTHOSP")
    (message,) = at_pacs(house)
    assert (message["state"], message["acknowledgement"]["code"]) == ("acknowledged", "0x0000")
    assert "Imaging Measurement Report" in house.command("show", "1", "--phi")[1]


def test_a_correction_replaces_and_a_withdrawal_rejects_what_stands(house: Installation, pacs: Pacs) -> None:
    house.dicom(make_ecg(1, patient=patient("P1")))
    house.go_on()
    assert house.command("correct", "1", "--reason", "again", "--yes")[0] == 0
    house.go_on()
    told, corrected, note = pacs.got
    assert rejected(note) == {told.SOPInstanceUID}
    (study,) = corrected.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == told.SOPInstanceUID
    assert house.command("withdraw", "1", "--reason", "wrong gain", "--yes")[0] == 0
    house.send()
    assert rejected(pacs.got[3]) == {corrected.SOPInstanceUID}
    assert len(pacs.got) == 4


@pytest.mark.parametrize("moods", [("takes", "never"), ("never",)], ids=["note-refused", "report-refused"])
def test_what_a_correction_in_doubt_did_not_reject_is_rejected_with_it(
    house: Installation, pacs: Pacs, moods: tuple[str, ...]
) -> None:
    house.dicom(make_ecg(1, patient=patient("P1")))
    house.go_on()
    told = pacs.got[0].SOPInstanceUID
    pacs.moods = [*moods]
    assert house.command("correct", "1", "--reason", "again", "--yes")[0] == 0
    house.go_on()
    assert at_pacs(house)[-1]["state"] == "set aside"
    assert house.command("withdraw", "1", "--reason", "wrong gain", "--yes")[0] == 0
    house.send()
    assert rejected(pacs.got[-1]) >= {told}, "it stands there"
    stand = {one.SOPInstanceUID for one in pacs.got if one.SOPClassUID != KEY_OBJECTS}
    assert stand <= {uid for one in pacs.got if one.SOPClassUID == KEY_OBJECTS for uid in rejected(one)}


def test_where_the_patient_is_another_by_now_the_result_waits_for_a_person(house: Installation, pacs: Pacs) -> None:
    house.mllp(merge("P1", "P2"))
    house.dicom(make_ecg(1, patient=patient("P1")))
    house.go_on()
    assert pacs.got == []
    (message,) = at_pacs(house)
    assert message["state"] == "set aside"
    assert message["errors"][0]["text"].startswith("patient-differs: ")
    assert house.needs_a_person()
    assert house.told == [("P2", "F")], "the EHR is told under the surviving number"


def test_a_result_of_the_wrong_patient_is_rejected_where_it_lies(house: Installation, pacs: Pacs) -> None:
    house.dicom(make_ecg(1, patient=patient("P1")))
    house.go_on()
    command = ("correct", "1", "--wrong-patient", "--force", "--reason", "mix-up", "--yes")
    assert house.command(*command, answer="TESTHOSP|MR|P9\n")[0] == 0
    house.go_on()
    report, note = pacs.got
    assert rejected(note) == {report.SOPInstanceUID}
    assert note.PatientID == "P1"
    assert at_pacs(house)[-1]["state"] == "set aside", "nothing is stored for P9 into the study of P1"


def test_what_the_pacs_will_never_take_is_set_aside_with_its_reason(house: Installation, pacs: Pacs) -> None:
    pacs.status = 0xA900
    house.dicom(make_ecg(1, patient=patient("P1")))
    house.go_on()
    (message,) = at_pacs(house)
    assert message["state"] == "set aside"
    assert "0xA900, the data set does not match the SOP Class" in message["errors"][0]["text"]
    pacs.status = 0x0000
    assert house.command("replay", "--dead", "--destination", "pacs")[0] == 0
    wait_until(lambda: house.send() or bool(pacs.got))  # type: ignore[func-returns-value]
    assert len(pacs.got) == 1


def test_a_pacs_that_drops_takes_and_drops_or_is_full_gets_each_object_and_none_under_two_uids(
    house: Installation, pacs: Pacs
) -> None:
    chance = random.Random(5)
    clock = Clock()
    clock.now = datetime.now(UTC)  # the commands between take this computer's
    for one in (1, 2, 3):
        house.dicom(make_ecg(one, patient=patient(f"P{one % 2}")))
    house.score()

    def messages() -> list[MessageStory]:
        told = (one for ecg in (1, 2, 3) for one in house.store.ecgs.story(ecg).messages)
        return [one for one in told if one.destination == "pacs"]

    for act in ("correct", "withdraw", ""):
        pacs.moods = chance.choices(("drops", "takes and drops", "full", "takes"), k=8)
        while any(one.state is MessageState.WAITING for one in messages()):
            clock.advance(minutes=6)
            for reporter in wiring.build_reporters(house.settings, house.store, clock=clock):
                while reporter.run_batch():
                    pass
        for ecg in (1, 2, 3) if act else ():
            assert house.command(act, ecg, "--reason", "as it goes", "--yes")[0] == 0
        house.score()
    assert {one.state for one in messages()} == {MessageState.ACKNOWLEDGED}
    content: dict[str, str] = {}
    for stored in pacs.got:
        assert content.setdefault(stored.SOPInstanceUID, stored.to_json()) == stored.to_json()
    assert len(content) == sum({"F": 1, "C": 2, "W": 1}[one.kind] for one in messages()) == 3 * 4


def test_an_ecg_that_came_by_hl7_is_set_aside_with_a_code(house: Installation, pacs: Pacs) -> None:
    recording = make_ecg(1, patient=patient("P1"))
    house.mllp(oru_writer.write_ecg(recording, control_id="ORU1", sent_at=datetime.now(UTC), embed="aecg"))
    house.go_on()
    (message,) = at_pacs(house)
    assert message["errors"][0]["text"].startswith("no-waveform-object: ")


def test_check_tries_the_pacs(house: Installation, pacs: Pacs) -> None:
    said = house.command("check")[1]
    assert "PACS at 127.0.0.1" in said
    assert "answered C-ECHO and takes Comprehensive SR, Key Object Selection Document" in said


def test_the_page_is_stored_beside_the_report(paged: Installation, pacs: Pacs) -> None:
    paged.dicom(make_ecg(1, patient=patient("P1")))
    paged.go_on()
    report, page = pacs.got
    assert page.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert page.EncapsulatedDocument.startswith(b"%PDF")
    assert page.StudyInstanceUID == report.StudyInstanceUID


def test_a_pacs_that_refuses_notes_over_what_it_lacks_is_left_with_nothing(paged: Installation, pacs: Pacs) -> None:
    """As dcm4chee does, which then takes nothing of the note: a correction came by half, its page never."""
    pacs.asks_for_all = True
    paged.dicom(make_ecg(1, patient=patient("P1")))
    paged.go_on()
    pacs.moods = ["takes", "never"]
    assert paged.command("correct", "1", "--reason", "again", "--yes")[0] == 0
    paged.go_on()
    assert at_pacs(paged)[-1]["state"] == "set aside"
    assert paged.command("withdraw", "1", "--reason", "wrong gain", "--yes")[0] == 0
    paged.send()
    message = at_pacs(paged)[-1]
    assert (message["kind"], message["state"]) == ("W", "acknowledged")
    assert (message["acknowledgement"]["code"], pacs.refused) == ("0xA772", 1)
    stand = [one.SOPInstanceUID for one in pacs.got if one.SOPClassUID != KEY_OBJECTS]
    assert len(stand) == 3, "report and page, and the corrected report"
    assert set(stand) == {uid for one in pacs.got if one.SOPClassUID == KEY_OBJECTS for uid in rejected(one)}
