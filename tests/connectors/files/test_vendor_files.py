"""MUSE, CardioSoft, Philips, SCP-ECG and EDF: exact on files of our own, and alike to independent readers on
real ones.
"""

import base64
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgfm_connectors import ages
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import PayloadError, Refused
from ecgfm_connectors.files import huffman, scp_signal
from ecgfm_connectors.files.scp_sections import LeadRange
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing.samples import sample_ecg
from tests.helpers import scp_writer
from tests.helpers import vendor_files as write

ReadOne = Callable[[bytes], Ecg]
Corpus = Callable[[str], Path]

WRITERS: dict[str, Callable[[Ecg], bytes]] = {
    "muse": write.write_muse,
    "muse without doctype": lambda ecg: write.write_muse(ecg, with_doctype=False),
    "mortara": write.write_mortara,
    "mfer": write.write_mfer,
    "mfer big endian, 32 bits": lambda ecg: write.write_mfer(ecg, little_endian=False, block=1, kind=2),
    "schiller": write.write_schiller,
    "cardiosoft": write.write_cardiosoft,
    "philips 1.03": write.write_philips,
    "philips 1.04": lambda ecg: write.write_philips(ecg, version="1.04"),
    "philips 1.03 plain": lambda ecg: write.write_philips(ecg, compressed=False),
    "philips 1.04 plain": lambda ecg: write.write_philips(ecg, version="1.04", compressed=False),
    "scp second differences": scp_writer.write_scp,
    "scp first differences": lambda ecg: scp_writer.write_scp(ecg, order=1),
    "scp Huffman only": lambda ecg: scp_writer.write_scp(ecg, order=0),
    "scp plain": lambda ecg: scp_writer.write_scp(ecg, coding="plain"),
    "scp zero-based": lambda ecg: scp_writer.write_scp(ecg, zero_based=True),
    "scp reference beats": lambda ecg: scp_writer.write_scp(ecg, subtracted=True),
    "scp of a table of its own": lambda ecg: scp_writer.write_scp(ecg, coding="custom"),
    "scp of two tables": lambda ecg: scp_writer.write_scp(ecg, coding="switching"),
    "scp of two tables, reference beats": lambda ecg: scp_writer.write_scp(ecg, coding="switching", subtracted=True),
    "edf": write.write_edf,
}


def refusal(content: bytes, context: ReadingContext) -> str:
    with pytest.raises(PayloadError) as caught:
        read(content, context)
    return f"{type(caught.value).__name__} {caught.value.code}"


def codes(ecg: Ecg) -> list[str]:
    return [finding.code for finding in ecg.findings]


@pytest.mark.parametrize("kind", WRITERS)
def test_the_signal_comes_back(ecg: Ecg, read_one: ReadOne, kind: str) -> None:
    found = read_one(WRITERS[kind](ecg))
    np.testing.assert_allclose(found.signal[:, : ecg.signal.shape[1]], ecg.signal, atol=2e-6)
    assert found.signal.shape == ecg.signal.shape
    assert found.sampling_rate == 500.0
    assert codes(found) == (["fill-cut"] if kind.startswith("philips") else [])


@pytest.mark.parametrize("kind", ["muse", "cardiosoft", "philips 1.03", "philips 1.04", "scp plain"])
def test_who_and_when(ecg: Ecg, read_one: ReadOne, kind: str) -> None:
    found = read_one(WRITERS[kind](ecg))
    (identifier,) = found.patient.identifiers
    assert (identifier.authority, identifier.value) == ("SITE", "TEST-0000")
    assert found.patient.sex == "F"
    assert found.acquired is not None
    assert found.acquired.at.strftime("%Y-%m-%d %H:%M:%S") == "2026-03-29 14:30:00"
    assert found.acquired.zone_source == ("message" if kind.startswith("scp") else "site")
    assert found.statements == ("Sinus rhythm",)


@pytest.mark.parametrize("kind", ["muse", "cardiosoft", "scp plain", "edf"])
def test_the_same_recording_exported_again_has_the_same_source_id(ecg: Ecg, read_one: ReadOne, kind: str) -> None:
    content = WRITERS[kind](ecg)
    edited = content.replace(b"Sinus rhythm", b"SINUS RHYTHM")
    assert read_one(content).source_id == read_one(edited).source_id


# --- MUSE -------------------------------------------------------------------------------------------------------------


