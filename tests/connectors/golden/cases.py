"""The golden files: one small ECG in every dialect we read, and every kind of object that must be refused.

Each case says what a right reader makes of it: the exact signal, or a refusal with its reason. `conformance` writes
them to a folder for other projects and checks a reader against them.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.files.payload import pack_record
from ecgfm_connectors.leads import LEAD_NUMBERS
from ecgfm_connectors.testing import aecg_writer, dicom_writer, oru_writer, wfdb_writer
from ecgfm_connectors.testing.samples import sample_ecg
from tests.connectors.golden import hl7_cases as golden_hl7
from tests.connectors.golden import wfdb_cases as golden_wfdb
from tests.helpers import scp_writer, vendor_files

Signal = NDArray[np.float32]
_SENT_AT = datetime(2026, 3, 29, 15, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One golden file."""

    name: str  #: file name
    shows: str  #: what is special about it, in a sentence
    content: bytes = field(repr=False)
    refusal: str = ""  #: reason code; empty where the file is to be read
    signal: Signal | None = field(default=None, repr=False)  #: (12, samples) mV, rows as LEADS, NaN = no sample
    sampling_rate: float = 500.0


def cases() -> Iterator[Case]:
    """All of them, the same bytes each time."""
    ecg = sample_ecg(seconds=2)
    yield from _dicom_read(ecg)
    yield from _dicom_refused(ecg)
    yield from _other_read(ecg)
    yield from _other_refused(ecg)
    for name, shows, content in golden_hl7.read_cases(ecg):
        yield Case(name=name, shows=shows, content=content, signal=ecg.signal)
    for name, shows, refusal, content in golden_hl7.refused_cases(ecg):
        yield Case(name=name, shows=shows, content=content, refusal=refusal)


# --- DICOM ------------------------------------------------------------------------------------------------------------


def _dataset(ecg: Ecg) -> Dataset:
    return pydicom.dcmread(BytesIO(dicom_writer.write_ecg(ecg)))


def _encode(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _samples(dataset: Dataset) -> NDArray[np.int16]:
    group = dataset.WaveformSequence[0]
    return np.frombuffer(group.WaveformData, "<i2").reshape(-1, group.NumberOfWaveformChannels).copy()


def _channels(dataset: Dataset) -> dict[str, Dataset]:
    return dict(zip(LEADS, dataset.WaveformSequence[0].ChannelDefinitionSequence, strict=True))


def _dicom_read(ecg: Ecg) -> Iterator[Case]:
    def case(name: str, shows: str, change: Callable[[Dataset], object], signal: Signal | None = None) -> Case:
        dataset = _dataset(ecg)
        change(dataset)
        expected = ecg.signal if signal is None else signal
        return Case(name=f"dicom-{name}.dcm", shows=shows, content=_encode(dataset), signal=expected)

    yield case("plain", "12-lead ECG, Explicit VR Little Endian, MDC codes, µV", lambda dataset: None)
    for name, syntax in (("implicit", ImplicitVRLittleEndian), ("deflated", DeflatedExplicitVRLittleEndian)):
        content = dicom_writer.write_ecg(ecg, transfer_syntax=syntax)
        yield Case(name=f"dicom-{name}.dcm", shows=f"transfer syntax {syntax.name}", content=content, signal=ecg.signal)
    yield Case(name="dicom-big-endian.dcm", shows="samples in big endian", content=_big_endian(ecg), signal=ecg.signal)
    yield case("scpecg-codes", "lead codes of the scheme SCPECG, as in older objects", _scpecg_codes)
    yield case("labels-only", "private lead codes; the label tells the lead", _labels_only)
    yield case("minus-avr", "2:65 is -aVR, stored inverted", _minus_avr)
    yield case("millivolt", "sensitivity in mV", _millivolt)
    yield case(
        "baseline", "baseline of 100 µV in the sensitivity's unit, correction factor 2", _baseline, _baselined(ecg)
    )
    yield case("padding", "lead V2 ends early; padding must not be scaled", _padded, _missing(ecg, "V2", 800, 1000))
    yield case("padding-zero", "padding value 0, which is also ordinary signal", _padding_zero)
    yield case("32-bit", "SL samples of 0.1 µV, General 32-bit ECG", _thirty_two_bits)
    yield case("12-bit", "12 bits stored in 16, upper bits clear", _twelve_bits)
    yield case(
        "strip-first",
        "a longer rhythm strip of three leads before the recording",
        _strip_first,
    )
    yield case("time-elsewhere", "Acquisition DateTime is a date; the time stands elsewhere", _time_elsewhere)
    yield case(
        "median-first", "a median beat (DERIVED) before the recording (ORIGINAL), without group labels", _median_first
    )
    yield case("skew", "V6 starts 5 samples later", _skewed, _shifted(ecg))
    yield case(
        "disconnected", "V1 is DISCONNECTED: no signal, whatever is stored", _disconnected, _missing(ecg, "V1", 0, 1000)
    )
    yield case("hemodynamic", "a 12-lead ECG stored as Hemodynamic Waveform", _hemodynamic)


def _big_endian(ecg: Ecg) -> bytes:
    dataset = _dataset(ecg)
    group = dataset.WaveformSequence[0]
    group.WaveformData = _samples(dataset).astype(">i2").tobytes()
    group.WaveformPaddingValue = dicom_writer.PADDING.to_bytes(2, "big", signed=True)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=False, little_endian=False, enforce_file_format=True)
    return stream.getvalue()


