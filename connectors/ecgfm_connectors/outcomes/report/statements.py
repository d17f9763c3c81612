"""What each number beside an ejection fraction is: the present study's value, an earlier one, a limit, a change.

One sentence at a time, from left to right. A number belongs to the quantity named last; the cues between it and the
number before it, and those directly behind it, say what it is. What no rule explains is no value.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from ecgfm_connectors.outcomes.comparators import Comparator
from ecgfm_connectors.outcomes.phrases import word_set
from ecgfm_connectors.outcomes.report.harmless import is_harmless, is_wall
from ecgfm_connectors.outcomes.report.items import Item, Value, items
from ecgfm_connectors.outcomes.report.sections import Section, Sentence
from ecgfm_connectors.outcomes.report.surroundings import HIGHEST, PARTING, TRAILING, Role, Surroundings, scale_of
from ecgfm_connectors.outcomes.report.vocabulary import Cue

_LEADING = 40  #: items before a number that may speak of it
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


def statements(sentence: Sentence, study: date | None, words_of_site: frozenset[str] = frozenset()) -> list[Statement]:
    """Every number that the sentence gives for an ejection fraction."""
    found = items(sentence.text, sentence.folded, study)
    if not any(item.cue in ("mention", "left-mention", "other-mention") for item in found):
        return []
    return _Walk(sentence, found, words_of_site).run()


class _Walk:
    """The state of one pass over the items of a sentence."""

    def __init__(self, sentence: Sentence, found: list[Item], words_of_site: frozenset[str]) -> None:
        self._sentence = sentence
        self._words_of_site = words_of_site
        self._items = found
        self._cues = {item.cue for item in found}
        self._changes = next((item.start for item in found if item.cue == "change"), None)
        self._classes = any(item.word in _CLASSES for item in found)
        self._denials = [item.start for item in found if item.cue in ("not", "without")]
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
            elif item.word == ",":
                self._comma = index
            elif item.cue == "measure":
                self._measure = "other"
            elif item.cue == "arrow" and self._result and self._measure == "ef":
                self._result[-1] = replace(self._result[-1], role="prior")
            elif item.kind == "value" and item.value is not None:
                self._value(index, item, item.value)
        if not self._result and (unread := self._unread()) is not None:
            self._add("doubtful", *unread, biplane=False)
        if self._is_legend() or (self._equates() and any(one.comparator for one in self._result)):
            return [replace(one, role="reference") for one in self._result]
        if any(one.kind == "value" and two.word == "?" for one, two in pairwise(self._items)):
            return [replace(one, role="doubtful") for one in self._result]
        doubted = _TAKEN if self._damaged else frozenset(["narrated"]) if self._strange else frozenset()
        return [replace(one, role="doubtful") if one.role in doubted else one for one in self._result]

    def _unread(self) -> tuple[Item, Value] | None:
        """The number of a sentence that no rule explained, so that the report is known to have given one:
        `EF: 120 mL EDV, 60 %`, `LVEF 35 55`, `LVEF 4O %`.
        """
        named = next((at for at, one in enumerate(self._items) if one.cue in ("mention", "left-mention")), None)
        if named is None:
            return None
        behind = self._items[named + 1 : named + 1 + _LEADING]
        for at, one in enumerate(behind):
            if at == 0 and one.word == "figures" and one.end > one.start:
                return one, Value(low=Decimal(0), percent=True, after_first=one.end)  # `LVEF 4O %`
            if one.value is not None and (one.value.percent or (at == 0 and 5 <= one.value.low <= HIGHEST)):
                return one, one.value
        return None

    def _is_legend(self) -> bool:
        """`normal >55%, mild 45-54%, moderate 30-44%`: what grades mean, unless one of them is ticked."""
        pairs = zip(self._items, self._items[1:], self._items[2:], strict=False)
        grades = {
            one.word[:_GRADE]
            for one, two, three in pairs
            if one.word.startswith(_GRADES) and (two.kind == "value" or (two.kind != "cue" and three.kind == "value"))
        }
        return len(grades) > 1

    def _equates(self) -> bool:
        """`>= 50 % = normal, 41-49 % = mildly reduced`."""
        folded = self._sentence.folded
        return any(
            folded[item.end :].lstrip().startswith("=") and folded[item.end :].lstrip(" =")[:1].isalpha()
            for item in self._items
            if item.kind == "value"
        )

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
            if not (before.word == "la" and item.word.startswith(_ROMANCE)):
                return True
        return self._sentence.other_chamber

    def _chamber_behind(self, index: int) -> Cue | None:
        for behind in self._items[index + 1 : index + 4]:
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
        self._since, self._given = index + 1, self._given + 1

    def _of_ejection_fraction(self, index: int, item: Item, value: Value) -> bool:
        """Whether the number speaks of the ejection fraction; then it is noted with its role."""
        around = self._around(index, item, value)
        if self._is_from_to(around.before, value):
            self._add("prior", item, Value(low=value.low, percent=True, after_first=value.after_first), biplane=False)
            after = Value(low=value.high or value.low, percent=True, after_first=item.end)
            self._add(self._override() or "present", item, after, biplane=around.is_biplane())
            return True
        value = self._with_between(index, value, around.before)
        around = self._around(index, item, value)
        if not self._speaks_of_it(around):
            return False
        value = self._with_comparator(index, value)
        if index > 1 and self._items[index - 1].word in _OR and self._items[index - 2].kind == "value":
            around = replace(around, either=True)  # the report does not choose, so neither number counts
            self._result = [*self._result[:-1], *(replace(one, role="doubtful") for one in self._result[-1:])]
        role = self._whole_sentence(item, value) or self._override() or around.limit() or around.role()
        role = "reference" if role == "present" and self._is_unfilled(item) else role
        if role in _TAKEN:
            role = self._led_in() or ("unknown-words" if self._unknown_beside(index) else role)
            role = "narrated" if role == "present" and self._is_told() else role
        self._damaged = self._damaged or (role in _TAKEN and self._is_doubted_behind(index, item))
        self._add(role, item, value, biplane=around.is_biplane())
        return True

    def _around(self, index: int, item: Item, value: Value) -> Surroundings:
        before = self._items[max(self._since, index - _LEADING) : index]
        return Surroundings(
            value=value,
            before=before,
            behind=self._items[index + 1 : index + 1 + TRAILING],
            named_at=self._items[self._mention].start,
            given=self._given,
            changed=self._changes is not None,
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
        return (
            changed
            and last is not None
            and (last.cue in ("from", "change") or (last.cue == "by" and last.word in ("de", "da")))
        )

    def _with_between(self, index: int, value: Value, before: Sequence[Item]) -> Value:
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

    def _speaks_of_it(self, around: Surroundings) -> bool:
        """Whether this number is the ejection fraction's at all."""
        own = [one for one in around.before if one.start >= around.named_at]
        named = self._mention >= self._since
        if not around.value.percent and not (named and self._is_bare(around, own)):
            return False
        following = around.next
        if following is not None and following.cue in ("noun", "points"):
            return following.cue == "points" and around.value.percent
        if self._is_of_another(around, own):
            return False
        if named and not any(one.word in PARTING for one in own):
            return True
        if len(around.before) == 1 and around.before[0].word in _OR:
            return True  # `40% or 55%`: the report does not choose
        clause = around.clause
        strange = [one for one in clause if one.kind == "word"]
        if named and self._given == 0:
            return len(strange) <= 3
        if any(one.cue in ("noun", "measure") for one in clause):
            return False
        if not clause:  # a number alone between two marks
            alone = following is None or following.kind == "mark" or following.cue in _TELLING
            return alone or around.trailing_prior()
        return not strange or any(one.cue in _TELLING for one in clause) or around.trailing_prior()

    def _is_of_another(self, around: Surroundings, own: Sequence[Item]) -> bool:
        """`LVEF normal, LAD 50 %`, `60 % LAD stenosis`: the number is another thing's."""
        behind = around.behind[:2]
        if len(behind) == 2 and behind[0].kind == "word" and behind[1].cue == "noun" and around.value.percent:
            return behind[0].word not in _JOINING
        last = own[-1] if own else None
        if last is None or last.kind != "word" or self._sentence.text.isupper():
            return False
        written = self._sentence.text[last.start : last.end]
        return len(written) <= _ABBREVIATION and written.isupper() and written.isalpha() and len(written) > 1

    def _is_bare(self, around: Surroundings, own: Sequence[Item]) -> bool:
        """A number without a percent sign: directly behind the name, with nothing behind it,
        and an ejection fraction by size.
        """
        value = around.value
        if (
            self._passed
            or value.unit_follows
            or len(own) > 6
            or any(one.kind == "word" or one.cue == "not" for one in own)
        ):
            return False
        if around.next is not None and around.next.word == "/":
            return False
        top = value.high or value.low
        return Decimal("0.05") <= value.low and (top <= Decimal("0.95") or (value.low >= 5 and top <= HIGHEST))

    def _override(self) -> Role | None:
        """What the section makes of every number in it."""
        return _SECTIONS.get(self._sentence.section)

    def _whole_sentence(self, item: Item, value: Value) -> Role | None:
        """What a word anywhere in the sentence makes of the number."""
        if "family" in self._cues:
            return "family"
        if "guideline" in self._cues or "patient" in self._cues:
            return "threshold"
        if "goal" in self._cues:
            return "goal"
        if "threshold" in self._cues and (value.comparator or self._is_any()):
            return "threshold"
        if self._classes and (value.comparator or (value.low, value.high) in _CLASS_RANGES):
            return "threshold"
        if self._condition is not None and self._condition <= item.start:
            return "hypothetical"
        if value.comparator in ("<", "<=") and self._denied(item):
            return "negated"
        if self._history is not None and self._history <= self._items[self._mention].start:
            return "history"
        return None

    def _is_unfilled(self, item: Item) -> bool:
        """`LVEF ...... % (normal > 55 %)`: what follows an empty field is no value."""
        between = self._sentence.folded[self._items[self._mention].end : item.start]
        blank, percent, _ = between.partition("%")
        return bool(percent) and self._given == 0 and blank.strip(" :=.")[-1:] in _PLACEHOLDERS

    def _is_told(self) -> bool:
        """`He has an EF of 20 %`: it counts where the report says no other value."""
        before: list[Item] = []
        for one in reversed(self._ahead()):
            if one.kind in _CLOSING:
                break
            before.append(one)
        return any(one.word in _PERSONS for one in before) and any(one.word in _HAVING for one in before)

    def _ahead(self) -> list[Item]:
        """The items before the name of the quantity; a bounded number, so that the work grows as the text."""
        return self._items[max(self._mention - _LEADING, 0) : self._mention]

    def _led_in(self) -> Role | None:
        """`In 2019, EF 30 %`, `After CABG, EF 45 %`, `Before TAVI, …`: what the phrase before a comma makes of it."""
        phrase: list[Item] = []
        for before in reversed(self._items[max(self._comma - _LEADING, 0) : max(self._comma, 0)]):
            if before.value is not None and before.value.percent:
                return None
            if before.kind != "mark":
                phrase.insert(0, before)
                continue
            if role := self._of_phrase(phrase):
                return role
            phrase = []
        return self._of_phrase(phrase) if self._comma < self._mention else None

    def _of_phrase(self, phrase: Sequence[Item]) -> Role | None:
        first = phrase[:2]
        if not first or any(one.cue in ("compare", "now", "modality", "mention", "left-mention") for one in phrase):
            return None
        if any(one.cue == "prior" or one.kind == "date" for one in first):
            return "prior"
        if first[0].word not in _LEADING_IN:
            return None
        if any(one.cue == "prior" or one.kind == "date" for one in phrase):
            return "prior"
        if any(one.cue == "stress" for one in phrase):
            return "stress"
        return "unknown-words" if self._holds_unknown(phrase) else None

    def _is_doubted_behind(self, index: int, item: Item) -> bool:
        """`EF 20-`, `EF 20 %, questionable`, `EF 35 % ausgeschlossen`, `EF 25 %, s/p LVAD`."""
        folded = self._sentence.folded
        if folded[item.end : item.end + 1] in _DASHES and not folded[item.end + 1 : item.end + 2].isalnum():
            return True
        if folded[item.end : item.end + 1] == "+" and folded[item.end + 1 : item.end + 2] not in ("/", "-"):
            return True
        if item.start > 1 and set(folded[item.start - 2 : item.start]) <= _DASHES:
            return True  # `55--60 %`
        if self._is_between_bounds(index):
            return True
        following = self._items[index + 1] if index + 1 < len(self._items) else None
        for behind in self._items[index + 1 : index + 1 + TRAILING]:
            if behind.kind == "value" or behind.cue in _OF_ITS_OWN:
                return False
            if behind.word.startswith(_DOUBTS) or (behind is following and behind.word.startswith(_EXCLUDED)):
                return True
        return False

    def _is_between_bounds(self, index: int) -> bool:
        """`EF >40<50 %`, `40 % < EF < 50 %`, `EF 30 > 45 %`, `more than 40 but less than 50 %`: two bounds."""
        value, name = self._items[index].value, self._items[self._mention]
        passed = [one.value for one in self._items[max(self._mention + 1, index - _LEADING) : index] if one.value]
        if value is None or self._sentence.folded[max(name.start - 4, 0) : name.start].rstrip().endswith(_BOUNDS):
            return value is not None
        if passed:
            return any(one.comparator for one in (*passed, value))
        following = self._items[index + 1] if index + 1 < len(self._items) else None
        bounded = following is not None and following.value is not None and following.value.comparator != ""
        return bounded and (value.comparator != "" or not value.percent)

    def _holds_unknown(self, phrase: Sequence[Item]) -> bool:
        folded = self._sentence.folded
        return any(
            one.kind == "word"
            and one.word not in self._words_of_site
            and not is_harmless(one.word, folded[one.start : one.end])
            for one in phrase
        )

    def _unknown_beside(self, index: int) -> bool:
        """Whether a word that no table knows stands in the clause: before the name, between name and number, behind."""
        clause = self._items[max(self._mention + 1, index - _LEADING) : index]
        for before in reversed(self._ahead()):
            if before.kind in ("date", "mark") or (before.value is not None and before.value.percent):
                break
            clause.append(before)
        following = self._items[index + 1 : index + 2]
        finding = bool(following) and following[0].word in _WITH
        for behind in self._items[index + 1 : index + 1 + _LEADING]:
            if behind.kind in _CLOSING or behind.cue in _OF_ITS_OWN:
                break
            if not (finding and is_wall(behind.word)):
                clause.append(behind)
        return self._holds_unknown(clause)

    def _is_any(self) -> bool:
        """`An LVEF of 35 % qualifies for …` speaks of nobody's."""
        before = self._items[self._mention - 1] if self._mention > 0 else None
        return before is not None and before.word in _ANY and before.end + 2 > self._items[self._mention].start

    def _denied(self, item: Item) -> bool:
        """`no evidence of an EF < 50 %`: a bound that is denied says nothing that could be taken."""
        comma = self._items[self._comma].end if 0 <= self._comma < self._mention else 0
        soon = item.end + _SOON
        return bisect_left(self._denials, comma) < bisect_left(self._denials, soon)

    def _conditional(self, at: int) -> bool:
        """`se`, `si`, `om`, `bei`, `als` are conditions only directly before the quantity or its limit."""
        word = self._items[at].word
        if word not in _SHORT_CONDITIONS:
            return True
        for following in self._items[at + 1 : at + 6]:
            if following.cue in ("mention", "left-mention"):
                return word not in ("bei", "vid") or self._compares_after(at)
            if following.cue == "change" or following.word in _FURTHER:
                continue
            if following.kind == "value":
                return following.value is not None and following.value.comparator != ""
            if following.kind == "mark" or (following.kind == "word" and following.word not in _ARTICLES):
                return False
        return False

    def _compares_after(self, at: int) -> bool:
        return any(one.value is not None and one.value.comparator for one in self._items[at : at + TRAILING])

    def _add(self, role: Role, item: Item, value: Value, *, biplane: bool) -> None:
        scale = scale_of(value)
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


