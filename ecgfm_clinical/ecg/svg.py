"""A sheet as SVG, without matplotlib: one unit of the picture is one millimetre, and it is that large where it is
printed at its own size.
"""

from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

import numpy as np

from ecgfm_clinical.ecg.colours import BOLD, EARLIER, FINE, INK, MARKER, PACED, PALE, PAPER, WRONG
from ecgfm_clinical.ecg.sheet import BEAT_FIGURE, GRID, PAGE, START, Area, Sheet, Trace
from ecgfm_clinical.ecg.tracing import Points
from ecgfm_clinical.wording import Say, in_english

UNITS = 100  #: steps of a millimetre to which traces are rounded
_SHADES = 10  #: steps of the shading's strength


def drawing(sheet: Sheet, *, title: str, subtitle: str = "", footer: str = "", say: Say = in_english) -> str:
    """The picture, its words in the language of `say`; texts are escaped."""
    parts = [
        *_parts(sheet, say),
        _text(GRID[0], 197, title, size=5, weight="bold"),
        _text(GRID[0], 189, subtitle, size=3.2, fill=PALE),
        _text(GRID[0], 5, footer, size=3, fill=PALE),
    ]
    width, height = PAGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}" '
        f'role="img" font-family="sans-serif"><title>{escape(title)}</title>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>' + "".join(parts) + "</svg>"
    )


def figure(sheet: Sheet, *, title: str, font: str) -> str:
    """The paper with its lines alone, as a part of a document; `title` tells a screen reader what it shows.

    Names of leads have no halo, for what makes PDF of it would paint that over them.
    """
    left, bottom, right, top = sheet.area.grid
    width, height = right - left, top - bottom
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="{left} {_y(top)} {width} {height}" font-family="{font}"><title>{escape(title)}</title>'
        + "".join(_parts(sheet, halo=False))
        + "</svg>"
    )


def _parts(sheet: Sheet, say: Say = in_english, *, halo: bool = True) -> Iterator[str]:
    yield from _paper(sheet.area)
    yield from _shading(sheet)
    yield from (part for trace in sheet.traces for part in _shades(trace, sheet.view.speed))
    yield from _calibration(sheet)
    yield from (_line(trace.runs, EARLIER, 0.2) for trace in sheet.laid_over if trace.runs)
    yield from (part for trace in sheet.traces for part in _strip(trace, halo, say))
    yield from (part for trace in sheet.traces for part in _spots(trace, sheet.view.speed, halo))
    yield from _pacing(sheet)
    yield from _beats(sheet)


def _y(height: float) -> float:
    """Paper's y axis points up, a picture's down."""
    return PAGE[1] - height


def _paper(area: Area) -> Iterator[str]:
    left, bottom, right, top = area.grid
    place = f'x="{left}" y="{_y(top)}" width="{right - left}" height="{top - bottom}"'
    yield f'<clipPath id="paper"><rect {place}/></clipPath><rect {place} fill="{PAPER}"/>'
    for step, colour, width in ((1, FINE, 0.1), (5, BOLD, 0.18)):
        across = "".join(f"M{x} {_y(bottom)}V{_y(top)}" for x in range(left, right + 1, step))
        along = "".join(f"M{left} {_y(y)}H{right}" for y in range(bottom, top + 1, step))
        yield f'<path d="{across}{along}" stroke="{colour}" stroke-width="{width}" fill="none"/>'


def _shading(sheet: Sheet) -> Iterator[str]:
    """Rectangles over the runs of samples that are shaded alike."""
    if sheet.shading is None or not len(sheet.shading):
        return
    steps = np.rint(sheet.shading * _SHADES).astype(np.int64)
    edges = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(steps)]
    a_sample = (sheet.shaded_to - START) / len(steps)
    _, bottom, _, top = sheet.area.grid
    for begin, end in pairwise(edges):
        if steps[begin]:
            yield (
                f'<rect x="{START + begin * a_sample:.2f}" y="{_y(top)}" width="{(end - begin) * a_sample:.2f}" '
                f'height="{top - bottom}" fill="{MARKER}" fill-opacity="{0.07 * steps[begin]:.2f}"/>'
            )


