"""What each number beside an ejection fraction is: the present study's value, an earlier one, a limit, a change.

One sentence at a time, from left to right. A number belongs to the quantity named last; the cues between it and the
number before it, and those directly behind it, say what it is. What no rule explains is no value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from ecgfm_connectors.outcomes.comparators import Comparator
from ecgfm_connectors.outcomes.phrases import word_set
from ecgfm_connectors.outcomes.report import danger, exertion, said
from ecgfm_connectors.outcomes.report.clause_words import ClauseWords
from ecgfm_connectors.outcomes.report.dates import Days
from ecgfm_connectors.outcomes.report.harmless import is_measuring
from ecgfm_connectors.outcomes.report.items import Item, Value, items
from ecgfm_connectors.outcomes.report.labels import labelled
from ecgfm_connectors.outcomes.report.modalities import Modality, modality_of
from ecgfm_connectors.outcomes.report.sections import Section, Sentence
from ecgfm_connectors.outcomes.report.sentence_words import SentenceWords
from ecgfm_connectors.outcomes.report.surroundings import (
    HIGHEST,
    LEADING,
    PARTING,
    TRAILING,
    Role,
    Surroundings,
    scale_of,
)
from ecgfm_connectors.outcomes.report.vocabulary import Cue


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A number that a report gives for an ejection fraction, and what it is."""

    role: Role
    low: Decimal
    high: Decimal | None
    comparator: Comparator
    biplane: bool
    selected: bool = False  #: the report says that of several values this one stands
    current: bool = False  #: its words say that it is today's
    modality: Modality = ""  #: how it was measured, where its sentence says so
    section: Section
    sentence: str
    start: int  #: of the sentence in the report
    span: tuple[int, int]  #: of the number in the sentence


def statements(sentence: Sentence, study: Days | None, words_of_site: frozenset[str] = frozenset()) -> list[Statement]:
    """Every number that the sentence gives for an ejection fraction."""
    found = labelled(items(sentence.text, sentence.folded, study), sentence.folded)
    found = exertion.of_test(found, sentence.folded) if sentence.exerted else found
    if not any(item.cue in ("mention", "left-mention", "other-mention") for item in found):
        return []
    return _Walk(sentence, found, words_of_site).run()


