"""An ECG on pink millimetre paper, drawn to scale: 25 mm/s, 10 mm/mV, 3 × 4 leads and lead II as rhythm strip.

The sheet is A4 landscape and one millimetre of it is exactly ten pixels, so a ruler on the print, or a pixel count in
the PNG, measures the ECG (speed and gain as recommended by AHA/ACCF/HRS 2007, doi:10.1161/CIRCULATIONAHA.106.180200).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgfm_connectors.ecg import LEADS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PIXELS_PER_MM = 10
DPI = PIXELS_PER_MM * 25.4
SPEED = 25.0  #: mm/s
GAIN = 10.0  #: mm/mV
PAGE = (297, 210)  #: mm, A4 landscape
GRID = (11, 10, 286, 185)  #: left, bottom, right, top of the millimetre grid, mm; a multiple of 5 mm wide and high
START = 31  #: x of time 0, on a bold line, mm; to its left stand the calibration pulses
SECONDS = 10.0  #: what fits on the sheet
BASELINES = (155.0, 115.0, 75.0, 35.0)  #: y of each row's zero line, on a bold line, mm, from the top row down
PULSE = (5.0, 10.0)  #: calibration: 0.2 s wide, 1 mV high, mm

LAYOUT = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"), ("II",))

PAPER, FINE, BOLD = "#fffaf8", "#f7d3cc", "#eaa79b"
INK, PALE, MARKER = "#15171c", "#8d7f7d", "#ffc400"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One lead's piece of the sheet."""

    lead: str
    row: int
    begin: float  #: s
    end: float  #: s

    @property
    def left(self) -> float:
        """Where the strip begins, mm."""
        return START + self.begin * SPEED


def strips() -> Iterator[Strip]:
    """The thirteen strips of the sheet; columns are consecutive in time, rows simultaneous."""
    for row, leads in enumerate(LAYOUT):
        width = SECONDS / len(leads)
        for column, lead in enumerate(leads):
            yield Strip(lead=lead, row=row, begin=column * width, end=(column + 1) * width)


def draw(
    signal: ArrayLike,
    sampling_rate: float,
    path: Path | str,
    *,
    title: str = "",
    subtitle: str = "",
    shading: ArrayLike | None = None,
) -> None:
    """Draw one ECG as a PNG, or as a PDF where `path` ends in `.pdf`; the same bytes for the same ECG.

    `signal` is (12, samples) in mV in the order of `LEADS`; NaN stays a gap, a lead without any sample is marked as
    such. The first ten seconds are drawn. Each lead's median is put on its baseline (where the zero line lies on paper
    is free); every height and every distance on the sheet is exact. `shading`, (samples,) from 0 to 1, marks when a
    model looked at what, as if by a highlighter pen.

    Raises ValueError for a signal or shading of another shape, or a sampling rate that is not positive.
    """
    from matplotlib.figure import Figure

    values = np.asarray(signal, dtype=np.float64)
    check(values, sampling_rate)
    figure = Figure(figsize=(PAGE[0] / 25.4, PAGE[1] / 25.4), dpi=DPI, facecolor="white")
    axes = _sheet(figure)
    if shading is not None:
        _shade(axes, np.asarray(shading, dtype=np.float64), values.shape[1], sampling_rate)
    _calibrate(axes)
    for strip in strips():
        _trace(axes, strip, values[LEADS.index(strip.lead)], sampling_rate)
    resolution = f"{PIXELS_PER_MM} pixels/mm"
    below = footer(values.shape[1] / sampling_rate, resolution=resolution, shaded=shading is not None)
    _write(axes, title, subtitle, below)
    if Path(path).suffix.lower() == ".pdf":
        figure.savefig(path, format="pdf", metadata={"CreationDate": None})
    else:
        figure.savefig(path, format="png", dpi=DPI)  # without pyplot this is always the Agg renderer


def check(signal: NDArray[np.float64], sampling_rate: float) -> None:
    """Raises ValueError for a signal that is not (12, samples), or a sampling rate that is not positive."""
    if signal.ndim != 2 or signal.shape[0] != len(LEADS):
        raise ValueError(f"signal must be ({len(LEADS)}, samples), not {signal.shape}")
    if not sampling_rate > 0:
        raise ValueError(f"sampling rate must be positive, not {sampling_rate}")


