"""Dates and times of day in the sentences of a report."""

import re
from dataclasses import dataclass
from datetime import date

_FIRST_YEAR, _LAST_YEAR = 1950, 2099
_CLOCK = re.compile(r"(?:[01]?\d|2[0-3])(?::[0-5]\d){1,2}(?!\d|:\d|[.,]\d| ?%)")
_MONTH = re.compile(r"(?:0?[1-9]|1[0-2])/(?:1\d|2\d)(?![\w/]|[.,]\d| ?%| ?m)")
_MARKS = frozenset("./-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """A date and where it ends."""

    end: int
    own: bool  #: the day of the study, or a time of day: it says nothing of the value


def at(folded: str, start: int, study: date | None) -> Dated | None:
    """`08:15`, `12.03.2022`, `3/2022`, `03/22`, `2019-05-01`, `2021`, where one begins at `start`."""
    clock = _CLOCK.match(folded, start)
    if clock is not None:
        return Dated(end=clock.end(), own=True)
    end, parts = start, []
    while end < len(folded) and folded[end].isdigit():
        begin = end
        while end < len(folded) and folded[end].isdigit():
            end += 1
        parts.append(folded[begin:end])
        if end + 1 < len(folded) and folded[end] in _MARKS and folded[end + 1].isdigit() and len(parts) < 3:
            end += 1
    years = [part for part in parts if len(part) == 4 and _FIRST_YEAR <= int(part) <= _LAST_YEAR]
    percent = folded[end : end + 2].strip().startswith("%")
    whole = len(parts) == 3 and all(len(part) in (1, 2, 4) for part in parts) and folded[start:end].count(",") == 0
    month = folded[start - 1 : start] != "/" and _MONTH.match(folded, start) is not None
    if percent or not (years or whole or month) or len(parts[0]) > 4:
        return None
    return Dated(end=end, own=study is not None and _is_of(parts, study))


def _is_of(parts: list[str], study: date) -> bool:
    """Whether a day, a month or a year is the study's own."""
    stated = [int(part) % 100 for part in parts]
    own: dict[int, tuple[int, ...]] = {
        1: (study.year % 100,),
        2: (study.month, study.year % 100),
        3: (study.day, study.month, study.year % 100),
    }
    return sorted(stated) == sorted(own[len(parts)])
