"""Bimodal compression of SCP-ECG (EN 1064 5.9 and annex C): around each QRS complex every sample is kept, between them
one sample stands for two to four.

The standard fixes how many samples are stored and leaves to the reader how those between are made. Here they lie on
straight lines, as in `ecgtoolkit-cs` and in the source of biosig, which smooths them further. No decoder that installs
beside the tests reads this compression (Debian's biosig leaves it as it is, ecgdatakit refuses it): the tests write it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.errors import Unreadable
from ecgfm_connectors.files.scp_sections import LeadRange

FACTORS = range(2, 5)  #: samples that one may stand for


class Stretch(NamedTuple):
    """Samples in a row that are kept whole, or one for several."""

    samples: int
    kept: bool


def stretches(area: LeadRange, protected: list[tuple[int, int]]) -> list[Stretch]:
    """A lead's samples, in order. `protected`: first and last sample, counted from 1; those of (0, 0) are unused.

    Raises Unreadable `scp-structure` where the zones overlap or end before they begin.
    """
    first = max(area.start, 1)
    found, at = [], first
    for start, end in sorted(zone for zone in protected if zone != (0, 0)):
        if end < start or start < at > first:
            raise Unreadable("scp-structure", "the protected zones of section 4 overlap or end before they begin")
        start, end = max(start, first), min(end, area.end)
        if start <= end:
            found += [Stretch(start - at, kept=False), Stretch(end - start + 1, kept=True)]
            at = end + 1
    return [*found, Stretch(area.end - at + 1, kept=False)]


def stored(layout: list[Stretch], factor: int) -> int:
    """How many samples a lead stores."""
    return sum(_stored(stretch, factor) for stretch in layout)


def expanded(row: NDArray[np.int64], layout: list[Stretch], factor: int) -> NDArray[np.float64]:
    """`row`: the stored samples of a lead; all of its samples, in the same unit."""
    parts, at = [], 0
    for stretch in layout:
        values = row[at : at + _stored(stretch, factor)].astype(np.float64)
        at += len(values)
        parts.append(values if stretch.kept else _interpolated(values, stretch.samples, factor))
    return np.concatenate(parts)


def _stored(stretch: Stretch, factor: int) -> int:
    """What is left at the end of a stretch, too little for one sample more, is kept whole."""
    return stretch.samples if stretch.kept else sum(divmod(stretch.samples, factor))


def _interpolated(values: NDArray[np.float64], samples: int, factor: int) -> NDArray[np.float64]:
    """Straight lines from one stored sample to the next, level before the first and after the last."""
    coarse = values[: samples // factor]
    if not len(coarse):
        return values
    places = np.arange(len(coarse)) * factor + factor // 2
    return np.concatenate((np.interp(np.arange(len(coarse) * factor), places, coarse), values[len(coarse) :]))
