"""What each number beside an ejection fraction is: the present study's value, an earlier one, a limit, a change.

One sentence at a time, from left to right. A number belongs to the quantity named last; the cues between it and the number
before it, and those directly behind it, say what it is. What no rule explains is no value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Literal

from ecgfm_connectors.outcomes.comparators import Comparator
from ecgfm_connectors.outcomes.report.items import Item, Value, items
from ecgfm_connectors.outcomes.report.sections import Section, Sentence
from ecgfm_connectors.outcomes.report.vocabulary import Cue

Role = Literal[
    "present", "narrated", "prior", "history", "hypothetical", "threshold", "reference", "change", "other-chamber", "stress",
    "family", "negated", "doubtful", "implausible", "goal",
]  # fmt: skip

_LOWEST, _HIGHEST = Decimal(3), Decimal(95)
_LEADING = 40  #: items before a number that may speak of it
_TRAILING = 6  #: items behind a number that may still speak of it
_SECTIONS: dict[Section, Role] = {"history": "history", "family": "family", "prior": "prior", "advice": "hypothetical"}
_ROMANCE = ("f",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A number that a report gives for an ejection fraction, and what it is."""

    role: Role
    low: Decimal
    high: Decimal | None
    comparator: Comparator
    biplane: bool
    section: Section
    sentence: str
    start: int  #: of the sentence in the report
    span: tuple[int, int]  #: of the number in the sentence


def statements(sentence: Sentence, study: date | None) -> list[Statement]:
    """Every number that the sentence gives for an ejection fraction."""
    found = items(sentence.text, sentence.folded, study)
    if not any(item.cue in ("mention", "left-mention", "other-mention") for item in found):
        return []
    return _Walk(sentence, found).run()


