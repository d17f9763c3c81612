"""An addendum to a report: the value that it corrects, and whether what stands above it is still to be believed.

`ADDENDUM: The correct LVEF is 55 %`, `Fe de erratas: donde dice 43 % debe decir 34 %`, `Rättelse: EF ska vara 58 %`.
An addendum that speaks of an error and gives no value that can be told apart takes every value of the report back.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ecgfm_connectors.outcomes.folding import words
from ecgfm_connectors.outcomes.report.statements import Statement
from ecgfm_connectors.outcomes.report.surroundings import HIGHEST, LOWEST
from ecgfm_connectors.outcomes.report.vocabulary import CUES


def _any_of(text: str) -> str:
    """Phrases parted by `|` and line ends, as the alternatives of a pattern."""
    return "|".join(phrase.strip() for line in text.split("\n") for phrase in line.split("|") if phrase.strip())


_TITLES = _any_of(
    """addend(?:um|a)|adend(?:o|a|um)|amend(?:ment|ed report)|corrected report|correct(?:ion|ie)|corrigend(?:um|a)
    (?:korrigierter|berichtigter|geanderter) (?:befund|bericht)|corrected (?:findings?|result|version)
    compte rendu (?:corrige|rectifie|rectificatif)|(?:informe|resultado) (?:corregido|rectificado)
    (?:referto|risultato) (?:corretto|rettificato)|gecorrigeerd (?:verslag|resultaat)
    (?:laudo|relatorio|resultado) (?:corrigido|retificado)|(?:korrigerat|rattat|andrat) (?:svar|utlatande)
    errat(?:um|a)(?: corrige)?|fe de errat(?:as|a)|nachtrag(?:sbefund)?|korrektur(?:befund)?|befundkorrektur
    berichtigung|erganzung|rectificat(?:if|ion|ie|ivo)|note rectificative|corre(?:ccion|cao|ccao)|correzione|rettifica
    integrazione|aanvulling|retificacao|rectificac(?:ion|ao)|rattelse|korrigering|tillagg|revised report|revision
    update|mise a jour|nota aclaratoria|aclaracion|nota de correccion|complement"""
)
#: The title of an addendum, at the beginning of a line or sentence, up to its colon or the end of its line.
_TITLE = re.compile(
    rf"(?:^|(?<=[\n.;*>|#=-])|(?<=[.;] ))[ \t*#=_-]{{0,9}}(?:{_TITLES})(?![a-z])[^:\n]{{0,60}}(?::|$|\n|\*\*|—|–)",
    re.MULTILINE,
)
#: How words begin that tell of an error or its mending.
_ERROR = (
    "err", "fehl", "falsch", "irrtum", "verseh", "zahlendreh", "vertipp", "typo", "mistyp", "misprint", "dictat",
    "diktat", "transcri", "transpos", "schreibf", "skrivf", "faute", "frappe", "inver", "equivoc", "digita",
    "battitura", "refuso", "sbagl",
    "fout", "vergis", "tikf", "typef", "abus", "engano", "lapso", "gralha", "fel", "felskriv", "tryckfel", "misstag",
    "wrong", "incorrect", "inexact", "onjuist", "correct", "korr", "corr", "gecorr", "rect", "rett", "ret", "ratt",
    "amend", "berichtig", "richtig", "revis", "supersed", "replac", "ersetz", "remplac", "sustitu", "sostitu",
    "vervang", "substitu", "ersatt", "discard", "disregard", "annul", "should",
    "belong", "gehor", "appart", "perten", "behoor", "tillhor", "retract", "withdr",
    "invalid", "ungult", "void",
)  # fmt: skip
_RIGHT = _any_of(
    """should (?:read|be|have)|(?<!in)correct(?:ed|ion|e)?(?![a-z])|correct[ao]|corrett[ao]|corret[ao]
    (?<![a-z])(?:lire|lease|leggasi|leggi|leia-se|leia se|ler|lees|las)(?![a-z])
    (?:debe|deberia|deve|devera|deveria) (?:decir|leerse|leer|ser|ler-se|ler|essere|leggersi|intendersi|constar)
    dovrebbe (?:essere|leggersi)|(?:moet|dient|behoort) (?:te )?(?:zijn|luiden)|juiste?(?![a-z])
    (?:ska|skall|bor) (?:vara|sta|lasas)|korrekt|richtig|lautet|lauten|heisen|recte|rectifie|rectificad|rettificat
    retificad|(?:amended|revised|changed|updated|corrected|corrige|korrigiert) (?:to|a|auf)(?![a-z])
    (?:corregid[ao]|corrigid[ao]|gecorrigeerd|korrigerat|andras|geandert|modifiee?) (?:a|para|naar|till|auf)(?![a-z])
    riktig|ratt (?:varde|ef)|doit etre|il faut lire|en realidad|in realta|na verdade|en realite|tatsachlich|in fact
    actually"""
)
_WRONG = _any_of(
    """statt|anstatt|anstelle|not|nicht|non|no|niet|nao|inte|ej|ne|originally|original|initially|previously
    erroneously|wrongly|incorrectly|mistakenly|falschlich|falschlicherweise|irrtumlich|versehentlich|abusivamente
    onjuist|felaktigt
    par erreur|por error|per errore|por erro|por lapso|was|war|era|etait|fue|foi|var|i stallet for|au lieu d[eu]
    a la place d[eu]|en lugar de|en vez de|invece d(?:i|el|ella)|anziche|in plaats van|ipv|em vez de|istallet for
    reported as|stated|stated as|angegeben|indique|indicad[oa]|vermeld|angivet|dictated|instead of|rather than
    donde (?:dice|decia|ponia|pone|figura)|onde se (?:le|lia)|dove si legge"""
)
_CORRECTED = re.compile(_RIGHT)  #: before a number: it is what stands corrected
_WITHDRAWN = re.compile(rf"(?<![a-z])(?:{_WRONG})(?![a-z])")  #: before a number: it is what was wrong
_OTHERS = frozenset(("prior", "other-chamber", "threshold", "reference", "change"))
_LONGEST_ALONE = 300  #: characters
_LEAD = 90  #: characters before a number that may say what it is
_PERCENT = re.compile(r"\d ?(?:%|percent|prozent|pour cent|por ciento|procent)")

Verdict = Literal["nothing", "doubt", "corrected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addendum:
    """What an addendum says of the report's value."""

    verdict: Verdict
    corrected: Statement | None = None


