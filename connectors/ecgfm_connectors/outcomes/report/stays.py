"""The days of a hospital stay that a letter at its end tells of: what was examined on one of them is of this stay.

`Admission date: 02/25/2026   Discharge date: 03/01/2026`, `vom 23.02.2026 bis 01.03.2026 in stationärer Behandlung`.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

from ecgfm_connectors.outcomes.report.dates import MONTH, NUMBER_OF, Days

MAX_LENGTH = 4000  #: characters of a letter that are looked at
_LONGEST_DAY = 99  # of two figures
_LONGEST = timedelta(days=120)  #: of a stay
_AFTER = timedelta(days=3)  #: between the end of the stay and the letter
_APART = 100  #: characters between the two dates
_AROUND = 90  #: characters around them in which the word for a stay stands
_STAY = re.compile(
    r"admi(?:tted|ssion)|adm(?![a-z])|discharge|disch(?![a-z])|entree? le|sortie? le"
    r"|hospitali[sz]|inpatient|stationar|aufenthalt|aufnahme|entlass|eintritt|austritt"
    r"|hospitalis|sejour|date d'entree|date de sortie|ingres|fecha de alta|ricover|dimess|dimission|dimett|degenza"
    r"|opgenomen|opname|ontslag|internamento|internad|internacao|data de alta|vardtid|inskriv|utskriv|inlagd|vardad"
)
_DATE = re.compile(r"(?<![\d.,/-])(\d{1,4})[./-](\d{1,2})[./-](\d{2,4})(?![\d%])(?![./-]\d)")
#: `19.02. - 01.03.2026`: the year of the first is that of the second.
_SHORT = re.compile(
    r"(?<![\d.,/-])(\d{1,2})[./](\d{1,2})\.? ?(?:-|–|bis|to|au|al|tot|a|till) ?(?:zum )?\d{1,2}[./]\d{1,2}[./](\d{4})"
)
_NAMED = re.compile(rf"(?<![\d.,/-])(\d{{1,2}})(?:\.|st|nd|rd|th|er)? ?(?:de )?{MONTH} ?(?:de )?(\d{{4}})")


def of(folded: str, study: date) -> Days:
    """The study's own day, with the days of the stay before it where a letter names both its ends."""
    head = folded[:MAX_LENGTH]
    found = sorted(_dates(head), key=lambda one: one[:2])
    for (at, end, days), (start, last, others) in pairwise(found):
        around = head[max(at - _AROUND, 0) : last + _AROUND]
        if start - end > _APART or _STAY.search(around) is None:
            continue
        for one, other in zip(days, others, strict=True):
            if one is None or other is None:
                continue
            first, final = min(one, other), max(one, other)
            if first < final <= study <= final + _AFTER and final - first <= _LONGEST:
                return Days(first=first, last=study)
    return Days(first=study, last=study)


def _dates(head: str) -> Iterator[tuple[int, int, tuple[date | None, date | None]]]:
    """The dates of a text: where each begins and ends, and its day, day first and month first."""
    for pattern, last in ((_DATE, 0), (_SHORT, 2)):
        for found in pattern.finditer(head):
            first, second, third = (int(part) for part in found.groups())
            if first > _LONGEST_DAY:
                yield found.start(), found.end(last), (_day(first, second, third),) * 2
                continue
            year = third if third > _LONGEST_DAY else 2000 + third
            yield found.start(), found.end(last), (_day(year, second, first), _day(year, first, second))
    for found in _NAMED.finditer(head):
        day, name, stated = found.groups()
        yield found.start(), found.end(), (_day(int(stated), NUMBER_OF[name], int(day)),) * 2


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
