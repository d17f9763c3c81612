"""For tests of the hall, ours and a site's own: a clock that is turned by hand, and ECGs of invented patients."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Event

import numpy as np
from numpy.typing import ArrayLike

from ecgfm_clinical.shipped import recordings
from ecgfm_connectors.ecg import LEADS, AcquiredAt, Ecg
from ecgfm_connectors.patient import Identifier, Patient


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


def make_ecg(number: int = 1, signal: ArrayLike | None = None, **changes: object) -> Ecg:
    """The ECG of invented patient `number`; any field can be changed."""
    samples = recordings.load(number % recordings.count()) if signal is None else signal
    ecg = Ecg(
        source_id=f"1.2.3.{number}",
        format="test",
        patient=Patient(
            identifiers=(Identifier(authority="TEST", value=f"T{number}"),),
            birth_date=date(1960, 5, 17),
            sex="F",
            family_name="TESTFAMILY",
            given_name=f"TESTGIVEN{number}",
        ),
        acquired=AcquiredAt(
            at=datetime(2026, 3, 1, 7, 0, tzinfo=UTC), zone_source="offset", original="20260301070000+0000"
        ),
        sampling_rate=500.0,
        signal=np.ascontiguousarray(samples, dtype=np.float32),
        stored_leads=LEADS,
    )
    return replace(ecg, **changes)  # type: ignore[arg-type]  # each test names fields of Ecg


def wait_until(condition: Callable[[], object], *, timeout: float = 120.0) -> None:
    """Return once `condition` holds. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {timeout} s")
        Event().wait(0.02)
