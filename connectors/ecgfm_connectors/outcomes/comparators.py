"""Comparators as signs and as words of eight languages."""

from typing import Literal

Comparator = Literal["", "<", "<=", ">", ">="]

_OR = ("or", "ou", "oder", "of", "eller", "o")
#: Signs, longest first; an equals sign alone adds nothing.
SIGNS: tuple[tuple[str, Comparator], ...] = (
    ("&lt;=", "<="),
    (">/=", ">="),
    ("</=", "<="),
    ("&gt;=", ">="),
    ("&lt;", "<"),
    ("&gt;", ">"),
    *((f"<{space}{word}{gap}=", "<=") for word in _OR for space in ("", " ") for gap in ("", " ")),
    *((f">{space}{word}{gap}=", ">=") for word in _OR for space in ("", " ") for gap in ("", " ")),
    ("< =", "<="),
    ("> =", ">="),
    ("<=", "<="),
    (">=", ">="),
    ("=<", "<="),
    ("=>", ">="),
    ("≤", "<="),
    ("≥", ">="),
    ("⩽", "<="),
    ("⩾", ">="),
    ("<", "<"),
    (">", ">"),
    ("=", ""),
)

_WORDS: dict[Comparator, str] = {
    "<": """less than|lower than|below|under|smaller than|kleiner|kleiner als|weniger als|unter|unterhalb von
        inferieur a|inferieure a|inf a|inf|moins de|au dessous de|en dessous de|menor de|menor que|menor del|menor a
        inferior a|inferior al|inferior al de|menos de|menos del|por debajo de|por debajo del|inferiore a|inferiore al
        minore di|minore del|meno di|meno del|sotto il|sotto al|al di sotto del|kleiner dan|minder dan|lager dan|onder
        onder de|abaixo de|mindre an|lagre an|lessthan""",
    "<=": """less than or equal to|less or equal to|lower than or equal to|at most|no more than|not more than
        not greater than|not above|hochstens|maximal
        au plus|como maximo|al massimo|hoogstens|no maximo|hogst|kleiner gleich|kleiner oder gleich|gleich oder kleiner
        inferieur ou egal a|inferieure ou egale a|egale ou inferieure a|egal ou inferieur a|menor o igual a
        menor o igual al
        menor o igual que|igual o menor a|igual o inferior a|inferior o igual a|inferior o igual al|minore o uguale a
        minore o uguale al|inferiore o uguale a|inferiore o uguale al|uguale o inferiore a|pari o inferiore al
        menor ou igual a|inferior ou igual a|igual ou inferior a|kleiner dan of gelijk aan|mindre an eller lika med
        lika med eller mindre an|au plus de|como maximo del|al massimo del|no maximo de""",
    ">": """greater than|more than|above|over|higher than|exceeds|exceeding|grosser|grosser als|groser|groser als
        groesser|groesser als|uber|ueber|mehr als|oberhalb von|superieur a|superieure a|sup a|sup|plus de|au dessus de
        mayor de|mayor que|mayor del|mayor a|superior a|superior al|mas de|mas del|por encima de|por encima del
        superiore a|superiore al|maggiore di|maggiore del|piu di|piu del|oltre il|groter dan|meer dan|hoger dan|boven
        boven de|maior que|maior de|mais de|acima de|storre an|mer an|over|hogre an|greaterthan""",
    ">=": """greater than or equal to|greater or equal to|more than or equal to|equal to or greater than|at least
        not less than|no less than|not below|not under|not lower than|mindestens
        wenigstens|nicht unter|au moins|al menos|por lo menos|almeno|minstens|ten minste|tenminste|niet minder dan
        pelo menos|minst|inte under|groser gleich|grosser gleich|grosser oder gleich|groser oder gleich
        gleich oder groser|gleich oder grosser
        pas moins de|au moins de|au moins egal a|au moins egale a|superieur ou egal a|superieure ou egale a
        egal ou superieur a|egale ou superieure a|al menos de|al menos del|al menos un|mayor o igual a
        mayor o igual al
        mayor o igual que|igual o mayor a|igual o superior a|igual o superior al|superior o igual a
        superior o igual al
        almeno di|almeno del|almeno al|almeno pari a|almeno pari al|maggiore o uguale a|maggiore o uguale al
        superiore o uguale a|superiore o uguale al|uguale o superiore a|uguale o superiore al|pari o superiore a
        pari o superiore al|pelo menos de|maior ou igual a|superior ou igual a|igual ou superior a
        groter dan of gelijk aan|gelijk aan of groter dan|storre an eller lika med|lika med eller storre an""",
}


def _phrases() -> dict[tuple[str, ...], Comparator]:
    found: dict[tuple[str, ...], Comparator] = {}
    for comparator, text in _WORDS.items():
        for line in text.split("\n"):
            for phrase in line.split("|"):
                found[tuple(phrase.split())] = comparator
    return found


#: Folded words -> comparator.
WORDS = _phrases()
LONGEST = max(map(len, WORDS))

#: In a reference range these say that a limit follows: `bis 14`, `jusqu'à 14`.
UP_TO = frozenset(
    tuple(phrase.split())
    for phrase in [
        "bis",
        "bis zu",
        "up to",
        "jusqu a",
        "jusque",
        "hasta",
        "fino a",
        "tot",
        "ate",
        "upp till",
        "t o m",
        "max",
        "n",
        "norm",
        "normal",
    ]
)


def sign_at(folded: str, at: int) -> tuple[Comparator, int] | None:
    """The comparator sign that begins at `at`, and where it ends. `= <` is `<`."""
    for sign, comparator in SIGNS:
        if folded.startswith(sign, at):
            end = at + len(sign)
            if comparator == "":
                rest = end
                while rest < len(folded) and rest < end + 3 and folded[rest] == " ":
                    rest += 1
                if folded[rest : rest + 1] in ("<", ">", "≤", "≥"):
                    return sign_at(folded, rest)
            return comparator, end
    return None
