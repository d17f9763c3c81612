"""Numbers written as text, many of them quickly."""

import math

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.errors import Refused, Unreadable

#: Characters of one lead: 20 minutes at 1000 Hz, eight to a sample.
_LONGEST_TEXT = 10_000_000


def parse_number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def parse_numbers(text: str) -> NDArray[np.float64]:
    """(n,) numbers separated by whitespace or commas. Raises Unreadable `sample-text` where one is no number; Refused
    `too-large`.
    """
    if len(text) > _LONGEST_TEXT:  # before the words are cut: each costs twenty times its characters
        raise Refused("too-large", f"{len(text)} characters of samples in one lead; {_LONGEST_TEXT} are read at most")
    words = text.replace(",", " ").split()
    try:
        values = np.array(words, dtype=np.float64) if words else np.zeros(0)
    except (ValueError, OverflowError) as error:
        raise Unreadable("sample-text", "a sample is written as something that is no number") from error
    if not np.isfinite(values).all():
        raise Unreadable("sample-text", "a sample is written as something that is no finite number")
    return values
