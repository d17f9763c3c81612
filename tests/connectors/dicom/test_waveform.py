"""DICOM ECG objects of every make: the signal comes out exact, or the object is refused with the true reason."""

import zlib
from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom.sop_classes import ECG_SOP_CLASSES
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import PayloadError, Unreadable
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing.dicom_writer import PADDING, write_ecg

ReadOne = Callable[[bytes], Ecg]


@pytest.fixture
def dataset(ecg: Ecg) -> Dataset:
    """A valid object, to be spoiled."""
    return pydicom.dcmread(BytesIO(write_ecg(ecg)))


def encode(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def group(dataset: Dataset) -> Dataset:
    found: Dataset = dataset.WaveformSequence[0]
    return found


def channel(dataset: Dataset, lead: str) -> Dataset:
    found: Dataset = group(dataset).ChannelDefinitionSequence[LEADS.index(lead)]
    return found


def raw(dataset: Dataset) -> "np.ndarray[tuple[int, int], np.dtype[np.int16]]":
    """(samples, channels), writable."""
    item = group(dataset)
    return np.frombuffer(item.WaveformData, "<i2").reshape(-1, item.NumberOfWaveformChannels).copy()


def put(dataset: Dataset, samples: "np.ndarray[tuple[int, int], np.dtype[np.int16]]") -> None:
    group(dataset).WaveformData = samples.astype("<i2").tobytes()
    group(dataset).NumberOfWaveformSamples = len(samples)
    group(dataset).NumberOfWaveformChannels = samples.shape[1]


def refusal(content: bytes, context: ReadingContext) -> str:
    with pytest.raises(PayloadError) as caught:
        read(content, context)
    return f"{type(caught.value).__name__} {caught.value.code}"


def codes(ecg: Ecg) -> list[str]:
    return [finding.code for finding in ecg.findings]


def test_everything_comes_back(ecg: Ecg, read_one: ReadOne) -> None:
    found = read_one(write_ecg(ecg))
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-6)
    assert found.patient == ecg.patient
    assert found.acquired is not None
    assert ecg.acquired is not None
    assert found.acquired.at == ecg.acquired.at
    assert found.acquired.zone_source == "offset"
    assert (found.filters, found.statements) == (ecg.filters, ecg.statements)
    assert (found.order.placer, found.order.filler, found.order.accession) == ("ORD-1", "ECG-1", "ACC-1")
    assert found.source_id == ecg.source_id
    assert found.findings == ()
    assert not found.signal.flags.writeable


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_transfer_syntaxes(ecg: Ecg, read_one: ReadOne, syntax: pydicom.uid.UID) -> None:
    np.testing.assert_allclose(read_one(write_ecg(ecg, transfer_syntax=syntax)).signal, ecg.signal, atol=1e-6)


def test_explicit_big_endian_is_swapped(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    samples = raw(dataset)
    samples[:10, 0] = PADDING
    item = group(dataset)
    item.WaveformData = samples.astype(">i2").tobytes()
    item.WaveformPaddingValue = PADDING.to_bytes(2, "big", signed=True)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=False, little_endian=False, enforce_file_format=True)
    found = read_one(stream.getvalue())
    assert np.isnan(found.signal[0, :10]).all()
    np.testing.assert_allclose(found.signal[:, 10:], ecg.signal[:, 10:], atol=1e-6)


def test_a_bare_data_set_is_read(ecg: Ecg, read_one: ReadOne) -> None:
    content = write_ecg(ecg)
    meta_end = 144 + int.from_bytes(content[140:144], "little")
    np.testing.assert_allclose(read_one(content[meta_end:]).signal, ecg.signal, atol=1e-6)


