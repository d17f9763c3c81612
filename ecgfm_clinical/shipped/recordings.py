"""The generated 12-lead recordings that ship with the package: 10 s, 500 Hz, of nobody."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.ecg.beats import Signal

FILE = Path(__file__).parent / "data" / "recordings.npz"
SAMPLING_RATE = 500.0  #: Hz
STORED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")  #: the other four follow from I and II


def twelve(independent: NDArray[np.float64]) -> Signal:
    """(8, samples) in the order of `STORED` -> (12, samples) by Einthoven's and Goldberger's equations."""
    one, two = independent[:2]
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *independent[2:]])


def load(index: int) -> Signal:
    """Recording `index` as (12, 5000) float64 in mV. Raises IndexError past the last one."""
    return twelve(_microvolt()[index] / 1000.0)


def count() -> int:
    """How many recordings there are."""
    return len(_microvolt())


@cache
def _microvolt() -> NDArray[np.int16]:
    with np.load(FILE) as file:
        return np.cumsum(file["differences"], axis=2, dtype=np.int16)


def write(path: Path, seeds: list[int], signals: NDArray[np.float64]) -> None:
    """Keep (recordings, 8, samples) in mV as whole µV, sample to sample differences, which compress to a third."""
    microvolt = np.rint(signals * 1000.0).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path, seeds=np.array(seeds, dtype=np.int32), differences=np.diff(microvolt, axis=2, prepend=np.int16(0))
    )
