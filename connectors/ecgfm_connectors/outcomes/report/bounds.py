"""Whether a bound beside a word for a device is what was measured: `Echo for ICD decision: LVEF <= 30 %, LVEDV 212 mL`.

Measured it is where the label before a colon says that an examination or an assessment follows and another measurement
or the method stands behind it. `ICD: LVEF <= 35 %, NYHA II` is a criterion.
"""

from collections.abc import Sequence
from itertools import pairwise

from ecgfm_connectors.outcomes.report.items import Item
from ecgfm_connectors.outcomes.report.labels import is_echo

_ASSESSMENT = ("assess", "evalua", "valutaz", "avalia", "bedomning", "beoordel", "valorac", "decision", "entscheid",
               "beslut", "besliss", "discuss", "diskuss", "discut", "work", "abklarung", "utredning")  # fmt: skip
_CRITERIA = ("criter", "kriter", "cut", "threshold", "seuil", "umbral", "soglia", "limiar", "drempel", "schwelle",
             "grans", "qualif", "refer", "eligib", "candid", "indic", "indik", "indiz", "consider", "komt",
             "contra", "kontra", "gecontra", "overweg", "aanmerk", "forelig", "grenze", "notify")  # fmt: skip
_LABEL = 90  #: characters
_METHOD = 3  #: items behind a number
_LONG = 24


def is_finding(items: Sequence[Item], at: int, mention: int, folded: str) -> bool:
    """Whether the bound at `at` is a finding of the sentence: `items` and `folded` are the sentence's."""
    colon = folded.find(":", 0, _LABEL)
    label = [one for one in items[:mention] if one.end <= colon]
    if not label or len(label) < mention:
        return False
    if any(one.cue == "threshold" and one.word.startswith(_CRITERIA) for one in items[: at + _LONG]):
        return False
    if not any(is_echo(one) or one.word.startswith(_ASSESSMENT) for one in label):
        return False
    behind = items[at + 1 : at + 1 + _LONG]
    if any(one.cue in ("threshold", "guideline", "condition") for one in behind):
        return False
    return any(one.cue == "biplane" for one in behind[:_METHOD]) or _is_measured(behind, folded)


def _is_measured(behind: Sequence[Item], folded: str) -> bool:
    """Whether a dimension or a volume stands behind, with a unit and without a bound."""
    for name, number in pairwise(behind):
        if name.kind == "mark" or number.value is None or number.value.percent or number.value.comparator:
            continue
        if folded[number.end :].lstrip()[:2] in ("mm", "cm", "ml"):
            return True
    return False
