"""Walks the content tree of a structured report and gives each measurement with what surrounds it (PS3.3 C.17.3)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ecgfm_connectors.dicom.elements import Elements
from ecgfm_connectors.dicom.report_codes import FROM_OLD, OLD_SCHEMES
from ecgfm_connectors.errors import Refused

MAX_DEPTH = 16  #: containers in each other; TID 5200 has five
MAX_ITEMS = 50_000
_QUALIFYING = frozenset(("HAS CONCEPT MOD", "HAS OBS CONTEXT", "HAS PROPERTIES"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded concept (PS3.3 8.8); `key` is its value with SNOMED RT brought to SNOMED CT."""

    value: str
    scheme: str
    meaning: str

    @property
    def key(self) -> str:
        return FROM_OLD.get(self.value, self.value) if self.scheme in OLD_SCHEMES else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A concept name with its coded value, as a modifier or as context."""

    concept: Code
    value: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the containers around a measurement are called and say, the outermost first."""

    containers: tuple[Code, ...] = ()
    said: tuple[Said, ...] = ()
    observed: str = ""  #: Observation DateTime (0040,A032) of the innermost one that has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One NUM item that stands in containers only; numbers below another number are what that one was made of."""

    place: str  #: the positions on the way to it, `1.3.2` (PS3.3 C.17.3.2.5)
    concept: Code
    text: str  #: Numeric Value as written; empty where the device gave none
    unit: Code
    said: tuple[Said, ...]
    observed: str
    around: Surroundings


def measurements(document: Elements) -> Iterator[Measurement]:
    """Every measurement in the order of the tree. Raises Refused `too-large` for a tree beyond all reports."""
    around = Surroundings(said=_said(document), observed=document.text("ObservationDateTime"))
    walk = _Walk()
    yield from walk.container(document, "1", around, 1)


def code(item: Elements) -> Code:
    """The code of a sequence item; long and URN code values count too."""
    value = item.text("CodeValue") or item.text("LongCodeValue") or item.text("URNCodeValue")
    scheme = item.text("CodingSchemeDesignator").upper()
    return Code(value=value, scheme=scheme, meaning=item.text("CodeMeaning"))


class _Walk:
    """One pass, which counts what it has seen."""

    def __init__(self) -> None:
        self._left = MAX_ITEMS

    def container(self, item: Elements, place: str, around: Surroundings, depth: int) -> Iterator[Measurement]:
        for position, child in enumerate(item.items("ContentSequence"), start=1):
            self._left -= 1
            if self._left < 0 or depth > MAX_DEPTH:
                raise Refused("too-large", "more, or deeper, content items than any report has")
            here, kind = f"{place}.{position}", child.text("ValueType").upper()
            if kind == "CONTAINER":
                yield from self.container(child, here, _inside(around, child), depth + 1)
            elif kind == "NUM":
                yield _measurement(child, here, around)


def _inside(around: Surroundings, container: Elements) -> Surroundings:
    return replace(
        around,
        containers=(*around.containers, code(container.first("ConceptNameCodeSequence"))),
        said=(*around.said, *_said(container)),
        observed=container.text("ObservationDateTime") or around.observed,
    )


def _said(item: Elements) -> tuple[Said, ...]:
    """The coded modifiers and contexts right below an item."""
    return tuple(
        Said(
            concept=code(child.first("ConceptNameCodeSequence")),
            value=code(child.first("ConceptCodeSequence")),
        )
        for child in item.items("ContentSequence")
        if child.text("ValueType").upper() == "CODE" and child.text("RelationshipType").upper() in _QUALIFYING
    )


def _measurement(item: Elements, place: str, around: Surroundings) -> Measurement:
    value = item.first("MeasuredValueSequence")
    return Measurement(
        place=place,
        concept=code(item.first("ConceptNameCodeSequence")),
        text=value.text("NumericValue"),
        unit=code(value.first("MeasurementUnitsCodeSequence")),
        said=_said(item),
        observed=item.text("ObservationDateTime"),
        around=around,
    )
