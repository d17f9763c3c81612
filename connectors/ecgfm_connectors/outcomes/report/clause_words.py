"""What the words before and behind a number's clause make of it: another time, a story, a doubt, what nobody knows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ecgfm_connectors.outcomes.phrases import word_set
from ecgfm_connectors.outcomes.report import danger
from ecgfm_connectors.outcomes.report.harmless import is_harmless, is_wall
from ecgfm_connectors.outcomes.report.items import SPANS, Item
from ecgfm_connectors.outcomes.report.labels import is_after
from ecgfm_connectors.outcomes.report.said import AHEAD, UNCHANGED, WORKUP
from ecgfm_connectors.outcomes.report.surroundings import LEADING, TRAILING, Role

_PERSONS = word_set("he she who patient patientin patienten patiente paciente paziente doente il elle")
_HAVING = word_set("has had with hat mit a avec tiene con ha heeft met tem com har med")
#: What begins a phrase of time, place or treatment.
_LEADING_IN = word_set(
    """in on at after before during under since per until following post pre with within by
    im am bei nach vor wahrend unter seit laut mit a au en apres avant pendant sous depuis selon lors
    tras despues antes durante bajo desde segun con al nel nella dopo prima sotto dal da secondo all alla
    op na voor tijdens onder bij sinds volgens met em no apos sob segundo com ao i vid efter fore enligt sedan med"""
)
#: `D1`, `POD3`: a day of the illness.
_DAY = re.compile(r"(?:d|j|g|pod|dpo|hd)\d{1,2}(?![\w.,])")
_FEW = 6  #: unknown words of a clause
#: What ties the next word to a time, a place or a treatment.
_TYING = word_set(
    """in on at after before during under since following post within off im bei nach vor wahrend unter seit beim
    au aux en apres pendant sous depuis lors chez a tras despues antes durante bajo desde al nel nella dopo sotto dal
    presso in op na onder bij sinds em no apos sob i vid pa efter under sedan per from fran aus uit"""
)
_ARTICLES = word_set(
    "the a an his her their der die das dem den le la les l un une el los las il lo gli i het de een o os as"
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
_UNSETTLED = ("final", "definit", "confirm", "valid", "bestat", "offici", "sign", "review")  # behind `not`
#: Directly behind a number: `LVEF 53 % should be 35 %`.
_SHOULD = word_set("should soll sollte muss doit devrait debe deberia deve dovrebbe moet ska skall ought")
#: An examination that follows a procedure is the present one; without such a word the procedure may date the value.
_FOLLOW_UP = tuple(
    word_set(
        """kontroll control follow verlaufskontroll verlaufsecho kontrollecho nachkontroll suivi seguimiento
            seguimento uppfolj opvolg"""
    )
)
_PROCEDURES = tuple(
    word_set(
        """tavi tavr tavk cabg acvb bypass pci ptca ablat vkf mitraclip teer resynchron crt post nach apres despues
        dopo apos efter ablac ablaz ablad mois mes mese month monat maand manad woche week sem settiman valv
        klep klaff klappen revascul revask rivascol infark infarct infart mi iam ima idm stent geburt birth partum
        icd stemi nstemi chemo chimio quimio cardioversi kardioversi elkonv pvi rfa pulmonal"""
    )
)
#: Directly behind a number these begin the next finding: `EF30% mi mod`.
_VALVES = frozenset(("mi", "ti"))
_VALVE_GRADES = ("mod", "mild", "sev", "lind", "matt", "latt", "gr", "leg", "lev", "mat", "ernst", "leicht", "mitt")
_DAYS = word_set("day tag jour j dia giorno dag")
#: An examination on a day of the acute illness is the present one.
_ACUTE = ("stemi", "nstemi", "sca", "scacest", "scasest", "iam", "ima", "eam", "idm", "mi", "nst", "st", *_DAYS)
#: Beside the word for rest these say only how the heart was stressed afterwards.
_EXERTION = tuple(
    word_set(
        """ergom fahrrad fiets cicloerg cyclo bicycle bike treadmill tapis cinta esteira banda arbets arbeids arbete
    ecostress stress belast inspan fisico supin bruce naughton lexiscan regadenos adenos dipiridam dipyridam
    persantin test epreuve effort liegen hasta tot bis al med max post"""
    )
)
#: Beside these a wall is where the finding is, not whose fraction is told: `apical akinesis with EF 45 %`.
_KINETIC = ("akine", "hypokine", "dyskine", "acine", "ipocine", "hipocine", "hipoquin", "aquine", "hypocine", "dyscine",
            "discine", "aneur", "anevr", "wandbeweg")  # fmt: skip
_EXCLUDED = ("ausgeschlossen", "exclu", "esclu", "uitgesloten", "uteslut", "ruled")
_WITH = word_set("sur su sobre op pa auf with mit bei avec con met com med bij vid due wegen and und et y e en och")
_CLOSING = frozenset(("value", "date", "mark"))
_OF_ITS_OWN = frozenset(("mention", "left-mention", "other-mention", "measure"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseWords:
    """The words around the name of an ejection fraction and its numbers."""

    items: list[Item] = field(repr=False)  #: of the sentence
    folded: str = field(repr=False)  #: the sentence
    mention: int  #: index of the name
    comma: int  #: index of the last comma; -1 where there is none
    words_of_site: frozenset[str] = field(repr=False)
    dangerous: bool  #: whether the sentence speaks of another time, person, place or quantity

    def is_told(self) -> bool:
        """`He has an EF of 20 %`: it counts where the report says no other value."""
        before: list[Item] = []
        for one in reversed(self._ahead()):
            if one.kind in _CLOSING:
                break
            before.append(one)
        return any(one.word in _PERSONS for one in before) and any(one.word in _HAVING for one in before)

    def _ahead(self) -> list[Item]:
        """The items before the name of the quantity; a bounded number, so that the work grows as the text."""
        return self.items[max(self.mention - LEADING, 0) : self.mention]

    def led_in(self) -> Role | None:
        """`In 2019, EF 30 %`, `After CABG, EF 45 %`, `Before TAVI, …`: what the phrase before a comma makes of it."""
        phrase: list[Item] = []
        for before in reversed(self.items[max(self.comma - LEADING, 0) : max(self.comma, 0)]):
            if before.value is not None and before.value.percent:
                return None
            if before.kind != "mark":
                phrase.insert(0, before)
                continue
            if role := self._of_phrase(phrase):
                return role
            phrase = []
        role = self._of_phrase(phrase) if self.comma < self.mention else None
        return role or ("unknown-words" if self._is_of_a_doctor() else None)

    def _is_of_a_doctor(self) -> bool:
        """`Dr Miller's echo (private): EF 60 %`: the examination that is told of is a doctor's or a place's."""
        ahead = self._ahead()
        own = any(one.cue == "now" or (one.value is not None and one.value.percent) for one in ahead)
        return not own and danger.is_of_a_place(ahead)

    def _of_phrase(self, phrase: Sequence[Item]) -> Role | None:
        phrase = (
            phrase[1:] if phrase and (phrase[0].word, phrase[0].cue) == ("d", None) else phrase
        )  # `D'après le courrier`
        first = phrase[:2]
        if not first or any(one.cue in ("compare", "now", "modality", "mention", "left-mention") for one in phrase):
            return None
        workup = any(one.word.startswith(WORKUP) for one in phrase)
        if workup and not any(one.kind == "date" for one in phrase):
            phrase = [one for one in phrase if not (one.cue == "prior" and one.word.startswith(AHEAD))]
            first = phrase[:2]
        if any(one.cue == "prior" or one.kind == "date" for one in first):
            return "prior"
        if first[0].word not in _LEADING_IN:
            return None
        if any(one.cue == "prior" or one.kind == "date" for one in phrase):
            return "prior"
        if any(one.cue == "stress" for one in phrase):
            return "stress"
        return "unknown-words" if self._holds_unknown(phrase) else None

    def is_doubted_behind(self, index: int, item: Item) -> bool:
        """`EF 20-`, `EF 20 %, questionable`, `EF 35 % ausgeschlossen`, `EF 25 %, s/p LVAD`."""
        folded = self.folded
        if folded[item.end : item.end + 1] in _DASHES and not folded[item.end + 1 : item.end + 2].isalnum():
            return True
        if folded[item.end : item.end + 1] == "+" and folded[item.end + 1 : item.end + 2] not in ("/", "-"):
            return True
        if item.start > 1 and set(folded[item.start - 2 : item.start]) <= _DASHES:
            return True  # `55--60 %`
        if self._is_between_bounds(index):
            return True
        following = self.items[index + 1] if index + 1 < len(self.items) else None
        negated = False
        for behind in self.items[index + 1 : index + 1 + TRAILING]:
            if behind.kind == "value" or behind.cue in _OF_ITS_OWN:
                return False
            if behind.word.startswith(_DOUBTS) or (behind.word.startswith(_UNSETTLED) and negated):
                return True
            negated = behind.cue == "not"
            if behind is following and (behind.word.startswith(_EXCLUDED) or behind.word in _SHOULD):
                return True
        return False

    def _is_between_bounds(self, index: int) -> bool:
        """`EF >40<50 %`, `40 % < EF < 50 %`, `EF 30 > 45 %`, `more than 40 but less than 50 %`: two bounds."""
        value, name = self.items[index].value, self.items[self.mention]
        passed = [one.value for one in self.items[max(self.mention + 1, index - LEADING) : index] if one.value]
        if value is None or self.folded[max(name.start - 4, 0) : name.start].rstrip().endswith(_BOUNDS):
            return value is not None
        if passed:
            return any(one.comparator for one in (*passed, value))
        following = self.items[index + 1] if index + 1 < len(self.items) else None
        bounded = following is not None and following.value is not None and following.value.comparator != ""
        return bounded and (value.comparator != "" or not value.percent)

    def _holds_unknown(self, phrase: Sequence[Item]) -> bool:
        return bool(self._unknown(phrase))

    def _unknown(self, phrase: Sequence[Item]) -> list[Item]:
        """The words of a phrase that no table knows."""
        folded = self.folded
        excused: tuple[str, ...] = ()
        if _is_review(phrase):
            excused = _PROCEDURES  # `ETT de contrôle post-TAVI : FEVG 62 %`
        if any(one.word in _DAYS for one in phrase):
            excused = (*excused, *_ACUTE)  # `STEMI day 2: LVEF 47 %`
        if any(one.cue == "rest" for one in phrase):
            excused = (*excused, *_EXERTION)
        return [
            one
            for at, one in enumerate(phrase)
            if one.kind == "word"
            and one.word not in self.words_of_site
            and one.word not in SPANS
            and not (one.word in _TYING and at + 1 < len(phrase) and phrase[at + 1].word in SPANS)
            and not (excused and one.word.startswith(excused))
            and not is_harmless(one.word, folded[one.start : one.end])
            and not (
                is_wall(one.word) and any(near.word.startswith(_KINETIC) for near in phrase[max(at - 1, 0) : at + 2])
            )
        ]

    def holds_unknown_beside(self, index: int) -> bool:
        """Whether a word that no table knows stands in the clause: before the name, between name and number, behind.

        Before and behind some are tolerated, see `_tolerates`.
        """
        between = self.items[max(self.mention + 1, index - LEADING) : index]
        given = [at for at, one in enumerate(between) if one.value is not None and one.value.percent]
        between = between[given[-1] + 1 :] if given else between  # the words of another number are its own
        before: list[Item] = []
        for one in reversed(self._ahead()):
            if one.kind in ("date", "mark") or (one.value is not None and one.value.percent):
                break
            before.insert(0, one)
        following = self.items[index + 1 : index + 2]
        finding = bool(following) and following[0].word in _WITH
        behind: list[Item] = []
        for one in self.items[index + 1 : index + 1 + LEADING]:
            if one.kind in _CLOSING or one.cue in _OF_ITS_OWN or self._begins_valve(index, one):
                break
            if not (finding and is_wall(one.word)):
                behind.append(one)
        if not self._holds_unknown([*between, *before, *behind]):
            return False
        if self._is_of_today(index, [*before, *between, *behind]):
            return False
        if self._holds_unknown(between) or self.dangerous:
            return True
        return not self._tolerates(before, behind, self.items[index])

    def _begins_valve(self, index: int, one: Item) -> bool:
        """`EF30% mi mod`: directly behind the number another finding begins."""
        following = self.items[index + 1 : index + 3]
        beside = len(following) == 2 and one is following[0] and one.word in _VALVES
        return beside and following[1].word.startswith(_VALVE_GRADES)

    def _tolerates(self, before: Sequence[Item], behind: Sequence[Item], number: Item) -> bool:
        """Whether unknown words beside a number say nothing of it: none is directly before the name, none directly
        behind the number, none is tied to a time, a place or a treatment (`after CABG`, `at St Elsewhere`), no figures
        and no wish or doubt stand among them, and they are few.
        """
        name = self.items[self.mention]
        unknown = [*self._unknown(before), *self._unknown(behind)]
        if len(unknown) > _FEW or danger.is_hedged([*before, *behind]) or not self._is_percent(number):
            return False
        if before and before[-1] in unknown and ":" not in self.folded[before[-1].end : name.start]:
            return False
        if behind and behind[0] in unknown:
            return False
        reviewed = _is_review(before)
        for phrase in (before, behind):
            for at, one in enumerate(phrase):
                tied = _before(phrase, at) in _TYING and not reviewed
                numbered = at + 1 < len(phrase) and phrase[at + 1].kind == "value" and not reviewed
                doubtful = (
                    (one.word == "figures" and not _DAY.match(self.folded, one.start - 1))
                    or one.word == "post"
                    or is_wall(one.word)
                )
                if one in unknown and (tied or numbered or doubtful):
                    return False
        return True

    def _is_of_today(self, index: int, clause: Sequence[Item]) -> bool:
        """`FE 30 % all'esordio, oggi FE 58 %`: the clause says that it speaks of today, and of nothing else."""
        said = next((one for one in self._since_mark(index) if one.cue == "now" and one.word not in UNCHANGED), None)
        if said is None or not self._is_percent(self.items[index]):
            return False
        return len(self._unknown(clause)) <= _FEW and not danger.is_dangerous(clause) and not danger.is_hedged(clause)

    def _since_mark(self, index: int) -> list[Item]:
        """The items between the mark or number before and the number."""
        found: list[Item] = []
        for one in reversed(self.items[max(index - LEADING, 0) : index]):
            if one.kind in _CLOSING:
                break
            found.append(one)
        return found

    @staticmethod
    def _is_percent(number: Item) -> bool:
        return number.value is not None and number.value.percent


def _is_review(phrase: Sequence[Item]) -> bool:
    """Whether a phrase says that the heart was looked at again: `Kontrolle nach TAVI`, `Echo 3 months after MI`."""
    return any(one.word.startswith(_FOLLOW_UP) or is_after(phrase, at) for at, one in enumerate(phrase))


def _before(phrase: Sequence[Item], at: int) -> str:
    """The word before one, articles apart."""
    while at > 0 and phrase[at - 1].word in _ARTICLES:
        at -= 1
    return phrase[at - 1].word if at > 0 else ""
