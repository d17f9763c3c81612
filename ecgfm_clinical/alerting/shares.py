"""Whether a share (refused payloads, ECGs not evaluable) is higher now than the same source's own past."""

from dataclasses import dataclass
from math import sqrt

LEAST_NOW = 20  #: of fewer nothing is said
LEAST_PAST = 100
STANDARD_ERRORS = 4.0
LEAST_RISE = 0.10  #: a rise of less concerns nobody, however certain it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Some out of all."""

    some: int
    all: int

    @property
    def value(self) -> float:
        return self.some / self.all if self.all else 0.0


def has_risen(now: Share, past: Share) -> bool:
    """By a test of two proportions with the pooled standard error, and by an amount that matters."""
    if now.all < LEAST_NOW or past.all < LEAST_PAST or now.value - past.value < LEAST_RISE:
        return False
    pooled = (now.some + past.some) / (now.all + past.all)
    error = sqrt(pooled * (1 - pooled) * (1 / now.all + 1 / past.all))
    return now.value - past.value > STANDARD_ERRORS * error
