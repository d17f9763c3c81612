"""One 12-lead ECG as read from any source: millivolts, canonical leads, NaN where no sample exists."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.patient import Patient
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.waveform_object import WaveformObject

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

ZoneSource = Literal["offset", "message", "site", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquiredAt:
    """When the ECG was recorded, and how sure we are of its time zone."""

    at: datetime  #: aware
    zone_source: ZoneSource  #: offset beside the time; elsewhere in the object or message; the site's configured zone
    original: str  #: the sender's own string, kept for the audit

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("acquisition time must be aware")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the device already did to the signal, Hz; None where the sender does not say."""

    high_pass: float | None = None  #: (003A,0220) Filter Low Frequency
    low_pass: float | None = None  #: (003A,0221) Filter High Frequency
    notch: float | None = None  #: (003A,0222)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The cart, as its own object names it."""

    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    software: str = ""
    station: str = ""
    institution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The numbers by which the hospital knows the request behind this ECG."""

    placer: str = ""  #: ORC-2/OBR-2, (0040,2016)
    filler: str = ""  #: ORC-3/OBR-3 of the ECG itself, (0040,2017)
    accession: str = ""  #: (0008,0050)
    study_uid: str = ""  #: Study Instance UID
    visit: str = ""  #: PV1-19 / Admission ID (0038,0010)
    stat: bool = False  #: OBR-5/TQ1-9 STAT, DICOM requested procedure priority STAT/HIGH


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a reader noticed that does not stop the ECG but may stop a head from scoring it."""

    code: str  #: stable, lower-case, hyphenated: `einthoven-violation`, `padding-masked`, `test-data`
    text: str = ""  #: one sentence for people, free of patient data


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ecg:
    """One ECG. `signal` is (12, samples) float32 in mV, rows in the order of `LEADS`, read-only, NaN = no sample."""

    source_id: str  #: SOP Instance UID, or sender + MSH-10 + OBR-3 …: the sender's own identity of this recording
    format: str  #: dicom | aecg | wfdb | muse-xml | …
    patient: Patient
    acquired: AcquiredAt | None  #: None where the source gives no time at all
    sampling_rate: float  #: Hz
    signal: NDArray[np.float32] = field(repr=False)
    stored_leads: tuple[str, ...]  #: leads the source itself carried; the others are derived or NaN
    derived_leads: tuple[str, ...] = ()  #: of III, aVR, aVL, aVF: those computed from I and II
    device: Device = Device()
    filters: Filters = Filters()
    order: Order = Order()
    statements: tuple[str, ...] = field(default=(), repr=False)  #: the device's own interpretation, as text
    coded: tuple[Statement, ...] = field(default=(), repr=False)  #: its statements that came as codes or marks
    measurements: tuple[tuple[str, str], ...] = ()  #: the device's own measurements: (name, value with unit)
    findings: tuple[Finding, ...] = ()
    test_data: bool = False  #: MSH-11 T/D, channel status TEST DATA
    order_id: str = field(default="", repr=False)  #: sender and filler number, under which its sender corrects it
    document_ids: tuple[str, ...] = field(
        default=(), repr=False
    )  #: sender and number of its document, and of the earlier
    corrects: bool = False  #: OBX-11 C: it takes the place of the recording of this order
    final: bool = False  #: OBX-11 F: its sender says that it is final
    waveform_object: WaveformObject | None = None  #: the DICOM object that it came as
    also_named: Patient | None = None  #: the other person, where the payload describes two

    def __post_init__(self) -> None:
        if self.signal.ndim != 2 or self.signal.shape[0] != len(LEADS):
            raise ValueError(f"signal must be ({len(LEADS)}, samples), not {self.signal.shape}")
        if self.signal.dtype != np.float32:
            raise ValueError(f"signal must be float32, not {self.signal.dtype}")
        if not self.sampling_rate > 0:
            raise ValueError("sampling rate must be positive")
        self.signal.setflags(write=False)

    @property
    def duration(self) -> float:
        """Seconds."""
        samples: int = self.signal.shape[1]
        return samples / self.sampling_rate
