"""The grammar of quantities: a text is one number or range with its comparator and unit, to its last character,
or none.

    quantity  = [flag] [comparator] number ["%"] [("-" | "to") number] [unit] [flag]
    flag      = "H" | "HH" | "L" | "LL" | "*" | "(H)" …        (an abnormal flag, HL7 table 0078)

What the grammar does not know makes the text no quantity: a time, a date, a ratio, an arrow, a second number, a
comment.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from ecgfm_connectors.outcomes import comparators, numerals, units
from ecgfm_connectors.outcomes.comparators import Comparator
from ecgfm_connectors.outcomes.folding import fold
from ecgfm_connectors.outcomes.units import Unit

MAX_LENGTH = 80  #: characters; a longer text is a comment

RANGE_WORDS = frozenset(("to", "bis", "a", "al", "tot", "til", "till", "ate"))
DASHES = frozenset("-–—−‐‑")
_FLAGS = frozenset(
    (
        "h",
        "hh",
        "l",
        "ll",
        "a",
        "aa",
        "*",
        "**",
        "!",
        "↑↑",
        "h*",
        "hh*",
        "*h",
        "c",
        "crit",
        "critical",
        "hi",
        "lo",
        "[hh]",
        "(*)",
        "alt",
        "eleve",
        "erhoht",
        "alto",
        "hoog",
        "hog",
        "↑",
        "↓",
        "high",
        "low",
        "(h)",
        "(l)",
        "[h]",
        "[l]",
        "(hh)",
        "(ll)",
    )
)
_EQUALITIES = {"": "", "=": "", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "≤": "<=", "≥": ">="}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number as written: one value or a range, perhaps open to one side."""

    low: Decimal
    high: Decimal | None = None
    comparator: Comparator = ""
    unit: Unit | None = None  #: as the text names it; None where it names none
    ambiguous: bool = False  #: the point or comma may as well part thousands


@dataclass(frozen=True, slots=True, kw_only=True)
class NoQuantity:
    """Why a text is none."""

    code: (
        str  #: `empty`, `no-number`, `several-numbers`, `ambiguous-number`, `date-or-time`, `not-a-unit`, `approximate`
    )
    text: str


EMPTY = NoQuantity(code="empty", text="there is no value")
_WORDS_ONLY = NoQuantity(code="no-number", text="the value is words, not a number")
_SEVERAL = NoQuantity(code="several-numbers", text="the value holds several numbers")
_DATE = NoQuantity(code="date-or-time", text="a date, a time or an identifier stands where the value belongs")
_REVERSED = NoQuantity(code="several-numbers", text="the two numbers are no range: the first is the larger one")
_REST = NoQuantity(code="not-a-unit", text="something that is no unit follows the number")
_APPROXIMATE = NoQuantity(code="approximate", text="the value is marked as approximate")
_RATIO = NoQuantity(code="several-numbers", text="a ratio or a titre is no value")


def read(text: str) -> Quantity | NoQuantity:
    """One quantity, or why the text is none. Linear in the length of the text."""
    if len(text) > MAX_LENGTH:
        return replace(_WORDS_ONLY, text="the value is a comment")
    folded = fold(text).strip()
    if not folded:
        return EMPTY
    return _read(folded)


def write(quantity: Quantity) -> str:
    """The quantity as `read` reads it back."""
    high = "" if quantity.high is None else f" - {_written(quantity.high)}"
    unit = f" {quantity.unit.symbol}" if quantity.unit else ""
    return f"{quantity.comparator}{_written(quantity.low)}{high}{unit}"


def _written(value: Decimal) -> str:
    """In figures; three decimals get a fourth, so that nobody takes the point for one that parts thousands."""
    figures = f"{value:f}"
    return figures + "0" if len(figures.partition(".")[2]) == 3 else figures


def read_structured(components: list[str]) -> Quantity | NoQuantity:
    """SN (HL7 2.5.1 §2.A.69): comparator, number, separator, number."""
    comparator, first, separator, second = (*(part.strip() for part in components[:4]), "", "", "", "")[:4]
    if not first and not second and comparator not in _EQUALITIES:
        return read(comparator)  # some senders put the whole value into the first component
    if comparator not in _EQUALITIES:
        return replace(_RATIO, text="the comparator of SN is none of =, <, >, <=, >=")
    if separator not in ("", "-") or (separator == "" and second):
        return _RATIO
    text = f"{first}-{second}" if second else first
    if separator == "-" and not second:
        return _RATIO
    found = read(text)
    if isinstance(found, NoQuantity) or (found.comparator and comparator):
        return found if isinstance(found, NoQuantity) else _RATIO
    comparing: dict[str, Comparator] = {"<": "<", ">": ">", "<=": "<=", ">=": ">="}
    sign = comparing.get(_EQUALITIES[comparator], found.comparator)
    return _RATIO if sign and found.high is not None else replace(found, comparator=sign)


