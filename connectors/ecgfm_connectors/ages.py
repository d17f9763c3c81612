"""How old the patient was when the ECG was recorded: the same answer for every head's age range, cohort and baseline.

Many formats carry an age and no birth date; a stated age is kept among an ECG's measurements. A birth date may be a
program's placeholder, the cart's clock may have been reset to before the birth, and a two-digit year may have gone a
century wrong. What is impossible is left out; where two possible answers disagree, both are given.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from ecgfm_connectors.people import real_birth_date

#: UCUM unit -> years.
_YEARS = {"a": 1.0, "mo": 1.0 / 12.0, "wk": 7.0 / 365.25, "d": 1.0 / 365.25, "h": 1.0 / 8766.0}
#: First letter of a sender's unit (DICOM AS, MUSE, SCP-ECG in words) -> UCUM.
_UNITS = {"Y": "a", "A": "a", "M": "mo", "W": "wk", "D": "d", "H": "h"}
_STATED = re.compile(r"(\d{1,5}(?:\.\d+)?) (a|mo|wk|d|h)", re.ASCII)

NAME = "age"


def measurement(number: str, unit: str) -> tuple[tuple[str, str], ...]:
    """The measurement `("age", "42 a")`, alone in a tuple; an empty tuple where `number` or `unit` say no age.

    `unit` may be UCUM, a word (`YEARS`), or DICOM's letter (`Y`). An anonymiser writes more than 150 years.
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


#: Years. The oldest person on record reached 122.
OLDEST = 125.0
#: Years by which a stated age may differ from the birth date: whole years are rounded, and may be a year old.
AGREEMENT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """Every possible age in years: no age where none is known, two ages where birth date and stated age disagree."""

    candidates: tuple[float, ...] = ()
    doubts: tuple[str, ...] = ()  #: what was left out or contradicts, each a sentence without patient data

    @property
    def years(self) -> float | None:
        """The age, where exactly one age is possible."""
        return self.candidates[0] if len(self.candidates) == 1 else None


def at_acquisition(
    birth_date: date | None, acquired_at: datetime | None, measurements: Iterable[tuple[str, str]]
) -> Age:
    """The age on the day of `acquired_at`, by the birth date and by what the sender states among `measurements`."""
    known, doubts = stated(measurements), []
    if known is not None and known > OLDEST:
        known = None
        doubts.append(f"the stated age is above {OLDEST:g} years, as anonymisers write it")
    counted, doubt = _counted(birth_date, acquired_at)
    doubts += [doubt] if doubt else []
    if counted is None or known is None:
        one = counted if counted is not None else known
        return Age(candidates=() if one is None else (one,), doubts=tuple(doubts))
    if abs(counted - known) <= AGREEMENT:
        return Age(candidates=(counted,), doubts=tuple(doubts))
    doubts.append("birth date and stated age contradict each other")
    return Age(candidates=(counted, known), doubts=tuple(doubts))


def _counted(birth_date: date | None, acquired_at: datetime | None) -> tuple[float | None, str]:
    """The age from birth date to acquisition and no doubt; or no age, and why the birth date cannot be counted from."""
    born = real_birth_date(birth_date)
    if birth_date is not None and born is None:
        return None, "the birth date is a program's placeholder"
    if born is None or acquired_at is None:
        return None, ""
    years = (acquired_at.date() - born).days / 365.25
    if years < 0:
        return None, "the recording is dated before the birth"
    return (years, "") if years <= OLDEST else (None, f"the birth date makes the patient older than {OLDEST:g} years")