def muse_edited(ecg: Ecg, old: str, new: str) -> bytes:
    text = write.write_muse(ecg).decode("latin-1")
    assert old in text
    return text.replace(old, new).encode("latin-1")


def test_muse_filters_are_in_hundredths(ecg: Ecg, read_one: ReadOne) -> None:
    assert read_one(write.write_muse(ecg)).filters.high_pass == 0.05


def test_muse_crc_catches_a_changed_sample(ecg: Ecg, context: ReadingContext) -> None:
    row = write.counts(ecg, ("V3",))["V3"].astype("<i2")
    changed = row.copy()
    changed[2500] += 1
    content = muse_edited(
        ecg, base64.encodebytes(row.tobytes()).decode(), base64.encodebytes(changed.tobytes()).decode()
    )
    assert refusal(content, context) == "Unreadable checksum-mismatch"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<WaveformType>Rhythm", "<WaveformType>Other", "Refused no-recording"),
        ("MICROVOLTS", "FURLONGS", "Refused unknown-unit"),
        ("<LeadAmplitudeUnitsPerBit>5<", "<LeadAmplitudeUnitsPerBit><", "Refused no-sensitivity"),
        ("<LeadSampleCountTotal>5000<", "<LeadSampleCountTotal>5001<", "Unreadable waveform-length"),
        ("<LeadSampleSize>2<", "<LeadSampleSize>4<", "Refused sample-interpretation"),
        ("<WaveFormData>", "<WaveFormData>!", "Unreadable sample-text"),
        ("<SampleBase>500<", "<SampleBase>zero<", "Unreadable sampling-frequency"),
        ("<LeadID>V", "<LeadID>Q", "Refused not-12-lead"),
        ('SYSTEM "restecg.dtd"', '[<!ENTITY a "b">]', "Refused xml-entities"),
    ],
)
def test_muse_refusals(ecg: Ecg, context: ReadingContext, old: str, new: str, reason: str) -> None:
    assert refusal(muse_edited(ecg, old, new), context) == reason


def test_muse_with_every_lead_off_has_no_samples(ecg: Ecg, context: ReadingContext) -> None:
    assert refusal(muse_edited(ecg, "<LeadOff>FALSE", "<LeadOff>TRUE"), context) == "Unreadable no-samples"


@pytest.mark.parametrize(
    "path",
    [
        "muse_xml/BIVectors+BRAVEHEART/example1.xml",
        "muse_xml/BIVectors+BRAVEHEART/example2.xml",
        "muse_xml/PierreElias+IntroECG/MUSE_example.xml",
        "muse_xml/overdodactyl+musePHI/muse_ecg1.xml",
        "muse_xml/overdodactyl+musePHI/muse_ecg2.xml",
    ],
)
def test_real_muse_files(corpus: Corpus, read_one: ReadOne, path: str) -> None:
    found = read_one(corpus(path).read_bytes())
    assert found.signal.shape == (12, 5000)
    assert (found.stored_leads, found.derived_leads) == (write.INDEPENDENT, ("III", "aVR", "aVL", "aVF"))
    assert found.filters.high_pass == 0.16
    step = np.rint(found.signal[0] / 0.00488) * 0.00488
    np.testing.assert_allclose(found.signal[0], step, atol=1e-5)
    compare_with_ecgdatakit(corpus(path), found)


# --- CardioSoft -------------------------------------------------------------------------------------------------------


def test_cardiosoft_strip_only(ecg: Ecg, context: ReadingContext) -> None:
    text = write.write_cardiosoft(ecg).decode("latin-1")
    assert refusal(text.replace("StripData", "OtherData").encode(), context) == "Refused no-recording"
    assert refusal(text.replace("uVperLsb", "perLsb").encode(), context) == "Refused unknown-unit"
    cut = text.replace("<ChannelSampleCountTotal>5000<", "<ChannelSampleCountTotal>4999<")
    assert refusal(cut.encode(), context) == "Unreadable waveform-length"


@pytest.mark.parametrize(
    ("age", "years"),
    [
        ('<Age units="YEARS">61</Age>', 61.0),
        ('<Age units="MONTHS">18</Age>', 1.5),
        ('<Age units="DAYS">0</Age>', 0.0),
        ("<Age>18</Age>", None),
        ('<Age units="">18</Age>', None),
        ('<Age units="YEARS"></Age>', None),
        ('<Age units="YEARS">unknown</Age>', None),
        ('<Age units="YEARS">-3</Age>', None),
        ('<Age units="YEARS">999</Age>', None),
        ("", None),
    ],
)
def test_cardiosoft_age_in_its_unit_or_none(ecg: Ecg, read_one: ReadOne, age: str, years: float | None) -> None:
    text = write.write_cardiosoft(ecg).decode("latin-1")
    found = read_one(text.replace("</PatientInfo>", f"{age}</PatientInfo>").encode("latin-1"))
    assert ages.stated(found.measurements) == years


