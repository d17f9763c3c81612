"""A made-up 12-lead ECG whose limb leads obey Einthoven's law: for tests, golden files and writers' checks."""

from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.ecg import LEADS, AcquiredAt, Device, Ecg, Filters, Order
from ecgfm_connectors.patient import Identifier, Patient

#: P, Q, R, S, T: centre after the beat's start (s), width (s), amplitude (mV) in a lead that sees all of the heart's
#: vector.
_WAVES = ((0.16, 0.020, 0.12), (0.33, 0.008, -0.10), (0.36, 0.010, 1.10), (0.39, 0.009, -0.25), (0.60, 0.045, 0.30))
#: The share of these amplitudes in each independent lead, I, II, V1–V6.
_SEEN = {"I": 0.6, "II": 1.0, "V1": -0.5, "V2": -0.3, "V3": 0.4, "V4": 0.9, "V5": 1.0, "V6": 0.8}


def signal(*, seed: int = 0, sampling_rate: float = 500.0, seconds: float = 10.0) -> NDArray[np.float32]:
    """(12, samples) mV, in whole 5 µV steps, which every format here can carry exactly."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * sampling_rate)) / sampling_rate
    phase = time % 0.85
    beat = sum(height * np.exp(-0.5 * ((phase - centre) / width) ** 2) for centre, width, height in _WAVES)
    rows = {}
    for lead, seen in _SEEN.items():
        wander = 0.05 * np.sin(2 * np.pi * (0.25 * time + rng.random()))
        rows[lead] = seen * beat + wander + rng.normal(0, 0.01, len(time))
    counts = {lead: np.rint(row / 0.010) * 2 for lead, row in rows.items()}  # even, so that halves are whole
    one, two = counts["I"], counts["II"]
    counts |= {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return np.stack([counts[lead] for lead in LEADS]).astype(np.float32) * np.float32(0.005)


def sample_ecg(*, seed: int = 0, sampling_rate: float = 500.0, seconds: float = 10.0) -> Ecg:
    """A complete Ecg of an invented patient; the same arguments give the same ECG."""
    at = datetime(2026, 3, 29, 14, 30, seed % 60, tzinfo=UTC)
    return Ecg(
        source_id=f"2.25.{10**20 + seed}",
        format="sample",
        patient=Patient(
            identifiers=(Identifier(authority="TESTHOSP", value=f"TEST-{seed:04d}"),),
            birth_date=date(1956, 7, 1),
            sex="F",
            family_name="TESTPATIENT",
            given_name="ANNA",
        ),
        acquired=AcquiredAt(at=at, zone_source="offset", original=at.isoformat()),
        sampling_rate=sampling_rate,
        signal=signal(seed=seed, sampling_rate=sampling_rate, seconds=seconds),
        stored_leads=LEADS,
        device=Device(manufacturer="Simulated", model="Cart 1", serial="S-1", software="1.0"),
        filters=Filters(high_pass=0.05, low_pass=150.0, notch=50.0),
        order=Order(placer="ORD-1", filler="ECG-1", accession="ACC-1", visit="VISIT-1"),
        statements=("Sinus rhythm",),
    )
