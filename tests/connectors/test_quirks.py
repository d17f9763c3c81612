"""What real files taught: each oddity of the corpus's recordings, on a small file of our own, so that it is tested
anywhere.

The real files themselves are read in place by test_corpus.py and by the tests of their formats.
"""

import binascii
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.files.payload import pack_record
from ecgfm_connectors.leads import LEAD_NUMBERS
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import aecg_writer, wfdb_writer
from ecgfm_connectors.testing.dicom_writer import write_ecg
from ecgfm_connectors.testing.samples import sample_ecg
from tests.helpers import scp_writer, vendor_files

ReadOne = Callable[[bytes], Ecg]


def rewritten(ecg: Ecg, change: Callable[[Dataset], None]) -> bytes:
    dataset = pydicom.dcmread(BytesIO(write_ecg(ecg)))
    change(dataset)
    stream = BytesIO()
    with pydicom.config.disable_value_validation():
        dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


# --- DICOM ------------------------------------------------------------------------------------------------------------


def test_a_converter_writes_one_sample_less_than_ten_seconds(ecg: Ecg, read_one: ReadOne) -> None:
    found = read_one(write_ecg(replace(ecg, signal=ecg.signal[:, :4999].copy())))
    assert found.signal.shape == (12, 4999)
    assert found.findings == ()


def test_groups_without_label_and_leads_called_i_not_lead_i(ecg: Ecg, read_one: ReadOne) -> None:
    """A GE cart's export: only ORIGINAL and DERIVED tell the recording from the median beat, which here stands
    first.
    """

    def change(dataset: Dataset) -> None:
        rhythm = dataset.WaveformSequence[0]
        median = pydicom.dcmread(BytesIO(write_ecg(replace(ecg, signal=ecg.signal[:, :600] * 2)))).WaveformSequence[0]
        median.WaveformOriginality = "DERIVED"
        dataset.WaveformSequence = [median, rhythm]
        for group in dataset.WaveformSequence:
            group.pop("MultiplexGroupLabel", None)
            for lead, channel in zip(LEADS, group.ChannelDefinitionSequence, strict=True):
                channel.ChannelSourceSequence[0].CodeMeaning = lead
                channel.pop("ChannelLabel", None)

    np.testing.assert_allclose(read_one(rewritten(ecg, change)).signal, ecg.signal, atol=1e-6)


def test_a_measurement_coded_as_another_one_twice(ecg: Ecg, read_one: ReadOne) -> None:
    """A converter gives the T axis the code of the QRS axis: both are kept as they are said, none is made right."""

    def axis(degrees: str) -> Dataset:
        item, name, unit = Dataset(), Dataset(), Dataset()
        name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "5.10.3-13", "SCPECG", "QRS Axis"
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "deg", "UCUM", "degrees"
        item.ConceptNameCodeSequence, item.MeasurementUnitsCodeSequence = [name], [unit]
        item.NumericValue = degrees
        return item

    def change(dataset: Dataset) -> None:
        dataset.WaveformAnnotationSequence = [axis("21"), axis("54")]

    assert read_one(rewritten(ecg, change)).measurements[-2:] == (("QRS Axis", "21 deg"), ("QRS Axis", "54 deg"))


# --- SCP-ECG ----------------------------------------------------------------------------------------------------------


def scp_with_tags(ecg: Ecg, **values: bytes) -> bytes:
    """A record whose section 1 has these tags (`t14=…`) instead of its own."""
    own = scp_writer._scp_tags(ecg)
    tags, at = {}, 0
    while own[at] != 255:
        length = int.from_bytes(own[at + 1 : at + 3], "little")
        tags[own[at]] = own[at + 3 : at + 3 + length]
        at += 3 + length
    tags |= {int(name[1:]): value for name, value in values.items()}
    body = b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in sorted(tags.items())) + b"\xff\0\0"
    rows = vendor_files.counts(ecg)
    leads = b"".join(struct.pack("<IIB", 1, len(row), LEAD_NUMBERS[lead]) for lead, row in rows.items())
    rhythm = struct.pack("<HHBB", round(vendor_files.STEP * 1e6), 2000, 0, 0)
    rhythm += scp_writer._scp_blocks([row.astype("<i2").tobytes() for row in rows.values()])
    return scp_writer._scp_record({1: body, 3: bytes((len(rows), 12 << 3 | 4)) + leads, 6: rhythm})


