"""The line of one lead, with no more points than a picture can show and no peak less.

Samples that fall into the same tenth of a millimetre are replaced by the first, the lowest, the highest and the last of
them in their order (M4 of Jugel et al. 2014, doi:10.14778/2732951.2732953): a line through those covers the same ink.
"""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  #: (points, 2): x and y in mm

COLUMN = 0.1  #: mm
_KEPT = 4  #: of each column


def reduced(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[Points, ...]:
    """The runs of finite points; x ascends, in mm."""
    kept = np.isfinite(y)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], kept.astype(np.int8), [0]))))
    runs = zip(edges[::2], edges[1::2], strict=True)
    return tuple(_run(x[begin:end], y[begin:end]) for begin, end in runs)


def _run(x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
    points = np.stack([x, y], axis=1)
    columns = np.floor(x / COLUMN).astype(np.int64)
    if len(x) <= _KEPT or len(x) <= _KEPT * (columns[-1] - columns[0] + 1):
        return points
    starts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
    ends = np.append(starts[1:], len(x))
    column = np.repeat(np.arange(len(starts)), ends - starts)
    order = np.lexsort((np.arange(len(x)), y, column))  # by height within each column
    chosen = np.unique(np.concatenate([starts, ends - 1, order[starts], order[ends - 1]]))
    return np.asarray(points[chosen])