def test_padding_becomes_nan_before_scaling(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    samples = raw(dataset)
    samples[4000:, 7] = PADDING
    put(dataset, samples)
    found = read_one(encode(dataset))
    assert np.isnan(found.signal[7, 4000:]).all()
    assert np.nanmax(np.abs(found.signal)) < 5
    assert codes(found) == ["padding-masked"]


def test_padding_value_zero_does_not_eat_the_isoelectric_line(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    group(dataset).WaveformPaddingValue = b"\0\0"
    samples = raw(dataset)
    samples[3000:3020] = 0  # 40 ms: a flat stretch of signal
    samples[4500:, :6] = 0  # 1 s: missing
    put(dataset, samples)
    found = read_one(encode(dataset))
    assert np.isfinite(found.signal[6:]).all()
    assert np.isfinite(found.signal[:6, :4499]).all()
    assert np.isnan(found.signal[:6, 4500:]).all()
    assert codes(found) == ["padding-ambiguous", "padding-masked"]


def test_undeclared_sentinel(dataset: Dataset, read_one: ReadOne) -> None:
    del group(dataset).WaveformPaddingValue
    samples = raw(dataset)
    samples[:100, 9] = -32768
    put(dataset, samples)
    found = read_one(encode(dataset))
    assert np.isnan(found.signal[9, :100]).all()
    assert codes(found) == ["padding-undeclared"]


@pytest.mark.parametrize(
    ("code", "meaning", "sensitivity"),
    [
        ("uV", "microvolt", "2.5"),
        ("µV", "", "2.5"),
        ("mV", "millivolt", "0.0025"),
        ("MV", "", "0.0025"),
        ("nV", "nanovolt", "2500"),
        ("V", "volt", "0.0000025"),
        ("", "microvolt", "2.5"),
    ],
)
def test_units(ecg: Ecg, dataset: Dataset, read_one: ReadOne, code: str, meaning: str, sensitivity: str) -> None:
    for lead in LEADS:
        definition = channel(dataset, lead)
        definition.ChannelSensitivity = sensitivity
        unit = definition.ChannelSensitivityUnitsSequence[0]
        unit.CodeValue, unit.CodeMeaning = code, meaning
    np.testing.assert_allclose(read_one(encode(dataset)).signal, ecg.signal, atol=1e-5)


def test_correction_factor_and_baseline(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    channel(dataset, "V1").ChannelSensitivityCorrectionFactor = "2"
    channel(dataset, "V1").ChannelBaseline = "100"  # in the sensitivity's unit, µV
    found = read_one(encode(dataset))
    np.testing.assert_allclose(found.signal[6], ecg.signal[6] * 2 + 0.1, atol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda d: delattr(channel(d, "V4"), "ChannelSensitivity"), "Refused no-sensitivity"),
        (lambda d: setattr(channel(d, "V4"), "ChannelSensitivity", "0"), "Refused no-sensitivity"),
        (lambda d: setattr(channel(d, "V4"), "ChannelSensitivityCorrectionFactor", "0"), "Refused no-sensitivity"),
        (lambda d: delattr(channel(d, "V4"), "ChannelSensitivityUnitsSequence"), "Refused unknown-unit"),
        (
            lambda d: setattr(channel(d, "V4").ChannelSensitivityUnitsSequence[0], "CodeValue", "mm[Hg]"),
            "Refused unknown-unit",
        ),
        (lambda d: setattr(group(d), "WaveformSampleInterpretation", "US"), "Refused sample-interpretation"),
        (lambda d: setattr(group(d), "WaveformSampleInterpretation", "AB"), "Refused sample-interpretation"),
        (lambda d: setattr(group(d), "WaveformBitsAllocated", 8), "Refused sample-interpretation"),
        (lambda d: setattr(group(d), "NumberOfWaveformSamples", 5001), "Unreadable waveform-length"),
        (lambda d: setattr(group(d), "WaveformData", group(d).WaveformData[:-2]), "Unreadable waveform-length"),
        (lambda d: setattr(group(d), "NumberOfWaveformChannels", 11), "Unreadable channel-count"),
        (lambda d: delattr(group(d), "SamplingFrequency"), "Unreadable sampling-frequency"),
        (lambda d: setattr(group(d), "SamplingFrequency", "0"), "Unreadable sampling-frequency"),
        (lambda d: setattr(group(d), "NumberOfWaveformSamples", 0), "Unreadable sample-count"),
        (lambda d: setattr(d, "WaveformSequence", []), "Refused no-waveform"),
        (lambda d: delattr(d, "WaveformSequence"), "Refused no-waveform"),
        (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.104.1"), "Refused sop-class"),
        (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"), "Refused sop-class"),
        (lambda d: setattr(channel(d, "V4"), "ChannelLabel", "V5"), "Refused lead-doubtful"),
    ],
)
def test_refusals(dataset: Dataset, context: ReadingContext, spoil: Callable[[Dataset], None], reason: str) -> None:
    spoil(dataset)
    assert refusal(encode(dataset), context) == reason


def test_truncated_and_foreign_bytes(ecg: Ecg, context: ReadingContext) -> None:
    content = write_ecg(ecg)
    assert refusal(content[:100], context).startswith("Unreadable")
    assert refusal(content[:300], context).startswith("Unreadable")
    assert refusal(content[: len(content) // 2], context).startswith("Unreadable")
    assert refusal(b"\x08\x00garbage", context).startswith("Unreadable")


def test_deflate_bomb_is_refused_early(ecg: Ecg, context: ReadingContext) -> None:
    content = write_ecg(ecg, transfer_syntax=DeflatedExplicitVRLittleEndian)
    end = 144 + int.from_bytes(content[140:144], "little")
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = squeeze.compress(bytes(300_000_000)) + squeeze.flush()
    assert refusal(content[:end] + bomb, context) == "Refused too-large"


def test_scpecg_codes_of_older_objects(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    for definition in group(dataset).ChannelDefinitionSequence:
        code = definition.ChannelSourceSequence[0]
        code.CodeValue = code.CodeValue.replace("2:", "5.6.3-9-")
        code.CodingSchemeDesignator = "SCPECG"
    assert read_one(encode(dataset)).stored_leads == LEADS


def test_lead_by_label_where_the_code_is_private(dataset: Dataset, read_one: ReadOne) -> None:
    for definition in group(dataset).ChannelDefinitionSequence:
        code = definition.ChannelSourceSequence[0]
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "X-17", "99VENDOR", "electrode"
    assert read_one(encode(dataset)).stored_leads == LEADS


def test_minus_avr_is_turned(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    samples = raw(dataset)
    samples[:, 3] *= -1
    put(dataset, samples)
    code = channel(dataset, "aVR").ChannelSourceSequence[0]
    code.CodeValue, code.CodeMeaning = "2:65", "aVR"  # as published lists print it, the minus sign lost
    found = read_one(encode(dataset))
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-6)
    assert found.findings == ()


@pytest.mark.parametrize(
    ("status", "code", "without_signal"),
    [
        ("DISCONNECTED", "channel-disconnected", True),
        ("INVALID", "channel-invalid", True),
        ("QUESTIONABLE", "channel-questionable", False),
        ("UNCALIBRATED", "channel-uncalibrated", False),
        ("TEST DATA", "test-data", False),
    ],
)
def test_channel_status(dataset: Dataset, read_one: ReadOne, status: str, code: str, without_signal: bool) -> None:
    channel(dataset, "V2").ChannelStatus = status
    found = read_one(encode(dataset))
    assert codes(found) == [code]
    assert bool(np.isnan(found.signal[7]).all()) is without_signal
    assert found.test_data is (status == "TEST DATA")


@pytest.mark.parametrize(("keyword", "value"), [("ChannelSampleSkew", "5"), ("ChannelTimeSkew", "0.01")])
def test_skew_moves_a_channel(ecg: Ecg, dataset: Dataset, read_one: ReadOne, keyword: str, value: str) -> None:
    definition = channel(dataset, "V6")
    del definition.ChannelSampleSkew
    setattr(definition, keyword, value)
    found = read_one(encode(dataset))
    assert np.isnan(found.signal[11, :5]).all()
    np.testing.assert_allclose(found.signal[11, 5:], ecg.signal[11, :-5], atol=1e-6)
    assert codes(found) == ["channel-skew", "not-simultaneous"]


@pytest.mark.parametrize(
    ("interpretation", "bits", "kind", "step"), [("SL", 32, "<i4", 0.1), ("SB", 8, "i1", 50.0), ("SS", 16, "<i2", 2.5)]
)
def test_sample_widths(
    ecg: Ecg, dataset: Dataset, read_one: ReadOne, interpretation: str, bits: int, kind: str, step: float
) -> None:
    item = group(dataset)
    item.WaveformSampleInterpretation, item.WaveformBitsAllocated = interpretation, bits
    for definition in item.ChannelDefinitionSequence:
        definition.ChannelSensitivity, definition.WaveformBitsStored = str(step), bits
    del item.WaveformPaddingValue
    data = np.rint(ecg.signal.T * 1000 / step).astype(kind).tobytes()
    item.WaveformData = data
    np.testing.assert_allclose(read_one(encode(dataset)).signal, ecg.signal, atol=step / 2000 + 1e-6)


def test_twelve_bits_stored_without_sign_extension(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    put(dataset, raw(dataset) & 0x0FFF)
    for definition in group(dataset).ChannelDefinitionSequence:
        definition.WaveformBitsStored = 12
    np.testing.assert_allclose(read_one(encode(dataset)).signal, ecg.signal, atol=1e-6)


def median_beat(dataset: Dataset) -> Dataset:
    item: Dataset = pydicom.dcmread(BytesIO(encode(dataset))).WaveformSequence[0]
    item.WaveformOriginality, item.MultiplexGroupLabel = "DERIVED", "MEDIAN BEAT"
    item.WaveformData = item.WaveformData[: 600 * 24]
    item.NumberOfWaveformSamples = 600
    return item


def test_the_recording_is_chosen_not_the_first_group(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    dataset.WaveformSequence.insert(0, median_beat(dataset))
    for item in dataset.WaveformSequence:
        del item.MultiplexGroupLabel  # some carts write none
    np.testing.assert_allclose(read_one(encode(dataset)).signal, ecg.signal, atol=1e-6)


def test_only_a_median_beat(dataset: Dataset, context: ReadingContext) -> None:
    dataset.WaveformSequence = [median_beat(dataset)]
    assert refusal(encode(dataset), context) == "Refused only-derived"


def test_recording_marked_derived_is_noted(dataset: Dataset, read_one: ReadOne) -> None:
    group(dataset).WaveformOriginality = "DERIVED"
    assert codes(read_one(encode(dataset))) == ["marked-derived"]


def split(dataset: Dataset, *, samples: int, offsets: tuple[int, ...]) -> None:
    """Four groups of three leads, each `samples` long, at the given offsets in ms."""
    whole = raw(dataset)
    items = []
    for column, offset in enumerate(offsets):
        item = pydicom.dcmread(BytesIO(encode(dataset))).WaveformSequence[0]
        rows = slice(3 * column, 3 * column + 3)
        item.ChannelDefinitionSequence = item.ChannelDefinitionSequence[rows]
        item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = 3, samples
        item.WaveformData = whole[:samples, rows].astype("<i2").tobytes()
        item.MultiplexGroupTimeOffset = offset
        items.append(item)
    dataset.WaveformSequence = items


def test_four_groups_one_after_another_are_not_simultaneous(dataset: Dataset, context: ReadingContext) -> None:
    split(dataset, samples=1250, offsets=(0, 2500, 5000, 7500))
    assert refusal(encode(dataset), context) == "Refused not-simultaneous"


def test_four_short_groups_that_all_claim_offset_zero(dataset: Dataset, context: ReadingContext) -> None:
    split(dataset, samples=1250, offsets=(0, 0, 0, 0))
    assert refusal(encode(dataset), context) == "Refused not-simultaneous"


def test_groups_recorded_together_are_joined(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    split(dataset, samples=5000, offsets=(0, 0, 0, 0))
    np.testing.assert_allclose(read_one(encode(dataset)).signal, ecg.signal, atol=1e-6)


def test_ecg_stored_as_hemodynamic(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.9.2.1"
    item = pydicom.dcmread(BytesIO(encode(dataset))).WaveformSequence[0]
    item.ChannelDefinitionSequence = item.ChannelDefinitionSequence[:1]
    pressure = item.ChannelDefinitionSequence[0]
    pressure.ChannelLabel = pressure.ChannelSourceSequence[0].CodeMeaning = "Aortic pressure"
    pressure.ChannelSourceSequence[0].CodeValue = "2:13328"
    pressure.ChannelSensitivityUnitsSequence[0].CodeValue = "mm[Hg]"
    item.NumberOfWaveformChannels = 1
    item.WaveformData = bytes(2 * 5000)
    dataset.WaveformSequence.insert(0, item)
    np.testing.assert_allclose(read_one(encode(dataset)).signal, ecg.signal, atol=1e-6)


def test_identity_without_issuer_belongs_to_the_site(dataset: Dataset, read_one: ReadOne) -> None:
    del dataset.IssuerOfPatientID
    (identifier,) = read_one(encode(dataset)).patient.identifiers
    assert identifier.authority == "SITE"


def test_time_falls_back_and_says_so(dataset: Dataset, read_one: ReadOne) -> None:
    del dataset.AcquisitionDateTime
    found = read_one(encode(dataset))
    assert found.acquired is not None
    assert found.acquired.zone_source == "message"
    assert codes(found) == ["acquisition-time-fallback"]
    for keyword in ("StudyDate", "ContentDate"):
        setattr(dataset, keyword, "")
    found = read_one(encode(dataset))
    assert found.acquired is None
    assert codes(found) == ["acquisition-time-missing"]


def test_values_senders_break_are_read_all_the_same(dataset: Dataset, read_one: ReadOne) -> None:
    with pydicom.config.disable_value_validation():
        dataset.SOPInstanceUID = "1.2.826.0.1..7"
        dataset.PatientBirthDate = "unknown"
        dataset.AccessionNumber = "ACC-" + "9" * 40
        content = encode(dataset)
    found = read_one(content)
    assert found.source_id == "1.2.826.0.1..7"
    assert found.patient.birth_date is None
    assert len(found.order.accession) == 44


def test_nothing_of_the_patient_in_an_error(dataset: Dataset, context: ReadingContext) -> None:
    dataset.PatientName, dataset.PatientID = "SECRETNAME", "SECRETID"
    group(dataset).WaveformData = b"\0\0"
    with pytest.raises(Unreadable) as caught:
        read(encode(dataset), context)
    assert "SECRET" not in str(caught.value)


# --- real objects, in place -------------------------------------------------------------------------------------------


def reference(path: Path, index: int = 0) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """(leads, samples) in mV by pydicom's own decoder: right where there is no padding and the unit is µV."""
    samples: np.ndarray[tuple[int, int], np.dtype[np.float64]] = pydicom.dcmread(path).waveform_array(index)
    return samples.T / 1000


Corpus = Callable[[str], Path]


def test_mortara_eli_250(corpus: Corpus, read_one: ReadOne) -> None:
    path = corpus("dicom/pydicom+pydicom/waveform_ecg.dcm")
    found = read_one(path.read_bytes())
    assert (found.sampling_rate, found.signal.shape) == (1000.0, (12, 10000))
    np.testing.assert_allclose(found.signal, reference(path), atol=1e-6)
    assert found.statements == ("RITMO SINUSALE", "ECG NORMALE")
    assert ("RR Interval", "982 ms") in found.measurements
    assert found.findings == ()


def test_ge_mv360(corpus: Corpus, read_one: ReadOne) -> None:
    path = corpus("dicom/PyPI+ecgprocess-1.2.0/example-DICOM1.dcm")
    found = read_one(path.read_bytes())
    assert (found.device.model, found.filters.low_pass) == ("MV360", 150.0)
    np.testing.assert_allclose(found.signal, reference(path), atol=1e-6)


def test_converter_output_with_padding_zero_and_bad_uids(corpus: Corpus, read_one: ReadOne) -> None:
    path = corpus("dicom/Refactoring+ECGToolkit/Example.dcm")
    found = read_one(path.read_bytes())
    np.testing.assert_allclose(found.signal, reference(path), atol=1e-6)
    assert codes(found) == ["padding-ambiguous"]
    assert ".." in found.source_id


def test_converter_output_one_sample_short(corpus: Corpus, read_one: ReadOne) -> None:
    path = corpus("dicom/CaboLabs+dicom-waveform/Example.dcm")
    assert read_one(path.read_bytes()).signal.shape == (12, 4999)


def test_the_recording_inside_pydicom_itself(read_one: ReadOne) -> None:
    path = Path(str(pydicom.data.get_testdata_file("waveform_ecg.dcm")))
    np.testing.assert_allclose(read_one(path.read_bytes()).signal, reference(path), atol=1e-6)


@pytest.mark.parametrize(
    ("times", "expected", "code"),
    [
        (
            {"AcquisitionDate": "20260301", "AcquisitionTime": "203000"},
            "2026-03-01T20:30:00",
            "acquisition-time-fallback",
        ),
        ({"ContentDate": "20260301", "ContentTime": "203000"}, "2026-03-01T20:30:00", "acquisition-time-fallback"),
        ({"StudyDate": "20260228", "StudyTime": "203000"}, "2026-03-01T00:00:00", "acquisition-time-date-only"),
        ({}, "2026-03-01T00:00:00", "acquisition-time-date-only"),
    ],
)
def test_acquisition_date_without_time(
    dataset: Dataset, read_one: ReadOne, times: dict[str, str], expected: str, code: str
) -> None:
    for keyword in ("Acquisition", "Content", "Study"):
        for part in ("Date", "Time"):
            setattr(dataset, keyword + part, times.get(keyword + part, ""))
    dataset.AcquisitionDateTime = "20260301"
    found = read_one(encode(dataset))
    assert found.acquired is not None
    assert found.acquired.at.replace(tzinfo=None).isoformat() == expected
    assert code in codes(found)


def test_a_longer_strip_of_three_leads_is_not_the_recording(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    strip = deepcopy(group(dataset))
    kept = [LEADS.index(lead) for lead in ("II", "V1", "V5")]
    strip.ChannelDefinitionSequence = [strip.ChannelDefinitionSequence[index] for index in kept]
    samples = np.ascontiguousarray(np.concatenate([raw(dataset)[:, kept]] * 6))
    strip.NumberOfWaveformChannels, strip.NumberOfWaveformSamples = 3, len(samples)
    strip.WaveformData = samples.tobytes()
    dataset.WaveformSequence.insert(0, strip)
    np.testing.assert_allclose(read_one(encode(dataset)).signal, ecg.signal, atol=1e-6)


def test_two_recordings_in_one_object_are_noted(ecg: Ecg, dataset: Dataset, read_one: ReadOne) -> None:
    second = deepcopy(group(dataset))
    second.WaveformData = (raw(dataset) // 2).astype("<i2").tobytes()
    dataset.WaveformSequence.append(second)
    found = read_one(encode(dataset))
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-6)
    assert codes(found) == ["several-recordings"]


WAVEFORM_CLASSES = {
    uid: entry[0]
    for uid, entry in UID_dictionary.items()
    if uid.startswith("1.2.840.10008.5.1.4.1.1.9.") and entry[1] == "SOP Class" and not entry[3]
}


@pytest.mark.parametrize("uid", WAVEFORM_CLASSES)
def test_every_waveform_class_of_the_standard_is_read_or_refused_by_name(
    dataset: Dataset, context: ReadingContext, uid: str
) -> None:
    dataset.SOPClassUID = uid
    if uid in ECG_SOP_CLASSES:
        assert read(encode(dataset), context).ecgs
        return
    with pytest.raises(PayloadError, match=WAVEFORM_CLASSES[uid]) as caught:
        read(encode(dataset), context)
    assert caught.value.code == "sop-class"