def test_scp_device_tag_longer_than_the_standard_has_it(ecg: Ecg, read_one: ReadOne) -> None:
    machine = bytes(7) + b"\x08" + b"ELI250" + bytes(22) + b"serial\0" + b"X" * 45
    found = read_one(scp_with_tags(ecg, t14=machine))
    assert (found.device.manufacturer, found.device.model) == ("Mortara", "ELI250")
    np.testing.assert_allclose(found.signal, ecg.signal, atol=2e-6)


def test_scp_tags_that_an_anonymiser_overwrote(ecg: Ecg, read_one: ReadOne) -> None:
    """Sex `R`, the years 53255 and 27655, an age of 25599: no date is made of it, and the signal is read."""
    found = read_one(
        scp_with_tags(
            ecg,
            t4=struct.pack("<HB", 25599, 1),
            t5=struct.pack("<HBB", 27655, 1, 1),
            t8=b"R",
            t25=struct.pack("<HBB", 53255, 1, 1),
        )
    )
    assert (found.acquired, found.patient.birth_date, found.patient.sex) == (None, None, "U")
    assert [finding.code for finding in found.findings] == ["acquisition-time-missing"]
    np.testing.assert_allclose(found.signal, ecg.signal, atol=2e-6)


def test_scp_of_a_paediatric_lead_set(ecg: Ecg, read_one: ReadOne) -> None:
    """I, II, V1, V2, V4 and V6 beside V3R and V7, which never stand in for V3 and V5."""
    content = bytearray(scp_writer.write_scp(ecg, coding="plain"))
    for lead, other in (("V3", 11), ("V5", 9)):
        place = content.index(struct.pack("<IIB", 1, 5000, LEAD_NUMBERS[lead]))
        content[place + 8] = other
    content[:2] = struct.pack("<H", binascii.crc_hqx(bytes(content[2:]), 0xFFFF))
    found = read_one(bytes(content))
    assert set(LEADS) - set(found.stored_leads) == {"V3", "V5"}
    assert np.isnan(found.signal[[LEADS.index("V3"), LEADS.index("V5")]]).all()


# --- EDF --------------------------------------------------------------------------------------------------------------


def test_edf_of_one_sample_a_record(ecg: Ecg, read_one: ReadOne) -> None:
    """A Contec converter's: 5000 data records of 0.002 s, so that the leads are interleaved sample by sample."""
    content = vendor_files.write_edf(ecg)
    start = 256 * 13
    header = bytearray(content[:start])
    header[236:252] = b"5000    0.002   "
    counts_at = start - 12 * (8 + 32)
    header[counts_at : counts_at + 96] = b"1       " * 12
    seconds = np.frombuffer(content[start:], "<i2").reshape(10, 12, 500)
    found = read_one(bytes(header) + seconds.transpose(0, 2, 1).astype("<i2").tobytes())
    assert found.sampling_rate == 500.0
    np.testing.assert_allclose(found.signal, ecg.signal, atol=2e-6)


# --- WFDB -------------------------------------------------------------------------------------------------------------


def test_wfdb_lower_case_leads_and_frank_leads_in_a_second_file(ecg: Ecg, read_one: ReadOne) -> None:
    files = wfdb_writer.write_record(ecg, "r1")
    lines = files["r1.hea"].decode().splitlines()
    lines[0] = lines[0].replace(" 12 ", " 15 ")
    lines[1:13] = [line.lower() for line in lines[1:13]]
    lines[13:13] = [f"r1.xyz 16 1000(0)/mV 16 0 1 5000 0 v{axis}" for axis in "xyz"]
    header = ("\n".join(lines) + "\n").encode()
    found = read_one(pack_record(files | {"r1.hea": header, "r1.xyz": np.ones((5000, 3), "<i2").tobytes()}))
    assert found.stored_leads == LEADS
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-6)


