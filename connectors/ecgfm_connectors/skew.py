"""One rule for leads that do not start together, whatever format says so.

A converter that samples its channels one after another is off by less than a sample; a gateway that cuts channels
apart, by one or two. Such a lead is moved to the others' clock by whole samples, and the one or two samples that it
then lacks at an end repeat its nearest one, so that the recording keeps its length. A larger skew means that the leads
were not recorded together, which the scoring side takes as a reason: the finding `not-simultaneous`.
"""

import math
import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Refused

Signal = NDArray[np.float32]

#: Leads whose starts lie within so many samples are simultaneous once they are moved: 4 ms at 500 Hz, a fortieth of the
#: 100 ms in which a ventricle is depolarised.
MOST_CORRECTED = 2


def align(
    names: Sequence[str], rows: Sequence[Signal], skews: Sequence[float]
) -> tuple[list[Signal], tuple[Finding, ...]]:
    """`rows` on one clock, and what was noticed.

    `skews`, in samples: how much later than nominal the first sample of each row was taken. Only differences count;
    less than half a sample is left alone. Raises Refused `not-simultaneous` where a lead is skewed by more than its
    length.
    """
    if not any(skews):
        return list(rows), ()
    if not all(map(math.isfinite, skews)):
        raise Refused("not-simultaneous", "a lead's skew is beyond all numbers")
    common = statistics.median_low(skews)
    shifts = [round(skew - common) for skew in skews]
    if not any(shifts):
        return list(rows), ()
    moved = [_moved(name, row, shift) for name, row, shift in zip(names, rows, shifts, strict=True)]
    late = [f"{name} {shift:+d}" for name, shift in zip(names, shifts, strict=True) if shift]
    text = f"moved by their skew, in samples: {', '.join(late)}"
    findings = [Finding(code="channel-skew", text=text)]
    if max(shifts) - min(shifts) > MOST_CORRECTED:
        text = f"the leads start up to {max(shifts) - min(shifts)} samples apart; {MOST_CORRECTED} are put right"
        return moved, (*findings, Finding(code="not-simultaneous", text=text))
    return complete(names, moved)[0], tuple(findings)


def _moved(name: str, row: Signal, shift: int) -> Signal:
    if abs(shift) >= len(row) > 0:
        raise Refused("not-simultaneous", f"lead {name} is skewed by more than the recording's length")
    moved = np.full_like(row, np.nan)
    if shift > 0:
        moved[shift:] = row[:-shift]
    elif shift < 0:
        moved[:shift] = row[-shift:]
    else:
        moved[:] = row
    return moved


def complete(names: Sequence[str], rows: list[Signal]) -> tuple[list[Signal], tuple[Finding, ...]]:
    """Where one lead lacks one or two samples at an end that another has, its nearest sample stands for them."""
    if len({len(row) for row in rows}) != 1 or not any(len(row) and _ragged(row) for row in rows):
        return rows, ()
    recorded = [_span(row) for row in rows]
    first, last = min(start for start, _ in recorded), max(end for _, end in recorded)
    filled = []
    for number, (name, (start, end)) in enumerate(zip(names, recorded, strict=True)):
        gaps = (start - first, last - end)
        if start < end and any(gaps) and max(gaps) <= MOST_CORRECTED:
            row = rows[number] = rows[number].copy()
            row[first:start], row[end:last] = row[start], row[end - 1]
            filled.append(name)
    if not filled:
        return rows, ()
    text = f"{', '.join(filled)}: one or two samples short at an end, which repeat the nearest one"
    return rows, (Finding(code="channel-skew", text=text),)


def _ragged(row: Signal) -> bool:
    return bool(np.isnan(row[0]) or np.isnan(row[-1]))


def _span(row: Signal) -> tuple[int, int]:
    """First and past-the-last sample that is there; the whole row counts as missing with (0, 0)."""
    there = np.flatnonzero(~np.isnan(row))
    return (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 0)