def _scpecg_codes(dataset: Dataset) -> None:
    for lead, channel in _channels(dataset).items():
        code = channel.ChannelSourceSequence[0]
        code.CodeValue, code.CodingSchemeDesignator = f"5.6.3-9-{LEAD_NUMBERS[lead]}", "SCPECG"
        code.CodingSchemeVersion = "1.3"


def _strip_first(dataset: Dataset) -> None:
    group = dataset.WaveformSequence[0]
    strip = deepcopy(group)
    kept = [LEADS.index(lead) for lead in ("II", "V1", "V5")]
    samples = np.ascontiguousarray(np.concatenate([_samples(dataset)[:, kept]] * 6))
    strip.ChannelDefinitionSequence = [strip.ChannelDefinitionSequence[index] for index in kept]
    strip.NumberOfWaveformChannels, strip.NumberOfWaveformSamples = 3, len(samples)
    strip.WaveformData = samples.tobytes()
    dataset.WaveformSequence = [strip, group]


def _time_elsewhere(dataset: Dataset) -> None:
    day = str(dataset.AcquisitionDateTime)[:8]
    dataset.AcquisitionDateTime, dataset.ContentDate, dataset.ContentTime = day, day, "203000"


def _labels_only(dataset: Dataset) -> None:
    for lead, channel in _channels(dataset).items():
        code = channel.ChannelSourceSequence[0]
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = f"X-{lead}", "99VENDOR", "electrode"


def _minus_avr(dataset: Dataset) -> None:
    samples = _samples(dataset)
    samples[:, LEADS.index("aVR")] *= -1
    dataset.WaveformSequence[0].WaveformData = samples.tobytes()
    _channels(dataset)["aVR"].ChannelSourceSequence[0].CodeValue = "2:65"


def _millivolt(dataset: Dataset) -> None:
    for channel in _channels(dataset).values():
        channel.ChannelSensitivity = "0.0025"
        unit = channel.ChannelSensitivityUnitsSequence[0]
        unit.CodeValue, unit.CodeMeaning = "mV", "millivolt"


def _baseline(dataset: Dataset) -> None:
    for channel in _channels(dataset).values():
        channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "2", "100"


def _baselined(ecg: Ecg) -> Signal:
    return (ecg.signal * 2 + np.float32(0.1)).astype(np.float32)


def _missing(ecg: Ecg, lead: str, start: int, end: int) -> Signal:
    signal = ecg.signal.copy()
    signal[LEADS.index(lead), start:end] = np.nan
    return signal


def _padded(dataset: Dataset) -> None:
    samples = _samples(dataset)
    samples[800:, LEADS.index("V2")] = dicom_writer.PADDING
    dataset.WaveformSequence[0].WaveformData = samples.tobytes()


def _padding_zero(dataset: Dataset) -> None:
    dataset.WaveformSequence[0].WaveformPaddingValue = b"\0\0"


def _thirty_two_bits(dataset: Dataset) -> None:
    dataset.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.9.1.4")
    group = dataset.WaveformSequence[0]
    del group.WaveformPaddingValue
    group.WaveformData = (_samples(dataset).astype("<i4") * 25).tobytes()
    group.WaveformSampleInterpretation, group.WaveformBitsAllocated = "SL", 32
    for channel in _channels(dataset).values():
        channel.ChannelSensitivity, channel.WaveformBitsStored = "0.1", 32


def _twelve_bits(dataset: Dataset) -> None:
    dataset.WaveformSequence[0].WaveformData = (_samples(dataset) & 0x0FFF).tobytes()
    for channel in _channels(dataset).values():
        channel.WaveformBitsStored = 12


