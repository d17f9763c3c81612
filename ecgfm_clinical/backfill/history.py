"""The recordings of a run, put into the staging store as history: part after part, through the same door as live ones.

A part is put in anew until its marker lies there; the store knows each recording again, so that nothing is doubled.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from threading import Event

from ecgfm_clinical.backfill.disk import Place, write_whole
from ecgfm_clinical.backfill.manifest import rows
from ecgfm_clinical.backfill.plan import Plan, as_json
from ecgfm_clinical.backfill.sources import Row
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.reading import content_of, name_of
from ecgfm_clinical.staging.records import HISTORY
from ecgfm_connectors.base import Disposition, Handler, Received
from ecgfm_connectors.errors import PayloadError, Unreachable


@dataclass(slots=True, kw_only=True)
class Staged:
    """What became of the recordings so far."""

    counts: Counter[str] = field(default_factory=Counter)  #: files by what the store said of them
    scored: int = 0  #: recordings that got their scores from the run
    left: str = ""  #: why the store's score role is to score them instead
    complete: bool = False  #: every part is in the store

    @property
    def words(self) -> str:
        told = [f"{count} {what}" for what, count in sorted(self.counts.items())]
        told += [f"{self.scored} scored"] if self.scored else []
        return ", ".join(told) or "nothing yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marker:
    """Says that a part is in the store."""

    number: int
    files: int


def put(
    place: Place,
    plan: Plan,
    handle: Handler,
    *,
    score: Callable[[int], int] = lambda _: 0,
    clock: Callable[[], datetime],
    stop: Event,
    staged: Staged,
    tell: Callable[[], None],
) -> None:
    """Put in the parts of a complete run that are not in the store yet, until `stop`; `tell` is called after each file.

    `score` gives the recordings of a part their scores, and says how many it gave. Files that gave no ECG stay out:
    they stand in the run's list. Raises InputError where the store takes nothing now.
    """
    every = rows(place)
    for number in range(plan.parts):
        of_part = list(islice(every, len(plan.rows_of(number))))
        if place.in_store(number).exists():
            staged.counts["there already"] += len(of_part)
            continue
        files = 0
        for row in _with_ecgs(place, number, of_part):
            if stop.is_set():
                return
            staged.counts[_put_one(row, handle, clock())] += 1
            files += 1
            tell()
        staged.scored += score(number)
        write_whole(place.in_store(number), as_json(_Marker(number=number, files=files)))
    staged.complete = True


def _with_ecgs(place: Place, number: int, of_part: list[Row]) -> Iterator[Row]:
    from pyarrow import parquet

    table = parquet.read_table(place.part("predictions", number), columns=["file", "error"])
    good = {
        file for file, error in zip(*(table[name].to_pylist() for name in ("file", "error")), strict=True) if not error
    }
    return (row for row in of_part if name_of(row.path) in good)


def _put_one(row: Row, handle: Handler, now: datetime) -> str:
    name = name_of(row.path)
    try:
        content = content_of(row.path)
    except Unreachable as error:
        raise InputError(f"{error}; repeat the same command once its store answers: what is in stays") from error
    except PayloadError:
        return "gone since"
    verdict = handle(Received(transport="file", source=HISTORY, content=content, received_at=now, location=name))
    if verdict.disposition is Disposition.TRY_LATER:
        raise InputError(f"{name}: {verdict.text}; repeat the same command then: what is in stays")
    return str(verdict.disposition.value)
