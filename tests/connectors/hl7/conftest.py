"""An ECG and a reading context that the HL7 tests share."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ecgfm_connectors.base import Disposition, Verdict
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, AcquiredAt, Ecg
from ecgfm_connectors.patient import Identifier, Patient


@pytest.fixture
def context() -> ReadingContext:
    return ReadingContext(default_authority="SITE", zone=ZoneInfo("Europe/Berlin"))


@pytest.fixture
def patient() -> Patient:
    return Patient(
        identifiers=(Identifier(authority="HOSP", value="123"),),
        birth_date=date(1950, 4, 5),
        sex="F",
        family_name="TEST",
        given_name="PATIENT",
    )


@pytest.fixture
def ecg(patient: Patient) -> Ecg:
    """10 s, 500 Hz, steps of 10 µV (of 5 µV in the augmented leads), limb leads that obey Einthoven's law."""
    rng = np.random.default_rng(7)
    signal = np.round(rng.normal(0, 20, (12, 5000))) / 100
    one, two = signal[0], signal[1]
    signal[2], signal[3], signal[4], signal[5] = two - one, -(one + two) / 2, one - two / 2, two - one / 2
    at = AcquiredAt(at=datetime(2026, 3, 1, 8, 30, tzinfo=UTC), zone_source="offset", original="20260301083000+0000")
    return Ecg(
        source_id="1.2.3.4.5",
        format="dicom",
        patient=patient,
        acquired=at,
        sampling_rate=500.0,
        signal=signal.astype(np.float32),
        stored_leads=LEADS,
    )


@pytest.fixture
def staged() -> Verdict:
    return Verdict(disposition=Disposition.STAGED)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Returns once the condition holds; fails after two minutes."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail("the condition did not come true within 120 s")
            threading.Event().wait(0.02)

    return wait
