"""Dates and times of day in the sentences of reports."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

_FIRST_YEAR, _LAST_YEAR = 1950, 2099
_CLOCK = re.compile(r"(?:[01]?\d|2[0-3])(?::[0-5]\d){1,2}(?!\d|:\d|[.,]\d| ?%)")
_MONTH = re.compile(r"(?:0?[1-9]|1[0-2])/(?:1\d|2\d)(?![\w/]|[.,]\d| ?%| ?m)")
_MARKS = frozenset("./-")
#: How months begin in eight languages, in their order.
_MONTHS = ("jan gen ene", "feb fev", "mar mrz maa", "apr avr abr", "may mai maj mei mag", "jun juin giu",
           "jul juil lug", "aug aou ago", "sep set", "oct okt ott out", "nov", "dec dez dic des")  # fmt: skip
NUMBER_OF = {begin: number for number, begins in enumerate(_MONTHS, start=1) for begin in begins.split()}
MONTH = rf"({'|'.join(sorted(NUMBER_OF, key=len, reverse=True))})[a-z]{{0,7}}\.?"
_YEAR = r"((?:19|20)\d\d)(?!\d|[.,]\d| ?%)"
#: `21 Feb 2026`, `3. März 2026`, `1er mars 2026`, `4 de marzo de 2026`.
_WRITTEN = re.compile(rf"(\d{{1,2}})(?:st|nd|rd|th|er|\.)?[ -]?(?:de |of )?{MONTH}[ ,-]{{0,2}}(?:de |del )?{_YEAR}")
#: `March 1, 2026`, `Feb 2026`, `marzo de 2026`.
_BEGINS_WITH_MONTH = re.compile(rf"{MONTH}[ -](?:de |del |of )?(?:(\d{{1,2}})(?:st|nd|rd|th)?,? )?{_YEAR}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The days of the present examination: the study's own, or those of the stay that a letter tells of."""

    first: date
    last: date

    def holds(self, day: date) -> bool:
        """Whether a day is one of them."""
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """A date and where it ends."""

    end: int
    own: bool  #: a day of the present examination, or a time of day: it says nothing of the value


def at(folded: str, start: int, study: Days | None) -> Dated | None:
    """`08:15`, `12.03.2022`, `3/2022`, `03/22`, `2019-05-01`, `2021`, `3 March 2022`, where one begins at `start`."""
    clock = _CLOCK.match(folded, start)
    if clock is not None:
        return Dated(end=clock.end(), own=True)
    written = _WRITTEN.match(folded, start)
    if written is not None:
        day, name, year = written.groups()
        return Dated(end=written.end(), own=_own(study, [int(day), NUMBER_OF[name], int(year)]))
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
    return Dated(end=end, own=_own(study, [int(part) for part in parts]))


def in_words(folded: str, start: int, study: Days | None) -> Dated | None:
    """`March 1, 2026`, `Feb 2026`, where the name of a month begins at `start`."""
    found = _BEGINS_WITH_MONTH.match(folded, start)
    if found is None:
        return None
    name, day, year = found.groups()
    parts = [NUMBER_OF[name], int(year)]
    return Dated(end=found.end(), own=_own(study, parts if day is None else [int(day), *parts]))


def days_of(parts: list[int]) -> Iterator[date]:
    """The days that three numbers may mean: the year is the longest or the last, day and month stand either way."""
    first, second, third = parts
    if first > 99:
        first, third = third, first
    year = third if third > 99 else 2000 + third
    for day, month in {(first, second), (second, first)}:
        try:
            yield date(year, month, day)
        except ValueError:
            continue


def _own(study: Days | None, parts: list[int]) -> bool:
    """Whether a day, a month or a year is that of the present examination."""
    if study is None:
        return False
    if len(parts) == 3:
        return any(map(study.holds, days_of(parts)))
    own = (study.last.month, study.last.year % 100)
    stated = [part % 100 for part in parts]
    return sorted(stated) == sorted(own if len(parts) == 2 else own[1:])
