"""Pacing spikes in the signal: one to three samples wide, in several leads at once, alike from spike to spike.

A spike is told from a QRS complex by its flanks: a spike stands on a quiet line, while beside the peak of a QRS complex
the signal is as steep as at the peak. A loose limb electrode that clicks is told by the leads it reaches, mains by how
often the signal stands out. Filters of carts often remove spikes or smear them, so that silence proves
nothing. Sensitivity and false alarms are in connectors/BENCHMARKS.md.
"""

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.ecg import LEADS

#: Hz. Below, a spike is no wider than the distance of two samples.
LOWEST_RATE = 240.0
#: s from a spike's middle to where the line is quiet again, and how long the line is looked at.
HALF_WIDTH, FLANK = 0.006, 0.010
#: mV over its flanks in one lead; how many of the eight independent leads must show it.
HEIGHT, LEAST_LEADS = 0.05, 3
#: Root of the sum of squares over the independent leads, mV. The first false alarm among 364 real recordings comes at
#: 0.12.
TOTAL_HEIGHT = 0.20
#: Fewest spikes in a recording of 10 s; a heart paced at 30/min has five.
FEWEST = 4
#: Cosine between one spike's heights over the leads and the typical spike's.
ALIKE = 0.8
#: Spikes a second that no pacemaker gives (two chambers at 180/min are six): interference.
MOST_A_SECOND = 6.5
#: Share of the samples that stand out as spikes and QRS complexes do; 0.03 is the most in a recording without noise,
#: mains of 0.5 mV make 0.56.
BUSIEST = 0.15
#: Cosine between a spike's heights and what one limb electrode alone does to the leads: 0.997 where the electrode
#: clicks.
ONE_ELECTRODE = 0.98

_INDEPENDENT = [LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
#: What a change at RA, LA or LL alone does to the independent leads; the chest leads see a third of it, by their
#: reference.
_ELECTRODES = np.array([[-1, -1] + [-1 / 3] * 6, [1, 0] + [-1 / 3] * 6, [0, 1] + [-1 / 3] * 6])
_ELECTRODES /= np.linalg.norm(_ELECTRODES, axis=1, keepdims=True)
Signal = NDArray[np.floating]


def pacing_spikes(signal: NDArray[np.floating], sampling_rate: float) -> NDArray[np.intp]:
    """Sample numbers of pacing spikes; empty where there are none, or too few to tell them from chance.

    signal: (12, samples) mV, rows as `LEADS`; NaN counts as no signal. sampling_rate: Hz.
    """
    nothing = np.zeros(0, dtype=np.intp)
    rows = np.nan_to_num(np.asarray(signal, dtype=np.float32)[_INDEPENDENT])
    half, flank = max(2, round(HALF_WIDTH * sampling_rate)), max(3, round(FLANK * sampling_rate))
    if sampling_rate < LOWEST_RATE or rows.shape[1] < 4 * (half + flank):
        return nothing
    hits = _peaks(rows, half, half + flank)
    if len(hits) > BUSIEST * rows.shape[1]:
        return nothing
    heights = _over_quiet_line(rows, hits, half, flank)
    total = np.sqrt(np.square(heights).sum(axis=0))
    spikes = (total > TOTAL_HEIGHT) & ((np.abs(heights) > HEIGHT).sum(axis=0) >= LEAST_LEADS)
    spikes &= np.abs(_ELECTRODES @ heights).max(axis=0) < ONE_ELECTRODE * total
    chosen = _separate(hits[spikes], total[spikes], half + flank)
    places = _of_one_kind(hits[spikes][chosen], heights[:, spikes][:, chosen])
    seconds = rows.shape[1] / sampling_rate
    enough = max(3, round(FEWEST * min(1.0, seconds / 10.0)))
    return places if enough <= len(places) <= MOST_A_SECOND * seconds else nothing


def _peaks(rows: Signal, half: int, margin: int) -> NDArray[np.intp]:
    """Samples that stand out from those `half` before and after, on the same side of both: spikes and QRS complexes."""
    middle = rows[:, margin : rows.shape[1] - margin]
    before = middle - rows[:, margin - half : rows.shape[1] - margin - half]
    after = middle - rows[:, margin + half : rows.shape[1] - margin + half]
    height = np.where(before * after > 0, np.minimum(np.abs(before), np.abs(after)), 0.0)
    return np.flatnonzero(np.square(height).sum(axis=0) > TOTAL_HEIGHT**2) + margin


def _over_quiet_line(rows: Signal, places: NDArray[np.intp], half: int, flank: int) -> Signal:
    """(leads, places): how far each place stands out, mV with its sign; 0 where the line beside it is not quiet.

    The line after a spike may begin to move: the QRS complex that the spike starts follows it.
    """
    steps = np.arange(half, half + flank + 1)
    left, right = rows[:, places[:, None] - steps], rows[:, places[:, None] + steps]
    over_left, over_right = rows[:, places] - left[:, :, 0], rows[:, places] - right[:, :, 0]
    height = np.where(over_left * over_right > 0, np.minimum(np.abs(over_left), np.abs(over_right)), 0.0)
    unrest = np.maximum(1.5 * np.ptp(left, axis=2), 0.75 * np.ptp(right, axis=2))
    return np.asarray(np.where(height > unrest, np.copysign(height, over_left), 0.0))


def _separate(hits: NDArray[np.intp], total: Signal, reach: int) -> NDArray[np.intp]:
    """Indices into `hits`: the highest of each run of hits that lie closer than `reach`."""
    if not len(hits):
        return hits
    groups = np.split(np.arange(len(hits)), np.flatnonzero(np.diff(hits) > reach) + 1)
    return np.array([group[np.argmax(total[group])] for group in groups], dtype=np.intp)


def _of_one_kind(places: NDArray[np.intp], heights: Signal) -> NDArray[np.intp]:
    """The largest set of spikes that are alike over the leads; a second chamber's spikes are a kind of their own."""
    if not len(places):
        return places
    vectors = heights / np.linalg.norm(heights, axis=0)
    alike = vectors.T @ vectors >= ALIKE
    return np.asarray(places[alike[np.argmax(alike.sum(axis=0))]])
