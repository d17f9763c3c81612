"""A sheet as PNG or PDF, drawn by matplotlib.

One millimetre of the PNG is exactly ten pixels, so a ruler on the print, or a pixel count in the picture, measures the
ECG (speed and gain as recommended by AHA/ACCF/HRS 2007, doi:10.1161/CIRCULATIONAHA.106.180200).
"""

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from ecgfm_clinical.ecg.colours import BOLD, EARLIER, FINE, INK, MARKER, PACED, PALE, PAPER, WRONG
from ecgfm_clinical.ecg.layouts import View
from ecgfm_clinical.ecg.sheet import BEAT_FIGURE, GRID, PACING, PAGE, START, Sheet, Trace, compose, footer
from ecgfm_clinical.wording import Say, in_english
from ecgfm_connectors.ecg import LEADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ecgfm_clinical.ecg.beat_weights import BeatWeight
    from ecgfm_clinical.ecg.overlays import LeadWeights

PIXELS_PER_MM = 10
DPI = PIXELS_PER_MM * 25.4


def draw(
    signal: ArrayLike,
    sampling_rate: float,
    path: Path | str,
    *,
    title: str = "",
    subtitle: str = "",
    shading: ArrayLike | None = None,
    looked: "LeadWeights | None" = None,
    beats: "Sequence[BeatWeight]" = (),
) -> None:
    """Draw one ECG's first ten seconds at 25 mm/s and 10 mm/mV, 3 × 4 leads and lead II as rhythm strip; a PDF where
    `path` ends in `.pdf`.

    All but the texts as `sheet.compose` takes them, which raises ValueError.
    """
    sheet = compose(signal, sampling_rate, View(), shading=shading, looked=looked, beats=beats)
    kind, duration = Path(path).suffix.lower(), np.shape(signal)[1] / sampling_rate
    save(sheet, path, kind=kind, title=title, subtitle=subtitle, duration=duration)


def save(
    sheet: Sheet,
    file: Path | str | BinaryIO,
    *,
    kind: str = ".png",
    title: str = "",
    subtitle: str = "",
    duration: float,
    say: Say = in_english,
) -> None:
    """Write a PNG, or a PDF where `kind` is `.pdf`; the same bytes for the same sheet.

    duration: of the whole recording, s. `say`: the language of its words.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE[0] / 25.4, PAGE[1] / 25.4), dpi=DPI, facecolor="white")
    axes = _sheet(figure)
    _shade(axes, sheet)
    _calibrate(axes, sheet)
    for trace in sheet.laid_over:
        _lines(axes, trace, EARLIER, 0.55)
    for trace in sheet.traces:
        _trace(axes, trace, say)
        _overlays(axes, trace, sheet.view.speed)
    for x in sheet.spikes:
        axes.plot([x, x], [PACING, PACING + 5], color=PACED, linewidth=1.4, zorder=3)
    for x, percent in sheet.beats:
        axes.text(x, GRID[3] - BEAT_FIGURE, percent, color=INK, fontsize=8, va="baseline", ha="center", zorder=5)
    _write(axes, title, subtitle, footer(sheet, duration, resolution=f"{PIXELS_PER_MM} pixels/mm", say=say))
    if kind == ".pdf":
        figure.savefig(file, format="pdf", metadata={"CreationDate": None})
    else:
        figure.savefig(file, format="png", dpi=DPI)  # without pyplot this is always the Agg renderer


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


def _shade(axes: "Axes", sheet: Sheet) -> None:
    from matplotlib.colors import to_rgb

    if sheet.shading is None or not len(sheet.shading):
        return
    pixels = np.empty((1, len(sheet.shading), 4))
    pixels[..., :3] = to_rgb(MARKER)
    pixels[..., 3] = 0.7 * sheet.shading
    extent = (START, sheet.shaded_to, GRID[1], GRID[3])
    axes.imshow(pixels, extent=extent, aspect="auto", interpolation="bilinear", zorder=1)
    axes.set(xlim=(0, PAGE[0]), ylim=(0, PAGE[1]))  # imshow has moved them


def _calibrate(axes: "Axes", sheet: Sheet) -> None:
    for baseline in sheet.baselines:
        x, y = sheet.pulse.T
        axes.plot(x, baseline + y, color=INK, linewidth=0.8, zorder=3, solid_joinstyle="miter")


def _trace(axes: "Axes", trace: Trace, say: Say) -> None:
    _label(axes, trace)
    if trace.is_silent:
        place = (trace.left + 4, trace.baseline)
        axes.text(*place, say("no signal"), color=PALE, fontsize=8, style="italic", va="center", zorder=5)
    _lines(axes, trace, INK, 0.8)


def _overlays(axes: "Axes", trace: Trace, speed: float) -> None:
    """Where a model looked in this lead, and what is wrong where."""
    from matplotlib.patches import Rectangle

    foot, head = trace.band
    for one in trace.shades:
        place, width = (trace.left + one.begin * speed, foot), (one.end - one.begin) * speed
        axes.add_patch(
            Rectangle(
                place,
                width,
                head - foot,
                facecolor=MARKER,
                alpha=0.7 * one.strength,
                edgecolor="none",
                linewidth=0,
                zorder=1,
            )
        )
    for spot in trace.spots:
        left, right, y = trace.left + spot.begin * speed, trace.left + spot.end * speed, foot + 1.5
        axes.plot(
            [left, left, left, right, right, right], [y - 1, y + 1, y, y, y + 1, y - 1], color=WRONG, linewidth=1.2
        )
        _words(axes, left + 0.8, y + 1, spot.word, size=8, weight="bold")
    _words(axes, trace.left + 2.2 + 2.2 * len(trace.strip.shown), trace.label, trace.note, size=7.4, weight="normal")


def _words(axes: "Axes", x: float, y: float, text: str, *, size: float, weight: str) -> None:
    from matplotlib.patheffects import withStroke

    if text:
        halo = [withStroke(linewidth=2.5, foreground=PAPER)]
        axes.text(x, y, text, color=WRONG, fontsize=size, weight=weight, va="baseline", zorder=5, path_effects=halo)


def _lines(axes: "Axes", trace: Trace, colour: str, width: float) -> None:
    from matplotlib.patches import Rectangle

    left, bottom, right, top = GRID
    for points in trace.runs:
        (line,) = axes.plot(*points.T, color=colour, linewidth=width, zorder=4, solid_joinstyle="round")
        line.set_clip_path(Rectangle((left, bottom), right - left, top - bottom, transform=axes.transData))


def _label(axes: "Axes", trace: Trace) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.5, foreground=PAPER)]
    place = (trace.left + 1.2, trace.label)
    axes.text(
        *place, trace.strip.shown, color=INK, fontsize=10, weight="bold", va="baseline", zorder=5, path_effects=halo
    )
    if trace.strip.begin > 0:  # where one lead ends and the next begins
        for middle in (trace.baseline - 8, trace.baseline + 8):
            axes.plot([trace.left] * 2, [middle - 1.5, middle + 1.5], color=INK, linewidth=0.8, zorder=3)


def _write(axes: "Axes", title: str, subtitle: str, below: str) -> None:
    left, _, right, _ = GRID
    axes.text(left, 197, title, color=INK, fontsize=15, weight="bold", va="baseline")
    axes.text(left, 189, subtitle, color=PALE, fontsize=9.5, va="baseline")
    axes.text(left, 5, below, color=PALE, fontsize=8, va="baseline")
    axes.text(right, 5, f"{len(LEADS)}-lead ECG", color=PALE, fontsize=8, va="baseline", ha="right")
