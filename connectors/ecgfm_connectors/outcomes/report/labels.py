"""The label before a colon that says why or when the heart was looked at: `Echo 3 months after diagnosis:`, `ETT pré-
quimioterapia:`, `Repeat echo today`. Its words for another time do not make the value that follows an earlier one.
"""

from collections.abc import Sequence
from dataclasses import replace

from ecgfm_connectors.outcomes.folding import words
from ecgfm_connectors.outcomes.phrases import word_set
from ecgfm_connectors.outcomes.report import said
from ecgfm_connectors.outcomes.report.items import SPANS, Item
from ecgfm_connectors.outcomes.report.naming import named_first

_LONGEST = 90  #: characters
_ECHO = ("echo", "eco", "eko", "tte", "ett", "tee", "ukg", "uko", "ultra", "herzecho", "hartecho", "hjarteko")
_CHEMO = ("chemo", "chemio", "chimio", "quimio", "kemo", "cytostat", "zytostat", "anthrac", "anthraz", "antrac",
"trastuz",
          "hercept", "onco", "onko", "epirub", "doxorub", "kardiotox", "cardiotox")  # fmt: skip
_CYCLES = word_set("cycle cycles zyklus zyklen ciclo ciclos ciclo cicli cykel cykler kuur kuren")
_SUPPORT = word_set("ecmo impella weaning weaned ecls vaecmo arrival admission onset presentation")
_ARTICLES = word_set(
    """il el los las gli i the start de la le l da do della dell di der des dem den het een start inicio inizio debut
    beginn"""
)
_AFTER = word_set("after post since nach seit apres depuis tras despues desde dopo dalla dal na sinds apos efter sedan")
_BEFORE = word_set("pre pra fore vor voor avant antes prima before infor innan baseline basal inicial initial")
_STAYS = word_set(
    """ricovero ingreso opname internamento internacao hospitalisation hospitalization hospitalizacion aufenthalts
    aufenthaltes vardtiden admission stay sejour degenza estancia estadia verblijf"""
)
_DURING = word_set("during durante pendant wahrend tijdens under stationaren cours corso lors")
#: Titles of the letter at the end of a stay: what stands behind is told of this stay.
_LETTERS = frozenset(
    tuple(phrase.split())
    for phrase in (
        "discharge", "discharge summary", "discharge letter", "discharge note", "entlassbrief", "entlassungsbrief",
        "arztbrief", "epikrise", "lettre de sortie", "compte rendu d hospitalisation", "cr d hospitalisation",
        "conclusion de sejour", "synthese de sejour", "alta", "informe de alta", "carta de alta", "nota de alta",
        "resumen de alta", "dimissione", "lettera di dimissione", "relazione di dimissione", "relazione clinica",
        "verbale di dimissione", "ontslag", "ontslagbrief", "resumo de alta", "relatorio de alta", "utskrivning",
        "epikris", "slutanteckning", "utskrivningsanteckning", "hospital course",
    )
)  # fmt: skip
_FROM = word_set("from von van vanaf desde dal da dalla depuis de fran par partant")
_GREETING = 9  #: items
_DEAR = word_set(
    """dear geehrter geehrte liebe lieber cher chere chers estimado estimada apreciado apreciada querido querida gentile
    egregio egregia caro cara carissimo geachte beste baste basta kara prezado prezada exmo hej monsieur madame"""
)
_NAMES = frozenset(("mention", "left-mention"))


def labelled(found: list[Item], folded: str) -> list[Item]:
    """The items, the name before its number, and those of the label made what they mean there."""
    found = named_first(found)
    name = next((at for at, one in enumerate(found) if one.cue in _NAMES), None)
    if name is None:
        return found
    found = _without_greeting(found)
    found = [_no_word(one) if _leads_to_least(found, at) else one for at, one in enumerate(found)]
    if any(one.word.startswith(_CHEMO) for one in found):
        found = [_no_word(one) if one.word in _CYCLES else one for one in found]
    found = _repeated(found, name)
    colon = folded.find(":", 0, min(found[name].start, _LONGEST))
    size = sum(one.end <= colon for one in found[:name])
    if size and words(folded[:colon]) in _LETTERS and any(map(is_echo, found)):
        return [*map(_no_word, found[:size]), *found[size:]]
    assessed = any(is_echo(one) or one.word.startswith(said.WORKUP) for one in found[:size])
    if size == 0 or not assessed:
        return found
    return [*_of_label(found[:size]), *found[size:]]