def _sheet(figure: "Figure") -> "Axes":
    """Empty paper; one data unit of the returned axes is one millimetre."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Rectangle

    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, PAGE[0]), ylim=(0, PAGE[1]))
    axes.set_axis_off()
    left, bottom, right, top = GRID
    axes.add_patch(Rectangle((left, bottom), right - left, top - bottom, facecolor=PAPER, edgecolor="none", zorder=0))
    for step, colour, width, order in ((1, FINE, 0.25, 2), (5, BOLD, 0.45, 2.1)):
        lines = [((x, bottom), (x, top)) for x in range(left, right + 1, step)]
        lines += [((left, y), (right, y)) for y in range(bottom, top + 1, step)]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, zorder=order, capstyle="butt"))
    return axes


def _shade(axes: "Axes", weights: NDArray[np.float64], samples: int, sampling_rate: float) -> None:
    from matplotlib.colors import to_rgb

    if weights.shape != (samples,):
        raise ValueError(f"shading must be ({samples},), one weight a sample, not {weights.shape}")
    shown = np.clip(np.nan_to_num(weights[: round(SECONDS * sampling_rate)]), 0.0, 1.0)
    pixels = np.empty((1, len(shown), 4))
    pixels[..., :3] = to_rgb(MARKER)
    pixels[..., 3] = 0.7 * shown
    extent = (START, START + len(shown) / sampling_rate * SPEED, GRID[1], GRID[3])
    axes.imshow(pixels, extent=extent, aspect="auto", interpolation="bilinear", zorder=1)
    axes.set(xlim=(0, PAGE[0]), ylim=(0, PAGE[1]))  # imshow has moved them


def _calibrate(axes: "Axes") -> None:
    width, height = PULSE
    for baseline in BASELINES:
        x = np.array([-3.0, 0, 0, width, width, width + 2]) + START - width - 4
        y = baseline + np.array([0.0, 0, height, height, 0, 0])
        axes.plot(x, y, color=INK, linewidth=0.8, zorder=3, solid_joinstyle="miter")


def _trace(axes: "Axes", strip: Strip, lead: NDArray[np.float64], sampling_rate: float) -> None:
    from matplotlib.patches import Rectangle

    baseline = BASELINES[strip.row]
    _label(axes, strip, baseline)
    # One sample beyond the end joins this strip to its right-hand neighbour's first instant.
    piece = slice(round(strip.begin * sampling_rate), round(strip.end * sampling_rate) + 1)
    samples = lead[piece]
    if not np.isfinite(samples).any():
        axes.text(strip.left + 4, baseline, "no signal", color=PALE, fontsize=8, style="italic", va="center", zorder=5)
        return
    seconds = np.arange(piece.start, piece.start + len(samples)) / sampling_rate
    shown = lead[: round(SECONDS * sampling_rate)]
    heights = (samples - np.nanmedian(shown)) * GAIN
    (line,) = axes.plot(
        START + seconds * SPEED, baseline + heights, color=INK, linewidth=0.8, zorder=4, solid_joinstyle="round"
    )
    left, bottom, right, top = GRID
    paper = Rectangle((left, bottom), right - left, top - bottom, transform=axes.transData)
    line.set_clip_path(paper)


def _label(axes: "Axes", strip: Strip, baseline: float) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.5, foreground=PAPER)]
    x, y = strip.left + 1.2, baseline + 13.5
    axes.text(x, y, strip.lead, color=INK, fontsize=10, weight="bold", va="baseline", zorder=5, path_effects=halo)
    if strip.begin > 0:  # where one lead ends and the next begins
        for middle in (baseline - 8, baseline + 8):
            axes.plot([strip.left] * 2, [middle - 1.5, middle + 1.5], color=INK, linewidth=0.8, zorder=3)


def footer(duration: float, *, resolution: str = "", shaded: bool = False) -> str:
    """Speed, gain, and which part of a recording of `duration` seconds the sheet shows; `resolution` of a picture."""
    parts = ["25 mm/s", "10 mm/mV", *([resolution] if resolution else [])]
    if duration > SECONDS + 0.05:
        parts.append(f"first {SECONDS:g} s of {duration:.1f} s")
    elif duration < SECONDS - 0.05:
        parts.append(f"recording of {duration:.1f} s")
    if shaded:
        parts.append("yellow: where the model looked")
    return "     ".join(parts)


def _write(axes: "Axes", title: str, subtitle: str, footer: str) -> None:
    left, _, right, _ = GRID
    axes.text(left, 197, title, color=INK, fontsize=15, weight="bold", va="baseline")
    axes.text(left, 189, subtitle, color=PALE, fontsize=9.5, va="baseline")
    axes.text(left, 5, footer, color=PALE, fontsize=8, va="baseline")
    axes.text(right, 5, "12-lead ECG", color=PALE, fontsize=8, va="baseline", ha="right")
