"""A finding of an examination that is there or not, such as left ventricular hypertrophy: which answers say so.

Only whole answers of the site's own vocabulary count: `no LVH` holds the word of `LVH`, and a word that the site does
not list may be a negation, a grade or a question.
"""

from collections.abc import Iterable
from decimal import Decimal

from ecgfm_connectors.outcomes.folding import fold
from ecgfm_connectors.outcomes.quantity import EMPTY, NoQuantity, Quantity
from ecgfm_connectors.outcomes.site import SiteFinding

PRESENT, ABSENT = Quantity(low=Decimal(1)), Quantity(low=Decimal(0))
_UNKNOWN = NoQuantity(code="outcome-answer", text="the answer is none that the site lists")
_BOTH = NoQuantity(code="outcome-answer", text="one answer says that it is there, another that it is not")


def read(finding: SiteFinding, answers: Iterable[tuple[str, ...]]) -> Quantity | NoQuantity:
    """1 where it is there, 0 where it is not, else why that cannot be told. `answers`: each as the code and words that
    stand for it, of which at least one must be listed and none may say otherwise.
    """
    present, absent = frozenset(map(_spelt, finding.present)), frozenset(map(_spelt, finding.absent))
    said = [{spelt for word in answer if (spelt := _spelt(word))} for answer in answers]
    said = [words for words in said if words]
    if not said:
        return EMPTY
    if not all(words & (present | absent) for words in said):
        return _UNKNOWN
    every = frozenset[str]().union(*said)
    if every & present and every & absent:
        return _BOTH
    return PRESENT if every & present else ABSENT


def _spelt(text: str) -> str:
    """Without case, accents and doubled spaces."""
    return " ".join(fold(text).split())
