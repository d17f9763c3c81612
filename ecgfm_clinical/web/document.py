"""How the values that a page hands to its template become JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from enum import Enum

PREFIX = "/api/v1"

#: What a query that names times may hold.
TIMES = {"since": "received at this time or later, ISO 8601", "until": "received before this time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """How the values of one template become JSON."""

    of: Callable[..., object]  #: makes the reply; its annotation names the reply's type
    about: str  #: one line of the OpenAPI document
    asks: Mapping[str, str]  #: what the query may hold -> what it means


def plain(value: object) -> object:
    """What JSON knows: dataclasses as objects, times by ISO 8601. Raises TypeError for what no document may hold."""
    match value:
        case Enum():
            return value.value
        case datetime() | date():
            return value.isoformat()
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(name): plain(one) for name, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(one) for one in value]
        case _ if callable(of := getattr(value, "to_json", None)):
            return plain(of())
        case _ if is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"no document holds a {type(value).__name__}")


def following(path: str, further: str) -> str | None:
    """The address of the page after this one."""
    return f"{PREFIX}{path}?{further}" if further else None
