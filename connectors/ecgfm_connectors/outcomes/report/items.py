"""Makes of a sentence what matters in it: cues, quantities, dates, and the marks that part clauses."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ecgfm_connectors.outcomes import comparators, numerals, quantity
from ecgfm_connectors.outcomes.comparators import Comparator
from ecgfm_connectors.outcomes.phrases import word_set
from ecgfm_connectors.outcomes.report import abbreviations, dates, spelled, views
from ecgfm_connectors.outcomes.report.dates import Days
from ecgfm_connectors.outcomes.report.spelling import respelled
from ecgfm_connectors.outcomes.report.vocabulary import CUES, PERCENT_WORDS, Cue

_MARKS = frozenset(",()[]?/+&")
_ARROWS = ("-->", "->", "→", ">>", "»")
_JOINING = frozenset(["or", "oder", "ou", "o", "of", "eller", "and", "und", "et", "y", "e", "ed", "en", "och"])
_GOING_ON = word_set(
    """with without by on mit ohne bei nach avec sans par con sin por senza per met zonder bij na com sem med
    utan enligt visually which"""
)
SPANS = word_set(
    """manaders manads veckors monatiger wochiger
    mo mth mths wk wks mnd mndn man sem setm settimana semana semaine woche week vecka vcka tag tage monat
    month months week weeks day days monaten monate monat wochen woche tagen mois semaines jours mes meses semanas
    dias mesi settimane giorni mese maanden maand weken dagen manader manad veckor dagar"""
)
_YEARS = frozenset(("year", "jahr", "ano", "anno", "jaar", "annee"))
_WATTS = frozenset(("w", "watt", "watts"))
_SINCE = frozenset(("vor", "il", "hace", "ha", "for", "fa"))
_CELL = 40  #: characters of a cell of a table that are looked at
_UNITS = frozenset(("ml", "mm", "cm", "mmhg", "bpm", "g", "m", "ms", "cc"))
_STRANGE_POINTS = frozenset("\u00b7\u2022\u2027_'`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number in a report: percent or bare, one or a range."""

    low: Decimal
    high: Decimal | None = None
    comparator: Comparator = ""
    percent: bool
    unit_follows: bool = False  #: a unit or a word stands directly behind a bare number
    after_first: int  #: where the first number ends
    joined_by_word: bool = False  #: `20% to 55%`, not `20-55%`


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing in a sentence, with its place."""

    kind: Literal["cue", "word", "value", "date", "mark"]
    start: int
    end: int
    cue: Cue | None = None
    word: str = ""
    value: Value | None = None


def items(text: str, folded: str, study: Days | None) -> list[Item]:
    """The items of one sentence, in order. A date that is the study's own is none."""
    found: list[Item] = []
    at, size = 0, len(folded)
    tokens = _word_tokens(folded)
    spoken = [respelled(folded[start:end]) for start, end in tokens]
    index_at = {start: index for index, (start, _) in enumerate(tokens)}
    while at < size:
        char = folded[at]
        if at in index_at:
            item = _value_at(folded, at) if _begins_comparator(spoken, index_at[at]) else None
            item = item or _spelled_at(folded, tokens, spoken, index_at[at])
            item = item or _dated(dates.in_words(folded, at, study), at)
            item = item or _cue_at(text, folded, tokens, spoken, index_at[at])
        elif (arrow := _arrow(folded, at)) is not None:
            item = Item(kind="cue", start=at, end=arrow, cue="arrow", word="->")
        elif char == "." and folded[at - 1 : at] == ".":
            item = None  # dots that lead to a number
        elif char == "." and folded[at - 1 : at].isalpha() and folded[at + 1 : at + 2].isdigit():
            item = None  # `ca.25 %`
        elif char in ".;\n\t" and _parts_values(folded, at):
            item = Item(kind="mark", start=at, end=at + 1, word=",")
        elif (view := views.end(folded, at)) is not None:
            item = Item(kind="cue", start=at, end=view, cue="plane", word=folded[at:view])
        elif numerals.begins(folded, at) or char in "<>=≤≥&" or (char in "-−" and _negative(folded, at)):
            item = _number_at(folded, at, study)
        else:
            item = Item(kind="mark", start=at, end=at + 1, word=char) if char in _MARKS else None
        if item is not None and not (item.kind == "date" and item.word == "own"):
            _append(found, item)
        at = max(item.end if item else at + 1, at + 1)
    return found


