"""Reports of stress tests: the value below `Baseline:` is at rest, the one below `Maximal 40 µg/kg/min:` at stress."""

import re
from collections.abc import Sequence
from dataclasses import replace

from ecgfm_connectors.outcomes.phrases import word_set
from ecgfm_connectors.outcomes.report.items import Item

MAX_LENGTH = 2000  #: characters of a report that are looked at
_TEST = re.compile(
    r"stress[ -]?(?:echo|eko|test|mri|mrt|mr|rm|cmr)|eco[ -]?stress|dobutamin|dipiridamol|dipyridamol|regadenoson"
    r"|belastungs?(?:-| )?(?:echo|mrt|test)|exercise (?:stress )?echo|echo\w{0,12} (?:d'effort|de stress|d'esforc)"
    r"|eco\w{0,14} (?:de |da |do )?(?:esfuerzo|estres|sforzo|esforco|stress)|inspannings?(?:echo|test)"
    r"|arbets?(?:eko|prov)|belastningseko|epreuve d'effort|stress (?:cardiac )?(?:echo|imaging)"
)
_BASELINE = word_set("baseline initial initially initiale inicial iniziale basal basale ausgangsbefund utgangslage")
_GREATEST = ("maximal", "stufe", "stage", "palier", "estadio", "stadio", "escalon", "etapa", "estagio", "gradino",
             "trap", "steg", "step", "trin")  # fmt: skip
#: words of the last stages
#: A heading below which the heart is under stress: `Maximal 40 µg/kg/min:`, `Stage 3:`, `Immediate post exercise:`.
_LOADED = re.compile(
    r"\s{0,3}(?:maxim|max|immediat|recovery|erhol|stufe|stage|palier|hoch|high|low|niedrig|post|pic|pico|piek|topp"
    r"|faible|forte|bas |alta|baja|dosis|dose)[^:\n]{0,36}:"
)


_DOSES = ("gamma", "gammas", "mcg", "ug", "mets", "met", "\u03b3")  #: of dobutamine; of exercise


def is_stress_test(folded: str) -> bool:
    """Whether a report names a stress test at its beginning."""
    return _TEST.search(folded[:MAX_LENGTH]) is not None


def _is_of_load(one: Item) -> bool:
    """`Auf maximaler Stufe EF 70 %`."""
    return one.kind == "word" and one.word.startswith(_GREATEST)


def _is_bare(one: Item) -> bool:
    return one.value is not None and not one.value.percent


def of_test(found: Sequence[Item], folded: str) -> list[Item]:
    """The items of a sentence of such a report: the baseline is rest, a heading of a stage is stress."""
    items = [replace(one, cue="rest") if one.cue == "prior" and one.word in _BASELINE else one for one in found]
    items = [replace(one, kind="cue", cue="stress") if _is_of_load(one) else one for one in items]
    doses = [at for at in range(1, len(items)) if items[at].word in _DOSES and _is_bare(items[at - 1])]
    for at in doses:
        items[at] = replace(items[at], kind="cue", cue="stress")
        items[at - 1] = replace(items[at - 1], kind="word", value=None, word="figures")
    if _LOADED.match(folded) is not None:
        items.insert(0, Item(kind="cue", start=0, end=0, cue="stress"))
    return items
