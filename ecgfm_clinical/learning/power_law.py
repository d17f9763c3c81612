"""How an AUROC grows with the number of training ECGs, and from which number on it would be enough.

1 - AUROC is taken to fall as an inverse power law, a + b n^-c (Figueroa et al. 2012, doi:10.1186/1472-6947-12-8). Its
uncertainty is that of the repeats: they are drawn again, fitted again, and asked again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Beyond so many times the ECGs of today an extrapolation is no answer.
FARTHEST = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """AUROC = 1 - a - b n^-c."""

    a: float
    b: float
    c: float

    def __call__(self, n: Floats | float) -> Floats:
        return np.asarray(1 - self.a - self.b * np.asarray(n, float) ** -self.c)


def fit(sizes: Sequence[int], aurocs: Floats) -> PowerLaw:
    """Least squares; aurocs (sizes,), the mean over the repeats."""
    from scipy.optimize import curve_fit

    n, error = np.array(sizes, float), 1 - aurocs

    def law(x: Floats, a: float, b: float, c: float) -> Floats:
        return np.asarray(a + b * (x / n[0]) ** -c)

    start = (max(1e-3, float(error.min()) * 0.8), max(1e-3, float(np.ptp(error))), 0.5)
    found, _ = curve_fit(law, n, error, p0=start, bounds=((0, 0, 0.05), (0.6, 1, 2)), max_nfev=5000)
    a, b, c = (float(value) for value in found)
    return PowerLaw(a=a, b=b * n[0] ** c, c=c)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """How many ECGs more; all None where it cannot be told."""

    more: int | None
    low: int | None  #: 95 % interval
    high: int | None
    why: str  #: one sentence

    @classmethod
    def of(cls, more: int, low: int, high: int) -> "Needed":
        if high == 0:
            return cls(more=0, low=0, high=0, why="No more: the gate's rules on number and AUROC are met today.")
        return cls(more=more, low=low, high=high, why=f"About {more} more (95 % interval {low} to {high}).")


def needed(
    sizes: Sequence[int],
    candidate: Floats,
    rivals: Sequence[Floats],
    *,
    now: int,
    at_least: float,
    samples: int = 200,
    seed: int = 0,
) -> Needed:
    """From which number of training ECGs on the candidate's law lies above every rival's.

    candidate, rivals: (repeats, sizes); `now`: training ECGs today; `at_least`: how many of them other rules need (a
    number of positive test patients), whatever the AUROC.
    """
    stream, repeats = np.random.default_rng(seed), len(candidate)
    drawn = [stream.integers(0, repeats, repeats) for _ in range(samples)]
    everyone = np.arange(repeats)
    point, *found = (_enough(sizes, candidate, rivals, rows, now, at_least) for rows in (everyone, *drawn))
    told = np.array([value for value in found if np.isfinite(value)])
    if not np.isfinite(point) or len(told) < 0.975 * samples:
        return Needed(
            more=None,
            low=None,
            high=None,
            why=(
                f"Cannot tell: in {samples - len(told)} of {samples} bootstrap samples of the repeats the curves do "
                f"not cross within {FARTHEST:g} times the ECGs of today."
            ),
        )
    low, high = (max(0, int(np.ceil(value - now))) for value in np.percentile(told, [2.5, 97.5]))
    more = max(0, int(np.ceil(point - now)))
    return Needed.of(more, low, high)


def _enough(
    sizes: Sequence[int],
    candidate: Floats,
    rivals: Sequence[Floats],
    rows: NDArray[np.int_],
    now: int,
    at_least: float,
) -> float:
    """The smallest number of training ECGs; infinite where there is none within `FARTHEST` times those of today."""
    grid = np.unique(np.concatenate([[now], np.geomspace(now, FARTHEST * now, 400)]))
    good = grid >= at_least
    own = fit(sizes, _drawn(candidate, rows))(grid)
    for rival in rivals:
        good &= own > fit(sizes, _drawn(rival, rows))(grid)
    return float(grid[np.argmax(good)]) if good.any() else float("inf")


def _drawn(aurocs: Floats, rows: NDArray[np.int_]) -> Floats:
    """(sizes,) the mean over drawn repeats, as far again from the mean over all as so few repeats ask for: by Student's
    quantile instead of the normal one, and by what drawing with replacement makes too small.
    """
    from scipy.stats import norm, t

    repeats, mean = len(aurocs), aurocs.mean(axis=0)
    wider = np.sqrt(repeats / (repeats - 1)) * t.ppf(0.975, repeats - 1) / norm.ppf(0.975)
    return np.asarray(mean + wider * (aurocs[rows].mean(axis=0) - mean))
