"""What the words of a whole sentence make of every number in it: a guideline's, a goal, a condition, a legend."""

from bisect import bisect_left
from decimal import Decimal

from ecgfm_connectors.outcomes.phrases import word_set
from ecgfm_connectors.outcomes.report import bounds, comparisons
from ecgfm_connectors.outcomes.report.items import Item, Value
from ecgfm_connectors.outcomes.report.said import UNCHANGED
from ecgfm_connectors.outcomes.report.sections import Section, Sentence
from ecgfm_connectors.outcomes.report.surroundings import HIGHEST, LEADING, TRAILING, Role

_SECTIONS: dict[Section, Role] = {"history": "history", "family": "family", "prior": "prior", "advice": "hypothetical"}
#: How words for a grade of impairment begin: mild, moderate, severe.
_GRADES = ("mild", "moder", "sever", "leicht", "mittel", "schwer", "hochgr", "leger", "leve", "grave", "lieve", "licht",
           "matig", "ernstig", "latt", "mattlig", "uttalad", "import")  # fmt: skip
_GRADE = 4  #: letters that tell two grades apart
#: Classes of heart failure; a bound beside one is what the class is defined by.
_CLASSES = word_set(
    """hfref hfmref hfpef hfimpef hfnef icfer icfep icfelr icflr icflef icferm icfem icfei icfemr icfelm icferl scfer
    scfep scferm fer fep felr femr"""
)
#: Words for heart failure, whose classes are defined by the ejection fraction.
_FAILURE = word_set(
    """ic hf ics hi failure herzinsuffizienz insuffisance insuficiencia scompenso hartfalen hjartsvikt svikt icc"""
)
_HEADING = 30  #: characters
_FIRST = 2  #: items before a name that begins its sentence
_CLASS_RANGES = frozenset((Decimal(low), Decimal(high)) for low in (40, 41) for high in (49, 50))
_ERRORS = ("error", "errone", "irrtum", "erreur", "errat", "errore", "equivoc", "engano", "foutief", "felaktig",
           "mistake", "abusiv", "vergissing", "misstag", "tippfehler",
           "schreibfehler", "ubertragungsfehler", "diktierfehler")  # fmt: skip
_SOON = 14  #: characters behind a bound in which it may be denied: `< 40 % excluded`
_SHORT_CONDITIONS = frozenset(
    ("bij", "si", "se", "om", "bei", "als", "vid", "caso", "quando", "when", "should", "once")
)
_BECAUSE = frozenset(("for", "per", "por", "pour", "wegen", "aufgrund", "vanwege", "pga", "grund"))
_ANY = frozenset(("an", "any", "une", "uma"))
_INDEFINITE = word_set("a an une un eine einer una uma een en")
_MEANS = word_set(
    """means signifies bedeutet heisst spricht gilt signifie correspond definit significa indica define implica comporta
    betekent wijst betyder innebar talar"""
)
_FURTHER = word_set(
    """weiterem weiterer weiteren erneutem further ulteriore nouvelle verdere ytterligare fortsatt nueva nova"""
)
_ARTICLES = frozenset(("la", "el", "de", "a", "o", "the", "die", "der", "einer", "eine", "le", "een", "lo", "an"))