class _Walk:
    """The state of one pass over the items of a sentence."""

    def __init__(self, sentence: Sentence, found: list[Item], words_of_site: frozenset[str]) -> None:
        self._sentence = sentence
        self._words_of_site = words_of_site
        self._items = found
        self._whole = SentenceWords(sentence, found)
        self._changes = next((item.start for item in found if item.cue == "change"), None)
        self._dangerous = danger.is_dangerous(found)
        self._exerted = sentence.exerted or any(item.cue == "stress" for item in found)
        self._measure: Literal["", "ef", "other-chamber", "other"] = ""
        self._mention = -1  # index of the last mention
        self._comma = -1  # index of the last comma
        self._open = -1  # index of the open bracket
        self._chambers: list[Item] = []  # the last two that were named
        self._since = 0  # index behind the last number or the comma before the mention
        self._given = 0  # numbers since the mention
        self._passed = False  # whether a bare number since the mention belonged to nothing
        self._strange = 0  # percentages that belong to nothing
        self._damaged = False  # whether a number of the ejection fraction's own is in doubt
        self._result: list[Statement] = []

    def run(self) -> list[Statement]:
        for index, item in enumerate(self._items):
            if item.cue in ("mention", "left-mention", "other-mention"):
                self._name(index, item)
            elif item.cue in ("left", "other-chamber"):
                self._chambers = [*self._chambers[-1:], item]
            elif item.word in ("(", "["):
                self._open = index
            elif item.word in (")", "]"):
                self._open = -1
            elif item.word == "," and not self._in_brackets(index):
                self._comma = index
            elif item.cue == "measure":
                self._measure = "other"
            elif item.cue == "arrow" and self._result and self._measure == "ef":
                self._result[-1] = replace(self._result[-1], role="prior")
            elif item.kind == "value" and item.value is not None:
                self._value(index, item, item.value)
                if self._is_width_of_atrium(index, item):
                    self._chambers = []
        if not self._result and (unread := self._whole.unread()) is not None:
            self._add("doubtful", *unread, biplane=False)
        if self._whole.is_legend() or (self._whole.equates() and any(one.comparator for one in self._result)):
            return [replace(one, role="reference") for one in self._result]
        if self._items[0].word == "?" or any(a.kind == "value" and b.word == "?" for a, b in pairwise(self._items)):
            return [replace(one, role="doubtful") for one in self._result]
        doubted = _TAKEN if self._damaged else frozenset(["narrated"]) if self._strange else frozenset()
        return [replace(one, role="doubtful") if one.role in doubted else one for one in self._result]

    def _in_brackets(self, index: int) -> bool:
        """Whether a comma parts what stands in brackets before the name: `Echo bei Aufnahme (Ulm, 03.02.): EF 32 %`."""
        return self._mention < 0 <= self._open and any(one.word == ")" for one in self._items[index : index + TRAILING])

    def _name(self, index: int, item: Item) -> None:
        self._since = max(self._since, self._comma + 1)
        self._mention, self._given, self._passed = index, 0, False
        self._measure = "other-chamber" if self._is_other(index, item) else "ef"

    def _is_other(self, index: int, item: Item) -> bool:
        """Whether another chamber is meant: by the word itself, the chamber named behind it,
        or the one named before it.
        """
        if item.cue == "other-mention":
            return True
        behind = self._chamber_behind(index)
        if behind is not None or item.cue == "left-mention":
            return behind == "other-chamber"
        for before in reversed(self._chambers):
            if before.cue == "left":
                return False
            if not (before.word == "la" and item.word.startswith("f")):
                return True
        return self._sentence.other_chamber

    def _is_width_of_atrium(self, index: int, item: Item) -> bool:
        """`AE 45 mm, DDVE 63 mm, FE 39%`: an atrium whose width is told says nothing of what follows."""
        named = self._chambers[-1:] and self._items[index - 1] is self._chambers[-1]
        wide = item.value is not None and not item.value.percent
        return bool(named) and self._chambers[-1].word in said.ATRIA and wide

    def _chamber_behind(self, index: int) -> Cue | None:
        for behind in self._items[index + 1 : index + 5]:
            if behind.cue in ("left", "other-chamber"):
                return behind.cue
            if behind.kind == "value" or (behind.kind == "mark" and behind.word not in "()"):
                break
        return None

    def _value(self, index: int, item: Item, value: Value) -> None:
        if self._measure == "other-chamber":
            self._add("other-chamber", item, value, biplane=False)
        elif self._measure == "ef" and not self._of_ejection_fraction(index, item, value):
            if not value.percent:
                self._passed = True
                return  # `EF 4CH 52%`: the first number belongs to nothing
            self._strange += 1
            self._add("doubtful", item, value, biplane=False)
        if self._measure:  # `Stress (dobutamine 40): LVEF 78 %`: a number before any name parts nothing
            self._since = index + 1
        self._given += 1

    def _of_ejection_fraction(self, index: int, item: Item, value: Value) -> bool:
        """Whether the number speaks of the ejection fraction; then it is noted with its role."""
        around = self._around(index, item, value)
        if self._is_from_to(around.before, value):
            self._add("prior", item, Value(low=value.low, percent=True, after_first=value.after_first), biplane=False)
            after = Value(low=value.high or value.low, percent=True, after_first=item.end)
            self._add(self._whole.of_section() or "present", item, after, biplane=around.is_biplane())
            return True
        value = self._with_between(index, value, around.before)
        around = self._around(index, item, value)
        if not self._speaks_of_it(around):
            return False
        value = self._with_comparator(index, value)
        if index > 1 and self._items[index - 1].word in said.OR and self._items[index - 2].kind == "value":
            around = replace(around, either=True)  # the report does not choose, so neither number counts
            self._result = [*self._result[:-1], *(replace(one, role="doubtful") for one in self._result[-1:])]
        role = (
            self._whole.role(index, item, value, mention=self._mention, comma=self._comma)
            or self._whole.of_section()
            or around.limit()
            or around.role()
        )
        role = "reference" if role == "present" and self._is_unfilled(item) else role
        words = self._clause_words()
        if role in _TAKEN:
            led = None if around.is_now() else words.led_in()
            role = led or ("unknown-words" if words.holds_unknown_beside(index) else role)
            role = "doubtful" if role == "unknown-words" and self._whole.tells_of_error() else role
            role = "narrated" if role == "present" and words.is_told() else role
            role = "prior" if role == "narrated" and self._whole.compares_before(self._items[self._mention]) else role
        self._damaged = self._damaged or (role in _TAKEN and words.is_doubted_behind(index, item))
        self._add(
            role, item, value, biplane=around.is_biplane(), selected=around.is_selected(), current=around.is_current()
        )
        return True

    def _clause_words(self) -> ClauseWords:
        return ClauseWords(
            items=self._items,
            folded=self._sentence.folded,
            mention=self._mention,
            comma=self._comma,
            words_of_site=self._words_of_site,
            dangerous=self._dangerous,
        )

    def _around(self, index: int, item: Item, value: Value) -> Surroundings:
        before = self._items[max(self._since, index - LEADING) : index]
        return Surroundings(
            value=value,
            before=before,
            behind=self._items[index + 1 : index + 1 + TRAILING],
            named_at=self._items[self._mention].start,
            given=self._given,
            changed=self._changes is not None,
            exerted=self._exerted,
            after_colon=bool(before) and ":" in self._sentence.folded[before[-1].end : item.start],
        )

    def _is_from_to(self, before: Sequence[Item], value: Value) -> bool:
        """`improved from 20% to 55%`, `has risen 20% to 55%`: two values, the second one now;
        without a change, a range.
        """
        if value.high is None or not value.joined_by_word:
            return False
        changed = self._changes is not None and self._changes < value.after_first
        last = before[-1] if before else None
        return changed and last is not None and (last.cue in ("from", "change") or last.word in ("de", "da"))

    def _with_between(self, index: int, value: Value, before: Sequence[Item]) -> Value:
        """`between 40 and 45%` is one range."""
        joined = any(one.cue == "between" for one in before[-3:])
        rest = [one for one in self._items[index + 1 : index + 4] if one.word not in said.THE][:2]
        if not joined or value.high is not None or len(rest) < 2 or rest[0].word not in said.AND:
            return value
        second = rest[1].value
        if second is None or second.high is not None or not second.percent or second.low <= value.low:
            return value
        del self._items[index + 1 : self._items.index(rest[1], index) + 1]
        self._items.insert(index + 1, Item(kind="word", start=rest[1].end, end=rest[1].end, word=""))
        return Value(low=value.low, high=second.low, percent=True, after_first=rest[1].end)

    def _with_comparator(self, index: int, value: Value) -> Value:
        """`35% or less`."""
        following = self._items[index + 1].cue if index + 1 < len(self._items) else None
        if value.high is not None or value.comparator or following not in ("or-less", "or-more"):
            return value
        comparator: Comparator = "<=" if following == "or-less" else ">="
        return Value(low=value.low, comparator=comparator, percent=value.percent, after_first=value.after_first)

    def _speaks_of_it(self, around: Surroundings) -> bool:
        """Whether this number is the ejection fraction's at all."""
        own = [one for one in around.before if one.start >= around.named_at]
        named = self._mention >= self._since
        if not around.value.percent and not (named and self._is_bare(around, own)):
            return around.is_another_bare()
        following = around.next
        if following is not None and following.cue in ("noun", "points"):
            return following.cue == "points" and around.value.percent
        if self._is_of_another(around, own):
            return False
        if named and not any(one.word in PARTING for one in own):
            return True
        if len(around.before) == 1 and around.before[0].word in said.OR:
            return True  # `40% or 55%`: the report does not choose
        clause = around.clause
        strange = [one for one in clause if one.kind == "word"]
        if named and self._given == 0:
            return len(strange) <= 3
        if any(one.cue in ("noun", "measure") for one in clause):
            return False
        if around.by_method():
            return True
        if not clause:  # a number alone between two marks
            alone = following is None or following.kind == "mark" or following.cue in _TELLING
            return alone or around.trailing_prior()
        return not strange or any(one.cue in _TELLING for one in clause) or around.trailing_prior()

    def _is_of_another(self, around: Surroundings, own: Sequence[Item]) -> bool:
        """`LVEF normal, LAD 50 %`, `60 % LAD stenosis`: the number is another thing's."""
        behind = around.behind[:2]
        if len(behind) == 2 and behind[0].kind == "word" and behind[1].cue == "noun" and around.value.percent:
            return behind[0].word not in said.JOINING
        last = own[-1] if own else None
        if last is None or last.kind != "word" or is_measuring(last.word) or self._sentence.text.isupper():
            return False
        written = self._sentence.text[last.start : last.end]
        return len(written) <= _ABBREVIATION and written.isupper() and written.isalpha() and len(written) > 1

    def _is_bare(self, around: Surroundings, own: Sequence[Item]) -> bool:
        """A number without a percent sign: directly behind the name, nothing behind it, of the size of a fraction."""
        value = around.value
        if (
            self._passed
            or value.unit_follows
            or len(own) > 6
            or any(
                (one.kind == "word" and not is_measuring(one.word) and one.word not in said.OF_THE) or one.cue == "not"
                for one in own
            )
        ):
            return False
        if around.next is not None and around.next.word == "/":
            return False
        top = value.high or value.low
        return Decimal("0.05") <= value.low and (top <= Decimal("0.95") or (value.low >= 5 and top <= HIGHEST))

    def _is_unfilled(self, item: Item) -> bool:
        """`LVEF ...... % (normal > 55 %)`: what follows an empty field is no value."""
        between = self._sentence.folded[self._items[self._mention].end : item.start]
        blank, percent, rest = between.partition("%")
        if not blank.strip(" (") and not rest.strip(" :=)") and item.value is not None and not item.value.percent:
            return False  # `EF %: 64`
        return bool(percent) and self._given == 0 and blank.strip(" :=.")[-1:] in _PLACEHOLDERS

    def _add(
        self, role: Role, item: Item, value: Value, *, biplane: bool, selected: bool = False, current: bool = False
    ) -> None:
        scale = scale_of(value)
        self._result.append(
            Statement(
                role=role,
                low=value.low * scale,
                high=None if value.high is None else value.high * scale,
                comparator=value.comparator,
                biplane=biplane,
                selected=selected,
                current=current,
                modality=modality_of(self._items, self._mention),
                section=self._sentence.section,
                sentence=self._sentence.text,
                start=self._sentence.start,
                span=(item.start, item.end),
            )
        )


_TAKEN = frozenset(("present", "narrated"))
_PLACEHOLDERS = frozenset(("", "_", "*", "-", "\u2013", "\u2026", "x", "?", "#"))
_ABBREVIATION = 5  #: letters
_TELLING = word_set(
    "prior now was compare to from reference normal stress rest biplane plane by change arrow modality"
)  #: cues
