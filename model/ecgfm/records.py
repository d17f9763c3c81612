"""ECGs as the network takes them: a signal in mV with its rate, no patient."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from ecgfm.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """One ECG to score: `signal` (12, samples) in mV, rows as in `ecgfm.signal.LEADS`; `sampling_rate` in Hz.

    `site` chooses among a bundle's operating points and changes nothing else.
    """

    signal: Signal = field(repr=False)
    sampling_rate: float
    site: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the signal as little-endian float32 and its rate: what `replay` compares."""
        values = np.ascontiguousarray(self.signal, dtype="<f4")
        return hashlib.sha256(values.tobytes() + repr(float(self.sampling_rate)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """ECGs to measure a runtime on; `about` says in words what they are and goes into the record."""

    records: tuple[Record, ...]
    about: str