def test_real_cardiosoft_file(corpus: Corpus, read_one: ReadOne) -> None:
    found = read_one(corpus("cardiosoft_xml/HeartWise-AI+DeepECG_Docker/dummy_ecg.xml").read_bytes())
    assert (found.signal.shape, found.sampling_rate, found.stored_leads) == ((12, 5000), 500.0, LEADS)
    assert found.signal[0, :4].tolist() == pytest.approx([0.010, 0.005, -0.005, -0.015])  # 2, 1, -1, -3 at 5 µV
    assert found.statements[0] == "Normal sinus rhythm"
    assert found.acquired is None  # midnight of 1 January 2000 is what a blanked file says
    assert codes(found) == ["acquisition-time-missing"]


# --- Philips ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("SierraECG", "MortaraECG", "Refused unsupported-version"),
        (">1.03<", ">1.05<", "Refused unsupported-version"),
        ("XLI", "ZIP", "Refused sample-interpretation"),
        ("STD-12", "HOLTER", "Refused lead-doubtful"),
        ("<signalresolution>5<", "<signalresolution><", "Refused no-sensitivity"),
        ("<samplingrate>500<", "<samplingrate>0<", "Unreadable sampling-frequency"),
        ('durationperchannel="10400"', 'durationperchannel="10500"', "Unreadable xli"),
        ('durationperchannel="10400"', 'durationperchannel="9000"', "Unreadable xli"),
        ('durationperchannel="10400"', 'durationperchannel="3500000"', "Unreadable waveform-length"),
        ("parsedwaveforms", "otherwaveforms", "Refused no-recording"),
    ],
)
def test_philips_refusals(ecg: Ecg, context: ReadingContext, old: str, new: str, reason: str) -> None:
    text = write.write_philips(ecg).decode()
    assert old in text
    assert refusal(text.replace(old, new).encode(), context) == reason


def test_philips_minor_versions(ecg: Ecg, read_one: ReadOne) -> None:
    for version in ("1.04.01", "1.04.02"):
        content = write.write_philips(ecg, version="1.04").replace(b">1.04<", f">{version}<".encode())
        np.testing.assert_allclose(read_one(content).signal, ecg.signal, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "samples"), [("129DYPRG.XML", 5264), ("ad4d3d80-d165_1-04_orig.xml", 5300), ("repbeats_example.xml", 5264)]
)
def test_real_philips_files_against_sierraecg(corpus: Corpus, read_one: ReadOne, name: str, samples: int) -> None:
    path = corpus(f"philips_xml/sixlettervariables+sierra-ecg-tools/{name}")
    found = read_one(path.read_bytes())
    assert found.signal.shape == (12, samples)
    assert codes(found) == ["fill-cut"]
    sierraecg = pytest.importorskip("sierraecg", reason="the package sierraecg is not installed")
    other = np.stack([lead.samples for lead in sierraecg.read_file(str(path)).leads])[:, :samples] * 0.005
    np.testing.assert_allclose(found.signal, other, atol=1e-6)


def test_real_philips_file_as_converted_to_aecg(corpus: Corpus, read_one: ReadOne) -> None:
    folder = "philips_xml/sixlettervariables+sierra-ecg-tools"
    converted = read_one(corpus(f"{folder}/ad4d3d80-d165_1-04_converted.xml").read_bytes())
    original = read_one(corpus(f"{folder}/ad4d3d80-d165_1-04_orig.xml").read_bytes())
    assert converted.format == "aecg"
    assert converted.signal.shape == original.signal.shape
    np.testing.assert_allclose(converted.signal, original.signal, atol=0.0201)  # the converter resampled amplitudes


def test_real_philips_file_of_another_document_type(corpus: Corpus, context: ReadingContext) -> None:
    path = corpus("philips_xml/sixlettervariables+sierra-ecg-tools/invalid-doc-type.xml")
    assert refusal(path.read_bytes(), context) == "Refused unsupported-version"


# --- SCP-ECG ----------------------------------------------------------------------------------------------------------


