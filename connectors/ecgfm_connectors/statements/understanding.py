"""Everything that an ECG's device says of it, as data: its codes, and what its words name."""

from collections.abc import Iterable

from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.statement import Certainty, Statement
from ecgfm_connectors.statements.vocabularies import from_code
from ecgfm_connectors.statements.words import from_words

#: Characters of all statements of one ECG that are looked at: no device writes so many, and patterns take their time.
_LONGEST = 20_000


def understood(ecg: Ecg) -> tuple[Statement, ...]:
    """The coded statements, then what the words name. A later version of the vocabulary understands a stored ECG
    better, so codes are looked up and words are read anew each time.

    A statement that came as a code with its words counts once as not understood, and only where both are not.
    """
    coded = [from_code(one.source, one.code, one.wording, one.certainty) for one in ecg.coded]
    named, unnamed = _words(ecg.statements)
    said = {one.wording for one in named}
    told = {one.wording for one in coded}
    left = (one for one in coded if one.concept != "unread" or not one.wording or one.wording not in said)
    return (*left, *named, *(one for one in unnamed if one.wording not in told))


def _words(texts: tuple[str, ...]) -> tuple[list[Statement], list[Statement]]:
    """What the texts name, and one statement for each text that names nothing known."""
    named: list[Statement] = []
    unnamed: list[Statement] = []
    left = _LONGEST
    for text in texts:
        left -= len(text)
        read = from_words(text) if left >= 0 else (Statement(concept="unread", source="words", wording=text),)
        for one in read:
            (unnamed if one.concept == "unread" else named).append(one)
    return named, unnamed


def said_of(concept: str, statements: Iterable[Statement]) -> Certainty | None:
    """What the statements say of one concept; one that states it is enough. None where they say nothing."""
    certainties = {one.certainty for one in statements if one.concept == concept}
    order: tuple[Certainty, ...] = ("stated", "possible", "denied")
    return next((certainty for certainty in order if certainty in certainties), None)


def unread(ecg: Ecg) -> int:
    """How many of the statements were not understood."""
    return sum(one.concept == "unread" for one in understood(ecg))