def _copy_of_group(dataset: Dataset) -> Dataset:
    group: Dataset = pydicom.dcmread(BytesIO(_encode(dataset))).WaveformSequence[0]
    return group


def _median_first(dataset: Dataset) -> None:
    median = _copy_of_group(dataset)
    median.WaveformOriginality = "DERIVED"
    median.NumberOfWaveformSamples = 600
    median.WaveformData = median.WaveformData[: 600 * 24]
    dataset.WaveformSequence.insert(0, median)
    for group in dataset.WaveformSequence:
        del group.MultiplexGroupLabel


def _skewed(dataset: Dataset) -> None:
    _channels(dataset)["V6"].ChannelSampleSkew = "5"


def _shifted(ecg: Ecg) -> Signal:
    signal = ecg.signal.copy()
    row = LEADS.index("V6")
    signal[row, 5:], signal[row, :5] = ecg.signal[row, :-5], np.nan
    return signal


def _disconnected(dataset: Dataset) -> None:
    _channels(dataset)["V1"].ChannelStatus = "DISCONNECTED"


def _hemodynamic(dataset: Dataset) -> None:
    dataset.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.9.2.1")


def _dicom_refused(ecg: Ecg) -> Iterator[Case]:
    def case(name: str, shows: str, refusal: str, change: Callable[[Dataset], object]) -> Case:
        dataset = _dataset(ecg)
        change(dataset)
        return Case(name=f"dicom-refused-{name}.dcm", shows=shows, content=_encode(dataset), refusal=refusal)

    yield case("strip", "four groups of three leads, one after another", "not-simultaneous", _strip)
    yield case(
        "no-sensitivity",
        "arbitrary units",
        "no-sensitivity",
        lambda d: delattr(_channels(d)["V4"], "ChannelSensitivity"),
    )
    yield case("pressure-unit", "a lead in mm[Hg]", "unknown-unit", _pressure)
    yield case("median-only", "no recording, only a median beat", "only-derived", _median_only)
    yield case("unsigned", "US samples", "sample-interpretation", _unsigned)
    yield case("two-names", "a channel coded V4 and labelled V5", "lead-doubtful", _two_names)
    yield case(
        "sop-class",
        "not an ECG waveform class",
        "sop-class",
        lambda d: setattr(d, "SOPClassUID", UID("1.2.840.10008.5.1.4.1.1.2")),
    )
    yield case("short", "fewer bytes than declared", "waveform-length", _short)
    yield case("three-leads", "a three-lead monitor strip", "not-12-lead", _three_leads)


def _strip(dataset: Dataset) -> None:
    whole, groups = _samples(dataset), []
    for column in range(4):
        group, leads = _copy_of_group(dataset), slice(3 * column, 3 * column + 3)
        group.ChannelDefinitionSequence = group.ChannelDefinitionSequence[leads]
        group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = 3, 250
        group.WaveformData = np.ascontiguousarray(whole[250 * column : 250 * column + 250, leads]).tobytes()
        group.MultiplexGroupTimeOffset = 500 * column
        groups.append(group)
    dataset.WaveformSequence = groups


def _pressure(dataset: Dataset) -> None:
    _channels(dataset)["V4"].ChannelSensitivityUnitsSequence[0].CodeValue = "mm[Hg]"


def _median_only(dataset: Dataset) -> None:
    dataset.WaveformSequence[0].WaveformOriginality = "DERIVED"


def _unsigned(dataset: Dataset) -> None:
    dataset.WaveformSequence[0].WaveformSampleInterpretation = "US"


def _two_names(dataset: Dataset) -> None:
    _channels(dataset)["V4"].ChannelLabel = "V5"


def _short(dataset: Dataset) -> None:
    group = dataset.WaveformSequence[0]
    group.WaveformData = group.WaveformData[:-2]


def _three_leads(dataset: Dataset) -> None:
    group = dataset.WaveformSequence[0]
    group.WaveformData = np.ascontiguousarray(_samples(dataset)[:, :3]).tobytes()
    group.ChannelDefinitionSequence = group.ChannelDefinitionSequence[:3]
    group.NumberOfWaveformChannels = 3


# --- everything else --------------------------------------------------------------------------------------------------