class _Walk:
    """The state of one pass over the items of a sentence."""

    def __init__(self, sentence: Sentence, found: list[Item]) -> None:
        self._sentence = sentence
        self._items = found
        self._cues = {item.cue for item in found}
        self._changes = next((item.start for item in found if item.cue == "change"), None)
        self._history = next((item.end for item in found if item.cue == "history"), None)
        self._condition = next(
            (item.end for at, item in enumerate(found) if item.cue == "condition" and self._conditional(at)), None
        )
        self._measure: Literal["", "ef", "other-chamber", "other"] = ""
        self._mention = -1  # index of the last mention
        self._comma = -1  # index of the last comma
        self._chambers: list[Item] = []  # the last two that were named
        self._since = 0  # index behind the last number or the comma before the mention
        self._given = 0  # numbers since the mention
        self._result: list[Statement] = []

    def run(self) -> list[Statement]:
        for index, item in enumerate(self._items):
            if item.cue in ("mention", "left-mention", "other-mention"):
                self._name(index, item)
            elif item.cue in ("left", "other-chamber"):
                self._chambers = [*self._chambers[-1:], item]
            elif item.word == ",":
                self._comma = index
            elif item.cue == "measure":
                self._measure = "other"
            elif item.cue == "arrow" and self._result and self._measure == "ef":
                self._result[-1] = replace(self._result[-1], role="prior")
            elif item.kind == "value" and item.value is not None:
                self._value(index, item, item.value)
        return self._result

    def _name(self, index: int, item: Item) -> None:
        self._since = max(self._since, self._comma + 1)
        self._mention, self._given = index, 0
        self._measure = "other-chamber" if self._is_other(index, item) else "ef"

    def _is_other(self, index: int, item: Item) -> bool:
        """Whether another chamber is meant: by the word itself, the chamber named behind it, or the one named before it."""
        if item.cue == "other-mention":
            return True
        behind = self._chamber_behind(index)
        if behind is not None or item.cue == "left-mention":
            return behind == "other-chamber"
        for before in reversed(self._chambers):
            if before.cue == "left":
                return False
            if not (before.word == "la" and item.word.startswith(_ROMANCE)):
                return True
        return self._sentence.other_chamber

    def _chamber_behind(self, index: int) -> Cue | None:
        for behind in self._items[index + 1 : index + 4]:
            if behind.cue in ("left", "other-chamber"):
                return behind.cue
            if behind.kind in ("value", "mark"):
                break
        return None

    def _value(self, index: int, item: Item, value: Value) -> None:
        if self._measure == "other-chamber":
            self._add("other-chamber", item, value, biplane=False)
        elif self._measure == "ef" and not self._of_ejection_fraction(index, item, value) and not value.percent:
            return  # `EF 4CH 52%`: the first number belongs to nothing
        self._since, self._given = index + 1, self._given + 1

    def _of_ejection_fraction(self, index: int, item: Item, value: Value) -> bool:
        """Whether the number speaks of the ejection fraction; then it is noted with its role."""
        before = self._items[max(self._since, index - _LEADING) : index]
        if self._is_from_to(before, value):
            self._add("prior", item, Value(low=value.low, percent=True, after_first=value.after_first), biplane=False)
            after = Value(low=value.high or value.low, percent=True, after_first=item.end)
            self._add(self._override() or "present", item, after, biplane=self._is_biplane(index, before))
            return True
        value = self._with_between(index, item, value, before)
        if not self._speaks_of_it(index, item, value, before):
            return False
        value = self._with_comparator(index, value)
        role = self._role(index, item, value, before)
        self._add(role, item, value, biplane=self._is_biplane(index, before))
        return True

    def _is_from_to(self, before: Sequence[Item], value: Value) -> bool:
        """`improved from 20% to 55%`, `has risen 20% to 55%`: two values, the second one now; without a change, a range."""
        if value.high is None or not value.joined_by_word:
            return False
        changed = self._changes is not None and self._changes < value.after_first
        last = before[-1] if before else None
        return (
            changed
            and last is not None
            and (last.cue in ("from", "change") or (last.cue == "by" and last.word in ("de", "da")))
        )

    def _with_between(self, index: int, item: Item, value: Value, before: Sequence[Item]) -> Value:
        """`between 40 and 45%` is one range."""
        joined = any(one.cue == "between" for one in before[-3:])
        rest = self._items[index + 1 : index + 3]
        if not joined or value.high is not None or len(rest) < 2 or rest[0].word not in _AND:
            return value
        second = rest[1].value
        if second is None or second.high is not None or not second.percent or second.low <= value.low:
            return value
        del self._items[index + 1 : index + 3]
        self._items.insert(index + 1, Item(kind="word", start=rest[1].end, end=rest[1].end, word=""))
        return Value(low=value.low, high=second.low, percent=True, after_first=rest[1].end)

    def _with_comparator(self, index: int, value: Value) -> Value:
        """`35% or less`."""
        following = self._items[index + 1].cue if index + 1 < len(self._items) else None
        if value.high is not None or value.comparator or following not in ("or-less", "or-more"):
            return value
        comparator: Comparator = "<=" if following == "or-less" else ">="
        return Value(low=value.low, comparator=comparator, percent=value.percent, after_first=value.after_first)

    def _speaks_of_it(self, index: int, item: Item, value: Value, before: Sequence[Item]) -> bool:
        """Whether this number is the ejection fraction's at all."""
        own = [one for one in before if one.start >= self._items[self._mention].start]
        named = self._mention >= self._since
        if not value.percent and not (named and self._is_bare(value, own, index)):
            return False
        following = self._items[index + 1] if index + 1 < len(self._items) else None
        if following is not None and following.cue in ("noun", "points"):
            return following.cue == "points" and value.percent
        if named and not any(one.word in _PARTING for one in own):
            return True
        if len(before) == 1 and before[0].word in _OR:
            return True  # `40% or 55%`: the report does not choose
        clause = self._clause(before)
        strange = [one for one in clause if one.kind == "word"]
        if named and self._given == 0:
            return len(strange) <= 3
        if any(one.cue in ("noun", "measure") for one in clause):
            return False
        if not clause:  # a number alone between two marks
            alone = following is None or following.kind == "mark" or following.cue in _TELLING
            return alone or self._trailing_prior(index)
        return not strange or any(one.cue in _TELLING for one in clause) or self._trailing_prior(index)

    def _clause(self, before: Sequence[Item]) -> Sequence[Item]:
        """What stands between the last comma or bracket and the number."""
        marks = [at for at, one in enumerate(before) if one.word in _PARTING]
        own = before[marks[-1] + 1 :] if marks else before
        return own

    def _is_bare(self, value: Value, own: Sequence[Item], index: int) -> bool:
        """A number without a percent sign: directly behind the name, with nothing behind it, and an ejection fraction by size."""
        if value.unit_follows or any(one.kind == "word" or one.cue == "not" for one in own):
            return False
        if len(own) > 6:
            return False
        following = self._items[index + 1] if index + 1 < len(self._items) else None
        if following is not None and following.word == "/":
            return False
        top = value.high or value.low
        return Decimal("0.05") <= value.low and (top <= Decimal("0.95") or (value.low >= 5 and top <= _HIGHEST))

    def _override(self) -> Role | None:
        """What the section makes of every number in it."""
        return _SECTIONS.get(self._sentence.section)

    def _role(self, index: int, item: Item, value: Value, before: Sequence[Item]) -> Role:
        whole = self._whole_sentence(item, value)
        if whole is not None:
            return whole
        own = self._by_cues(index, item, value, before)
        return self._override() or own

    def _whole_sentence(self, item: Item, value: Value) -> Role | None:
        """What a word anywhere in the sentence makes of the number."""
        if "family" in self._cues:
            return "family"
        if "guideline" in self._cues or "patient" in self._cues:
            return "threshold"
        if "goal" in self._cues:
            return "goal"
        if "threshold" in self._cues and value.comparator:
            return "threshold"
        if self._condition is not None and self._condition <= item.start:
            return "hypothetical"
        if self._history is not None and self._history <= self._items[self._mention].start:
            return "history"
        return None

    def _conditional(self, at: int) -> bool:
        """`se`, `si`, `om`, `bei`, `als` are conditions only directly before the quantity or its limit."""
        word = self._items[at].word
        if word not in _SHORT_CONDITIONS:
            return True
        for following in self._items[at + 1 : at + 4]:
            if following.cue in ("mention", "left-mention"):
                return word not in ("bei", "vid") or self._compares_after(at)
            if following.kind == "value":
                return following.value is not None and following.value.comparator != ""
            if following.kind == "mark" or (following.kind == "word" and following.word not in _ARTICLES):
                return False
        return False

    def _compares_after(self, at: int) -> bool:
        return any(one.value is not None and one.value.comparator for one in self._items[at : at + _TRAILING])

    def _by_cues(self, index: int, item: Item, value: Value, before: Sequence[Item]) -> Role:
        scale = _scale(value)
        low, high = value.low * scale, (value.high or value.low) * scale
        if not _LOWEST <= low <= _HIGHEST or high > _HIGHEST:
            return "implausible"
        if self._doubted(index, before):
            return "doubtful"
        if self._is_reference(before, item):
            return "reference"
        if self._is_change(index, before):
            return "change"
        if self._is_negated(before):
            return "negated"
        exertion = self._exertion_behind(index) or next(
            (one.cue for one in reversed(before) if one.cue in ("stress", "rest")), None
        )
        if exertion == "stress":
            return "stress"
        return self._when(index, before)

    def _exertion_behind(self, index: int) -> Cue | None:
        """`45% at stress and 52% at rest`."""
        following = self._items[index + 1 : index + 3]
        if following and following[0].cue == "rest" and following[0].word in _DURING:
            return "rest"
        if len(following) == 2 and following[0].word in _DURING and following[1].cue in ("stress", "rest"):
            return following[1].cue
        return None

    def _doubted(self, index: int, before: Sequence[Item]) -> bool:
        following = self._items[index + 1] if index + 1 < len(self._items) else None
        return (bool(before) and before[-1].word == "?") or (following is not None and following.word == "?")

    def _is_reference(self, before: Sequence[Item], item: Item) -> bool:
        clause = self._clause(before)
        if any(one.cue == "reference" for one in clause):
            return True
        if self._given and not before and item.value is not None and item.value.comparator:
            return True  # the column of limits in a table
        named = any(one.cue in ("mention", "left-mention") for one in clause)
        if self._given and not named and any(one.cue == "normal" for one in clause):
            return True
        for one, two, three in zip(before, before[1:], before[2:], strict=False):
            if one.cue == "normal" and two.cue in ("mention", "left-mention") and three.cue == "is":
                return True
        return False

    def _is_change(self, index: int, before: Sequence[Item]) -> bool:
        """`fell by 15%`, `um 10 %`, `baisse de 15 %`, `caiu 12%`: how far, not how much."""
        following = self._items[index + 1] if index + 1 < len(self._items) else None
        if following is not None and following.cue == "points":
            return True
        if not before:
            return False
        last = before[-1]
        if ":" in self._sentence.folded[last.end : self._items[index].start]:
            return False
        if last.cue == "by" and last.word in _PLAIN_BY:
            return True
        changed = any(one.cue == "change" for one in before)
        return changed and (last.cue == "change" or (last.cue in ("by", "link") and last.word in _BY_IF_CHANGED))

    def _is_negated(self, before: Sequence[Item]) -> bool:
        mention = self._items[self._mention].start
        return any(one.cue == "not" and one.start > mention for one in before)

    def _when(self, index: int, before: Sequence[Item]) -> Role:
        """Present or earlier: the last word about time before the number decides, else one directly behind it."""
        named = any(one.cue in ("mention", "left-mention") for one in before)
        changed = self._changes is not None
        for one in reversed(before):
            if one.cue in ("now", "arrow"):
                return "present"
            if one.cue == "to" and changed and one is before[-1]:
                return "present"
            if one.cue == "prior" or one.kind == "date" or (one.cue == "from" and self._leads_from(one, changed)):
                return "prior"
            if one.cue == "compare":
                return (
                    "prior" if self._trailing_prior(index) else "present"
                )  # two values, and the report does not choose
            if one.cue == "was" and not named:
                return "prior"
        if self._trailing_prior(index):
            return "prior"
        if any(one.cue == "was" for one in before) and not any(one.word in _MEASURING for one in before):
            return "narrated"
        return "present"

    def _leads_from(self, item: Item, changed: bool) -> bool:
        """`improved from 20%`, `down from 55%`; not the `of` of other languages before the name."""
        return item.start > self._items[self._mention].start and (changed or item.word in ("down", "up"))

    def _trailing_prior(self, index: int) -> bool:
        """`50% in 2021`, `35 % im Vorbefund`, `28 % damals`."""
        following = self._items[index + 1 : index + 1 + _TRAILING]
        if following and following[0].word in ("(", "["):  # `25% (2022)`, but `30% (60% in 2024)` says it of the other
            closed = next((at for at, one in enumerate(following) if one.word in (")", "]")), len(following))
            following = following[1:closed]
            if any(one.kind == "value" for one in following):
                return False
        for one in following:
            if one.cue == "prior" or one.kind == "date":
                return True
            if one.word != ")" and (one.kind in ("value", "mark") or one.cue in _OTHER_MATTERS):
                return False
        return False

    def _is_biplane(self, index: int, before: Sequence[Item]) -> bool:
        """Whether the number is the biplane one: said since the number before, else directly behind it."""
        if any(one.cue == "biplane" for one in before):
            return True
        for one in self._items[index + 1 : index + 1 + _TRAILING]:
            if one.cue == "biplane":
                return True
            if one.kind == "value" or one.word == "," or one.cue in ("mention", "left-mention"):
                return False
        return False

    def _add(self, role: Role, item: Item, value: Value, *, biplane: bool) -> None:
        scale = _scale(value)
        self._result.append(
            Statement(
                role=role,
                low=value.low * scale,
                high=None if value.high is None else value.high * scale,
                comparator=value.comparator,
                biplane=biplane,
                section=self._sentence.section,
                sentence=self._sentence.text,
                start=self._sentence.start,
                span=(item.start, item.end),
            )
        )


