"""An ECG on millimetre paper, as places in millimetres: what every picture of it (SVG, PNG, PDF) is drawn from.

The sheet is A4 landscape, or the band of a page that holds texts too (`BAND`); x runs to the right and y upwards from
its lower left corner. Each lead's median is put on
its baseline (where the zero line lies on paper is free); every height and every distance on the sheet is exact.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgfm_clinical.ecg.layouts import USUAL, View, lead_of
from ecgfm_clinical.ecg.overlays import LeadWeights, Shade, Spot, shades, spots
from ecgfm_clinical.ecg.tracing import Points, reduced
from ecgfm_clinical.wording import Say, in_english
from ecgfm_connectors.ecg import LEADS

if TYPE_CHECKING:
    from ecgfm_clinical.ecg.beat_weights import BeatWeight
    from ecgfm_clinical.ecg.marks import Span

PAGE = (297, 210)  #: mm, A4 landscape
GRID = (11, 10, 286, 185)  #: left, bottom, right, top of the millimetre grid, mm; a multiple of 5 mm wide and high
START = 31  #: x of the sheet's first instant, on a bold line, mm; to its left stand the calibration pulses
WIDTH = 250.0  #: mm that hold signal
PULSE_SECONDS, PULSE_MV = 0.2, 1.0  #: the calibration pulse
PACING = 12.0  #: y of the row of pacing marks, mm
BEAT_FIGURE = 3.2  #: how far below the paper's top the figures of beats stand, mm
_NO_NOTES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Where on the sheet the paper lies, and how its rows stand on it, mm."""

    grid: tuple[int, int, int, int]  #: left, bottom, right, top; a multiple of 5 mm wide and high
    rows: Mapping[int, tuple[float, float, float]]  #: rows -> how far apart, first zero line, names above it
    pacing: float  #: y of the row of pacing marks


