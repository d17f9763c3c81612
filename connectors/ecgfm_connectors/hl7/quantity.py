"""Reads one measured quantity as senders write it: `35`, `0,045`, `35 - 40 %`, `<0.01 ng/mL`, SN `<^3`; None where in
doubt.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Literal

from ecgfm_connectors.hl7.message import Segment

Comparator = Literal["", "<", "<=", ">", ">="]

MAX_LENGTH = 64  #: characters of a value or range; longer text is no number

NUMBER = r"(?:\d+(?:[.,]\d+)?|[.,]\d+)"
COMPARATOR = r"(?:<\s*=|>\s*=|≤|≥|<|>|less than|greater than|under|over|above|below)"
_VALUE = re.compile(
    rf"(?P<comparator>{COMPARATOR})?\s*(?P<low>{NUMBER})\s*%?\s*(?:(?:-|–|—|to)\s*(?P<high>{NUMBER}))?\s*(?P<unit>.*)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number as written: one value or a range, perhaps open to one side."""

    low: float
    high: float | None
    comparator: Comparator
    unit: str


def of_observation(obx: Segment) -> Quantity | None:
    """OBX-5 as NM, SN (comparator^number^separator^number) or text; the unit from OBX-6, else from the text."""
    if obx.value(2).upper() == "SN":
        text = "".join(obx.value(5, component) for component in (1, 2, 3, 4))
    else:
        text = obx.text(5)
    measured = parse(text)
    return replace(measured, unit=obx.value(6) or obx.value(6, 2) or measured.unit) if measured else None


def parse(text: str) -> Quantity | None:
    """A number or range with its comparator and unit; None where the text is anything else, or can be read two ways."""
    match = _VALUE.fullmatch(text.strip()) if len(text) <= MAX_LENGTH else None
    low = decimal(match["low"]) if match else None
    if match is None or low is None:
        return None
    high = decimal(match["high"]) if match["high"] else None
    unit = "%" if "%" in text else match["unit"].strip()
    if (match["high"] and high is None) or len(unit) > 12 or (high is not None and high < low):
        return None
    return Quantity(low=low, high=high, comparator=_comparator(match["comparator"]), unit=unit)


def decimal(text: str) -> float | None:
    """A number with a decimal point or comma; None where a comma may as well part thousands (`1,234`)."""
    if re.fullmatch(r"[1-9]\d{0,2},\d{3}", text):
        return None
    try:
        return float(Decimal(text.replace(",", ".")))
    except InvalidOperation:
        return None


def _comparator(text: str | None) -> Comparator:
    sign = re.sub(r"\s", "", text or "").lower()
    words: dict[str, Comparator] = {
        "<": "<",
        "lessthan": "<",
        "under": "<",
        "below": "<",
        "<=": "<=",
        "≤": "<=",
        ">": ">",
        "greaterthan": ">",
        "over": ">",
        "above": ">",
        ">=": ">=",
        "≥": ">=",
    }
    return words.get(sign, "")