_PERSONS = word_set("he she who patient patientin patienten patiente paciente paziente doente il elle")
_HAVING = word_set("has had with hat mit a avec tiene con ha heeft met tem com har med")
_TAKEN = frozenset(("present", "narrated"))
#: What begins a phrase of time, place or treatment.
_LEADING_IN = word_set(
    """in on at after before during under since per until following post pre with within by
    im am bei nach vor wahrend unter seit laut mit a au en apres avant pendant sous depuis selon lors
    tras despues antes durante bajo desde segun con al nel nella dopo prima sotto dal da secondo all alla
    op na voor tijdens onder bij sinds volgens met em no apos sob segundo com ao i vid efter fore enligt sedan med"""
)
_BOUNDS = ("<", ">", "=<", "=>", "\u2264", "\u2265")
_DASHES = frozenset("-\u2013\u2014")
_DOUBTS = ("korrig", "corrected", "corrige", "corregid", "corrett", "gecorrig", "corrigid", "rectif", "rettif", "amend",
           "errat", "erron", "error", "wrong", "falsch", "incorrect", "fehler", "faux", "foutief", "felaktig",
           "unverif", "unconfirm", "unbestat", "provis", "prelim", "vorlauf", "voorlop", "provvis", "onbevest",
           "obekraft",
           "fraglich", "questionab", "doubtful", "uncertain", "unreliab", "unsicher", "inaccura", "douteu", "incertain",
           "dudos", "inciert", "dubbi", "incert", "twijfel", "onzeker", "onbetrouw", "duvidos", "osaker",
           "tveksam")  # fmt: skip
