"""Reads a corrected result that names the earlier one beside it:
`CORRECTED RESULT: 25 PREVIOUSLY 250`, `25 (prev 250)`.
"""

from ecgfm_connectors.outcomes import quantity
from ecgfm_connectors.outcomes.folding import fold
from ecgfm_connectors.outcomes.quantity import NoQuantity, Quantity

_HEADS = (
    "corrected result", "corrected to", "corrected value", "corrected", "amended result", "amended",
    "korrigierter wert", "korrigiertes ergebnis", "korrigiert", "berichtigt", "resultat corrige", "valeur corrigee",
    "corrigee", "corrige", "rectifie", "resultado corregido", "corregido", "corregida", "rectificado",
    "risultato corretto", "corretto", "rettificato", "gecorrigeerd resultaat", "gecorrigeerd", "resultado corrigido",
    "corrigido", "retificado", "korrigerat svar", "korrigerat", "rattat",
)  # fmt: skip
_EARLIER = (
    "previously reported as", "previously", "previous", "prev", "formerly", "originally", "reported as", "was", "from",
    "vorher", "zuvor", "bisher", "urspringlich", "ursprunglich", "precedemment", "auparavant", "avant", "previamente",
    "previo", "antes", "anteriormente", "anterior", "in precedenza", "precedentemente", "prima", "eerder", "voorheen",
    "was eerst", "tidigare", "forut",
)  # fmt: skip


def read(text: str) -> Quantity | NoQuantity:
    """The corrected value, if the text is nothing but it and the earlier one."""
    if len(text) > quantity.MAX_LENGTH:
        return quantity.read(text)
    folded = fold(text).strip()
    head = next((head for head in _HEADS if folded.startswith(head)), "")
    rest = folded.removeprefix(head).lstrip(" :=-")
    for word in sorted(_EARLIER, key=len, reverse=True):
        now, found, before = rest.partition(word)
        if found:
            value = quantity.read(_without_head(now.rstrip(" (,;[.")))
            earlier = quantity.read(_without_earlier(before))
            return value if isinstance(earlier, Quantity) else earlier
    return quantity.read(rest)


def _without_head(text: str) -> str:
    """`85 (corrected` without the word in brackets that says so."""
    head = next((head for head in _HEADS if text.endswith(head)), "")
    return text.removesuffix(head).rstrip(" (,;[")


def _without_earlier(text: str) -> str:
    """`reported as 8)` without what leads to the number."""
    text = text.strip(" .:=)]")
    head = next((head for head in ("reported as", "gemeldet als", "rendu a", "als", "a") if text.startswith(head)), "")
    return text.removeprefix(head).strip(" :=")
