"""What the demo's senders carry is readable, goes by the right wire, and names no real person."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecgfm_clinical.demo.cases import CASES, ecg_of
from ecgfm_clinical.demo.deliveries import CONTEXT, Delivery, own, ward
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.shipped.vendor import vendor_recording
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import wfdb_writer

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def sent() -> list[Delivery]:
    return ward(NOW)


def test_the_ward_sends_the_vendor_recording_and_every_case_once(sent: list[Delivery]) -> None:
    assert len(sent) == len(CASES) + 1
    assert {one.route for one in sent} == {"C-STORE", "MLLP", "folder"}
    assert len({source_id for one in sent for source_id in one.source_ids}) == len(sent)
    assert not any(one.problem for one in sent)


def test_what_is_sent_reads_back_as_the_case_it_was_made_from(sent: list[Delivery]) -> None:
    by_patient = {one.patient: one for one in sent}
    for case in CASES:
        [ecg] = read(by_patient[case.name].content, CONTEXT).ecgs
        expected = ecg_of(case, NOW)
        assert [one.value for one in ecg.patient.identifiers] == [case.identifier]
        assert ecg.patient.birth_date == expected.patient.birth_date
        assert ecg.signal.shape == expected.signal.shape
        assert not ecg.test_data  # else every head would refuse it
        assert ecg.acquired is not None
        assert expected.acquired is not None
        assert ecg.acquired.at == expected.acquired.at


def test_own_recordings_are_sent_as_they_are_where_they_can_be_filed(tmp_path: Path) -> None:
    vendor = vendor_recording()
    assert vendor is not None
    (tmp_path / "a.dcm").write_bytes(vendor.read_bytes())
    [one] = own(tmp_path, NOW)
    assert (one.patient, one.route) == ("a.dcm", "C-STORE")
    assert one.content == vendor.read_bytes()


def test_a_recording_that_names_no_patient_travels_under_an_invented_identity(tmp_path: Path) -> None:
    for name, content in wfdb_writer.write_record(ecg_of(CASES[0], NOW), "rec").items():
        (tmp_path / name).write_bytes(content)
    [one] = own(tmp_path, NOW)
    assert one.route == "C-STORE"
    assert "DEMO-OWN-0001" in one.about
    [ecg] = read(one.content, CONTEXT).ecgs
    assert ecg.patient.identifiers[0].value == "DEMO-OWN-0001"


def test_what_cannot_be_read_is_dropped_into_the_folder_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"no ECG at all")
    [one] = own(tmp_path, NOW)
    assert one.route == "folder"
    assert one.problem.startswith("unknown-format")
    assert not one.source_ids


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_without_files_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="--ecgs needs a folder of ECG files"):
        own(tmp_path / name, NOW)