def _other_read(ecg: Ecg) -> Iterator[Case]:
    def case(name: str, shows: str, content: bytes) -> Case:
        return Case(name=name, shows=shows, content=content, signal=ecg.signal)

    aecg = aecg_writer.write_ecg(ecg)
    yield case("aecg-plain.xml", "HL7 v3 annotated ECG, µV", aecg)
    yield case(
        "aecg-millivolt.xml",
        "scale in mV, origin in µV",
        aecg.replace(b'scale value="1" unit="uV"', b'scale value="0.001" unit="mV"'),
    )
    yield case("aecg-utf16.xml", "UTF-16 with byte order mark", _utf16(aecg))
    yield case("muse.xml", "GE MUSE: eight leads, the other four to be derived", vendor_files.write_muse(ecg))
    yield case("muse-utf16.xml", "UTF-16 with its DOCTYPE", _muse_utf16(vendor_files.write_muse(ecg)))
    yield case("muse-strip.xml", "a longer rhythm strip of three leads before the recording", _muse_strip(ecg))
    yield Case(
        name="muse-lead-off.xml",
        shows="V3 is marked LeadOff: no signal, whatever is stored",
        content=_muse_lead_off(vendor_files.write_muse(ecg), "V3"),
        signal=_missing(ecg, "V3", 0, ecg.signal.shape[1]),
    )
    yield case(
        "cardiosoft.xml",
        "GE CardioSoft: the strip, not the medians or full disclosure",
        vendor_files.write_cardiosoft(ecg),
    )
    yield case(
        "schiller.xml", "Schiller SEMA: the rhythm, not the averages before it", vendor_files.write_schiller(ecg)
    )
    yield case("mfer.mwf", "MFER (ISO 22077), blocks of 500 samples", vendor_files.write_mfer(ecg))
    yield case(
        "mortara.xml", "Mortara ELI: one CHANNEL a lead, the typical cycle left out", vendor_files.write_mortara(ecg)
    )
    for version in ("1.03", "1.04"):
        content = vendor_files.write_philips(ecg, version=version)
        yield case(f"philips-{version}.xml", "XLI-compressed; the calibration pulse at the end is no ECG", content)
    yield case("philips-plain.xml", "uncompressed", vendor_files.write_philips(ecg, compressed=False))
    for order in (0, 1, 2):
        yield case(
            f"scp-huffman-{order}.scp",
            f"Huffman, differences of order {order}",
            scp_writer.write_scp(ecg, order=order),
        )
    yield case("scp-plain.scp", "no section 2: plain 16-bit samples", scp_writer.write_scp(ecg, coding="plain"))
    yield case("scp-own-table.scp", "a Huffman table of the record's own", scp_writer.write_scp(ecg, coding="custom"))
    yield case(
        "scp-two-tables.scp", "Huffman tables that switch to one another", scp_writer.write_scp(ecg, coding="switching")
    )
    yield case("scp-beats.scp", "reference beats subtracted", scp_writer.write_scp(ecg, subtracted=True))
    yield Case(
        name="scp-bimodal.scp",
        shows="bimodal compression: one sample for four outside the QRS complexes, straight lines between them",
        content=scp_writer.write_scp(ecg, bimodal=4),
        signal=scp_writer.bimodal_signal(ecg, 4),
    )
    yield case("scp-zero-based.scp", "lead ranges that start at 0", scp_writer.write_scp(ecg, zero_based=True))
    yield from (case(f"edf{name}.edf", shows, content) for name, shows, content in _edf_dialects(ecg))
    yield case("wfdb.zip", "a WFDB record packed into a plain zip", wfdb_writer.write_ecg(ecg))
    for name, shows, content, signal in golden_wfdb.read_cases(ecg):
        yield Case(name=f"wfdb-{name}.zip", shows=shows, content=content, signal=signal)
    for embed in ("dicom", "aecg"):
        content = oru_writer.write_ecg(ecg, control_id="GOLDEN1", sent_at=_SENT_AT, embed=embed)
        yield case(f"oru-{embed}.hl7", f"HL7 v2 ORU^R01 with {embed} as base64 in OBX-5 (ED)", content)


def _utf16(document: bytes) -> bytes:
    return document.decode().replace("utf-8", "utf-16").encode("utf-16-le").join((b"\xff\xfe", b""))


def _muse_utf16(document: bytes) -> bytes:
    text = document.decode("latin-1").replace("ISO-8859-1", "UTF-16")
    return b"\xff\xfe" + text.encode("utf-16-le")


def _muse_strip(ecg: Ecg) -> bytes:
    longer = vendor_files.write_muse(replace(ecg, signal=np.concatenate([ecg.signal] * 3, axis=1)))
    strip = longer[longer.index(b"<Waveform><WaveformType>Rhythm") : longer.index(b"</RestingECG>")]
    head, *leads = strip.split(b"<LeadData>")
    kept = [lead for lead in leads if any(f"<LeadID>{name}<".encode() in lead for name in ("II", "V1", "V5"))]
    block = b"<LeadData>".join([head, *kept]).removesuffix(b"</Waveform>\n").removesuffix(b"</Waveform>")
    return vendor_files.write_muse(ecg).replace(b"<Waveform>", block + b"</Waveform><Waveform>", 1)


