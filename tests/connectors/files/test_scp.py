"""Bimodal compression of SCP-ECG: what is kept comes back whole, what one sample stands for lies on straight lines."""

from collections.abc import Callable

import numpy as np
import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import PayloadError, Refused, Unreadable
from ecgfm_connectors.files import scp_bimodal
from ecgfm_connectors.files.scp_sections import LeadRange
from ecgfm_connectors.reading import read
from tests.helpers import scp_writer
from tests.helpers.vendor_files import STEP, counts

ReadOne = Callable[[bytes], Ecg]


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("coding", ["plain", "default", "custom", "switching"])
def test_bimodal(ecg: Ecg, read_one: ReadOne, factor: int, coding: scp_writer.Coding) -> None:
    found = read_one(scp_writer.write_scp(ecg, coding=coding, bimodal=factor, order=1))
    rows = counts(ecg)
    _, zones = scp_writer._reference_beats(rows)
    kept = scp_writer.protected(zones)
    assert (found.sampling_rate, found.signal.shape) == (ecg.sampling_rate, ecg.signal.shape)
    assert [finding.code for finding in found.findings] == ["decimated"]
    for lead, row in rows.items():
        expected = np.array(scp_writer.rebuilt(row, kept, factor)) * STEP
        np.testing.assert_allclose(found.signal[LEADS.index(lead)], expected, atol=1e-6, err_msg=lead)


def test_bimodal_with_reference_beats(ecg: Ecg, read_one: ReadOne) -> None:
    """Around each beat the recording comes back to the unit; elsewhere it is as good as 125 Hz lets it be."""
    found = read_one(scp_writer.write_scp(ecg, bimodal=4, subtracted=True))
    rows = counts(ecg)
    _, zones = scp_writer._reference_beats(rows)
    for lead, row in rows.items():
        ours = found.signal[LEADS.index(lead)]
        for first, last in scp_writer.protected(zones):
            np.testing.assert_allclose(ours[first - 1 : last], row[first - 1 : last] * STEP, atol=1e-6)


def section(content: bytes, number: int) -> int:
    """Where a section starts."""
    pointer = 22 + number * 10
    return int.from_bytes(content[pointer + 6 : pointer + 10], "little") - 1


def patched(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


def test_protocol_three_has_no_bimodal_flag(ecg: Ecg, read_one: ReadOne) -> None:
    """The byte is reserved there: a record that sets it holds plain rhythm data."""
    content = scp_writer.write_scp(ecg)
    start = section(content, 6)
    found = read_one(patched(patched(content, start + 9, b"\x1e"), start + 16 + 5, b"\1"))
    np.testing.assert_allclose(found.signal, ecg.signal, atol=STEP)


@pytest.mark.parametrize(
    ("number", "at", "value", "error", "reason"),
    [
        (6, 2, b"\x01\x00", Refused, "scp-compression"),  # no whole multiple of the reference beat's interval
        (6, 2, b"\x10\x27", Refused, "scp-compression"),  # one sample for five
        (4, 4, b"\0\0", Refused, "scp-compression"),  # no zones
        (4, 6 + 14 * 11, b"\xff\xff\0\0\1", Unreadable, "scp-structure"),  # a zone that ends before it begins
    ],
)
def test_bimodal_refusals(
    ecg: Ecg, context: ReadingContext, number: int, at: int, value: bytes, error: type[PayloadError], reason: str
) -> None:
    content = scp_writer.write_scp(ecg, bimodal=4)
    with pytest.raises(error) as caught:
        read(patched(content, section(content, number) + 16 + at, value), context)
    assert caught.value.code == reason


def test_zones_that_overlap() -> None:
    with pytest.raises(Unreadable, match="overlap"):
        scp_bimodal.stretches(LeadRange(1, 100, 1), [(10, 20), (20, 30)])


@pytest.mark.parametrize("zones", [[], [(1, 100)], [(1, 3), (98, 100)], [(0, 0), (5, 6)], [(90, 400)], [(500, 600)]])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_zones_at_the_ends(zones: list[tuple[int, int]], factor: int) -> None:
    row = np.arange(1, 101)
    kept = [zone for zone in zones if zone != (0, 0)]
    layout = scp_bimodal.stretches(LeadRange(1, 100, 1), zones)
    stored = scp_writer.decimated(row, kept, factor)
    assert scp_bimodal.stored(layout, factor) == len(stored)
    np.testing.assert_allclose(scp_bimodal.expanded(stored, layout, factor), scp_writer.rebuilt(row, kept, factor))
