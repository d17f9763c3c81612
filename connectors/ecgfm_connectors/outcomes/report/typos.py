"""Long words that differ from a harmless one by one letter: `dilted`, `appox`, `hypokinetsich`.

A letter missing, added or changed, or two changed round, never the first one.
"""

from collections.abc import Iterable, Iterator

_SHORTEST, _LONGEST = 5, 24  #: letters of a word that may be a typing error
_STEM = 6  #: letters of a harmless word that it may be


class Typos:
    """Finds one error in a word; made of harmless words and of the stems of others."""

    def __init__(self, words: Iterable[str], stems: Iterable[str]) -> None:
        self._words = _Near(words)
        self._stems = _Near(stems)

    def has(self, word: str) -> bool:
        """Whether one error makes the word of a known one. Of a stem, what follows it does not matter."""
        if not _SHORTEST <= len(word) <= _LONGEST:
            return False
        return self._words.has(word) or any(self._stems.has(word[:size]) for size in range(_STEM - 1, len(word) + 1))


class _Near:
    """Words, and what is left of each without one of its letters."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(word for word in words if len(word) >= _STEM)
        self._shortened = frozenset(one for word in self._words for one in _without_one(word))

    def has(self, word: str) -> bool:
        if word in self._shortened:
            return True
        return any(one in self._words or one in self._shortened for one in _without_one(word))


def _without_one(word: str) -> Iterator[str]:
    """The word without one of its letters; the first one always stays."""
    for at in range(1, len(word)):
        yield word[:at] + word[at + 1 :]
