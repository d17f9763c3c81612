"""What the reader and the quality check know of a recording, at the place on the sheet that it is about.

A span is a piece of one lead's line; a note stands behind the lead's name. Which leads are bad is decided by
`evaluability`, by the same limits; here is said where.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.ecg.evaluability import (
    CLIPPED_SHARE,
    FLAT_SECONDS,
    LOWEST_RATE,
    NOISE_MV,
    WINDOW_SECONDS,
    noise_by_window,
)
from ecgfm_clinical.wording import N_, Say, in_english
from ecgfm_connectors.ecg import LEADS, Ecg

#: Spans of one kind that lie closer are one, s.
CLOSE = 0.3
#: Shortest run at the converter's limit, s.
CLIPPED_SECONDS = 0.01

_OF_ARM_LEADS = ("I", "aVR", "aVL")
#: Findings of a reader whose sentence names the leads.
_NAMING = {
    "lead-off": N_("off"),
    "channel-skew": N_("moved in time"),
    "reconstructed-leads": N_("reconstructed"),
}
#: Of a limb lead, in the sentence of the finding `einthoven-violation`.
_UNFIT = re.compile(r"^lead (\S+) differs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of one lead."""

    lead: str
    begin: float  #: s from the start of the recording
    end: float  #: s
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Everything that is marked on a sheet."""

    spans: tuple[Span, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)  #: lead -> what stands behind its name


def marks_of(ecg: Ecg, say: Say = in_english) -> Marks:
    """Spans lead by lead, from the left; their words in the language of `say`."""
    return Marks(
        spans=tuple(replace(one, word=say(one.word)) for one in _spans(ecg)),
        notes={lead: say(note) for lead, note in _notes(ecg).items()},
    )


def _spans(ecg: Ecg) -> Iterator[Span]:
    rate = ecg.sampling_rate
    for lead, row in zip(LEADS, ecg.signal, strict=True):
        absent = np.isnan(row)
        if absent.all():
            continue  # the sheet says "no signal"
        yield from _of(lead, N_("no samples"), _runs(absent), rate)
        if absent.any():
            continue
        flat = [(begin, end) for begin, end in _held(row) if end - begin >= FLAT_SECONDS * rate]
        yield from _of(lead, N_("flat"), flat, rate)
        if not flat:
            yield from _of(lead, N_("clipped"), _clipped(row, rate), rate)
        if rate >= LOWEST_RATE:
            yield from _of(lead, N_("noise"), _noisy(row, rate), rate)


def _of(lead: str, word: str, runs: Sequence[tuple[int, int]], rate: float) -> Iterator[Span]:
    """Runs of samples as spans; those close to each other are one."""
    together: list[tuple[int, int]] = []
    for begin, end in runs:
        if together and begin - together[-1][1] < CLOSE * rate:
            together[-1] = (together[-1][0], end)
        else:
            together.append((begin, end))
    for begin, end in together:
        yield Span(lead=lead, begin=begin / rate, end=end / rate, word=word)


def _runs(hit: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], hit.astype(np.int8), [0]))))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def _held(row: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Runs of samples of one exact value."""
    return [(begin, end + 1) for begin, end in _runs(row[1:] == row[:-1])]


def _clipped(row: NDArray[np.float32], rate: float) -> list[tuple[int, int]]:
    """Runs at the lead's own extremes, where so much lies there that they are the converter's limit."""
    extreme = (row == row.max()) | (row == row.min())
    runs = [(begin, end) for begin, end in _runs(extreme) if end - begin >= max(3, round(CLIPPED_SECONDS * rate))]
    share = sum(end - begin for begin, end in runs) / len(row)
    return runs if share > CLIPPED_SHARE else []


def _noisy(row: NDArray[np.float32], rate: float) -> list[tuple[int, int]]:
    """The windows above the limit of a lead that is noisy as a whole."""
    noise = noise_by_window(row[None], rate)[0]
    if not np.median(noise) > NOISE_MV:
        return []
    width = max(2, round(WINDOW_SECONDS * rate))
    return [(begin * width, end * width) for begin, end in _runs(noise > NOISE_MV)]


def _notes(ecg: Ecg) -> dict[str, str]:
    """The gravest last: it stands."""
    found = dict.fromkeys(ecg.derived_leads, N_("computed from I and II"))
    for finding in ecg.findings:
        if finding.code in _NAMING:
            found |= dict.fromkeys(_named(finding.text), _NAMING[finding.code])
        if finding.code == "einthoven-violation" and (named := _UNFIT.match(finding.text)):
            found[named[1]] = N_("does not fit I and II")
    if any(one.code == "arm-leads-suspected" for one in ecg.findings):
        found |= dict.fromkeys(_OF_ARM_LEADS, N_("arm electrodes exchanged?"))
    return found


def _named(text: str) -> list[str]:
    return [lead for lead in LEADS if re.search(rf"(?<!\w){lead}(?!\w)", text)]
