"""What stands around a number of a report makes it the present value, an earlier one, a limit, a change, or nothing.

The cues between the number before and this one, and those directly behind it, decide; the last word about time counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from ecgfm_connectors.outcomes.report import changes, said
from ecgfm_connectors.outcomes.report.harmless import is_measuring
from ecgfm_connectors.outcomes.report.items import Item, Value
from ecgfm_connectors.outcomes.report.vocabulary import Cue

Role = Literal[
    "present", "narrated", "prior", "history", "hypothetical", "threshold", "reference", "change", "other-chamber",
    "stress", "family", "negated", "doubtful", "implausible", "goal", "unknown-words",
]  # fmt: skip

LOWEST, HIGHEST = Decimal(3), Decimal(95)  # percent
LEADING = 40  #: items before a number that may speak of it
TRAILING = 6  #: items behind a number that may still speak of it
_LIMIT_BEHIND = 3  #: items behind a number among which the word for a limit may stand
_LIMITS = ("threshold", "cutoff", "cut", "corte", "afkap", "seuil", "umbral", "soglia", "limiar", "drempel",
           "schwelle", "grenz", "grens", "grans")  # fmt: skip

_NOTHING = Item(kind="mark", start=0, end=0)
_LIMIT_ENDS = ("grenze", "grenzwert", "schwelle", "schwellenwert", "drempel", "drempelwaarde", "gransen")
_BORDERLINE = ("grenzwertig", "gransvardig", "grensvaardig")

PARTING = frozenset((",", "(", ")", "["))
_WIDE = 15  #: percent: no measurement is stated as a range so wide
_METHOD_BEHIND = 4  #: items


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """A number beside an ejection fraction, and the items around it."""

    value: Value
    before: Sequence[Item] = field(repr=False)  #: since the number before, or the comma before the name
    behind: Sequence[Item] = field(repr=False)
    named_at: int  #: where the name of the quantity stands in the sentence
    given: int  #: numbers between the name and this one
    changed: bool  #: the sentence speaks of a change
    after_colon: bool  #: a colon stands between the item before and the number
    exerted: bool = False  #: the sentence speaks of stress
    either: bool = False  #: another number and `or` stand before it

    @property
    def clause(self) -> Sequence[Item]:
        """What stands between the last comma or bracket and the number."""
        marks = [at for at, one in enumerate(self.before) if one.word in PARTING]
        return self.before[marks[-1] + 1 :] if marks else self.before

    @property
    def next(self) -> Item | None:
        """The item behind the number."""
        return self.behind[0] if self.behind else None

    def role(self) -> Role:
        """What the number is, as far as its surroundings tell."""
        scale = scale_of(self.value)
        low, high = self.value.low * scale, (self.value.high or self.value.low) * scale
        if high - low >= _WIDE:
            return "reference"
        if not LOWEST <= low <= HIGHEST or high > HIGHEST:
            return "implausible"
        if self._doubted() or self._bounded():
            return "doubtful"
        if self._is_reference():
            return "reference"
        if changes.is_change(self):
            return "change"
        if self._negated():
            return "negated"
        exertion = self._exertion()
        if exertion == "rest" and self.exerted and self.given == 0 and not self.trailing_prior() and self._at_rest():
            return "present"
        return "stress" if exertion == "stress" else self._when()

    def _at_rest(self) -> bool:
        """`steigt von 55 % in Ruhe`: directly behind the number, so that a change makes it no earlier one."""
        earlier = any(one.cue == "prior" or one.kind == "date" for one in self.before)
        return not earlier and any(one.cue == "rest" for one in self.behind[:2])

    def limit(self) -> Role | None:
        """`the threshold of 35 %`, `seuil 35 %`, `umbral de FEVI de 35 %`, `35 % threshold`: a limit."""
        behind: list[Item] = []
        for one in self.behind[:_LIMIT_BEHIND]:
            if one.kind in ("mark", "value"):
                break
            behind.append(one)
        beside = [one.word for one in (*self.before, *behind) if not one.word.startswith(_BORDERLINE)]
        return "threshold" if any(word.startswith(_LIMITS) or word.endswith(_LIMIT_ENDS) for word in beside) else None

    def trailing_prior(self) -> bool:
        """`50% in 2021`, `35 % im Vorbefund`, `28 % damals`."""
        following = self.behind
        if following and following[0].word in ("(", "["):  # `25% (2022)`, but `30% (60% in 2024)` says it of the other
            closed = next((at for at, one in enumerate(following) if one.word in (")", "]")), len(following))
            following = following[1:closed]
            if any(one.kind == "value" for one in following):
                return False
        if following and following[0].word in said.LIKE and not (len(following) > 1 and following[1].word == "of"):
            return False  # `25-30 % (come nel 2022)`
        if _is_least(following):
            return False  # `recovered to 55 % after a minimum of 22 %`
        if self.changed and following and following[0].word in said.SINCE:
            return False  # `dropped to 40 % since last year`
        if following and following[0].cue == "history":
            return True  # `EF 35 % known`
        for one in following:
            if one.cue == "prior" or one.kind == "date":
                return True
            if one.word != ")" and (one.kind in ("value", "mark") or one.cue in said.OTHER_MATTERS):
                return False
        return False

    def is_biplane(self) -> bool:
        """Whether the number is the biplane one: said since the number before, else directly behind it.

        `Simpson` alone is, `Simpson 4CH` and `Simpson monoplan` are not.
        """
        method = self._method()
        if any(one.word.startswith(said.TWO_PLANES) for one in method):
            return True
        return any(one.cue == "biplane" for one in method) and not any(one.cue == "plane" for one in method)

    def is_selected(self) -> bool:
        """`FEVG retenue 45 %`, `Overall LVEF (final read): 50 %`, `42 % (final)`."""
        return any(one.word.startswith(said.SELECTED) for one in (*self.before, *self._own_behind()))

    def is_current(self) -> bool:
        """Whether the words around the number say that it is today's."""
        return self.is_now() or any(one.cue == "now" and one.word not in said.UNCHANGED for one in self.before)

    def _method(self) -> Sequence[Item]:
        """The items that name the number's method: behind the last comma before it, else behind it, else before it."""
        commas = [at for at, one in enumerate(self.before) if one.word == ","]
        own = self.before[commas[-1] + 1 :] if commas else self.before
        behind = self._own_behind()
        if self._names_method(own):
            return own
        return behind if self._names_method(behind) or self.given else self.before

    def by_method(self) -> bool:
        """`41 % con contrasto`, `45 % en Simpson biplan`, `visuell 55 %`: nothing but a method beside the number."""
        clause = self.clause
        if clause:
            return self._names_method(clause) and all(one.kind != "word" or is_measuring(one.word) for one in clause)
        return self._names_method(self._own_behind()[:_METHOD_BEHIND])

    def is_another_bare(self) -> bool:
        """`EF 50 (visual), 41 (biplane)`: a second number without a percent sign, with its own method."""
        value = self.value
        likely = value.low >= LOWEST + 2 and (value.high or value.low) <= HIGHEST
        return self.given > 0 and likely and not value.unit_follows and not self.clause and self.by_method()

    def _own_behind(self) -> Sequence[Item]:
        """What stands behind the number up to the next number, comma or name of a quantity."""
        for at, one in enumerate(self.behind):
            if one.kind == "value" or one.word == "," or one.cue in ("mention", "left-mention", "other-mention"):
                return self.behind[:at]
        return self.behind

    @staticmethod
    def _names_method(among: Sequence[Item]) -> bool:
        return any(one.cue in ("biplane", "plane", "modality") or one.word.startswith(said.METHODS) for one in among)

    def _another_follows(self) -> bool:
        return any(one.value is not None and one.value.percent and not one.value.comparator for one in self.behind)

    def _doubted(self) -> bool:
        if any(one.word.startswith(said.MISJUDGED) for one in self.before):
            return True
        if self.either or (self.value.high is None and any(one.word in said.BETWEEN for one in self.before)):
            return True
        if any(one.cue == "instead" for one in self.before):
            return True  # `33 % statt 53 %`: the second one is withdrawn
        return (bool(self.before) and self.before[-1].word == "?") or (self.next is not None and self.next.word == "?")

    def _bounded(self) -> bool:
        """Whether words between the name and the number make a bound of it that was not understood."""
        own = [one for one in self.clause if one.start >= self.named_at]
        last = self.before[-1].word if self.before else ""
        if last in said.AS_FAR_AS and not self.changed and self.given == 0:
            return True  # `EF bis 45 %`
        return not self.value.comparator and any(one.kind == "word" and one.word in said.BOUNDING for one in own)

    def _negated(self) -> bool:
        """`not measured 35 %`; but `not reduced, 60 %` is a value, and Portuguese `no limite inferior` is `at the`."""
        pairs = zip(self.before, [*self.before[1:], None], strict=False)
        return any(
            one.cue == "not"
            and one.start > self.named_at
            and not (
                following and (following.word in said.REDUCED or (one.word == "no" and following.word in said.AT_THE))
            )
            for one, following in pairs
        )

    def _is_reference(self) -> bool:
        if any(one.cue == "reference" for one in self.clause):
            return True
        if self._is_norm_of_name():
            return True
        if self.given and not self.before and self.value.comparator:
            return True  # the column of limits in a table
        bracketed = len(self.before) == 1 and self.before[0].word in ("(", "[")
        if (
            self.given
            and bracketed
            and self.value.comparator
            and self.next
            and self.next.cue in ("normal", "reference")
        ):
            return True  # `52 % (>= 50 % normal)`
        if self.value.comparator and self.before and self.before[-1].cue == "normal" and self._another_follows():
            return True  # `normal > 55 %, here 42 %`
        if self._is_said_of_normal():
            return True
        named = any(one.cue in ("mention", "left-mention") for one in self.clause)
        if self.given and not named and any(one.cue == "normal" for one in self.clause):
            return True
        return any(
            one.cue == "normal" and two.cue in ("mention", "left-mention") and three.cue == "is"
            for one, two, three in zip(self.before, self.before[1:], self.before[2:], strict=False)
        )

    def _is_norm_of_name(self) -> bool:
        """`FEVI (normal > 55 %): 52`: the name with its limits, before the number or the word that there is none."""
        last = self.before[-3:]
        return (
            self.value.comparator != ""
            and len(last) == 3
            and last[0].cue in ("mention", "left-mention")
            and last[1].word in ("(", "[")
            and last[2].cue in ("normal", "reference")
        )

    def _is_said_of_normal(self) -> bool:
        """`la fraction d'éjection normale est supérieure à 50 %`, `Normal ist eine EF über 55 %`: what is normal."""
        if not self.value.comparator and self.value.high is None:
            return False
        cues = [one.cue for one in self.before if one.word not in said.ONE]
        name = next((at for at, cue in enumerate(cues) if cue in ("mention", "left-mention")), None)
        if name is None:
            return False
        return cues[name + 1 : name + 3] == ["normal", "is"] or cues[max(name - 2, 0) : name] == ["normal", "is"]

    def _exertion(self) -> Cue | None:
        """Rest or stress, as said behind the number (`45% at stress and 52% at rest`), else before it."""
        following = self.behind[:2]
        alone = len(following) == 1 or (bool(following) and following[1].kind == "mark")
        if following and following[0].cue == "rest" and (following[0].word in said.DURING or alone):
            return "rest"
        if following and following[0].word in said.DURING:
            for one in self.behind[1:4]:
                if one.kind in ("mark", "value"):
                    break
                if one.cue in ("stress", "rest"):
                    return one.cue
        own = self.before
        if self.given and self.exerted and self._rests_before():  # `von 55 % in Ruhe auf 68 %`
            own = own[2:]
            if self.before[-1].cue == "to":
                return "stress"
        return next((one.cue for one in reversed(own) if one.cue in ("stress", "rest")), None)

    def _rests_before(self) -> bool:
        """Whether the word for rest stands directly behind the number before."""
        return any(one.cue == "rest" for one in self.before[:2])

    def _when(self) -> Role:
        """Present or earlier: the last word about time before the number decides, else one directly behind it."""
        named = any(one.cue in ("mention", "left-mention") for one in self.before)
        if self.is_now():
            return "present"
        if any(one.cue == "history" and one.start > self.named_at for one in self.before):
            return "history"  # `EF known 30 %`
        if self.trailing_prior() and not any(one.cue in ("now", "arrow") for one in self.clause):
            return "prior"
        for one in reversed(self.before):
            if one.word == "baseline" and self.exerted:
                continue  # of a stress test
            if one.cue in ("now", "arrow") or (one is self.before[-1] and one.cue == "to" and self._moves()):
                return "prior" if one.cue != "now" and self._dated() else "present"
            if one.cue == "prior" and self._is_workup(one):
                continue
            if one.cue == "prior" or one.kind == "date" or (one.cue == "from" and self._leads_from(one)):
                return "prior"
            if (
                one.cue == "compare"
            ):  # two values, and the report does not choose, unless the second is said to be earlier
                return "prior" if self.trailing_prior() or self._of_baseline(one) else "present"
            if one.cue == "was" and not named:
                return "prior"
        if self.trailing_prior():
            return "prior"
        was = any(one.cue == "was" for one in self.before)
        return "narrated" if was and not any(one.word in said.MEASURING for one in self.before) else "present"

    def _is_workup(self, before: Item) -> bool:
        """`Preop bedömning: EF`, `Pre-renal transplant work-up: TTE LVEF`: an examination before something else."""
        if not before.word.startswith(said.AHEAD) or before.start > self.named_at:
            return False
        return any(one.word.startswith(said.WORKUP) for one in self.before if one.start < self.named_at)

    def _of_baseline(self, compared: Item) -> bool:
        """`invariata rispetto al basale (55 %)`: the number behind a comparison with the first study."""
        return any(one.word in said.BASELINE for one in self.before if one.start > compared.start)

    def is_now(self) -> bool:
        """`48 % attuale, 29 % prima`: the word for now stands directly behind the number and before no other one."""
        behind = self.behind[:2]
        if not behind or behind[0].cue != "now" or behind[0].word in said.UNCHANGED:
            return False
        return len(behind) == 1 or behind[1].kind == "mark" or behind[1].word in said.UNDER

    def _moves(self) -> bool:
        """Whether a change is told beside the number: `fell to 30 %`, `auf 30 % gefallen`."""
        return self.changed and any(one.cue == "change" for one in (*self.before, *self.behind[:2]))

    def _dated(self) -> bool:
        """`20% (2019) -> 45% (2022)`: a day or year of its own directly behind the number is not the study's."""
        following = [one for one in self.behind[:2] if one.word != "("]
        return (
            bool(following) and following[0].kind == "date" and (len(following) == 1 or self.behind[0].kind == "date")
        )

    def _leads_from(self, item: Item) -> bool:
        """`improved from 20%`, `van 30% naar nu 40%`; not the `of` of other languages before a name."""
        to, then = (one.cue for one in (*self.behind[:2], *[_NOTHING] * 2)[:2])
        if item is self.before[-1] and item.start > self.named_at and to == "to" and then in ("now", "prior"):
            return True
        return item.start > self.named_at and (self.changed or item.word in ("down", "up"))


def _is_least(following: Sequence[Item]) -> bool:
    """Whether the word for the lowest value stands behind a number, and another number behind it."""
    at = next((at for at, one in enumerate(following) if one.word in said.LEAST), None)
    return at is not None and any(one.kind == "value" for one in following[at + 1 :])


def scale_of(value: Value) -> int:
    """A bare number up to one is a fraction."""
    return 100 if value.low <= 1 and not value.percent else 1
