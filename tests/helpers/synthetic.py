"""A few synthetic ECGs of known shape, for tests and benchmarks.

Each beat is a sum of Gaussian waves (P, Q, R, S, T) as in McSharry et al. 2003 (doi:10.1109/TBME.2003.808805), seen by
twelve leads with different weights. They test arithmetic, not medicine.
"""

import numpy as np
from numpy.typing import NDArray

from ecgfm.signal import SAMPLING_RATE

SECONDS = 10

#: (seconds from the R peak, amplitude in mV, width in seconds) of P, Q, R, S and T
WAVES = ((-0.17, 0.12, 0.025), (-0.035, -0.10, 0.010), (0.0, 1.0, 0.012), (0.035, -0.25, 0.012), (0.28, 0.30, 0.055))

#: how each wave projects on I, II, V1 … V6; the other four limb leads follow from I and II
PROJECTIONS = np.array(
    [
        [0.6, 1.0, 0.3, 0.4, 0.4, 0.5, 0.5, 0.5],  # P
        [0.5, 0.8, -0.5, -0.2, 0.3, 0.6, 0.8, 0.8],  # Q
        [0.7, 1.0, 0.2, 0.5, 0.9, 1.4, 1.3, 1.0],  # R
        [0.4, 0.5, 3.5, 4.5, 3.0, 1.5, 0.7, 0.4],  # S
        [0.5, 0.8, -0.3, 0.9, 1.1, 1.1, 0.9, 0.7],  # T
    ]
)


def synthetic_ecgs(count: int = 6, seed: int = 12) -> list[NDArray[np.float32]]:
    """`count` signals (12, 5000) in mV at 500 Hz; heart rate, wave sizes, wander and noise differ from one to
    the next.
    """
    draw = np.random.default_rng(seed)
    return [_ecg(draw) for _ in range(count)]


def _ecg(draw: np.random.Generator) -> NDArray[np.float32]:
    time = np.arange(SAMPLING_RATE * SECONDS) / SAMPLING_RATE
    period, irregularity = draw.uniform(0.4, 1.3), draw.choice([0.02, 0.25])
    peaks = np.cumsum(np.maximum(0.3, draw.normal(period, irregularity * period, size=40)))
    sizes = draw.uniform(0.3, 1.8, size=len(WAVES)) * draw.choice([1, 1, 1, -1], size=len(WAVES))
    eight = np.zeros((8, len(time)))
    for (offset, height, width), size, projection in zip(WAVES, sizes, PROJECTIONS, strict=True):
        beats = np.exp(-0.5 * ((time[:, None] - peaks - offset) / width) ** 2).sum(axis=1)
        eight += np.outer(projection, size * height * beats)
    eight += draw.uniform(0, 0.15, (8, 1)) * np.sin(2 * np.pi * (draw.uniform(0.1, 0.4) * time + draw.uniform()))
    eight += draw.normal(scale=draw.choice([0.005, 0.03]), size=eight.shape)
    one, two = eight[0], eight[1]
    limb = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2])
    return np.concatenate([limb, eight[2:]]).astype(np.float32)
