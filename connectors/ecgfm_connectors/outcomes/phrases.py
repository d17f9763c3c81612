"""A vocabulary of phrases, found in folded words in one pass: `known`, `history of`, and stems such as `vorbefund*`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Cue = TypeVar("Cue")

_LONGEST_STEM = 16
_SHORTEST_STEM = 3


@dataclass(frozen=True, slots=True)
class Phrases(Generic[Cue]):
    """Phrases, each with what it is a cue for."""

    exact: Mapping[tuple[str, ...], Cue] = field(repr=False)
    stems: Mapping[str, Cue] = field(repr=False)
    longest: int = 1

    def at(self, words: Sequence[str], index: int, most: int | None = None) -> tuple[Cue, int] | None:
        """The cue of the longest phrase (of at most `most` words) that begins at `index`, and how many words it has."""
        for size in range(min(most or self.longest, self.longest, len(words) - index), 0, -1):
            cue = self.exact.get(tuple(words[index : index + size]))
            if cue is not None:
                return cue, size
        return self._stem(words[index])

    def _stem(self, word: str) -> tuple[Cue, int] | None:
        for size in range(min(_LONGEST_STEM, len(word)), _SHORTEST_STEM - 1, -1):
            cue = self.stems.get(word[:size])
            if cue is not None:
                return cue, 1
        return None

    def first(self, words: Sequence[str]) -> Cue | None:
        """The cue of the first phrase in `words`; None where there is none."""
        return next((found[0] for index in range(len(words)) if (found := self.at(words, index))), None)


def phrases(table: Mapping[Cue, str]) -> Phrases[Cue]:
    """From cue -> phrases parted by `|`; a phrase of one word may end in `*`: every word that begins so."""
    exact: dict[tuple[str, ...], Cue] = {}
    stems: dict[str, Cue] = {}
    for cue, text in table.items():
        for phrase in text.replace("\n", "|").split("|"):
            words = tuple(phrase.split())
            if len(words) == 1 and words[0].endswith("*"):
                stems[words[0][:-1]] = cue
            elif words:
                exact[words] = cue
    return Phrases(exact, stems, max(map(len, exact), default=1))


def word_set(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())
