"""A probability and its operating point as text that says the same as the answer beside them."""

from decimal import Decimal

from ecgfm_connectors.result import Observation

_LIMIT_DECIMALS = 6  # of an operating point
_MOST_DECIMALS = 18  # beyond these a number is written out whole


def printed(observation: Observation, decimals: int) -> tuple[str, str]:
    """Probability and limit, rounded, but never so that the two say something else than the answer. The limit is empty
    where there is none, or where its crossing means nothing.
    """
    probability, limit = observation.probability, observation.threshold
    assert probability is not None
    if limit is None or observation.positive is None or not observation.abnormal:
        return _fixed(probability, decimals), ""
    for digits in range(decimals, _MOST_DECIMALS):
        value, shown = _fixed(probability, digits), _short(limit, max(digits, _LIMIT_DECIMALS))
        if (Decimal(value) >= Decimal(shown)) == observation.positive:
            return value, shown
    return f"{Decimal(probability):f}", f"{Decimal(limit):f}"


def _fixed(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}"


def _short(value: float, decimals: int) -> str:
    """As `_fixed`, without zeros at the end."""
    return _fixed(value, decimals).rstrip("0").rstrip(".")
