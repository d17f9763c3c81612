"""Values of our documents as words for people: no braces, no quotes, no seventeen digits. Machines get JSON instead."""

from collections.abc import Mapping, Sequence

Value = object


def phrase(value: Value) -> str:
    """One line: `threshold 0.4, what sensitivity, folds (train 3, test 1)`."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case str():
            return value
        case Mapping():
            return ", ".join(f"{_name(key)} {_nested(one)}" for key, one in value.items()) or "none"
        case Sequence():
            return ", ".join(_nested(one) for one in value) or "none"
        case _:
            return str(value)


def brief(value: Value, *, longest: int = 100) -> str:
    """The phrase, or how much there is where it would be too long to read."""
    if isinstance(value, str) or len(said := phrase(value)) <= longest:
        return phrase(value)
    count = len(value) if isinstance(value, Mapping | Sequence) else 1
    return f"{count} entries, {len(said)} characters; --json shows them"


def _nested(value: Value) -> str:
    said = phrase(value)
    return f"({said})" if value and isinstance(value, Mapping | Sequence) and not isinstance(value, str) else said


def _name(key: Value) -> str:
    return str(key).replace("_", " ")