_EXCLUDED = ("ausgeschlossen", "exclu", "esclu", "uitgesloten", "uteslut", "ruled")
_PLACEHOLDERS = frozenset(("", "_", "*", "-", "\u2013", "\u2026", "x", "?", "#"))
_WITH = word_set("with mit bei avec con met com med bij vid due wegen and und et y e en och")
_CLOSING = frozenset(("value", "date", "mark"))
_OF_ITS_OWN = frozenset(("mention", "left-mention", "other-mention", "measure"))
#: How words for a grade of impairment begin: mild, moderate, severe.
_GRADES = ("mild", "moder", "sever", "leicht", "mittel", "schwer", "hochgr", "leger", "leve", "grave", "lieve", "licht",
           "matig", "ernstig", "latt", "mattlig", "uttalad", "import")  # fmt: skip
#: Classes of heart failure; a bound beside one is what the class is defined by.
_CLASSES = word_set(
    """hfref hfmref hfpef hfimpef hfnef icfer icfep icfelr icflr icflef icferm icfem icfei icfemr icfelm icferl scfer
    scfep scferm fer fep felr femr"""
)
_CLASS_RANGES = frozenset((Decimal(low), Decimal(high)) for low in (40, 41) for high in (49, 50))
_SOON = 14  #: characters behind a bound in which it may be denied: `< 40 % excluded`
_ABBREVIATION = 5  #: letters
_JOINING = frozenset(("with", "and", "mit", "und", "avec", "et", "con", "y", "e", "met", "en", "com", "med", "och"))
_GRADE = 4  #: letters that tell two grades apart
_OR = frozenset(("or", "oder", "ou", "o", "of", "eller"))
_AND = frozenset(("and", "und", "et", "y", "e", "ed", "en", "och", "a"))
_SHORT_CONDITIONS = frozenset(("si", "se", "om", "bei", "als", "vid", "caso", "quando", "when", "should", "once"))
_ANY = frozenset(("an", "any", "une", "uma"))
_FURTHER = word_set(
    """weiterem weiterer weiteren erneutem further ulteriore nouvelle verdere ytterligare fortsatt nueva nova"""
)
_ARTICLES = frozenset(("la", "el", "de", "a", "o", "the", "die", "der", "einer", "eine", "le", "een", "lo", "an"))
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
