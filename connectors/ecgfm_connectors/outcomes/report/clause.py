"""Reads the value of an ejection fraction that is a clause as reports have it: `ca. 60 %`, `60 % (Simpson biplan)`."""

from ecgfm_connectors.outcomes import units
from ecgfm_connectors.outcomes.quantity import Quantity
from ecgfm_connectors.outcomes.report import reader

MAX_LENGTH = 60  #: characters; longer text is a report of its own


def read(text: str) -> Quantity | None:
    """The value that the clause gives in percent; None where a report's rules leave it out, or see another number."""
    if len(text) > MAX_LENGTH or "\n" in text or "%" not in text:
        return None
    reading = reader.read(f"LVEF: {text}")
    if reading.found is None or reading.unused or reading.found.comparator:
        return None
    found = reading.found
    return Quantity(low=found.low, high=found.high, unit=units.PERCENT)
