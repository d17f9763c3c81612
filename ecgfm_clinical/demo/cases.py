"""The ward list: twenty-eight invented patients, what is on each one's ECG, and how it travels to us.

Every identity is made up and says so: assigning authority DEMO, family name DEMO, numbers that begin with DEMO.
"""

import zlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from ecgfm_clinical.demo import alterations
from ecgfm_clinical.ecg.beats import Signal
from ecgfm_clinical.shipped import recordings
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Filters, Order
from ecgfm_connectors.patient import Identifier, Patient, Sex

Transport = Literal["dicom", "hl7", "aecg"]  # a WFDB record names no patient, so its result could not be filed

AUTHORITY = "DEMO"

# What the simulated cart writes on the ECG about each alteration; where it is silent, it noticed nothing.
STATEMENTS = {
    "": ("Sinus rhythm", "Normal ECG"),
    "paced": ("Ventricular-paced rhythm",),
    "wide QRS": ("Sinus rhythm", "Left bundle branch block"),
    "ST elevation": ("Sinus rhythm", "ST elevation, consider acute infarction"),
    "atrial fibrillation": ("Atrial fibrillation",),
    "noise": ("Poor data quality",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One invented patient with one ECG."""

    number: int  #: 1, 2, …; also decides which recording is used and how it is altered
    alteration: str = ""  #: a key of `alterations.RULES`; empty where the recording is left as it is
    transport: Transport
    age: int = 60  #: years
    sex: Sex
    stat: bool = False

    @property
    def identifier(self) -> str:
        """The patient's number under the authority DEMO."""
        return f"DEMO-{self.number:04d}"

    @property
    def name(self) -> str:
        """As a list would show it."""
        return f"DEMO^Patient {self.number:02d}"


def _case(number: int, transport: Transport, sex: Sex, age: int, alteration: str = "", *, stat: bool = False) -> Case:
    return Case(number=number, transport=transport, sex=sex, age=age, alteration=alteration, stat=stat)


CASES = (
    _case(1, "dicom", "F", 54),
    _case(2, "hl7", "M", 61),
    _case(3, "dicom", "M", 67, "ST elevation", stat=True),
    _case(4, "dicom", "F", 78, "wide QRS"),
    _case(5, "hl7", "M", 72, "atrial fibrillation"),
    _case(6, "dicom", "F", 45),
    _case(7, "dicom", "M", 81, "paced"),
    _case(8, "hl7", "F", 58, "lead off"),
    _case(9, "aecg", "M", 49),
    _case(10, "dicom", "F", 63),
    _case(11, "hl7", "M", 70, "ST elevation", stat=True),
    _case(12, "dicom", "M", 36, "noise"),
    _case(13, "aecg", "F", 66),
    _case(14, "dicom", "F", 29, "arm leads swapped"),
    _case(15, "hl7", "M", 75, "wide QRS"),
    _case(16, "dicom", "M", 52),
    _case(17, "dicom", "F", 84, "atrial fibrillation"),
    _case(18, "hl7", "F", 41, "too short"),
    _case(19, "dicom", "M", 57, "lead missing"),
    _case(20, "aecg", "F", 69, "ST elevation"),
    _case(21, "dicom", "F", 62),
    _case(22, "hl7", "M", 55),
    _case(23, "dicom", "M", 79, "paced"),
    _case(24, "aecg", "M", 73, "wide QRS"),
    _case(25, "dicom", "F", 12),
    _case(26, "hl7", "F", 47),
    _case(27, "dicom", "M", 65),
    _case(28, "dicom", "F", 59, "atrial fibrillation"),
)


def signal_of(case: Case) -> Signal:
    """The case's (12, samples) signal in mV at 500 Hz, always the same."""
    signal = recordings.load(case.number - 1)
    if not case.alteration:
        return signal
    seed = zlib.crc32(f"{case.number} {case.alteration}".encode())
    return alterations.RULES[case.alteration](signal, recordings.SAMPLING_RATE, np.random.default_rng(seed))


def ecg_of(case: Case, now: datetime) -> Ecg:
    """The case as a cart would have recorded it shortly before `now` (aware)."""
    acquired = (now - timedelta(minutes=90 - 3 * case.number)).replace(microsecond=0)
    return Ecg(
        source_id=unique_id(f"ecg {case.number} {acquired.isoformat()}"),
        format="dicom",
        patient=patient_of(case, acquired.date()),
        acquired=AcquiredAt(at=acquired, zone_source="offset", original=acquired.isoformat()),
        sampling_rate=recordings.SAMPLING_RATE,
        signal=signal_of(case).astype(np.float32),
        stored_leads=("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"),
        device=Device(manufacturer="Simulated", model="Demo cart", serial="DEMO-1", station="DEMO-CART"),
        filters=Filters(high_pass=0.05, low_pass=150.0),
        order=Order(
            placer=f"DEMO-P{case.number:04d}",
            filler=f"DEMO-F{case.number:04d}",
            accession=f"DEMO-A{case.number:04d}",
            study_uid=unique_id(f"study {case.number} {acquired.isoformat()}"),
            stat=case.stat,
        ),
        statements=STATEMENTS.get(case.alteration, ("Sinus rhythm",)),
    )


def patient_of(case: Case, today: date) -> Patient:
    """The invented person behind the case, `age` years and a hundred days old today."""
    return Patient(
        identifiers=(Identifier(authority=AUTHORITY, value=case.identifier),),
        birth_date=today - timedelta(days=round(365.25 * case.age) + 100),
        sex=case.sex,
        family_name="DEMO",
        given_name=f"Patient {case.number:02d}",
    )


def unique_id(name: str) -> str:
    """A DICOM UID derived from a name (PS3.5 B.2: 2.25 and a UUID as a decimal number)."""
    return f"2.25.{uuid5(NAMESPACE_OID, f'ecgfm-clinical demo {name}').int}"