def _append(found: list[Item], item: Item) -> None:
    """Add an item; `100 W` is exertion.

    `vor 3 Monaten`, `il y a 3 mois`, `hace 6 meses`, `3 months` are lapses of time, not values.
    """
    before = found[-1] if found else None
    if (
        item.kind == "value"
        and before is not None
        and before.word in _YEARS
        and before.end == before.start + len(before.word)
    ):
        found[-1] = Item(kind="word", start=before.start, end=before.end, word=before.word)  # `transplant year 3`
        return
    if item.word in _WATTS and before is not None and before.value is not None and not before.value.percent:
        found[-1] = Item(kind="cue", start=before.start, end=item.end, cue="stress", word=item.word)
        return
    if item.word not in SPANS or before is None or before.value is None or before.value.percent:
        found.append(item)
        return
    found.pop()
    earlier = bool(found) and (found[-1].cue == "prior" or found[-1].word in _SINCE)
    if earlier or item.cue == "prior":
        found.append(Item(kind="cue", start=before.start, end=item.end, cue="prior", word=item.word))
    else:
        found.append(Item(kind="word", start=before.start, end=item.end, word=item.word))


def _arrow(folded: str, at: int) -> int | None:
    """Where an arrow between two values ends: `->`, `-->`, `→`, `>>`."""
    return next((at + len(sign) for sign in _ARROWS if folded.startswith(sign, at)), None)


def _parts_values(folded: str, at: int) -> bool:
    """Whether a stop, a semicolon, the end of a line or of a cell behind a value parts it from what follows."""
    if folded[at] == "\t":
        cell = folded[max(folded.rfind("\t", 0, at), folded.rfind("\n", 0, at), at - _CELL) + 1 : at]
        return any(map(str.isdigit, cell))
    value_before = at > 0 and (folded[at - 1].isdigit() or folded[at - 1] in "%)")
    return value_before and (folded[at] == "\n" or folded[at + 1 : at + 2] in (" ", ""))