def is_echo(one: Item) -> bool:
    """Whether a word names an ultrasound examination of the heart."""
    return one.word.startswith(_ECHO) or one.word.endswith(("echo", "eko"))


def _without_greeting(found: list[Item]) -> list[Item]:
    """`Sehr geehrter Herr Kollege, …`: the colleague is the reader of the letter."""
    comma = next((at for at, one in enumerate(found[:_GREETING]) if one.word == ","), 0)
    if not any(one.word in _DEAR for one in found[: min(comma, 3)]) or any(
        one.kind == "value" or one.cue in _NAMES for one in found[:comma]
    ):
        return found
    return [*(_no_word(one) for one in found[:comma]), *found[comma:]]


def _leads_to_least(found: Sequence[Item], at: int) -> bool:
    """`recovered to 57 % after a nadir of 22 %`: the words between the number and the word for the lowest value."""
    if found[at].word not in _AFTER and found[at].word not in _FROM and found[at].word not in _ARTICLES:
        return False
    following = next((one for one in found[at + 1 : at + 3] if one.word not in _ARTICLES), None)
    return following is not None and following.cue == "prior" and following.word in said.LEAST


def _repeated(found: list[Item], name: int) -> list[Item]:
    """`Repeat echo today shows …` was made; `repeat echo in 3 months` was not."""
    first = next((at for at, one in enumerate(found[:name]) if one.cue == "condition"), None)
    if first is None or found[first].word not in ("repeat", "recheck"):
        return found
    if not any(one.cue == "now" for one in found[first + 1 : name]):
        return found
    return [*found[:first], _no_word(found[first]), *found[first + 1 :]]


def _of_label(label: Sequence[Item]) -> list[Item]:
    read = list(label)
    chemo = any(one.word.startswith(_CHEMO) for one in label)
    for at, one in enumerate(label):
        if (one.word in _SUPPORT and one.kind == "word") or _is_during_stay(label, at):
            read[at] = _no_word(one)
        elif chemo and one.word in _BEFORE:
            read[at] = replace(one, kind="cue", cue="was", word="")
        elif one.cue == "prior" and one.kind == "cue" and (is_after(label, at) or _is_ahead(label, at)):
            read[at] = _no_word(one)
    return read


def _is_during_stay(label: Sequence[Item], at: int) -> bool:
    """`Eco durante il ricovero:`, `Echo tijdens opname:`: the word for the stay, and the one that leads to it."""
    following = next((one for one in label[at + 1 : at + 3] if one.word not in _ARTICLES), None)
    if label[at].word in _DURING:
        return following is not None and following.word in _STAYS
    before = next((one for one in reversed(label[max(at - 2, 0) : at]) if one.word not in _ARTICLES), None)
    return label[at].word in _STAYS and before is not None and before.word in _DURING


def _is_ahead(label: Sequence[Item], at: int) -> bool:
    """`Beoordeling voor ICD:`, `Utredning inför TAVI:`: what the examination was made for."""
    return label[at].word in _BEFORE and any(one.word.startswith(said.WORKUP) for one in label[:at])


def is_after(phrase: Sequence[Item], at: int) -> bool:
    """`3 Monate nach`, `3 months after the`: whether a lapse of time and `after` stand before the item."""
    while at > 0 and phrase[at - 1].word in _ARTICLES:
        at -= 1
    return at > 1 and phrase[at - 1].word in _AFTER and phrase[at - 2].word in SPANS


def _no_word(one: Item) -> Item:
    return replace(one, kind="word", cue=None, word="")