def _read(folded: str) -> Quantity | NoQuantity:
    at = _spaces(folded, 0)
    if folded[at] == "*" and numerals.begins(folded, at + 1):
        at += 1
    if folded[at] in "~?±":
        return _APPROXIMATE
    comparator, at = comparator_at(folded, at)
    minus = folded[at : at + 1] in ("-", "−") and numerals.begins(folded, at + 1)
    if not numerals.begins(folded, at + minus):
        return _SEVERAL if any(char.isdigit() for char in folded) and not folded[at : at + 1].isalpha() else _WORDS_ONLY
    first = numerals.scan(folded, at + minus)
    if first.value is None:
        return replace(_DATE, text=f"the figures make no number: {first.reason}")
    low = -first.value if minus else first.value
    return _after_number(folded, Quantity(low=low, comparator=comparator, ambiguous=first.ambiguous), first.end)


def _after_number(folded: str, found: Quantity, at: int) -> Quantity | NoQuantity:
    """The rest behind the first number: a percent sign, the end of a range, a unit, a flag, and nothing else."""
    start = _spaces(folded, at)
    percent = folded[start : start + 1] == "%"
    between = _spaces(folded, start + 1) if percent else start
    joined = range_at(folded, between)
    if joined is not None:
        if not numerals.begins(folded, joined):
            return _SEVERAL if folded[joined : joined + 1] == ">" else _REST
        second = numerals.scan(folded, joined)
        if second.value is None:
            return replace(_DATE, text=f"the figures make no range: {second.reason}")
        if second.value <= found.low:
            return _REVERSED
        if found.comparator:
            return _SEVERAL
        found = replace(found, high=second.value, ambiguous=found.ambiguous or second.ambiguous)
        start = _spaces(folded, second.end)
    unit, rest = _unit(folded[start:])
    if percent and unit is None and not rest:
        unit = units.PERCENT
    return replace(found, unit=unit) if not rest else _why(rest)


def _unit(rest: str) -> tuple[Unit | None, str]:
    """The unit in what follows the number, and what is left that is neither unit nor flag."""
    rest = rest.strip()
    if not rest or rest in _FLAGS:
        return None, ""
    if whole := units.read(rest):
        return whole, ""
    head, _, flag = rest.rpartition(" ")
    if flag in _FLAGS and (unit := units.read(head)):
        return unit, ""
    return None, rest


def _why(rest: str) -> NoQuantity:
    if rest[0] == ":" or rest[0] == "@":
        return _DATE
    if rest[0] in "/;,→~" or any(char.isdigit() for char in rest):
        return _SEVERAL
    return _REST


def _spaces(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def comparator_at(folded: str, at: int) -> tuple[Comparator, int]:
    """The comparator at `at`, in signs or words, and where the number after it may begin."""
    signed = comparators.sign_at(folded, at)
    if signed is not None:
        comparator, end = signed
        end = _spaces(folded, end)
        if folded.startswith("a ", end) and comparator:  # `< à 5`
            end = _spaces(folded, end + 1)
        return comparator, end
    spoken, end = _spoken(folded, at)
    return (spoken, end) if spoken else ("", at)


def _spoken(folded: str, at: int) -> tuple[Comparator, int]:
    """The longest phrase of comparator words at `at`, of at most six words."""
    said: list[str] = []
    best: tuple[Comparator, int] = ("", at)
    while len(said) < comparators.LONGEST:
        end = at
        while end < len(folded) and folded[end].isalpha():
            end += 1
        if end == at:
            break
        said.append(folded[at:end])
        comparator = comparators.WORDS.get(tuple(said), "")
        at = end + (folded[end : end + 1] in (".", "-"))
        at = _spaces(folded, at)
        best = (comparator, at) if comparator else best
    return best


def range_at(folded: str, at: int) -> int | None:
    """Where the second number of a range may begin, if a dash or a word such as `to` stands at `at`."""
    if folded[at : at + 1] in DASHES and at < len(folded):
        return _spaces(folded, at + 1)
    end = at
    while end < len(folded) and folded[end].isalpha():
        end += 1
    if folded[at:end] in RANGE_WORDS and folded[end : end + 1].isspace():
        return _spaces(folded, end)
    return None
