"""How old the patient was when the ECG was recorded: the same answer for every head's age range, cohort and baseline.

Many formats carry an age and no birth date; a stated age is kept among an ECG's measurements. A birth date may be a
program's placeholder, the cart's clock may have been reset to before the birth, and a two-digit year may have gone a
century wrong. What is impossible is left out; where two possible answers disagree, both are given.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from ecgfm_connectors.ecg import Ecg
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
    birth_date: date | None,
    acquired_at: datetime | None,
    measurements: Iterable[tuple[str, str]],
    *,
    registered: date | None = None,
) -> Age:
    """The age on the day of `acquired_at`: by the birth date that the sender gives, by the one that the hospital's
    register has (ADT), and by what the sender states among `measurements`.
    """
    known, doubts = stated(measurements), []
    if known is not None and known > OLDEST:
        known = None
        doubts.append(f"the stated age is above {OLDEST:g} years, as anonymisers write it")
    counted, doubt = _counted(birth_date, acquired_at, "birth date")
    doubts += [doubt] if doubt else []
    by_register, doubt = _counted(None if registered == birth_date else registered, acquired_at, _REGISTERED)
    doubts += [doubt] if doubt else []
    told = {"birth date": counted, _REGISTERED: by_register, "stated age": known}
    candidates, against = _candidates({name: years for name, years in told.items() if years is not None})
    return Age(candidates=candidates, doubts=(*doubts, *against))


def of(ecg: Ecg) -> Age:
    """The age at acquisition by everything that an ECG and its patient's register say."""
    patient, acquired_at = ecg.patient, ecg.acquired.at if ecg.acquired else None
    return at_acquisition(patient.birth_date, acquired_at, ecg.measurements, registered=patient.registered_birth_date)


_REGISTERED = "registered birth date"


def _candidates(told: Mapping[str, float]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """The ages that differ by more than `AGREEMENT`, and which of them contradict the first."""
    candidates: dict[str, float] = {}
    for name, years in told.items():
        if all(abs(years - other) > AGREEMENT for other in candidates.values()):
            candidates[name] = years
    first, *others = candidates or [""]
    return tuple(candidates.values()), tuple(f"{first} and {other} contradict each other" for other in others)


def _counted(birth_date: date | None, acquired_at: datetime | None, name: str) -> tuple[float | None, str]:
    """The age from birth date to acquisition and no doubt; or no age, and why the birth date cannot be counted from."""
    born = real_birth_date(birth_date)
    if birth_date is not None and born is None:
        return None, f"the {name} is a program's placeholder"
    if born is None or acquired_at is None:
        return None, ""
    years = (acquired_at.date() - born).days / 365.25
    if years < 0:
        return None, f"the recording is dated before the {name.removesuffix(' date')}"
    return (years, "") if years <= OLDEST else (None, f"the {name} makes the patient older than {OLDEST:g} years")
