"""At which hours of the week a source brings ECGs, and for how many such hours it has been silent.

An outpatient clinic is silent at night and on Sundays, and that is no fault. A source's working hours are the hours of
the week, in the site's zone, in which it brought something in at least half of the weeks looked at. Until two weeks
were seen nothing is learnt, and a source may be silent for a day.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

WEEKS = 8  #: looked at
LEAST_WEEKS = 2
HOUR = timedelta(hours=1)
#: Working hours without a payload after which a source is silent, and hours where nothing is learnt yet.
SILENT_WORKING_HOURS = 4
SILENT_HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """The working hours of one source."""

    working: frozenset[tuple[int, int]]  #: (day of the week from Monday = 0, hour)
    weeks: int  #: of history

    @property
    def is_learnt(self) -> bool:
        return self.weeks >= LEAST_WEEKS and bool(self.working)


def learn(arrivals: Iterable[datetime], *, zone: ZoneInfo, now: datetime) -> Rhythm:
    """From the hours in which something came (`Movement.arrivals`), newest `WEEKS` weeks."""
    hours = sorted({at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for at in arrivals})
    if not hours:
        return Rhythm(working=frozenset(), weeks=0)
    weeks = min(WEEKS, (now - hours[0]) // timedelta(weeks=1))
    seen: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for at in hours:
        ago = (now - at) // timedelta(weeks=1)
        if ago < weeks:
            seen[_slot(at, zone)].add(ago)
    least = max(1, (weeks + 1) // 2)
    return Rhythm(working=frozenset(slot for slot, when in seen.items() if len(when) >= least), weeks=weeks)


def silent_for(rhythm: Rhythm, last: datetime, *, zone: ZoneInfo, now: datetime) -> float:
    """Working hours that passed whole since the last payload; all hours where nothing is learnt."""
    if not rhythm.is_learnt:
        return (now - last) / HOUR
    first = last.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + HOUR
    count, at = 0, max(first, now - timedelta(weeks=WEEKS))
    while at + HOUR <= now:
        count += _slot(at, zone) in rhythm.working
        at += HOUR
    return float(count)


def is_silent(rhythm: Rhythm, last: datetime, *, zone: ZoneInfo, now: datetime) -> bool:
    """Whether a source should have brought something since."""
    limit = SILENT_WORKING_HOURS if rhythm.is_learnt else SILENT_HOURS
    return silent_for(rhythm, last, zone=zone, now=now) >= limit


def _slot(at: datetime, zone: ZoneInfo) -> tuple[int, int]:
    local = at.astimezone(zone)
    return local.weekday(), local.hour
