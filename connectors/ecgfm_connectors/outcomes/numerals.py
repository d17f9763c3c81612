"""Scans one number as people write it: signs, thousands, decimals, exponents. One pass, from left to right.

A number is taken whole or not at all. `1 234`, `1'234`, `1.234,5` and `1,234,567` are numbers; `1.234` and `1,234` may
be either a decimal or a thousand and say so; `1.3.2026`, `0815` and `12.34.5` are none.
"""

from dataclasses import dataclass
from decimal import Decimal

_DIGITS = frozenset("0123456789")
_SPACES = frozenset(" \u00a0\u2009\u202f\u2007")
_APOSTROPHES = frozenset("'\u2019\u02bc\u00b4")
_POINTS = frozenset(".,")
_TIMES = frozenset("xX*×·")
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_MOST_DIGITS = 18
_GROUP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number and where it stood; `value` is None where the figures make no number that can be read one way."""

    value: Decimal | None
    start: int
    end: int
    ambiguous: bool = False  #: the point or comma may as well part thousands
    reason: str = ""  #: why there is no value


def begins(text: str, at: int) -> bool:
    """Whether a number begins here, sign apart."""
    if at >= len(text):
        return False
    if text[at] in _DIGITS:
        return True
    return text[at] in _POINTS and at + 1 < len(text) and text[at + 1] in _DIGITS


def scan(text: str, at: int) -> Number:
    """The number that begins at `at`, where `begins` holds."""
    groups, marks, end = _groups(text, at)
    exponent, after = _exponent(text, end)
    value, ambiguous, reason = _meaning(groups, marks)
    if value is not None and exponent:
        value = value.scaleb(exponent)
        ambiguous = False
    return Number(value=value, start=at, end=after, ambiguous=ambiguous, reason=reason)


def _run(text: str, at: int) -> int:
    """Where the digits that begin at `at` end."""
    size = len(text)
    while at < size and text[at] in _DIGITS:
        at += 1
    return at


def _groups(text: str, at: int) -> tuple[list[str], list[str], int]:
    """Groups of digits and the marks between them; a space or apostrophe joins only what comes in threes."""
    end = _run(text, at)
    groups, marks = [text[at:end]], []
    while end + 1 < len(text) and text[end + 1] in _DIGITS:
        mark = text[end]
        follows = _run(text, end + 1)
        if mark in _POINTS:
            marks.append(mark)
        elif mark in _SPACES and _grouped(groups, follows - end - 1) and not set(marks) - {" "}:
            marks.append(" ")
        elif mark in _APOSTROPHES:
            marks.append("'")
        else:
            break
        groups.append(text[end + 1 : follows])
        end = follows
    return groups, marks, end


def _grouped(groups: list[str], size: int) -> bool:
    """Whether another three digits may continue these: `1 234`, but neither `0 14` nor `250 10`."""
    first = groups[0]
    return size == _GROUP and 1 <= len(first) <= _GROUP and not first.startswith("0")


def _exponent(text: str, end: int) -> tuple[int, int]:
    """The power of ten behind a number (`E3`, `e+03`, `x 10^3`, `·10³`), and where it ends; 0 where there is none."""
    if text[end : end + 1] in ("e", "E"):
        return _power(text, end + 1, end)
    at = end
    while at < len(text) and text[at] in _SPACES and at < end + 2:
        at += 1
    if at < len(text) and text[at] in _TIMES:
        at += 1
        while at < len(text) and text[at] in _SPACES and at < end + 4:
            at += 1
        if text[at : at + 2] == "10":
            at += 2
            raised = text[at : at + 1] in ("^", "*")  # UCUM writes 10*3
            at += 0 if not raised else (2 if text[at : at + 2] == "**" else 1)
            if raised or text[at : at + 1].translate(_SUPERSCRIPT) != text[at : at + 1]:
                return _power(text, at, end)
    return 0, end


def _power(text: str, at: int, otherwise: int) -> tuple[int, int]:
    plain = text[at : at + 4].translate(_SUPERSCRIPT)
    sign = plain[:1] if plain[:1] in ("+", "-") else ""
    digits = _run(plain, len(sign)) - len(sign)
    if not 1 <= digits <= 2 or text[at + len(sign) + digits : at + len(sign) + digits + 1].isalnum():
        return 0, otherwise
    return int(plain[: len(sign) + digits]), at + len(sign) + digits


def _meaning(groups: list[str], marks: list[str]) -> tuple[Decimal | None, bool, str]:
    """What groups and marks say: value, whether it can be read two ways, and why there is none."""
    if sum(map(len, groups)) > _MOST_DIGITS:
        return None, False, "too many digits"
    if not marks:
        return _whole(groups[0])
    last = marks[-1]
    decimal = last in _POINTS and marks.count(last) == 1
    thousands = marks[:-1] if decimal else marks
    whole = groups[:-1] if decimal else groups
    if not _in_threes(whole, thousands):
        return None, False, "a date, a time or several numbers"
    text = "".join(whole) + ("." + groups[-1] if decimal else "")
    if decimal and len(groups[0]) > 1 and groups[0].startswith("0"):
        return None, False, "a leading zero"
    ambiguous = decimal and len(marks) == 1 and len(groups[1]) == _GROUP and _may_be_thousands(groups[0])
    return Decimal(text if not text.startswith(".") else "0" + text), ambiguous, ""


def _whole(digits: str) -> tuple[Decimal | None, bool, str]:
    if len(digits) > 1 and digits.startswith("0"):
        return None, False, "a leading zero"
    if _is_timestamp(digits):
        return None, False, "a date or time"
    return Decimal(digits), False, ""


def _is_timestamp(digits: str) -> bool:
    """`20260301`, `202603010815`, `20260301081500`."""
    if len(digits) not in (8, 12, 14) or digits[:2] not in ("19", "20"):
        return False
    return 1 <= int(digits[4:6]) <= 12 and 1 <= int(digits[6:8]) <= 31


def _in_threes(groups: list[str], marks: list[str]) -> bool:
    if not marks:
        return True
    first = groups[0]
    return (
        len(set(marks)) == 1
        and 1 <= len(first) <= _GROUP
        and not first.startswith("0")
        and all(len(group) == _GROUP for group in groups[1:])
    )


def _may_be_thousands(first: str) -> bool:
    return 1 <= len(first) <= _GROUP and not first.startswith("0")
