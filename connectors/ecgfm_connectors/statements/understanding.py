"""Everything that an ECG's device says of it, as data: its codes, and what its words name."""

from collections.abc import Iterable

from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.statement import Certainty, Statement
from ecgfm_connectors.statements.words import from_words

#: Characters of all statements of one ECG that are looked at: no device writes so many, and patterns take their time.
_LONGEST = 20_000


def understood(ecg: Ecg) -> tuple[Statement, ...]:
    """The coded statements, then those of the words. A later version of the vocabulary understands a stored ECG better,
    so what the words name is worked out anew each time.
    """
    found, left = list(ecg.coded), _LONGEST
    for text in ecg.statements:
        left -= len(text)
        found += from_words(text) if left >= 0 else [Statement(concept="unread", source="words", wording=text)]
    return tuple(found)


def said_of(concept: str, statements: Iterable[Statement]) -> Certainty | None:
    """What the statements say of one concept; one that states it is enough. None where they say nothing."""
    certainties = {one.certainty for one in statements if one.concept == concept}
    order: tuple[Certainty, ...] = ("stated", "possible", "denied")
    return next((certainty for certainty in order if certainty in certainties), None)


def unread(ecg: Ecg) -> int:
    """How many of the statements were not understood."""
    return sum(one.concept == "unread" for one in understood(ecg))
