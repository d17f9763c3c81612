"""The raw header shows what the sender wrote, and no signal."""

from datetime import UTC, datetime

import pytest

from ecgfm_connectors.errors import Unreadable
from ecgfm_connectors.raw_header import LONGEST_VALUE, lines
from ecgfm_connectors.testing import dicom_writer, oru_writer
from tests.helpers.fakes import make_ecg


def test_a_dicom_object_is_listed_without_its_samples() -> None:
    found = lines(dicom_writer.write_ecg(make_ecg(1)))
    assert any("SOP Instance UID" in line for line in found)
    assert [line for line in found if line.endswith("Waveform Sequence: not shown")]
    assert all(len(line) <= 2 * LONGEST_VALUE for line in found)


def test_an_hl7_message_is_listed_by_segment_with_its_long_fields_cut() -> None:
    message = oru_writer.write_ecg(make_ecg(1), control_id="C1", sent_at=datetime(2031, 1, 1, tzinfo=UTC))
    found = lines(message)
    assert found[0].startswith("MSH|")
    assert any("characters)" in line for line in found)
    assert all(len(field) <= LONGEST_VALUE for line in found for field in line.split("|"))


def test_what_is_neither_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        lines(b"no DICOM at all")
