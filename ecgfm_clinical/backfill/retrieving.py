"""Recordings of a PACS by days, retrieved into the folder of the run before its manifest is frozen.

    NAME:FIRST..LAST        a DICOM or DICOMweb source of the settings, and days of studies, both included

A day has its folder once all of it is there: a repeat goes on with the day that was under way.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Protocol, runtime_checkable

from ecgfm_clinical.backfill.disk import Place, write_whole
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.outputs import put_in_place, written
from ecgfm_connectors.base import Disposition, Handler, PullReport, Received, Verdict
from ecgfm_connectors.errors import ConnectorError

_FORM = re.compile(r"([^:/]+):(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)")


@runtime_checkable
class Pacs(Protocol):
    """A source that can be asked for days."""

    def retrieve(self, handle: Handler, *, first: date, last: date, now: datetime) -> PullReport: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Days of one source."""

    name: str
    first: date
    last: date

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1))

    def __str__(self) -> str:
        return f"{self.name}:{self.first}..{self.last}"


def days_of(source: str) -> Days | None:
    """None where the text has another form. Raises InputError where it names no days."""
    found = _FORM.fullmatch(source)
    if found is None:
        return None
    try:
        days = Days(name=found[1], first=date.fromisoformat(found[2]), last=date.fromisoformat(found[3]))
    except ValueError as error:
        raise InputError(f"{source}: {error}; days are written as in pacs:2024-01-01..2024-01-31") from error
    if days.last < days.first:
        raise InputError(f"{source} ends before it begins; write the earlier day first")
    return days


def retrieve(
    place: Place, days: Days, pacs: Pacs, *, clock: Callable[[], datetime], stop: Event, tell: Callable[[date], None]
) -> Path:
    """The folder in which the recordings of these days lie; not of all where it was to `stop`.

    `tell` is called before each day. Raises InputError where the source does not deliver all of a day.
    """
    folder = place.retrieved / days.name / f"{days.first}..{days.last}"
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for day in days:
        if stop.is_set():
            break
        if not (folder / str(day)).is_dir():
            tell(day)
            _one_day(folder, day, days.name, pacs, clock)
    return folder


def _one_day(folder: Path, day: date, name: str, pacs: Pacs, clock: Callable[[], datetime]) -> None:
    hidden = folder / f".{day}.part"
    with written(hidden):
        hidden.mkdir(exist_ok=True)
    keep = _Keep(hidden)
    try:
        report = pacs.retrieve(keep, first=day, last=day, now=clock())
    except ConnectorError as error:
        raise InputError(f"{name}, {day}: {error}; repeat the same command then: earlier days stay") from error
    if keep.error is not None:
        raise keep.error
    if report.problems:
        raise InputError(
            f"{name} did not deliver all of {day}: {report.problems[0]}; repeat the same command: earlier days stay"
        )
    with written(hidden):
        put_in_place(hidden, folder / str(day))


class _Keep:
    """Writes each object into a folder, under a name that its bytes give."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.error: InputError | None = None

    def __call__(self, received: Received) -> Verdict:
        path = self._folder / f"{hashlib.sha256(received.content).hexdigest()[:32]}.dcm"
        try:
            if not path.exists():
                write_whole(path, received.content)
        except InputError as error:
            self.error = error
            return Verdict(disposition=Disposition.TRY_LATER, text="not written")
        return Verdict(disposition=Disposition.STAGED)