#: A sheet of its own. Rows -> how far they are apart, y of the first zero line, how far above it names stand, mm.
FULL = Area(grid=GRID, rows={4: (40.0, 155.0, 13.5), 6: (28.0, 167.0, 9.0), 12: (14.0, 174.0, 4.5)}, pacing=PACING)
#: The paper alone, 265 × 110 mm: what an A4 or Letter page in landscape has room for beside texts.
BAND = Area(grid=(16, 50, 281, 160), rows={4: (25.0, 140.0, 8.5)}, pacing=51.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One lead's piece of the sheet."""

    shown: str  #: the lead's name as written
    row: int
    begin: float  #: s after the sheet's first instant
    end: float  #: s

    @property
    def lead(self) -> str:
        return lead_of(self.shown)[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """A strip with its line."""

    strip: Strip
    left: float  #: x of its first instant, mm
    baseline: float  #: y of its zero line, mm
    label: float  #: y at which the lead's name stands, mm
    runs: tuple[Points, ...]  #: (points, 2) each, mm; a gap in the signal is a gap between two runs
    band: tuple[float, float] = (0.0, 0.0)  #: y of the foot and the head of what belongs to its row, mm
    shades: tuple[Shade, ...] = ()  #: where a model looked in this lead
    spots: tuple[Spot, ...] = ()  #: what is wrong, and where
    note: str = ""  #: behind the lead's name

    @property
    def is_silent(self) -> bool:
        """The recording has no sample of this lead here."""
        return not self.runs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """Everything that is drawn, apart from the texts around it."""

    view: View
    seconds: float  #: that fit on it
    traces: tuple[Trace, ...]
    laid_over: tuple[Trace, ...]  #: of another recording, for comparison
    baselines: tuple[float, ...]  #: y of each row's zero line from the top row down, mm
    spikes: tuple[float, ...]  #: x of each pacing spike, mm
    shading: NDArray[np.float64] | None  #: one weight from 0 to 1 for each sample shown
    shaded_to: float  #: x where the shading ends, mm
    beats: tuple[tuple[float, str], ...] = ()  #: x of each beat's R peak, mm, and its percent of the shading
    area: Area = FULL

    @property
    def pulse(self) -> Points:
        """The calibration pulse before the first row, (6, 2) mm, its foot at y = 0."""
        width, height = PULSE_SECONDS * self.view.speed, PULSE_MV * self.view.gain
        x = np.array([-3.0, 0, 0, width, width, width + 2]) + START - width - 4
        return np.stack([x, np.array([0.0, 0, height, height, 0, 0])], axis=1)


def compose(
    signal: ArrayLike,
    sampling_rate: float,
    view: View = USUAL,
    *,
    spikes: Sequence[int] = (),
    shading: ArrayLike | None = None,
    laid_over: tuple[ArrayLike, float] | None = None,
    zero_is_zero: bool = False,
    area: Area = FULL,
    looked: LeadWeights | None = None,
    beats: "Sequence[BeatWeight]" = (),
    spans: "Sequence[Span]" = (),
    notes: Mapping[str, str] = _NO_NOTES,
) -> Sheet:
    """Lay one ECG out.

    `signal` is (12, samples) in mV in the order of `LEADS`; NaN stays a gap. `spikes` are sample numbers of pacing
    spikes. `shading`, (samples,) from 0 to 1, marks when a model looked at what. `laid_over` is another recording with
    its sampling rate. `zero_is_zero`: 0 mV lies on each baseline, not the lead's median. `looked`: where a model looked
    in each lead, `beats` what of that lies in each beat. `spans` and `notes` (lead -> words) are marked where they are.

    Raises ValueError for a signal or shading of another shape, or a sampling rate that is not positive.
    """
    values = np.asarray(signal, dtype=np.float64)
    check(values, sampling_rate)
    weights = None if shading is None else np.asarray(shading, dtype=np.float64)
    if weights is not None and weights.shape != values.shape[1:]:
        raise ValueError(f"shading must be ({values.shape[1]},), one weight a sample, not {weights.shape}")
    seconds = seconds_on(view)
    shown = _shown(values, sampling_rate, view)
    first = min(round(view.start * sampling_rate), values.shape[1])
    weights = None if weights is None else np.clip(np.nan_to_num(weights[first : first + shown.shape[1]]), 0, 1)
    return Sheet(
        view=view,
        seconds=seconds,
        traces=tuple(
            _with_overlays(trace, view.start, looked, spans, notes)
            for trace in _traces(shown, sampling_rate, view, zero_is_zero, area)
        ),
        laid_over=() if laid_over is None else _other(*laid_over, view, zero_is_zero, area),
        baselines=baselines(len(view.rows), area),
        spikes=tuple(
            START + (one - first) / sampling_rate * view.speed for one in spikes if 0 <= one - first < shown.shape[1]
        ),
        shading=weights,
        shaded_to=START + shown.shape[1] / sampling_rate * view.speed,
        beats=tuple(
            (START + (one.at - view.start) * view.speed, f"{100 * one.share:.0f}")
            for one in beats
            if 0 <= one.at - view.start < shown.shape[1] / sampling_rate
        ),
        area=area,
    )


def seconds_on(view: View) -> float:
    """How much of a recording one sheet holds."""
    return WIDTH / view.speed


def check(signal: NDArray[np.float64], sampling_rate: float) -> None:
    """Raises ValueError for a signal that is not (12, samples), or a sampling rate that is not positive."""
    if signal.ndim != 2 or signal.shape[0] != len(LEADS):
        raise ValueError(f"signal must be ({len(LEADS)}, samples), not {signal.shape}")
    if not sampling_rate > 0:
        raise ValueError(f"sampling rate must be positive, not {sampling_rate}")


def strips(view: View = USUAL) -> Iterator[Strip]:
    """The strips of a sheet; columns are consecutive in time, rows simultaneous."""
    for row, leads in enumerate(view.rows):
        width = seconds_on(view) / len(leads)
        for column, lead in enumerate(leads):
            yield Strip(shown=lead, row=row, begin=column * width, end=(column + 1) * width)


def footer(sheet: Sheet, duration: float, *, resolution: str = "", say: Say = in_english) -> str:
    """Speed, gain, and which part of a recording of `duration` seconds the sheet shows, in the language of `say`;
    `resolution` of a picture.
    """
    view = sheet.view
    parts = [f"{view.speed:g} mm/s", f"{view.gain:g} mm/mV", *([resolution] if resolution else [])]
    if view.start > 0 or duration > sheet.seconds + 0.05:
        shown = {"end": min(view.start + sheet.seconds, duration), "all": duration}
        if view.start == 0:
            parts.append(say("first %(end)g s of %(all).1f s", **shown))
        else:
            parts.append(say("%(start)g to %(end)g s of %(all).1f s", start=view.start, **shown))
    elif duration < sheet.seconds - 0.05:
        parts.append(say("recording of %(all).1f s", all=duration))
    if sheet.spikes:
        parts.append(say("bottom row: pacing spikes found in the signal"))
    if sheet.laid_over:
        parts.append(say("blue, thin: the other recording"))
    if sheet.shading is not None or any(trace.shades for trace in sheet.traces):
        parts.append(say("yellow: where the model looked, no proof of a finding"))
    if sheet.beats:
        parts.append(say("figures above: percent of the yellow in each beat, all leads together"))
    if any(trace.spots for trace in sheet.traces):
        parts.append(say("violet bars: what the quality check found"))
    return " · ".join(parts)


def baselines(rows: int, area: Area = FULL) -> tuple[float, ...]:
    """Zero lines of this many rows, from the top row down; of four rows each on a bold line."""
    apart, top, _ = area.rows[rows]
    return tuple(top - row * apart for row in range(rows))


def _shown(signal: NDArray[np.float64], rate: float, view: View) -> NDArray[np.float64]:
    """The part of a recording that the sheet shows."""
    first = round(view.start * rate)
    return signal[:, first : first + round(seconds_on(view) * rate)]


def _other(signal: ArrayLike, rate: float, view: View, zero_is_zero: bool, area: Area) -> tuple[Trace, ...]:
    """The traces of the recording that is laid over."""
    values = np.asarray(signal, dtype=np.float64)
    check(values, rate)
    return _traces(_shown(values, rate, view), rate, view, zero_is_zero, area)


def _traces(shown: NDArray[np.float64], rate: float, view: View, zero_is_zero: bool, area: Area) -> tuple[Trace, ...]:
    levels = np.zeros(len(LEADS)) if zero_is_zero else _levels(shown)
    return tuple(_trace(strip, shown, levels, rate, view, area) for strip in strips(view))


def _with_overlays(
    trace: Trace, start: float, looked: LeadWeights | None, spans: "Sequence[Span]", notes: Mapping[str, str]
) -> Trace:
    lead, begin, end = trace.strip.lead, start + trace.strip.begin, start + trace.strip.end
    return replace(
        trace,
        shades=shades(looked, lead, begin, end),
        spots=spots(spans, lead, begin, end),
        note=notes.get(lead, ""),
    )


def _levels(shown: NDArray[np.float64]) -> NDArray[np.float64]:
    """(12,): the median of each lead, mV; 0 where it has no sample."""
    levels = np.zeros(len(shown))
    for lead, row in enumerate(shown):
        if np.isfinite(row).any():
            levels[lead] = np.nanmedian(row)
    return levels


def _trace(
    strip: Strip, shown: NDArray[np.float64], levels: NDArray[np.float64], sampling_rate: float, view: View, area: Area
) -> Trace:
    lead, sign = lead_of(strip.shown)
    number, rows = LEADS.index(lead), len(view.rows)
    # One sample beyond the end joins this strip to its right-hand neighbour's first instant.
    begin, end = round(strip.begin * sampling_rate), round(strip.end * sampling_rate) + 1
    samples = shown[number, begin:end]
    baseline = baselines(rows, area)[strip.row]
    x = START + np.arange(begin, begin + len(samples)) / sampling_rate * view.speed
    runs = reduced(x, baseline + sign * (samples - levels[number]) * view.gain)
    left = START + strip.begin * view.speed
    apart, _, label = area.rows[rows]
    _, foot, _, head = area.grid
    band = (max(baseline - 0.4 * apart, foot), min(baseline + 0.6 * apart, head))
    return Trace(strip=strip, left=left, baseline=baseline, label=baseline + label, runs=runs, band=band)