def test_wfdb_samples_behind_the_header_of_a_matlab_file(ecg: Ecg, read_one: ReadOne) -> None:
    """The challenges' records: format `16+24`, a name with its ending, and the date where the time belongs."""
    files = wfdb_writer.write_record(ecg, "E1")
    header = files["E1.hea"].decode().replace("E1.dat 16 ", "E1.mat 16+24 ")
    header = re.sub(r"^E1 12 500 5000.*", "E1.mat 12 500 5000 05-May-2020 14:50:55", header)
    found = read_one(pack_record({"E1.hea": header.encode(), "E1.mat": bytes(24) + files["E1.dat"]}))
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-6)
    assert found.acquired is not None
    assert f"{found.acquired.at:%Y-%m-%d %H:%M}" == "2020-05-05 14:50"
    assert "header-malformed" in [finding.code for finding in found.findings]


@pytest.mark.parametrize(("stated", "factor"), [("4880", 1000 / 4880), ("200", 5.0)])
def test_wfdb_gains_that_are_wrong_are_believed_and_left_to_judgement(
    ecg: Ecg, read_one: ReadOne, stated: str, factor: float
) -> None:
    """µV samples under 4880/mV come out five times too small, under 200/mV five times too large; the amplitude
    shows it.
    """
    files = wfdb_writer.write_record(ecg, "r1")
    found = read_one(
        pack_record(files | {"r1.hea": files["r1.hea"].replace(b" 1000.0(0)/mV", f" {stated}/mV".encode())})
    )
    np.testing.assert_allclose(found.signal, ecg.signal * factor, rtol=1e-5, atol=1e-6)


def test_wfdb_flat_leads_stay_flat(ecg: Ecg, read_one: ReadOne) -> None:
    signal = ecg.signal.copy()
    flat = [LEADS.index(lead) for lead in ("V2", "V4", "V6")]
    signal[flat] = 0
    found = read_one(wfdb_writer.write_ecg(replace(ecg, signal=signal)))
    assert (np.ptp(found.signal, axis=1) == 0).nonzero()[0].tolist() == flat


# --- annotated ECG ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inside",
    [
        "",
        '<low value="20260329143000+0000"/>',
        '<high value="20260329143010+0000"/>',
        '<low value="20260329143000+0000"/><high value="20260329143010+0000"/>',
    ],
    ids=["none", "low", "high", "interval"],
)
def test_aecg_document_times_of_every_form(ecg: Ecg, read_one: ReadOne, inside: str) -> None:
    """The series' own time counts, whatever the document around it says of itself."""
    text = aecg_writer.write_ecg(ecg).decode()
    end = text.index("<series") if "<series" in text else len(text)
    head = re.sub(r"<effectiveTime>.*?</effectiveTime>", "", text[:end], flags=re.DOTALL)
    stated = f"<effectiveTime>{inside}</effectiveTime>" if inside else ""
    head = head.replace("<code ", stated + "<code ", 1) if stated else head
    found = read_one((head + text[end:]).encode())
    assert found.acquired is not None
    assert ecg.acquired is not None
    assert found.acquired.at == ecg.acquired.at


@pytest.mark.parametrize("identifiers", [('root="1.2.3" extension="S1_0"', 'root="1.2.3" extension="S2_0"'), None])
def test_aecg_ids_of_one_root_or_none(ecg: Ecg, read_one: ReadOne, identifiers: tuple[str, str] | None) -> None:
    """Exports repeat the root and tell recordings apart by the extension; some have no id at all."""
    texts = [aecg_writer.write_ecg(one).decode() for one in (ecg, sample_ecg(seed=1))]
    for number, text in enumerate(texts):
        own = f"<id {identifiers[number]}/>" if identifiers else ""
        texts[number] = re.sub(r"<id [^>]*>", own, text, count=1)
    assert len({read_one(text.encode()).source_id for text in texts}) == 2


def test_aecg_of_one_lead_is_refused(ecg: Ecg, context: ReadingContext) -> None:
    text = aecg_writer.write_ecg(ecg).decode()
    pieces = re.split(r"(?=<component><sequence>)|(?<=</sequence></component>)", text)
    kept = [piece for piece in pieces if "MDC_ECG_LEAD_" not in piece or re.search(r"MDC_ECG_LEAD_II\b", piece)]
    with pytest.raises(Refused, match="not-12-lead"):
        read("".join(kept).encode(), context)
