"""A course of values: a line that names the ejection fraction, and below it a line for each date.

    LVEF im Verlauf:          Evolution de la FEVG          Datum | LVEF | GLS
    05/2024: 38 %             06/2024 : 35 %                2025-03-01 | 60 % | -20
    aktuell (01.03.2026): 30  Ce jour : 47 %                2026-03-01 | 52 % | -18

The line of the study's own day, or the one that says today, gives the value; all others are earlier. A line whose words
are not all known ends the course.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ecgfm_connectors.outcomes.folding import fold, words
from ecgfm_connectors.outcomes.phrases import phrases
from ecgfm_connectors.outcomes.report import danger, dates
from ecgfm_connectors.outcomes.report.dates import Days
from ecgfm_connectors.outcomes.report.harmless import is_harmless
from ecgfm_connectors.outcomes.report.items import SPANS, Item, items
from ecgfm_connectors.outcomes.report.statements import Statement
from ecgfm_connectors.outcomes.report.surroundings import HIGHEST, LOWEST
from ecgfm_connectors.outcomes.report.tables import Row

_HEAD, _LINE = 80, 120  #: characters
_FEWEST, _MOST = 2, 40  #: lines of a course
_PARTING = re.compile(r"\t|\|| {2,}|;")
_DATES = phrases({"date": "date|datum|fecha|data|date d examen|dato|untersuchungsdatum|examen|when|study date"})
#: Cues of a head that name another quantity, another one's, or what is no course of this patient's values.
_OTHER = frozenset(
    ("other-mention", "other-chamber", "measure", "stress", "family", "guideline", "goal", "threshold", "reference")
)
_NAMES = frozenset(("mention", "left-mention"))


@dataclass(frozen=True, slots=True)
class _Line:
    when: Literal["own", "earlier"]
    known: bool  #: whether every word of it is known
    value: Item


def rows(text: str, study: Days | None) -> Iterator[Row]:
    """The lines of courses, each with what it gives. Linear in the length of the text."""
    if study is None:
        return
    lines = list(_placed(text))
    at = 0
    while at < len(lines):
        start, line = lines[at]
        at += 1
        column = _head(line)
        if column is None:
            yield from _in_one_line(start, line, study)
            continue
        read: list[tuple[int, str, _Line]] = []
        while at < len(lines) and len(read) < _MOST:
            one = _line(lines[at][1], column, study, in_percent="%" in line)
            if one is None:
                break
            read.append((*lines[at], one))
            at += 1
        if len(read) >= _FEWEST and any(one.when == "earlier" for _, _, one in read):
            yield from (_row(*one) for one in read)


def _in_one_line(start: int, line: str, study: Days) -> Iterator[Row]:
    """`FEVI 01/2024: 35%; 06/2025: 44%; hoy: 50%`: the name before the first date only."""
    first, mark, _ = line.partition(";")
    if not mark or len(line) > _LINE or not _names_it(first) or _names_it(line[len(first) :]):
        return
    at, read = 0, []
    for part in line.split(";"):
        one = _line(part.rstrip(" ."), 0, study, in_percent=False)
        if one is None:
            return
        read.append((start + at, part, one))
        at += len(part) + 1
    if len(read) >= _FEWEST and any(one.when == "earlier" for _, _, one in read):
        yield from (_row(*one) for one in read)


def _placed(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their places."""
    start = 0
    for line in text.split("\n"):
        if line.strip():
            yield start, line
        start += len(line) + 1


def _head(line: str) -> int | None:
    """The column of the ejection fraction under a line that names it: 0 where the lines below are no table."""
    if len(line) > _HEAD:
        return None
    cells = _PARTING.split(line.strip(" |\t"))
    if len(cells) > 1 and _DATES.at(words(fold(cells[0])) or ("",), 0) is not None:
        named = [at for at, cell in enumerate(cells) if _names_it(cell.strip())]
        return named[0] if len(named) == 1 and named[0] > 0 else None
    return 0 if _names_it(line) and not any(map(str.isdigit, line)) else None


def _names_it(text: str) -> bool:
    found = items(text, fold(text), None)
    cues = {item.cue for item in found}
    elsewhere = "prior" in cues or danger.is_of_a_place(found)
    return bool(cues & _NAMES) and not cues & _OTHER and not elsewhere


def _line(line: str, column: int, study: Days, *, in_percent: bool) -> _Line | None:
    """A line of a course; None where it is none."""
    if len(line) > _LINE:
        return None
    folded = fold(line)
    own, dated = _own_date(folded, study)
    found = items(line, folded, study)
    cues = {item.cue for item in found}
    if cues & _OTHER & {"family", "guideline", "goal", "threshold", "other-mention"} or not (dated or "now" in cues):
        return None
    value = _value(line, found, column, in_percent=in_percent)
    if value is None or value.value is None or not LOWEST <= value.value.low <= HIGHEST:
        return None
    others = any(item.cue == "prior" or item.kind == "date" for item in found)
    when: Literal["own", "earlier"] = "own" if not others and (own or ("now" in cues and not dated)) else "earlier"
    own_words = found if column == 0 else [item for item in found if item.start <= value.start]
    known = all(_is_known(item, folded) for item in own_words) and not danger.is_dangerous(own_words)
    return _Line(when, known, value)


def _own_date(folded: str, study: Days) -> tuple[bool, bool]:
    """Whether a line bears a date of the present examination, and whether it bears any."""
    own, dated, at = False, False, 0
    while at < len(folded):
        fresh = at == 0 or not folded[at - 1].isalnum()
        found = None
        if fresh and folded[at].isdigit():
            found = dates.at(folded, at, study)
        elif fresh and folded[at].isalpha():
            found = dates.in_words(folded, at, study)
        if found is None or ":" in folded[at : found.end]:
            at += 1
            continue
        own, dated, at = own or found.own, True, found.end
    return own, dated


def _value(line: str, found: Sequence[Item], column: int, *, in_percent: bool) -> Item | None:
    """The one value of a line, or that of its column; `in_percent`: the head has the sign."""
    among = [item for item in found if item.value is not None]
    if column > 0:
        begin, cells = 0, []
        for mark in _PARTING.finditer(line):
            cells.append((begin, mark.start()))
            begin = mark.end()
        cells.append((begin, len(line)))
        cells = [cell for cell in cells if line[slice(*cell)].strip()]
        if column >= len(cells):
            return None
        among = [item for item in among if cells[column][0] <= item.start < cells[column][1]]
        return among[0] if len(among) == 1 else None
    if any(item.cue == "measure" for item in found):
        return None
    marked = [item for item in among if item.value is not None and item.value.percent]
    if not marked and in_percent and len(among) == 1:
        return among[0]
    return marked[0] if len(marked) == 1 else None


def _is_known(item: Item, folded: str) -> bool:
    return item.kind != "word" or item.word in SPANS or is_harmless(item.word, folded[item.start : item.end])


def _row(start: int, line: str, one: _Line) -> Row:
    value = one.value.value
    assert value is not None  # a line is made of a value
    statement = Statement(
        role="prior" if one.when == "earlier" else "present" if one.known else "unknown-words",
        low=value.low,
        high=value.high,
        comparator=value.comparator,
        biplane=False,
        current=one.when == "own",
        section="",
        sentence=line,
        start=start,
        span=(one.value.start, one.value.end),
    )
    return Row(start=start, end=start + len(line), statement=statement)
