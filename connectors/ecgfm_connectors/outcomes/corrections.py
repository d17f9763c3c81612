"""Reads a corrected result that names the earlier one beside it:
`CORRECTED RESULT: 25 PREVIOUSLY 250`, `25 (prev 250)`.
"""

from ecgfm_connectors.outcomes import quantity
from ecgfm_connectors.outcomes.folding import fold
from ecgfm_connectors.outcomes.quantity import NoQuantity, Quantity

_HEADS = ("corrected result", "corrected to", "corrected value", "corrected", "amended result", "amended", "korrigiert")
_EARLIER = (
    "previously reported as",
    "previously",
    "previous",
    "prev",
    "formerly",
    "originally",
    "was",
    "vorher",
    "zuvor",
)


def read(text: str) -> Quantity | NoQuantity:
    """The corrected value, if the text is nothing but it and the earlier one."""
    if len(text) > quantity.MAX_LENGTH:
        return quantity.read(text)
    folded = fold(text).strip()
    head = next((head for head in _HEADS if folded.startswith(head)), "")
    rest = folded.removeprefix(head).lstrip(" :=-")
    for word in _EARLIER:
        now, found, before = rest.partition(word)
        if found:
            value = quantity.read(_without_head(now.rstrip(" (,;[")))
            earlier = quantity.read(before.strip(" .:=)]"))
            return value if isinstance(earlier, Quantity) else earlier
    return quantity.read(rest)


def _without_head(text: str) -> str:
    """`85 (corrected` without the word in brackets that says so."""
    head = next((head for head in _HEADS if text.endswith(head)), "")
    return text.removesuffix(head).rstrip(" (,;[")