def _word_tokens(folded: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    start = -1
    for index, char in enumerate(folded):
        if char.isalpha():
            start = index if start < 0 else start
        elif start >= 0:
            found.append((start, index))
            start = -1
    return [*found, (start, len(folded))] if start >= 0 else found


def _begins_comparator(spoken: list[str], index: int) -> bool:
    return any(tuple(spoken[index : index + size]) in comparators.WORDS for size in range(1, comparators.LONGEST + 1))


def _spelled_at(folded: str, tokens: list[tuple[int, int]], spoken: list[str], index: int) -> Item | None:
    """`thirty-five percent`, `thirty to thirty-five percent`: a number in words counts only as a percentage."""
    low = _spelled_number(folded, tokens, spoken, index)
    if low is None:
        return None
    start, (value, end, behind) = tokens[index][0], low
    percent, after = _percent(folded, end)
    high = None
    if not percent and behind + 1 < len(spoken) and spoken[behind] in quantity.RANGE_WORDS:
        high = _spelled_number(folded, tokens, spoken, behind + 1)
        percent, after = _percent(folded, high[1]) if high and high[0] > value else (False, end)
    if not percent:
        return None
    upper = None if high is None else Decimal(high[0])
    spelt = Value(low=Decimal(value), high=upper, percent=True, after_first=end, joined_by_word=high is not None)
    return Item(kind="value", start=start, end=after, value=spelt)


def _spelled_number(
    folded: str, tokens: list[tuple[int, int]], spoken: list[str], index: int
) -> tuple[int, int, int] | None:
    """A number in words: its value, where it ends, and the word behind it."""
    found = spelled.at(spoken, index)
    if found is None:
        return None
    value, size = found
    end = tokens[index + size - 1][1]
    close = all(char.isalpha() or char in " -" for char in folded[tokens[index][0] : end])
    return (value, end, index + size) if close else None


def _cue_at(text: str, folded: str, tokens: list[tuple[int, int]], spoken: list[str], index: int) -> Item:
    """The longest cue at a word, else the word itself.

    Phrases go over no mark but blanks, hyphens, points, apostrophes.
    """
    start, end = tokens[index]
    if text[start:end].lower() == "då":  # Swedish for then; without the ring it is Italian for from
        return Item(kind="cue", start=start, end=end, cue="prior", word=spoken[index])
    found = CUES.at(spoken, index)
    while found is not None:
        size = found[1]
        cue: Cue = found[0]  # type: ignore[assignment]  # the keys of the table are the literals
        last = tokens[index + size - 1][1]
        between = folded[start:last]
        close = all(char.isalpha() or char in " -.'/’\n" for char in between)
        here = abbreviations.meant(cue, spoken, index, text[start:end]) if size == 1 else cue
        if close and here is not None:
            return Item(kind="cue", start=start, end=last, cue=here, word=spoken[index])
        found = CUES.at(spoken, index, size - 1) if size > 1 else None
    return Item(kind="word", start=start, end=end, word=spoken[index])


def _negative(folded: str, at: int) -> bool:
    """A minus, not a dash between two numbers: a sign stands behind a blank or at the beginning."""
    return numerals.begins(folded, at + 1) and (at == 0 or folded[at - 1] in " (:=")


def _number_at(folded: str, at: int, study: Days | None) -> Item | None:
    if folded[at] in "-−":
        negative = numerals.scan(folded, at + 1)
        return Item(kind="word", start=at, end=negative.end, word="negative")
    if not numerals.begins(folded, at):
        return _value_at(folded, at)
    dated = dates.at(folded, at, study)
    return _dated(dated, at) or _value_at(folded, at)


def _dated(found: dates.Dated | None, at: int) -> Item | None:
    return None if found is None else Item(kind="date", start=at, end=found.end, word="own" if found.own else "")


def _value_at(folded: str, at: int) -> Item | None:
    """A comparator and a number, or a number; None where no number follows."""
    comparator, begin = quantity.comparator_at(folded, at)
    if not numerals.begins(folded, begin):
        return None
    first = numerals.scan(folded, begin)
    if first.value is None or first.ambiguous:
        return _figures(at, first.end)
    percent, end = _percent(folded, first.end)
    if (damaged := _damaged(folded, at, first.end, end)) is not None:
        return _figures(at, damaged)
    joined = quantity.range_at(folded, _blank(folded, end))
    if joined is not None and numerals.begins(folded, joined) and not comparator:
        second = numerals.scan(folded, joined)
        also, last = _percent(folded, second.end)
        if _damaged(folded, joined, second.end, last) is not None:
            return _figures(at, last)
        dash = folded[_blank(folded, end)] in quantity.DASHES
        if second.value is not None and second.value > first.value and (also or not percent):
            value = Value(
                low=first.value,
                high=second.value,
                percent=also,
                unit_follows=not also and _unit_follows(folded, last),
                after_first=end,
                joined_by_word=not dash,
            )
            return Item(kind="value", start=at, end=last, value=value)
        if dash and second.end > joined and folded[end : end + 1] in quantity.DASHES:
            return _figures(at, second.end)  # `65-60 %`, `40-4S %`
    value = Value(
        low=first.value,
        comparator=comparator,
        percent=percent,
        unit_follows=not percent and _unit_follows(folded, end),
        after_first=end,
    )
    return Item(kind="value", start=at, end=end, value=value)


def _figures(start: int, end: int) -> Item:
    """Figures that are no number that could be read."""
    return Item(kind="word", start=start, end=end, word="figures")


def _damaged(folded: str, at: int, number_end: int, end: int) -> int | None:
    """Where figures end that are no number of their own: `55/60%`, `4O%`, `l5%`, `5 5%`, the rest of `4O-45%`."""
    if folded[end : end + 1] == "/" and numerals.begins(folded, end + 1):
        return numerals.scan(folded, end + 1).end
    if folded[end : end + 1] in _STRANGE_POINTS and folded[end + 1 : end + 2].isdigit():
        return _word_end(folded, end + 1)
    before, behind = folded[at - 1 : at] if folded[at].isdigit() else "", folded[number_end : number_end + 1]
    if behind.isalpha() and end == number_end:
        return _word_end(folded, number_end)
    if before.isalpha() and not _names_it(folded, at):
        return end
    if before in quantity.DASHES and before and folded[at - 2 : at - 1].isalpha() and not _names_it(folded, at - 1):
        return end
    follows = _blank(folded, end)
    if end == number_end and follows > end and folded[follows : follows + 1].isdigit():
        second = numerals.scan(folded, follows)
        return _percent(folded, second.end)[1]
    return None


def _word_end(folded: str, at: int) -> int:
    while at < len(folded) and folded[at].isalnum():
        at += 1
    return at


def _names_it(folded: str, at: int) -> bool:
    """Whether the word glued to a number is the quantity's own name: `EF47%`."""
    begin = at
    while begin > 0 and folded[begin - 1].isalpha() and at - begin < 24:
        begin -= 1
    found = CUES.at((folded[begin:at],), 0)
    return found is not None and found[0] in ("mention", "left-mention", "other-mention")


def _blank(folded: str, at: int) -> int:
    while at < len(folded) and folded[at] in " \t\u00a0":
        at += 1
    return at


def _percent(folded: str, at: int) -> tuple[bool, int]:
    """Whether a percent sign or word follows, and where it ends."""
    begin = _blank(folded, at)
    if folded[begin : begin + 1] == "%":
        return True, begin + 1
    end, said = begin, []
    for _ in range(2):
        start = end
        while end < len(folded) and folded[end].isalpha():
            end += 1
        said.append(folded[start:end])
        if tuple(said) in PERCENT_WORDS:
            return True, end
        end = _blank(folded, end)
    return False, at


def _unit_follows(folded: str, at: int) -> bool:
    begin = _blank(folded, at)
    end = begin
    while end < len(folded) and folded[end].isalpha():
        end += 1
    if folded[begin:end] in _JOINING or folded[begin:end] in _GOING_ON:
        return False  # `55 or 60%`, `55 with normal wall motion`
    if begin - at > 1 and folded[begin:end] not in _UNITS:
        return False  # the next column
    char = folded[begin : begin + 1]
    if char in quantity.DASHES and folded[begin + 1 : begin + 2].isalpha():
        return True  # `17-segment`
    return char.isalpha() or char in "/:µ°'\"*^_" if char else False