def _shades(trace: Trace, speed: float) -> Iterator[str]:
    """Rectangles behind one lead's line, those of one strength in one path."""
    foot, head = trace.band
    by_strength: dict[float, list[str]] = {}
    for one in trace.shades:
        left, width = trace.left + one.begin * speed, (one.end - one.begin) * speed
        by_strength.setdefault(one.strength, []).append(
            f"M{left:.2f} {_y(head):g}h{width:.2f}v{head - foot:g}h-{width:.2f}z"
        )
    for strength, rectangles in by_strength.items():
        yield (f'<path class="looked" d="{"".join(rectangles)}" fill="{MARKER}" fill-opacity="{0.7 * strength:.2f}"/>')


def _spots(trace: Trace, speed: float, halo: bool) -> Iterator[str]:
    """A bar with ends under the line, and its word."""
    y = trace.band[0] + 1.5
    for one in trace.spots:
        left, right = trace.left + one.begin * speed, trace.left + one.end * speed
        yield (
            f'<path class="wrong" d="M{left:.2f} {_y(y + 1):g}v2M{left:.2f} {_y(y):g}H{right:.2f}M{right:.2f} '
            f'{_y(y + 1):g}v2" stroke="{WRONG}" stroke-width="0.5" fill="none"/>'
        )
        yield _text(left + 0.8, y + 1, one.word, size=2.8, fill=WRONG, weight="bold", halo=halo)


def _calibration(sheet: Sheet) -> Iterator[str]:
    for baseline in sheet.baselines:
        points = np.array([0, _y(baseline)]) + sheet.pulse * (1, -1)
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points.tolist())
        yield f'<path d="{path}" stroke="{INK}" stroke-width="0.28" fill="none"/>'


def _strip(trace: Trace, halo: bool, say: Say) -> Iterator[str]:
    strip, baseline = trace.strip, trace.baseline
    if strip.begin > 0:  # where one lead ends and the next begins
        marks = "".join(f"M{trace.left:g} {_y(baseline + middle + 1.5):g}v3" for middle in (-8, 8))
        yield f'<path d="{marks}" stroke="{INK}" stroke-width="0.28"/>'
    if trace.is_silent:
        yield _text(trace.left + 4, baseline, say("no signal"), size=3, fill=PALE)
    else:
        yield _line(trace.runs, INK, 0.28)
    yield _text(trace.left + 1.2, trace.label, strip.shown, size=3.5, weight="bold", halo=halo)
    yield _text(trace.left + 2.2 + 2.2 * len(strip.shown), trace.label, trace.note, size=2.6, fill=WRONG, halo=halo)


def _line(runs: tuple[Points, ...], colour: str, width: float) -> str:
    path = "".join(map(_path, runs))
    return (
        f'<g clip-path="url(#paper)"><path transform="scale({1 / UNITS})" d="{path}" stroke="{colour}" '
        f'stroke-width="{width * UNITS:g}" stroke-linejoin="round" fill="none"/></g>'
    )


def _path(points: Points) -> str:
    """In steps from one point to the next, each rounded from its own place, so that no error adds up."""
    places = np.rint((np.array([0, PAGE[1]]) + points * (1, -1)) * UNITS).astype(np.int64)
    steps = " ".join(f"{dx} {dy}" for dx, dy in np.diff(places, axis=0).tolist())
    return f"M{places[0, 0]} {places[0, 1]}l{steps or '0 0'}"


def _pacing(sheet: Sheet) -> Iterator[str]:
    """Pacing stimuli are shown apart from the leads and never made larger (AHA/ACCF/HRS 2007)."""
    if sheet.spikes:
        marks = "".join(f"M{x:.2f} {_y(sheet.area.pacing):g}v-5" for x in sheet.spikes)
        yield f'<path class="pacing" d="{marks}" stroke="{PACED}" stroke-width="0.5"/>'


def _beats(sheet: Sheet) -> Iterator[str]:
    """What of the shading lies in each beat."""
    y = _y(sheet.area.grid[3] - BEAT_FIGURE)
    for x, percent in sheet.beats:
        yield (
            f'<text class="beat" x="{x:.2f}" y="{y:g}" font-size="2.8" text-anchor="middle" fill="{INK}">'
            f"{escape(percent)}</text>"
        )


def _text(
    x: float, y: float, text: str, *, size: float, fill: str = INK, weight: str = "normal", halo: bool = False
) -> str:
    if not text:
        return ""
    outline = f'stroke="{PAPER}" stroke-width="1" stroke-linejoin="round" paint-order="stroke" ' if halo else ""
    return (
        f'<text x="{x:g}" y="{_y(y):g}" font-size="{size}" font-weight="{weight}" '
        f'{outline}fill="{fill}">{escape(text)}</text>'
    )
