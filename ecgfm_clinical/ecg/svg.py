"""The sheet of `paper` as SVG: the same millimetres, every sample of the recording, without matplotlib.

One unit of the picture is one millimetre, and it is that large where it is printed at its own size. All samples are
drawn, so that no spike is lost to pixels.
"""

from collections.abc import Iterator
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgfm_clinical.ecg import paper
from ecgfm_connectors.ecg import LEADS

UNITS = 100  #: steps of a millimetre to which traces are rounded


def drawing(signal: ArrayLike, sampling_rate: float, *, title: str) -> str:
    """One ECG on paper. `signal` is (12, samples) in mV in the order of `LEADS`; NaN stays a gap.

    Raises ValueError for a signal of another shape, or a sampling rate that is not positive.
    """
    values = np.asarray(signal, dtype=np.float64)
    paper.check(values, sampling_rate)
    parts = [
        *_paper(),
        *_calibration(),
        *(part for strip in paper.strips() for part in _strip(strip, values, sampling_rate)),
        _text(paper.GRID[0], 197, title, size=5, weight="bold"),
        _text(paper.GRID[0], 5, paper.footer(values.shape[1] / sampling_rate), size=3, fill=paper.PALE),
    ]
    width, height = paper.PAGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}" '
        f'role="img"><title>{escape(title)}</title><rect width="{width}" height="{height}" fill="#fff"/>'
        + "".join(parts)
        + "</svg>"
    )


def _y(height: float) -> float:
    """Paper's y axis points up, a picture's down."""
    return paper.PAGE[1] - height


def _paper() -> Iterator[str]:
    left, bottom, right, top = paper.GRID
    place = f'x="{left}" y="{_y(top)}" width="{right - left}" height="{top - bottom}"'
    yield f'<clipPath id="paper"><rect {place}/></clipPath><rect {place} fill="{paper.PAPER}"/>'
    for step, colour, width in ((1, paper.FINE, 0.1), (5, paper.BOLD, 0.18)):
        across = "".join(f"M{x} {_y(bottom)}V{_y(top)}" for x in range(left, right + 1, step))
        along = "".join(f"M{left} {_y(y)}H{right}" for y in range(bottom, top + 1, step))
        yield f'<path d="{across}{along}" stroke="{colour}" stroke-width="{width}" fill="none"/>'


def _calibration() -> Iterator[str]:
    """A pulse in each row: 1 mV high, 0.2 s wide."""
    width, height = paper.PULSE
    for baseline in paper.BASELINES:
        x = paper.START - width - 4
        path = f"M{x - 3} {_y(baseline)}h3v{-height}h{width}v{height}h2"
        yield f'<path d="{path}" stroke="{paper.INK}" stroke-width="0.28" fill="none"/>'


def _strip(strip: paper.Strip, values: NDArray[np.float64], sampling_rate: float) -> Iterator[str]:
    baseline = paper.BASELINES[strip.row]
    yield _text(strip.left + 1.2, baseline + 13.5, strip.lead, size=3.5, weight="bold")
    if strip.begin > 0:  # where one lead ends and the next begins
        marks = "".join(f"M{strip.left} {_y(baseline + middle + 1.5)}v3" for middle in (-8, 8))
        yield f'<path d="{marks}" stroke="{paper.INK}" stroke-width="0.28"/>'
    lead = values[LEADS.index(strip.lead)]
    piece = slice(round(strip.begin * sampling_rate), round(strip.end * sampling_rate) + 1)
    samples = lead[piece]
    if not np.isfinite(samples).any():
        yield _text(strip.left + 4, baseline, "no signal", size=3, fill=paper.PALE)
        return
    seconds = np.arange(piece.start, piece.start + len(samples)) / sampling_rate
    shown = lead[: round(paper.SECONDS * sampling_rate)]
    x = paper.START + seconds * paper.SPEED
    y = baseline + (samples - np.nanmedian(shown)) * paper.GAIN
    yield (
        f'<g clip-path="url(#paper)"><path transform="scale({1 / UNITS})" d="{_trace(x, _y(0) - y)}" '
        f'stroke="{paper.INK}" stroke-width="{0.28 * UNITS:g}" stroke-linejoin="round" fill="none"/></g>'
    )


def _trace(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """The path through these points, in steps from one to the next, each rounded from its own place."""
    kept = np.isfinite(y)
    points = np.rint(np.stack([x, np.where(kept, y, 0.0)], axis=1) * UNITS).astype(np.int64)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], kept.astype(np.int8), [0]))))
    runs = zip(edges[::2], edges[1::2], strict=True)
    return "".join(_run(points[begin:end]) for begin, end in runs)


def _run(points: NDArray[np.int64]) -> str:
    steps = " ".join(f"{dx} {dy}" for dx, dy in np.diff(points, axis=0).tolist())
    return f"M{points[0, 0]} {points[0, 1]}l{steps or '0 0'}"


def _text(x: float, y: float, text: str, *, size: float, fill: str = paper.INK, weight: str = "normal") -> str:
    return (
        f'<text x="{x:g}" y="{_y(y):g}" font-family="sans-serif" font-size="{size}" font-weight="{weight}" '
        f'fill="{fill}">{escape(text)}</text>'
    )