NO_ADDENDUM = Addendum(verdict="nothing")


def read(folded: str, given: Sequence[Statement]) -> Addendum:
    """What the first addendum of a report, and all behind it, makes of the values above it. Linear in the text."""
    title = next((found for found in _TITLE.finditer(folded) if folded[: found.start()].strip(" \n*#=-")), None)
    if title is None:
        return _alone(folded, given)
    start = title.start()
    own = [one for one in given if one.start + one.span[0] >= start]
    above = {_value(one) for one in given if one.start + one.span[0] < start and one.role in ("present", "narrated")}
    tells_of_error = any(word.startswith(_ERROR) for word in words(folded[start:]))
    if not own:
        named = any((found := CUES.at((word,), 0)) and found[0].endswith("mention") for word in words(folded[start:]))
        unnamed = _PERCENT.search(folded, title.end()) is not None
        return Addendum(verdict="doubt") if tells_of_error and (named or unnamed) else NO_ADDENDUM
    pairs = zip([None, *own], own, strict=False)
    judged = [(one, _judged(folded, title.start(), before, one)) for before, one in pairs]
    corrected = [one for one, verdict in judged if verdict == "corrected" and _is_likely(one)]
    if not corrected and tells_of_error:
        corrected = [one for one, verdict in judged if verdict == "" and one.role == "present"]
    if corrected:
        several = len({_value(one) for one in corrected}) > 1
        return Addendum(verdict="doubt") if several else Addendum(verdict="corrected", corrected=corrected[-1])
    if tells_of_error:
        return Addendum(verdict="doubt")
    new = {_value(one) for one in own if one.role in ("present", "narrated", "unknown-words", "doubtful")}
    return Addendum(verdict="doubt") if above and new - above else NO_ADDENDUM


def _alone(folded: str, given: Sequence[Statement]) -> Addendum:
    """A report that is nothing but an addendum, where it says of one value that it is right and of another that it is
    wrong: `Rättelse: EF ska vara 40 %, inte 60 %`. Under its title a whole report may stand as well.
    """
    title = _TITLE.match(folded.lstrip(" \n*#=-"))
    if title is None or len(folded) > _LONGEST_ALONE:
        return NO_ADDENDUM
    pairs = zip([None, *given], given, strict=False)
    judged = [(one, _judged(folded, 0, before, one)) for before, one in pairs]
    corrected = [one for one, verdict in judged if verdict == "corrected" and _is_likely(one)]
    right = {_value(one) for one in corrected}
    wrong = {_value(one) for one, verdict in judged if verdict == "withdrawn"}
    others = {_value(one) for one, verdict in judged if verdict == ""}
    if len(right) != 1 or not wrong or right & wrong or others - wrong:
        return NO_ADDENDUM
    return Addendum(verdict="corrected", corrected=corrected[-1])


def _judged(folded: str, start: int, before: Statement | None, one: Statement) -> Literal["corrected", "withdrawn", ""]:
    """What the words between the number before and this one say of it; the last of them decides."""
    at = one.start + one.span[0]
    begin = max(start, at - _LEAD, 0 if before is None else before.start + before.span[1])
    lead = folded[begin:at]
    right = max((found.end() for found in _CORRECTED.finditer(lead)), default=-1)
    wrong = max((found.end() for found in _WITHDRAWN.finditer(lead)), default=-1)
    if right == wrong == -1:
        return ""
    return "corrected" if right > wrong else "withdrawn"


def _is_likely(one: Statement) -> bool:
    return LOWEST <= one.low <= HIGHEST and one.role not in _OTHERS


def _value(one: Statement) -> tuple[object, ...]:
    return one.low, one.high, one.comparator
