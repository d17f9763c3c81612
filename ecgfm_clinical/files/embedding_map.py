"""Draw embeddings as points on two axes, coloured by one label: a picture file, or a page with the picture in it."""

import io
from html import escape
from pathlib import Path
from typing import Any  # Any: plotly, which has no types

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.errors import InputError

#: What may be written.
SUFFIXES = (".png", ".svg", ".html")
_KINDS = ((1.0, "#c0392b", "with"), (0.0, "#2c7fb8", "without"), (np.nan, "#bbbbbb", "not known"))


def draw(places: NDArray[np.float64], values: NDArray[np.float64], *, label: str, title: str, path: Path) -> None:
    """places (n, 2); values (n,) 0, 1 or NaN. The suffix of `path` chooses the kind of file.

    Raises:
        InputError: the file cannot be written.
    """
    figure = _figure(places, values, label, title)
    try:
        if path.suffix == ".html":
            path.write_text(_page(figure, title), encoding="utf-8")
        else:
            figure.savefig(path, dpi=150)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def _figure(places: NDArray[np.float64], values: NDArray[np.float64], label: str, title: str) -> Any:
    from matplotlib.figure import Figure  # not pyplot: no window system, no global state

    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    for value, colour, word in _KINDS:
        chosen = np.isnan(values) if np.isnan(value) else values == value
        if chosen.any():
            across, up = places[chosen].T
            axes.scatter(across, up, s=10, c=colour, alpha=0.6, linewidths=0, label=f"{word} ({chosen.sum()})")
    axes.legend(title=label, loc="best")
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    return figure


def _page(figure: Any, title: str) -> str:
    """One page that needs no other file."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg")
    picture = drawn.getvalue().partition("<svg")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>\n'
        f"<body>\n{picture[1]}{picture[2]}\n</body></html>\n"
    )
