"""The patient's age as a sender states it, kept among an ECG's measurements: many formats tell an age and no birth date."""

import re
from collections.abc import Iterable

#: UCUM unit -> years.
_YEARS = {"a": 1.0, "mo": 1.0 / 12.0, "wk": 7.0 / 365.25, "d": 1.0 / 365.25, "h": 1.0 / 8766.0}
#: First letter of a sender's unit (DICOM AS, MUSE, SCP-ECG in words) -> UCUM.
_UNITS = {"Y": "a", "A": "a", "M": "mo", "W": "wk", "D": "d", "H": "h"}
_STATED = re.compile(r"(\d{1,5}(?:\.\d+)?) (a|mo|wk|d|h)", re.ASCII)

NAME = "age"


def measurement(number: str, unit: str) -> tuple[tuple[str, str], ...]:
    """The measurement `("age", "42 a")`, alone in a tuple; an empty tuple where `number` or `unit` say no age.

    `unit` may be UCUM, a word (`YEARS`), or DICOM's letter (`Y`). More than 150 years is an anonymiser's doing.
    """
    code = unit.strip() if unit.strip() in _YEARS else _UNITS.get(unit.strip()[:1].upper(), "")
    value = number.strip().lstrip("0") or ("0" if number.strip() else "")
    years = stated(((NAME, f"{value} {code}"),))
    return ((NAME, f"{value} {code}"),) if years is not None and years <= 150 else ()


def stated(measurements: Iterable[tuple[str, str]]) -> float | None:
    """The age in years among an ECG's measurements; None where the sender stated none."""
    for name, value in measurements:
        if name == NAME and (match := _STATED.fullmatch(value)):
            return float(match[1]) * _YEARS[match[2]]
    return None
