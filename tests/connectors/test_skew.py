"""Leads that do not start together: a sample or two are put right, more means not simultaneous, in every format alike.

EDF has no place for a skew. The others state it as a number of samples, a time, or a start of their own.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pydicom
import pytest

from ecgfm_connectors.assembly import Channel, Signal, assemble
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.files.payload import pack_record
from ecgfm_connectors.leads import Lead
from ecgfm_connectors.testing import aecg_writer, dicom_writer, wfdb_writer
from tests.helpers import scp_writer, vendor_files, waveform_writer

ReadOne = Callable[[bytes], Ecg]
Write = Callable[[Ecg, int], bytes]

_SENT = datetime(2026, 1, 5, 8, tzinfo=UTC)
#: samples at 500 Hz by which the channel of V6 starts late
PUT_RIGHT, TOO_FAR = (1, 2), (3, 25, 250)


def dicom(ecg: Ecg, late: int) -> bytes:
    dataset = pydicom.dcmread(BytesIO(dicom_writer.write_ecg(ecg)))
    dataset.WaveformSequence[0].ChannelDefinitionSequence[LEADS.index("V6")].ChannelSampleSkew = str(late)
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def chapter_7(ecg: Ecg, late: int) -> bytes:
    content = waveform_writer.write_ecg(ecg, form="NA", control_id="1", sent_at=_SENT)
    return content.replace(b"V6^0.005&mV^1&0&0^", f"V6^0.005&mV^1&0&{late / ecg.sampling_rate:g}^".encode())


def pcd(ecg: Ecg, late: int) -> bytes:
    lines = waveform_writer.write_ecg(ecg, form="MDC", control_id="1", sent_at=_SENT).split(b"\r")
    head, _, fraction = waveform_writer.started(ecg).partition(".")
    later = f"{head}.{int(fraction[:3]) + 1000 * late // int(ecg.sampling_rate):03d}{fraction[3:]}".encode()
    shifted = [
        line.replace(waveform_writer.started(ecg).encode(), later) if b"ELEC_POTL_V6" in line else line
        for line in lines
    ]
    return b"\r".join(shifted)


def muse(ecg: Ecg, late: int) -> bytes:
    offset = f"<LeadID>V6</LeadID><LeadTimeOffset>{1000 * late / ecg.sampling_rate:g}</LeadTimeOffset>"
    return vendor_files.write_muse(ecg).replace(b"<LeadID>V6</LeadID>", offset.encode())


def wfdb(ecg: Ecg, late: int) -> bytes:
    """In a header the others have a skew: so many of their samples precede sample 0."""
    record = wfdb_writer.write_record(ecg, "record")
    header = record["record.hea"].decode("ascii")
    lines = [
        line.replace("record.dat 16 ", f"record.dat 16:{late} ") if line.startswith("record.dat") and "V6" not in line
        else line
        for line in header.splitlines()
    ]  # fmt: skip
    return pack_record({**record, "record.hea": ("\n".join(lines) + "\n").encode("ascii")})


FORMATS: dict[str, Write] = {"dicom": dicom, "chapter 7": chapter_7, "IHE PCD": pcd, "muse": muse, "wfdb": wfdb}


def found_codes(ecg: Ecg) -> list[str]:
    return [finding.code for finding in ecg.findings if finding.code in ("channel-skew", "not-simultaneous")]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("late", PUT_RIGHT)
def test_a_sample_or_two_are_put_right(ecg: Ecg, read_one: ReadOne, name: str, late: int) -> None:
    found = read_one(FORMATS[name](ecg, late))
    assert found_codes(found) == ["channel-skew"]
    assert found.signal.shape == ecg.signal.shape
    assert np.isfinite(found.signal).all()
    v6 = LEADS.index("V6")
    # One format states the late lead, the other the early ones: what counts is where they stand to each other.
    moved = [shift for shift in range(-2, 3) if _agrees(found.signal[v6], ecg.signal[v6], shift)]
    still = [shift for shift in range(-2, 3) if _agrees(found.signal[1], ecg.signal[1], shift)]
    assert moved[0] - still[0] == late


def _agrees(row: Signal, original: Signal, shift: int) -> bool:
    inner = slice(10, len(row) - 10)
    return bool(np.allclose(row[inner], np.roll(original, shift)[inner], atol=0.0026))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("late", TOO_FAR)
def test_more_is_not_simultaneous(ecg: Ecg, read_one: ReadOne, name: str, late: int) -> None:
    assert found_codes(read_one(FORMATS[name](ecg, late))) == ["channel-skew", "not-simultaneous"]


def test_half_the_leads_five_seconds_late_in_a_message(ecg: Ecg, read_one: ReadOne) -> None:
    content = waveform_writer.write_ecg(ecg, form="NA", control_id="1", sent_at=_SENT)
    for lead in ("V1", "V2", "V3", "V4", "V5", "V6"):
        content = content.replace(f"{lead}^0.005&mV^1&0&0^".encode(), f"{lead}^0.005&mV^1&0&5^".encode())
    assert "not-simultaneous" in found_codes(read_one(content))


def test_all_leads_late_by_the_same_are_simultaneous(ecg: Ecg) -> None:
    channels = [Channel(lead=Lead(lead), samples=row, skew=700.0) for lead, row in zip(LEADS, ecg.signal, strict=True)]
    assembled = assemble(channels)
    assert assembled.findings == ()
    np.testing.assert_array_equal(assembled.signal, ecg.signal)


@pytest.mark.parametrize("skew", [0.4, -0.4])
def test_less_than_half_a_sample_is_left_alone(ecg: Ecg, skew: float) -> None:
    channels = [Channel(lead=Lead(lead), samples=row) for lead, row in zip(LEADS, ecg.signal, strict=True)]
    channels[11] = replace(channels[11], skew=skew)
    assert assemble(channels).findings == ()


@pytest.mark.parametrize("skew", [5000.0, -1e300, float("inf"), float("nan")])
def test_a_skew_beyond_the_recording_is_refused(ecg: Ecg, skew: float) -> None:
    channels = [Channel(lead=Lead(lead), samples=row) for lead, row in zip(LEADS, ecg.signal, strict=True)]
    channels[11] = replace(channels[11], skew=skew)
    with pytest.raises(Refused, match="not-simultaneous"):
        assemble(channels)


@pytest.mark.parametrize(("late", "codes"), [(0, []), (2, ["channel-skew"]), (3, ["not-simultaneous"])])
def test_scp_leads_with_starts_of_their_own(ecg: Ecg, read_one: ReadOne, late: int, codes: list[str]) -> None:
    found = read_one(scp_writer.write_scp(ecg, coding="plain", starts={"V6": 1 + late}))
    assert found_codes(found) == codes
    assert bool(np.isfinite(found.signal).all()) is (late <= 2)
    assert found.signal.shape[1] == ecg.signal.shape[1]


@pytest.mark.parametrize(("milliseconds", "codes"), [(0, []), (2, ["channel-skew"]), (4, ["channel-skew"])])
def test_aecg_sequence_sets_with_starts_of_their_own(
    ecg: Ecg, read_one: ReadOne, milliseconds: int, codes: list[str]
) -> None:
    found = read_one(_two_sets(ecg, milliseconds))
    assert found_codes(found) == codes
    assert np.isfinite(found.signal).all()


def test_aecg_sequence_sets_recorded_one_after_another(ecg: Ecg, read_one: ReadOne) -> None:
    with pytest.raises(Refused, match="not-simultaneous"):
        read_one(_two_sets(ecg, 6))


def _two_sets(ecg: Ecg, milliseconds: int) -> bytes:
    """Limb and chest leads in a sequence set each."""
    assert ecg.acquired is not None
    whole = aecg_writer.write_ecg(ecg).decode()
    start, end = whole.index("<component><sequenceSet>"), whole.index("</sequenceSet></component>")
    end += len("</sequenceSet></component>")
    block = whole[start:end]
    head = f"{ecg.acquired.at:%Y%m%d%H%M%S}.{ecg.acquired.at.microsecond // 1000:03d}"
    later = f"{head[:-3]}{int(head[-3:]) + milliseconds:03d}"
    limb = _without(block, [f"MDC_ECG_LEAD_V{n}" for n in range(1, 7)])
    chest = _without(block, [f"MDC_ECG_LEAD_{lead.upper()}" for lead in LEADS[:6]]).replace(head, later)
    return (whole[:start] + limb + chest + whole[end:]).encode()


def _without(block: str, codes: list[str]) -> str:
    for code in codes:
        block = re.sub(
            f'<component><sequence><code code="{code}".*?</sequence></component>', "", block, flags=re.DOTALL
        )
    return block