def test_scp_damage_shows_in_the_crc(ecg: Ecg, read_one: ReadOne) -> None:
    content = bytearray(scp_writer.write_scp(ecg, coding="plain"))
    content[-2000] ^= 0x01
    assert codes(read_one(bytes(content))) == ["checksum-mismatch"]


def test_scp_byte_counts_that_overflow_sixteen_bits(ecg: Ecg, read_one: ReadOne) -> None:
    long = sample_ecg(seconds=70)  # 35000 samples, 70000 bytes a lead
    content = scp_writer.write_scp(long, coding="plain")
    data = b"".join(row.astype("<i2").tobytes()[:65534] for row in write.counts(long).values())
    start = content.index(write.counts(long)["I"].astype("<i2").tobytes()[:64])
    cut = content[:start] + data
    found = read_one(cut)
    np.testing.assert_allclose(found.signal, long.signal[:, :32767], atol=2e-6)
    assert "fewer-samples-than-declared" in codes(found)


def test_scp_sample_time_is_in_whole_microseconds(read_one: ReadOne) -> None:
    assert read_one(scp_writer.write_scp(sample_ecg(sampling_rate=600.0))).sampling_rate == pytest.approx(
        599.88, abs=1e-3
    )


def scp_patched(ecg: Ecg, at: int, value: bytes) -> bytes:
    """The record with the parameters of section 6 overwritten at an offset from its body's start."""
    content = scp_writer.write_scp(ecg)
    pointer = 22 + 6 * 10
    start = int.from_bytes(content[pointer + 6 : pointer + 10], "little") - 1 + 16 + at
    return content[:start] + value + content[start + len(value) :]


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (0, b"\0\0", "Refused no-sensitivity"),
        (2, b"\0\0", "Unreadable sampling-frequency"),
        (4, b"\x09", "Unreadable scp-structure"),
        (5, b"\x01", "Refused scp-compression"),
        (6, b"\xff\xff" * 12, "Unreadable waveform-length"),
        (6, b"\x04\0" * 12, "Unreadable huffman"),
    ],
)
def test_scp_refusals(ecg: Ecg, context: ReadingContext, at: int, value: bytes, reason: str) -> None:
    assert refusal(scp_patched(ecg, at, value), context) == reason


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(-400, 400), max_size=60), spare=st.integers(0, 3), cut=st.integers(0, 6))
def test_scp_codes_expanded_at_once_or_one_by_one(values: list[int], spare: int, cut: int) -> None:
    """One table without switches takes the quick way, two tables the other; damage is told alike."""

    def expanded(tables: list[huffman.Table]) -> tuple[list[int], str] | str:
        try:
            found, rest = huffman.expand(data, tables, count=len(values) + spare)
        except PayloadError as error:
            return str(error)
        return found.tolist(), rest

    coded = scp_writer._huffman(np.array(values, dtype=np.int64)) if values else b""
    data = coded[: len(coded) - cut]
    table = huffman.default_table()
    assert expanded([table]) == expanded([table, table])


def test_scp_of_more_coded_samples_than_two_seconds_can_expand() -> None:
    """24 MB of zeros would be 190 million samples of nothing, one after another."""
    ranges = [LeadRange(1, 8 * 60_000, lead) for lead in (1, 2, 3)]
    body = (1000).to_bytes(2, "little") + (2000).to_bytes(2, "little") + bytes(2) + (60_000).to_bytes(2, "little") * 3
    with pytest.raises(Refused, match="too-large"):
        scp_signal._coded_leads(body + bytes(180_000), ranges, (19999).to_bytes(2, "little"))


@pytest.mark.parametrize("coding", ["plain", "default", "custom"])
def test_scp_reference_beats_as_ecgdatakit_adds_them(
    ecg: Ecg, read_one: ReadOne, tmp_path: Path, coding: scp_writer.Coding
) -> None:
    path = tmp_path / "subtracted.scp"
    path.write_bytes(scp_writer.write_scp(ecg, subtracted=True, coding=coding))
    compare_with_ecgdatakit(path, read_one(path.read_bytes()))


def test_real_scp_is_the_recording_of_the_annotated_ecg(corpus: Corpus, read_one: ReadOne) -> None:
    found = read_one(corpus("scp/Refactoring+ECGToolkit/Example.scp").read_bytes())
    twin = read_one(corpus("hl7v3_aecg/FDA+aecg-python/Example_aECG.xml").read_bytes())
    np.testing.assert_allclose(found.signal, twin.signal, atol=1e-6)
    assert found.device.model == "ELI250"
    again = read_one(corpus("scp/CaboLabs+dicom-waveform/Example.scp").read_bytes())
    assert again.source_id == found.source_id  # the same recording, converted twice