def _muse_lead_off(document: bytes, lead: str) -> bytes:
    parts = document.split(b"<LeadData>")
    marked = [
        part.replace(b"<LeadOff>FALSE", b"<LeadOff>TRUE") if f"<LeadID>{lead}<".encode() in part else part
        for part in parts
    ]
    return b"<LeadData>".join(marked)


def _edf_dialects(ecg: Ecg) -> Iterator[tuple[str, str, bytes]]:
    plain = vendor_files.write_edf(ecg)

    def changed(at: int, width: int, texts: list[bytes], content: bytes = plain) -> bytes:
        field = b"".join(text.ljust(width) for text in texts)
        return content[:at] + field + content[at + len(field) :]

    labels, units, low, high = 256, 256 + 12 * 96, 256 + 12 * 104, 256 + 12 * 112
    micro = changed(high, 8, [b"163835"] * 12, changed(low, 8, [b"-163840"] * 12))
    content = plain
    yield "", "EDF, data records of one second", plain
    for name, encoding in (("latin1", "latin-1"), ("utf8", "utf-8"), ("sjis", "shift-jis")):
        mu = "µV" if encoding != "shift-jis" else "μV"
        yield (
            f"-micro-{name}",
            f"the unit is written with a mu in {encoding}",
            changed(units, 8, [mu.encode(encoding)] * 12, micro),
        )
    yield "-ekg-labels", "leads named `EKG I`", changed(labels, 16, [f"EKG {lead}".encode() for lead in LEADS])
    yield "-ref-labels", "leads named `ECG I-Ref`", changed(labels, 16, [f"ECG {lead}-Ref".encode() for lead in LEADS])
    yield "-open", "the number of data records is -1", changed(236, 8, [b"-1"])
    for at, text in ((low, "163.835"), (high, "-163.84"), (high + 96, "32767"), (high + 192, "-32768")):
        content = changed(at, 8, [text.encode()] * 12, content)
    yield "-reversed", "physical and digital ranges both reversed", content


def _other_refused(ecg: Ecg) -> Iterator[Case]:
    def case(name: str, shows: str, refusal: str, content: bytes) -> Case:
        return Case(name=name, shows=shows, content=content, refusal=refusal)

    aecg = aecg_writer.write_ecg(ecg)
    bomb = b"<!DOCTYPE AnnotatedECG [<!ENTITY a 'aaaaaaaa'>]><AnnotatedECG"
    yield case(
        "aecg-refused-entity.xml", "an entity, never expanded", "xml-entities", aecg.replace(b"<AnnotatedECG", bomb, 1)
    )
    beat = aecg.replace(b'"RHYTHM"', b'"REPRESENTATIVE_BEAT"')
    yield case("aecg-refused-beat.xml", "only a representative beat", "no-recording", beat)
    muse = vendor_files.write_muse(ecg).replace(b"<LeadDataCRC32>", b"<LeadDataCRC32>1")
    yield case("muse-refused-crc.xml", "samples and CRC do not agree", "checksum-mismatch", muse)
    version = vendor_files.write_philips(ecg).replace(b"SierraECG", b"MortaraECG")
    yield case("philips-refused-type.xml", "another document type", "unsupported-version", version)
    uncalibrated = wfdb_writer.write_record(replace(ecg, statements=()), "r")
    uncalibrated["r.hea"] = uncalibrated["r.hea"].replace(b"1000.0(0)/mV", b"0(0)/mV")
    packed = pack_record(uncalibrated)
    median = {"00001_medians.hea" if name.endswith(".hea") else name: data for name, data in uncalibrated.items()}
    median["00001_medians.hea"] = uncalibrated["r.hea"].replace(b"r 12", b"medians/00001_medians 12", 1)
    yield case("wfdb-refused-median.zip", "a median beat, which names itself so", "only-derived", pack_record(median))
    yield case("wfdb-refused-gain.zip", "gain 0: uncalibrated", "no-sensitivity", packed)
    schiller = b"<?xml version='1.0'?><examination><manufacturer>SCHILLER AG</manufacturer></examination>"
    yield case("refused-schiller.xml", "a maker's own XML", "maker-format", schiller)
    yield case("refused.pdf", "a picture of an ECG", "not-a-recording", b"%PDF-1.4\n%%EOF\n")
