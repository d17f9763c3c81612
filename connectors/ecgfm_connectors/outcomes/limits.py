"""Reads the upper reference limit, the 99th percentile of a troponin, from OBX-7:
for the patient's sex, in its own unit.
"""

from dataclasses import dataclass
from decimal import Decimal

from ecgfm_connectors.outcomes import comparators, quantity
from ecgfm_connectors.outcomes.folding import fold
from ecgfm_connectors.outcomes.quantity import Quantity
from ecgfm_connectors.outcomes.units import Unit
from ecgfm_connectors.patient import Sex

MAX_LENGTH = 160
#: A reference range of healthy people begins near zero; `14-52` is the grey zone between two decision limits.
_GREY = 4

_MALE = frozenset(
    [
        "m",
        "male",
        "males",
        "man",
        "men",
        "manner",
        "mannlich",
        "mann",
        "h",
        "homme",
        "hommes",
        "hombre",
        "hombres",
        "varon",
        "varones",
        "uomo",
        "uomini",
        "maschi",
        "maschio",
        "mannen",
        "homem",
        "homens",
        "masculino",
        "masculin",
        "herrar",
        "mand",
    ]
)
_FEMALE = frozenset(
    [
        "f",
        "female",
        "females",
        "w",
        "woman",
        "women",
        "frauen",
        "frau",
        "weiblich",
        "femme",
        "femmes",
        "mujer",
        "mujeres",
        "donna",
        "donne",
        "femmine",
        "femmina",
        "vrouw",
        "vrouwen",
        "v",
        "mulher",
        "mulheres",
        "feminino",
        "feminin",
        "kvinnor",
        "kvinna",
        "k",
        "damer",
    ]
)
_LABELS = (
    "reference range", "reference interval", "reference", "referenz", "referentie", "ref. range", "ref range", "ref",
    "negative", "negativ", "negatif", "negativo", "adults", "adult", "erwachsene", "adultes", "adultos", "adulti",
)  # fmt: skip
_BEGINS_RANGE = frozenset("<≤=0")
_ASIDE = ("critical", "crit", "panic", "alert", "kritisch", "alarm", "amonestacion", "action", "rule in", "rule-in")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """An upper reference limit; its unit where the text names one."""

    value: Decimal
    unit: Unit | None = None


def read(text: str, sex: Sex) -> Limit | None:
    """The upper limit for this sex; None where the text gives none, gives another sex's, or can be read two ways."""
    if not text.strip() or len(text) > MAX_LENGTH:
        return None
    parts = [part.strip() for part in fold(text).replace(";", "\n").split("\n")]
    parts = [part for part in parts if part and not part.startswith(_ASIDE)]
    found = [limit for part in parts for limit in _by_sex(part)]
    unlabelled = [limit for label, limit in found if label == ""]
    if unlabelled:
        return unlabelled[0] if len(found) == 1 else None
    own = [limit for label, limit in found if label == sex]
    return own[0] if len(own) == 1 else None


def _by_sex(part: str) -> list[tuple[str, Limit | None]]:
    """The limits of one line, each with the sex it is for; without a label there is one."""
    labels = _labels(part)
    if not labels:
        return [("", _limit(part))]
    sex, start, end = labels[0]
    before = part[:start].strip(" ([")
    if before:  # `<=22 (M)`
        return [(sex, _limit(before))] if len(labels) == 1 and not part[end:].strip(" )].:") else [("", None)]
    ends = [other[1] for other in labels[1:]] + [len(part)]
    return [
        (label[0], _limit(part[label[2] : stop].strip(" :,=)]([/|"))) for label, stop in zip(labels, ends, strict=True)
    ]


def _labels(part: str) -> list[tuple[str, int, int]]:
    """The words for a sex in a line, with their places."""
    found: list[tuple[str, int, int]] = []
    start = -1
    for index, char in enumerate(part + " "):
        if char.isalpha():
            start = index if start < 0 else start
        elif start >= 0:
            word = part[start:index]
            alone = (start == 0 or not part[start - 1] in "/.") and part[index : index + 1] != "/"
            if alone and word in _MALE:
                found.append(("M", start, index))
            elif alone and word in _FEMALE:
                found.append(("F", start, index))
            start = -1
    return found


def _limit(text: str) -> Limit | None:
    """One limit: `<26`, `<=14 ng/L`, `< OR = 14`, `0-14`, `bis 14`, `0.00 - 0.08`."""
    text = _without_label(text.strip().strip("()[] "))
    after = _after_up_to(text)
    found = quantity.read(text if after is None else after)
    if not isinstance(found, Quantity) or found.ambiguous or found.low < 0:
        return None
    if found.high is not None:
        return Limit(value=found.high, unit=found.unit) if found.low * _GREY <= found.high else None
    upper = found.comparator in ("<", "<=") or (found.comparator == "" and after is not None)
    return Limit(value=found.low, unit=found.unit) if upper else None


def _without_label(text: str) -> str:
    """Without `Ref:`, `Negative`, `Adults:` before a range or a comparator."""
    label = next((one for one in _LABELS if text.startswith(one)), "")
    rest = text[len(label) :].lstrip(" :.")
    return rest if label and rest[:1] in _BEGINS_RANGE else text


def _after_up_to(text: str) -> str | None:
    """What follows `bis`, `up to`, `jusqu'à`; None where the text does not begin so."""
    words, at = [], 0
    while at < len(text):
        end = at
        while end < len(text) and text[end].isalpha():
            end += 1
        if end == at:
            break
        words.append(text[at:end])
        at = end
        while at < len(text) and text[at] in " ':.":
            at += 1
    return text[at:] if tuple(words) in comparators.UP_TO else None
