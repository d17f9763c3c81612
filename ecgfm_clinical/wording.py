"""Values of our documents as words for people: no braces, no quotes, no seventeen digits. Machines get JSON instead.

Sentences that a page may say in another language are written in English where they belong, as `say("…", name=value)`
or, where a page says them later, as `N_("…")`: the catalogues of the console are made of these.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

Value = object


class Say(Protocol):
    """Says an English sentence in the language of whoever reads it; values are named in it as `%(name)s`."""

    def __call__(self, text: str, /, **values: object) -> str: ...


def in_english(text: str, /, **values: object) -> str:
    """As commands, messages and programs get it."""
    return text % values if values else text


def N_(text: str) -> str:
    """Marks a text for the catalogues and leaves it as it is (the name that gettext gives this)."""
    return text


def phrase(value: Value, say: Say = in_english) -> str:
    """One line: `threshold 0.4, what sensitivity, folds (train 3, test 1)`. Keys are codes, and stay as they are."""
    match value:
        case None:
            return say("none")
        case bool():
            return say("yes") if value else say("no")
        case float():
            return f"{value:.4g}"
        case str():
            return value
        case Mapping():
            told = ((key, _nested(one, say)) for key, one in value.items())
            return ", ".join(f"{_name(key)} {text}" for key, text in told if text) or say("none")
        case Sequence():
            return ", ".join(_nested(one, say) for one in value) or say("none")
        case _:
            return str(value)


def brief(value: Value, *, longest: int = 100) -> str:
    """The phrase, or how much there is where it would be too long to read."""
    if isinstance(value, str) or len(said := phrase(value)) <= longest:
        return phrase(value)
    count = len(value) if isinstance(value, Mapping | Sequence) else 1
    return f"{count} entries, {len(said)} characters; --json shows them"


def _nested(value: Value, say: Say) -> str:
    said = phrase(value, say)
    return f"({said})" if value and isinstance(value, Mapping | Sequence) and not isinstance(value, str) else said


def _name(key: Value) -> str:
    return str(key).replace("_", " ")
