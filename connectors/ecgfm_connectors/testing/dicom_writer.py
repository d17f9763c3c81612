"""Write an Ecg as a valid DICOM 12-lead ECG object (PS3.3 A.34.3): what a simulated cart sends."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from io import BytesIO
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from ecgfm_connectors.dicom.part10 import IMPLEMENTATION_CLASS_UID
from ecgfm_connectors.dicom.sop_classes import TWELVE_LEAD_ECG
from ecgfm_connectors.ecg import LEADS, Ecg, Filters
from ecgfm_connectors.leads import LEAD_NUMBERS

#: µV for one unit of the samples: fine enough to round-trip, coarse enough for ±80 mV in 16 bits.
SENSITIVITY = 2.5
PADDING = -32768
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def write_ecg(ecg: Ecg, *, transfer_syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """A Part 10 file with one RHYTHM/ORIGINAL group of all 12 leads; NaN becomes the padding value.

    The same Ecg gives the same bytes. Its `source_id` becomes the SOP Instance UID where it is a UID, else one is made
    from it.
    """
    dataset = FileDataset("", _header(ecg), file_meta=_meta(ecg, transfer_syntax), preamble=bytes(128))
    dataset.WaveformSequence = [_rhythm_group(ecg)]
    if ecg.statements:
        dataset.WaveformAnnotationSequence = [_statement(text) for text in ecg.statements]
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def uid_of(name: str) -> str:
    """`name` where it is a valid UID, else a UID made from it, always the same one (PS3.5 B.2)."""
    return name if len(name) <= 64 and _UID.fullmatch(name) else f"2.25.{uuid5(NAMESPACE_OID, name).int}"


def _meta(ecg: Ecg, transfer_syntax: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(TWELVE_LEAD_ECG)
    meta.MediaStorageSOPInstanceUID = UID(uid_of(ecg.source_id))
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = "ECGFM"  # the library would write its own version, and the bytes would change
    return meta


def _header(ecg: Ecg) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = TWELVE_LEAD_ECG
    dataset.SOPInstanceUID = uid_of(ecg.source_id)
    dataset.StudyInstanceUID = ecg.order.study_uid or uid_of(f"{ecg.source_id}/study")
    dataset.SeriesInstanceUID = uid_of(f"{ecg.source_id}/series")
    dataset.Modality = "ECG"
    dataset.StudyID = ""
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.AccessionNumber = ecg.order.accession[:16]
    dataset.ReferringPhysicianName = ""
    dataset.AdmissionID = ecg.order.visit
    _add_times(dataset, ecg)
    _add_patient(dataset, ecg)
    _add_device(dataset, ecg)
    _add_request(dataset, ecg)
    dataset.AcquisitionContextSequence = []
    return dataset


def _add_times(dataset: Dataset, ecg: Ecg) -> None:
    moment = ecg.acquired.at if ecg.acquired else None
    dataset.StudyDate = dataset.ContentDate = f"{moment:%Y%m%d}" if moment else ""
    dataset.StudyTime = dataset.ContentTime = f"{moment:%H%M%S}" if moment else ""
    if moment is not None:
        dataset.AcquisitionDateTime = f"{moment:%Y%m%d%H%M%S}.{moment.microsecond:06d}{_offset(moment)}"
        dataset.TimezoneOffsetFromUTC = _offset(moment)


def _offset(moment: datetime) -> str:
    offset = moment.utcoffset() or timedelta()
    minutes = int(offset.total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


def _add_patient(dataset: Dataset, ecg: Ecg) -> None:
    patient = ecg.patient
    first, *others = patient.identifiers or (None,)
    dataset.PatientName = f"{patient.family_name}^{patient.given_name}".rstrip("^")
    dataset.PatientID = first.value if first else ""
    if first:
        dataset.IssuerOfPatientID = first.authority
    dataset.PatientBirthDate = f"{patient.birth_date:%Y%m%d}" if patient.birth_date else ""
    dataset.PatientSex = patient.sex if patient.sex in ("M", "F", "O") else ""
    if others:
        dataset.OtherPatientIDsSequence = [_other_id(other.value, other.authority) for other in others if other]


def _other_id(value: str, authority: str) -> Dataset:
    item = Dataset()
    item.PatientID = value
    item.IssuerOfPatientID = authority
    item.TypeOfPatientID = "TEXT"
    return item


def _add_device(dataset: Dataset, ecg: Ecg) -> None:
    dataset.Manufacturer = ecg.device.manufacturer or "Simulated"
    dataset.ManufacturerModelName = ecg.device.model
    dataset.DeviceSerialNumber = ecg.device.serial
    dataset.SoftwareVersions = ecg.device.software
    dataset.StationName = ecg.device.station[:16]
    dataset.InstitutionName = ecg.device.institution


def _add_request(dataset: Dataset, ecg: Ecg) -> None:
    if not (ecg.order.placer or ecg.order.filler or ecg.order.stat):
        return
    item = Dataset()
    item.StudyInstanceUID = dataset.StudyInstanceUID
    item.AccessionNumber = ecg.order.accession[:16]
    item.PlacerOrderNumberImagingServiceRequest = ecg.order.placer
    item.FillerOrderNumberImagingServiceRequest = ecg.order.filler
    dataset.ReferencedRequestSequence = [item]
    if ecg.order.stat:
        dataset.RequestedProcedurePriority = "STAT"


def _rhythm_group(ecg: Ecg) -> Dataset:
    group = Dataset()
    group.MultiplexGroupTimeOffset = 0
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(LEADS)
    group.NumberOfWaveformSamples = ecg.signal.shape[1]
    group.SamplingFrequency = f"{ecg.sampling_rate:.10g}"
    group.MultiplexGroupLabel = "RHYTHM"
    group.ChannelDefinitionSequence = [_channel(lead, ecg.filters, ecg.test_data) for lead in LEADS]
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.add_new("WaveformPaddingValue", "OW", PADDING.to_bytes(2, "little", signed=True))
    with np.errstate(invalid="ignore"):
        counts = np.clip(np.rint(ecg.signal.T * (1000.0 / SENSITIVITY)), -32767, 32767)
    samples = np.where(np.isnan(ecg.signal.T), PADDING, counts).astype("<i2")
    group.add_new("WaveformData", "OW", np.ascontiguousarray(samples).tobytes())
    return group


@lru_cache(maxsize=8 * len(LEADS))
def _channel(lead: str, filters: Filters, test_data: bool) -> Dataset:
    """The same for every ECG of a cart: to make it anew is a quarter of the time of writing one."""
    channel = Dataset()
    channel.ChannelLabel = lead
    channel.ChannelSourceSequence = [_code(f"2:{LEAD_NUMBERS[lead]}", "MDC", f"Lead {lead}")]
    channel.ChannelSensitivity = f"{SENSITIVITY}"
    channel.ChannelSensitivityUnitsSequence = [_code("uV", "UCUM", "microvolt")]
    channel.ChannelSensitivityCorrectionFactor = "1"
    channel.ChannelBaseline = "0"
    channel.ChannelSampleSkew = "0"
    channel.WaveformBitsStored = 16
    if test_data:
        channel.ChannelStatus = "TEST DATA"
    for keyword, value in (
        ("FilterLowFrequency", filters.high_pass),
        ("FilterHighFrequency", filters.low_pass),
        ("NotchFilterFrequency", filters.notch),
    ):
        if value is not None:
            setattr(channel, keyword, f"{value:.10g}")
    return channel


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = scheme
    code.CodeMeaning = meaning
    return code


def _statement(text: str) -> Dataset:
    item = Dataset()
    item.ReferencedWaveformChannels = [1, 0]
    item.UnformattedTextValue = text
    item.AnnotationGroupNumber = 0
    return item
