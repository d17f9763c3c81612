"""What is laid on one strip of a sheet: where a model looked in its lead, and spans in which something is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.ecg import LEADS

if TYPE_CHECKING:
    from ecgfm_clinical.ecg.marks import Span

_SHADES = 10  #: steps of a shade's strength


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeadWeights:
    """How much a model looked, lead by lead."""

    weights: NDArray[np.floating]  #: (12, steps) from 0 to 1, rows as `LEADS`, from the start of the recording
    per_second: float  #: steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """A piece of a strip that is shaded alike."""

    begin: float  #: s after the strip's first instant
    end: float  #: s
    strength: float  #: from 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A piece of a strip in which something is wrong."""

    begin: float  #: s after the strip's first instant
    end: float  #: s
    word: str  #: empty where the piece before it in the strip says the same


def shades(looked: LeadWeights | None, lead: str, begin: float, end: float) -> tuple[Shade, ...]:
    """Those of a strip that shows `lead` from `begin` to `end`, s of the recording."""
    if looked is None:
        return ()
    first, last = int(begin * looked.per_second), int(np.ceil(end * looked.per_second))
    steps = np.rint(looked.weights[LEADS.index(lead), first:last] * _SHADES).astype(np.int64)
    edges = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(steps)]
    found = []
    for one, next_one in pairwise(edges):
        left = max((first + one) / looked.per_second, begin)
        right = min((first + next_one) / looked.per_second, end)
        if one < next_one and steps[one] and left < right:
            found.append(Shade(begin=left - begin, end=right - begin, strength=int(steps[one]) / _SHADES))
    return tuple(found)


def spots(spans: "Sequence[Span]", lead: str, begin: float, end: float) -> tuple[Spot, ...]:
    """Those of a strip that shows `lead` from `begin` to `end`, s of the recording; a word is written once."""
    found: list[Spot] = []
    said: set[str] = set()
    for span in spans:
        if span.lead == lead and span.begin < end and span.end > begin:
            word = "" if span.word in said else span.word
            said.add(span.word)
            found.append(Spot(begin=max(span.begin, begin) - begin, end=min(span.end, end) - begin, word=word))
    return tuple(found)