def _scale(value: Value) -> int:
    """A bare number up to one is a fraction."""
    return 100 if value.low <= 1 and not value.percent else 1


_PARTING = frozenset((",", "(", ")", "["))
_DURING = frozenset(["at", "with", "during", "under", "in", "a", "au", "en", "bei", "unter", "vid", "bij", "op", "al"])
_OR = frozenset(("or", "oder", "ou", "o", "of", "eller"))
_AND = frozenset(("and", "und", "et", "y", "e", "ed", "en", "och", "a"))
_SHORT_CONDITIONS = frozenset(("si", "se", "om", "bei", "als", "vid", "caso", "quando", "when", "should", "once"))
_ARTICLES = frozenset(("la", "el", "de", "a", "o", "the", "die", "der", "einer", "eine", "le", "een", "lo", "an"))
_PLAIN_BY = frozenset(("by", "um", "met", "med"))
_BY_IF_CHANGED = frozenset(("de", "del", "di", "un", "of", "do"))
_MEASURING = frozenset(
    ("estimated", "calculated", "measured", "assessed", "visually", "quantified", "quantitated", "found")
)
_TELLING = frozenset(
    (
        "prior",
        "now",
        "was",
        "compare",
        "to",
        "from",
        "reference",
        "normal",
        "stress",
        "rest",
        "biplane",
        "plane",
        "by",
        "change",
        "arrow",
        "modality",
    )
)
_OTHER_MATTERS = frozenset(("compare", "change", "mention", "left-mention", "measure", "now", "from", "arrow"))
