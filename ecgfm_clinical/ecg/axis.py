"""The frontal axis of the QRS complex, from the median beat."""

import math

import numpy as np

from ecgfm_clinical.ecg.median_beat import BEFORE, MedianBeat
from ecgfm_connectors.ecg import LEADS

#: How far from its middle a QRS complex may reach, s.
REACH = 0.1
#: Share of the steepest slope that still belongs to the complex.
STILL = 0.12
#: A net area smaller than this share of the whole area under the complex has no direction.
INDETERMINATE = 0.1


def frontal_axis(beat: MedianBeat) -> float | None:
    """Degrees from −180 to 180, 0 towards lead I and 90 towards aVF; None where a lead is missing or it points nowhere.

    From the net QRS areas of I and aVF. aVF is shorter than I by √3 / 2, as the mean of II and III is (Einthoven 1913).
    """
    first, last = _complex(beat)
    areas, sizes = [], []
    for lead in ("I", "aVF"):
        row = beat.signal[LEADS.index(lead), first:last]
        if not len(row) or not np.isfinite(row).all():
            return None
        over = row - row[0]
        areas.append(float(over.sum()))
        sizes.append(float(np.abs(over).sum()))
    across, down = areas[0], areas[1] * 2 / math.sqrt(3)
    if math.hypot(across, down) <= INDETERMINATE * sum(sizes):
        return None
    return math.degrees(math.atan2(down, across))


def _complex(beat: MedianBeat) -> tuple[int, int]:
    """Samples from the onset to the end of the complex: where any lead is steep."""
    rate = beat.sampling_rate
    slopes = np.abs(np.diff(np.nan_to_num(beat.signal), axis=1)).sum(axis=0)
    width = max(1, round(0.008 * rate))
    slopes = np.convolve(slopes, np.full(width, 1 / width), "same")
    middle, reach = round(BEFORE * rate), round(REACH * rate)
    first, last = max(0, middle - reach), min(len(slopes), middle + reach)
    steep = np.flatnonzero(slopes[first:last] > STILL * slopes[first:last].max(initial=0.0))
    return (middle, middle) if not len(steep) else (first + int(steep[0]), first + int(steep[-1]) + 2)
