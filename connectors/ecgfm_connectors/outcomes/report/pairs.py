"""Lines of a device that are nothing but names and values in turn.

    STUDY|TTE LTD|RHYTHM|AFIB 104|LVEF BIPLANE|43 %|RVSP|39 MMHG
    Rhythmus;SR;LVEDD;45 mm;LV-EF;62 %;TAPSE;24 mm

The cell behind the one that is the name of the ejection fraction, and nothing else, is its value.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from ecgfm_connectors.outcomes.folding import fold, words
from ecgfm_connectors.outcomes.report.statements import Statement
from ecgfm_connectors.outcomes.report.surroundings import HIGHEST, LOWEST
from ecgfm_connectors.outcomes.report.tables import Row
from ecgfm_connectors.outcomes.report.vocabulary import CUES

_PARTING = "|;\t^~&"
_LINE = 2000  #: characters
_FEWEST = 6  #: cells: three names with their values
_OTHERS = 2  #: pairs beside that of the ejection fraction
_NUMBER = re.compile(r"\s{0,3}(?:=|:)?\s{0,3}(\d{1,3}(?:[.,]\d{1,2})?) ?(%?)\s{0,3}")
_FIGURES = re.compile(r"\s{0,3}[<>~-]? ?\d")


def rows(text: str) -> Iterator[Row]:
    """The pair that gives the ejection fraction, of each line that has one. Linear in the length of the text."""
    start = 0
    for line in text.split("\n"):
        found = next((one for mark in _PARTING if (one := _statement(line, mark, start)) is not None), None)
        if found is not None:
            yield Row(start=start, end=start + len(line), statement=found)
        start += len(line) + 1


def _statement(line: str, mark: str, start: int) -> Statement | None:
    cells = line.split(mark) if len(line) <= _LINE else []
    if len(cells) < _FEWEST:
        return None
    named = [at for at, cell in enumerate(cells[:-1]) if _is_name(cell)]
    if len(named) != 1 or not _has_other_pairs(cells, named[0]):
        return None
    at = named[0]
    number = _NUMBER.fullmatch(fold(cells[at + 1]))
    unit = cells[at + 2].strip() == "%" if at + 2 < len(cells) else False
    following = cells[at + 2 + unit].strip()[:1] if at + 2 + unit < len(cells) else ""
    if number is None or (following and not following.isalpha()):
        return None
    value = Decimal(number.group(1).replace(",", "."))
    value = value * 100 if value < 1 and not number.group(2) else value
    if not LOWEST <= value <= HIGHEST:
        return None
    begin = sum(len(cell) + 1 for cell in cells[: at + 1]) + number.start(1)
    return Statement(
        role="present",
        low=value,
        high=None,
        comparator="",
        biplane="biplane" in _cues(cells[at]),
        section="",
        sentence=line,
        start=start,
        span=(begin, begin + len(number.group(1))),
    )


def _is_name(cell: str) -> bool:
    """Whether a cell is the name of the ejection fraction, with no more than its method."""
    cues = _cues(cell)
    return bool(cues) and cues[0] in ("mention", "left-mention") and all(cue == "biplane" for cue in cues[1:])


def _cues(cell: str) -> list[str]:
    """What the words of a cell are cues for, in their order; `unknown` for one that is none."""
    spoken = words(fold(cell))
    found, at = [], 0
    while at < len(spoken):
        cue = CUES.at(spoken, at)
        found.append(cue[0] if cue else "unknown")
        at += cue[1] if cue else 1
    return found


def _has_other_pairs(cells: list[str], name: int) -> bool:
    pairs = [
        at
        for at in range(len(cells) - 1)
        if at not in (name - 1, name, name + 1)
        and cells[at].strip()[:1].isalpha()
        and _FIGURES.match(cells[at + 1]) is not None
    ]
    return len(pairs) >= _OTHERS
