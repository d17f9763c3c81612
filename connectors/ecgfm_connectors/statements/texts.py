"""Text of any European language made comparable."""

import re
import unicodedata

_LETTERS = str.maketrans({"ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ß": "ss"})


def folded(text: str) -> str:
    """Lower case without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


_END = re.compile(r"[.;,\n\r|()]+|\s[-–—]+\s|\b(?:but|however|aber|mais|pero|maar|men|ale)\b")
_MOST_CLAUSES, _LONGEST = 100, 300  #: what is longer is no statement; bounds the time that its patterns take


def clauses(text: str) -> list[str]:
    """Folded clauses without punctuation; a hyphen, slash or colon inside a clause counts as a space."""
    parts = _END.split(folded(text[: _MOST_CLAUSES * _LONGEST]))[:_MOST_CLAUSES]
    return [clause for part in parts if (clause := " ".join(re.sub(r"[^\w?]+", " ", part).split())[:_LONGEST])]
