"""A finished HL7 v2 message field by field, each with the name that hl7apy's tables give it, for people who build an
interface.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ecgfm_connectors.hl7 import tables

#: Letters of a value that are shown; a page in base64 has some hundred thousand.
MOST_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedField:
    """One field of one segment."""

    place: str  #: OBX-5
    name: str  #: observation value; empty where the version's tables do not know the field
    value: str


def named_fields(body: bytes) -> Iterator[NamedField]:
    """Every field that holds something, in order. The first line must be MSH with a version that hl7apy knows."""
    text = body.decode("utf-8", "replace")
    separator, version = text[3], text.split("\r", 1)[0].split(text[3])[11]
    for line in filter(None, text.split("\r")):
        segment, *fields = line.split(separator)
        names = tables.field_names(version, segment)
        for number, value in enumerate(fields, start=2 if segment == "MSH" else 1):
            if value:
                yield NamedField(place=f"{segment}-{number}", name=names.get(number, ""), value=_shown(value))


def _shown(value: str) -> str:
    return value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}… ({len(value)} letters)"
