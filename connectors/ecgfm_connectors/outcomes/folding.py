"""Text made comparable, letter by letter, so that a place in the folded text is the same place in the original."""

import unicodedata

_SPECIAL = {"ß": "s", "ø": "o", "æ": "a", "œ": "o", "ł": "l", "’": "'", "´": "'", "`": "'", "μ": "u", "µ": "u"}


def fold(text: str) -> str:
    """`text` in lower case without accents, exactly as long as it was."""
    return "".join(_folded(char) for char in text)


def _folded(char: str) -> str:
    if char.isascii():
        return char.lower()
    low = char.lower()
    if low in _SPECIAL:
        return _SPECIAL[low]
    base = unicodedata.normalize("NFD", low)[:1]
    return base if len(base) == 1 and len(low) == 1 else char


def words(folded: str) -> tuple[str, ...]:
    """The runs of letters in a folded text, digits apart."""
    found: list[str] = []
    start = -1
    for index, char in enumerate(folded):
        if char.isalpha():
            start = index if start < 0 else start
        elif start >= 0:
            found.append(folded[start:index])
            start = -1
    if start >= 0:
        found.append(folded[start:])
    return tuple(found)