class SentenceWords:
    """The words of one sentence."""

    def __init__(self, sentence: Sentence, found: list[Item]) -> None:
        """`found`: the items of the sentence; what the reader puts together meanwhile changes here too."""
        self._sentence = sentence
        self._items = found
        self._cues = {item.cue for item in found}
        self._classes = any(item.word in _CLASSES for item in found)
        self._denials = [item.start for item in found if item.cue in ("not", "without")]
        self._history = next((item.end for item in found if item.cue == "history"), None)
        self._failure = any(item.word in _FAILURE for item in found)
        self._compared = next((item.start for item in found if item.cue == "compare" or item.kind == "date"), None)
        self._stress = self._stress_heading()
        self._errors = any(item.word.startswith(_ERRORS) for item in found)
        self._condition = next(
            (item.end for at, item in enumerate(found) if item.cue == "condition" and self._conditional(at)), None
        )

    def unread(self) -> tuple[Item, Value] | None:
        """The number of a sentence that no rule explained, so that the report is known to have given one:
        `EF: 120 mL EDV, 60 %`, `LVEF 35 55`, `LVEF 4O %`.
        """
        named = next((at for at, one in enumerate(self._items) if one.cue in ("mention", "left-mention")), None)
        if named is None:
            return None
        behind = self._items[named + 1 : named + 1 + LEADING]
        for at, one in enumerate(behind):
            if at == 0 and one.word == "figures" and one.end > one.start:
                return one, Value(low=Decimal(0), percent=True, after_first=one.end)  # `LVEF 4O %`
            if one.value is not None and (one.value.percent or (at == 0 and 5 <= one.value.low <= HIGHEST)):
                return one, one.value
        return None

    def is_legend(self) -> bool:
        """`normal >55%, mild 45-54%, moderate 30-44%`: what grades mean, unless one of them is ticked."""
        pairs = zip(self._items, self._items[1:], self._items[2:], strict=False)
        grades = {
            one.word[:_GRADE]
            for one, two, three in pairs
            if one.word.startswith(_GRADES) and (two.kind == "value" or (two.kind != "cue" and three.kind == "value"))
        }
        return len(grades) > 1

    def equates(self) -> bool:
        """`>= 50 % = normal, 41-49 % = mildly reduced`."""
        folded = self._sentence.folded
        return any(
            folded[item.end :].lstrip().startswith("=") and folded[item.end :].lstrip(" =")[:1].isalpha()
            for item in self._items
            if item.kind == "value"
        )

    def compares_before(self, name: Item) -> bool:
        """`Comparison is made with the study of 2025, in which the EF was 55 %`: the story of an earlier study."""
        return self._compared is not None and self._compared < name.start

    def of_section(self) -> Role | None:
        """What the section makes of every number in it."""
        return _SECTIONS.get(self._sentence.section)

    def tells_of_error(self) -> bool:
        """`The LVEF of 45 % in the original report was a dictation error`."""
        return self._errors

    def role(self, at: int, item: Item, value: Value, *, mention: int, comma: int) -> Role | None:
        """What a word anywhere in the sentence makes of the number.

        `at`: index of the number; `mention`: of the name of its quantity; `comma`: of the last comma, -1 where
        there is none.
        """
        if comparisons.is_limit_of(self._items, at):
            return "threshold"
        if "family" in self._cues:
            return "family"
        if "patient" in self._cues or ("guideline" in self._cues and not self._is_compared(at, mention)):
            return "threshold"
        if "goal" in self._cues and self._is_goal(at):
            return "goal"
        if "threshold" in self._cues and (value.comparator or self._is_any(mention)):
            found = value.comparator in ("<", "<=") and bounds.is_finding(
                self._items, at, mention, self._sentence.folded
            )
            if not found:
                return "threshold"
        if value.comparator and self._is_said_of_any(at, mention):
            return "threshold"
        if self._classes and (value.comparator or (value.low, value.high) in _CLASS_RANGES):
            return "threshold"
        if self._condition is not None and self._condition <= item.start:
            return "hypothetical"
        if value.comparator in ("<", "<=") and self._denied(at, mention, comma):
            return "negated"
        if self._is_of_a_class(value) and not self._items[mention].word.startswith("lv"):
            return "threshold"
        if self._stress is not None and self._stress <= item.start and "rest" not in self._cues:
            return "stress"
        told = self._history is not None and self._history <= self._items[mention].start
        if told and not any(one.cue == "now" and one.word not in UNCHANGED for one in self._items[mention:at]):
            return "history"
        return None

    def _is_compared(self, at: int, mention: int) -> bool:
        """`FEVG ce jour 33 %, inférieure à 35 % : indication selon les recommandations`: the number is a measured one,
        the guideline speaks of the limit behind it.
        """
        limit = comparisons.limit_behind(self._items, at)
        if limit is None:
            return False
        before = self._items[max(limit - LEADING, 0) : limit]
        current = any(one.cue == "now" for one in before)
        return (current or mention <= _FIRST) and not any(one.cue == "guideline" for one in before)

    def _stress_heading(self) -> int | None:
        """`Peak images: … LVEF 75 %`: where what stands below the word for stress begins."""
        colon = self._sentence.folded.find(":", 0, _HEADING)
        lead = [one for one in self._items if one.start < colon]
        named = any(one.cue in ("mention", "left-mention") for one in lead)
        named_stress = any(one.cue == "stress" for one in lead[:3])  # `Immediate post exercise:`
        return colon if named_stress and not named else None

    def _is_of_a_class(self, value: Value) -> bool:
        """`IC à FE modérément réduite (41-49 %)`: the range that a class of heart failure is defined by."""
        return (value.low, value.high) in _CLASS_RANGES and self._failure

    def _is_goal(self, at: int) -> bool:
        """`Ziel > 40 %`, `> 40 % als Ziel`; but neither number of `35 %, Ziel > 40 %` and `Ziel 50 %, aktuell 42 %`
        that the word does not stand beside.
        """
        for before in reversed(self._items[max(at - LEADING, 0) : at]):
            if before.cue == "goal":
                return True
            if before.cue == "now":
                break
        for behind in self._items[at + 1 : at + 1 + LEADING]:
            if behind.cue == "goal":
                return True
            if behind.kind in ("mark", "value"):
                break
        return False

    def _is_any(self, mention: int) -> bool:
        """`An LVEF of 35 % qualifies for …` speaks of nobody's."""
        before = self._items[mention - 1] if mention > 0 else None
        beside = before is not None and before.end + 2 > self._items[mention].start
        return before is not None and beside and (before.word in _ANY or before.word in _BECAUSE)

    def _is_said_of_any(self, at: int, mention: int) -> bool:
        """`una FEVI menor de 40 % es grave`: a bound that something is said of."""
        article = self._items[mention - 1].word if mention > 0 else ""
        following = self._items[at + 1] if at + 1 < len(self._items) else None
        return article in _INDEFINITE and following is not None and (following.cue == "is" or following.word in _MEANS)

    def _denied(self, at: int, mention: int, comma: int) -> bool:
        """`no evidence of an EF < 50 %`: a bound that is denied says nothing that could be taken; but in
        `EF < 20 %, no effusion` something else is denied.
        """
        comma = self._items[comma].end if 0 <= comma < mention else 0
        soon = self._items[at].end + _SOON
        parted = next((one.start for one in self._items[at + 1 : at + 1 + TRAILING] if one.word == ","), soon)
        soon = min(soon, parted)
        return bisect_left(self._denials, comma) < bisect_left(self._denials, soon)

    def _conditional(self, at: int) -> bool:
        """`se`, `si`, `om`, `bei`, `als` are conditions only directly before the quantity or its limit."""
        word = self._items[at].word
        if word not in _SHORT_CONDITIONS:
            return True
        for following in self._items[at + 1 : at + 6]:
            if following.cue in ("mention", "left-mention"):
                return word not in ("bei", "bij", "vid") or self._compares_after(at)
            if following.cue == "change" or following.word in _FURTHER:
                continue
            if following.kind == "value":
                return following.value is not None and following.value.comparator != ""
            if following.kind == "mark" or (following.kind == "word" and following.word not in _ARTICLES):
                return False
        return False

    def _compares_after(self, at: int) -> bool:
        return any(one.value is not None and one.value.comparator for one in self._items[at : at + TRAILING])
