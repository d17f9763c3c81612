"""Whether a number is compared with a limit that follows it: `EF 32 %, below the 35 % required for an ICD`."""

from collections.abc import Sequence

from ecgfm_connectors.outcomes.phrases import word_set
from ecgfm_connectors.outcomes.report.items import Item

_FAR = 14  #: items between a number and the limit
_SPELT = 10  #: characters of a number whose comparator is in words: `less than 35 %`
_NEAR = 7  #: items between the word that compares and the limit
_COMPARING = word_set(
    """below beneath under less lower above over exceeds exceeding greater higher
    unter unterhalb uber oberhalb ueber unterschreitet uberschreitet
    inferieur inferieure superieur superieure sous dessous dessus
    debajo inferior superior encima sotto disotto inferiore superiore sopra
    onder beneden boven abaixo acima understiger overstiger"""
)
#: What may stand between the word that compares and the limit.
_LEADING_TO = word_set(
    """the a an than of to or equal still egale egal egaal der die das den dem dei von fur eine einer einen einem le la
    les l de du des a au el los las del al exigido lo il dello della di d de het een van o os as do da dos um uma
    en ett av for dem ou o y igual uguale gleich lika med than or equal fran fra che et i att than
    recommended guideline usual required needed geforderten erforderlichen empfohlenen notwendigen
    requis requise recommande recommandee recomendado requerido richiesto previsto vereiste aanbevolen
    exigido recomendado kravda valor valore value wert waarde vardet valeur icd crt dai cdi implantation device"""
)
_LIMITS = ("threshold", "cutoff", "cut", "off", "corte", "afkap", "seuil", "umbral", "soglia", "limiar", "drempel",
           "schwelle", "grenz", "grens", "grans", "criter", "kriter", "limit")  # fmt: skip
_OWN_CUES = frozenset(("biplane", "plane", "modality", "now", "goal", "normal", "reference"))
_PARTING_CUES = frozenset(("mention", "left-mention", "other-mention", "change", "prior", "stress", "rest", "measure",
                           "other-chamber", "from", "arrow", "compare"))  # fmt: skip


def limit_behind(items: Sequence[Item], index: int) -> int | None:
    """The index of the limit that the number at `index` is compared with; None where it is compared with none."""
    value = items[index].value
    if value is None or not value.percent or value.comparator or value.high is not None:
        return None
    for at in range(index + 1, min(index + 1 + _FAR, len(items))):
        one = items[at]
        if one.kind == "date" or (one.cue in _PARTING_CUES and not (one.cue == "from" and at > index + 1)):
            return None
        if one.value is not None:
            other = one.value
            named = one.end - one.start > _SPELT or any(_is_limit(two) for two in items[max(at - 3, 0) : at])
            bounded = bool(other.comparator) and other.high is None and named and _is_plain(items[index + 1 : at])
            return at if (other.percent and _compares(items, index, at)) or bounded else None
    return None


def is_limit_of(items: Sequence[Item], index: int) -> bool:
    """Whether the number at `index` is the limit that the one before it is compared with."""
    for at in range(index - 1, max(index - 1 - _FAR, -1), -1):
        if items[at].value is not None:
            return limit_behind(items, at) == index
    return False


def _compares(items: Sequence[Item], index: int, at: int) -> bool:
    """Whether a word that compares stands before the number at `at`, and nothing but small words between."""
    for near in range(at - 1, max(at - 1 - _NEAR, index), -1):
        one = items[near]
        if one.word in _COMPARING:
            return True
        if one.kind == "mark" or not (
            one.word in _LEADING_TO or one.cue in ("link", "by", "to", "and") or _is_limit(one)
        ):
            break
    value = items[at].value
    return (
        value is not None
        and bool(value.comparator)
        and any(one.word in _COMPARING for one in items[index + 1 : at + 1])
    )


def _is_plain(between: Sequence[Item]) -> bool:
    """Whether nothing between two numbers says that the second one is a measured value of its own."""
    commas = [at for at, one in enumerate(between) if one.word == ","]
    return not any(one.cue in _OWN_CUES for one in between[commas[-1] if commas else 0 :])


def _is_limit(one: Item) -> bool:
    return one.cue == "threshold" or one.word.startswith(_LIMITS)