def test_real_contec_scp_has_fewer_samples_than_it_says(corpus: Corpus, read_one: ReadOne) -> None:
    found = read_one(corpus("scp/RigacciOrg+ecg-contec/0000050.ECG.scp").read_bytes())
    assert (found.signal.shape, found.sampling_rate) == ((12, 32767), 800.0)
    assert codes(found) == ["fewer-samples-than-declared"]
    twin = read_one(corpus("edf/RigacciOrg+ecg-contec/0000050.ECG.edf").read_bytes())
    np.testing.assert_allclose(found.signal[6:], twin.signal[6:, :32767], atol=0.016)  # one step of the EDF


def test_real_anonymised_scp(corpus: Corpus, read_one: ReadOne) -> None:
    found = read_one(corpus("scp/farhad-abtahi+SCP-Tools/ANON000001.SCP").read_bytes())
    assert found.sampling_rate == pytest.approx(599.88, abs=1e-3)
    assert found.stored_leads == ("I", "II", "V1", "V2", "V4", "V6")  # beside V3R and V7: a paediatric set
    assert np.isnan(found.signal[LEADS.index("V3")]).all()
    assert (found.acquired, found.patient.birth_date, found.patient.sex) == (None, None, "U")
    assert codes(found) == ["acquisition-time-missing"]


# --- EDF --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (192, b"EDF+D", "Refused edf-discontinuous"),
        (236, b"99999999", "Unreadable waveform-length"),
        (244, b"0       ", "Unreadable sampling-frequency"),
        (252, b"9999", "Unreadable edf-header"),
        (256 + 12 * 96, b"mmHg    ", "Refused unknown-unit"),
        (256 + 12 * 120, b"x       ", "Refused no-sensitivity"),
    ],
)
def test_edf_refusals(ecg: Ecg, context: ReadingContext, at: int, value: bytes, reason: str) -> None:
    content = write.write_edf(ecg)
    assert refusal(content[:at] + value + content[at + len(value) :], context) == reason


def test_real_edf_with_one_sample_a_record(corpus: Corpus, read_one: ReadOne) -> None:
    found = read_one(corpus("edf/RigacciOrg+ecg-contec/0000050.ECG.edf").read_bytes())
    assert (found.signal.shape, found.sampling_rate, found.stored_leads) == ((12, 37855), 800.0, LEADS)


# --- what is no recording ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Unreadable empty"),
        (b"%PDF-1.7\n", "Refused not-a-recording"),
        (b"\x89PNG\r\n\x1a\n", "Refused not-a-recording"),
        (b'{"signal": {}}', "Refused not-a-recording"),
        (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "Refused not-a-recording"),
        (b"<html><body/></html>", "Refused unknown-xml"),
        (b"<?xml version='1.0'?><!-- <RestingECG> --><ClinicalDocument/>", "Refused unknown-xml"),
        (b"id,label\n1,2\n", "Unreadable unknown-format"),
        (bytes(1000), "Unreadable unknown-format"),
    ],
)
def test_what_is_no_recording(context: ReadingContext, content: bytes, reason: str) -> None:
    assert refusal(content, context) == reason


@pytest.mark.parametrize(
    "path",
    [
        "mat_code15/bowang-lab+ECG-FM/code_15_1238362.mat",
        "mat_cpsc2018/DeepPSP+torch_ecg/A1980.mat",
        "json_zzupecg/stevetodman+peds-ecg-viewer/ASD_P00073_E02.json",
    ],
)
def test_real_files_without_lead_names_or_standard(corpus: Corpus, context: ReadingContext, path: str) -> None:
    assert refusal(corpus(path).read_bytes(), context) == "Refused not-a-recording"


def compare_with_ecgdatakit(path: Path, found: Ecg) -> None:
    ecgdatakit = pytest.importorskip("ecgdatakit", reason="the package ecgdatakit is not installed")
    for lead in ecgdatakit.FileParser().parse(path).leads:
        if lead.label in LEADS:
            np.testing.assert_allclose(found.signal[LEADS.index(lead.label)], lead.samples, atol=1e-6)


def test_crc_of_muse_is_plain_crc32() -> None:
    assert zlib.crc32(b"123456789") == 0xCBF43926
