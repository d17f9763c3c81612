"""Content items of a structured report (PS3.3 C.17.3, C.18)."""

from collections.abc import Sequence
from functools import lru_cache

from pydicom.charset import python_encoding

from ecgfm_connectors.dicom.results import values
from ecgfm_connectors.dicom.results.concepts import PROBABILITY_UNIT, Concept
from ecgfm_connectors.dicom.writing import Elements, item

_SHORT_CODE = 16  #: characters of a Code Value (SH); a longer one is a Long Code Value (UC)
_NUMBER = 16  #: characters of a DS


class ItemWriter:
    """Writes items in one character set; each takes its relationship to the item above and what stands below it."""

    def __init__(self, charset: str) -> None:
        self._charset = charset
        self._codec = python_encoding[charset]

    def container(self, relation: str, name: Concept, children: Sequence[bytes]) -> bytes:
        return self._item(relation, "CONTAINER", name, {"ContinuityOfContent": "SEPARATE"}, children)

    def root(self, name: Concept, template: str, children: Sequence[bytes]) -> Elements:
        """The elements of the document's own container, which follows a template of PS3.16."""
        mapped = item({"MappingResource": "DCMR", "TemplateIdentifier": template}, self._codec)
        return {
            "ValueType": "CONTAINER",
            "ConceptNameCodeSequence": [self._coded(name)],
            "ContinuityOfContent": "SEPARATE",
            "ContentTemplateSequence": [mapped],
            "ContentSequence": children,
        }

    def code(self, relation: str, name: Concept, value: Concept) -> bytes:
        return self._item(relation, "CODE", name, {"ConceptCodeSequence": [self._coded(value)]})

    def text(self, relation: str, name: Concept, value: str) -> bytes:
        return self._item(relation, "TEXT", name, {"TextValue": values.writable(value, self._charset)})

    def uid(self, relation: str, name: Concept, value: str) -> bytes:
        return self._item(relation, "UIDREF", name, {"UID": value})

    def probability(
        self, relation: str, name: Concept, value: float, written: str, children: Sequence[bytes] = ()
    ) -> bytes:
        """A NUM between 0 and 1: `written` for people (DS), `value` to the last bit (FD)."""
        measured: Elements = {
            "NumericValue": written if len(written) <= _NUMBER else f"{value:.14f}",
            "FloatingPointValue": float(value),
            "MeasurementUnitsCodeSequence": [self._coded(PROBABILITY_UNIT)],
        }
        own: Elements = {"MeasuredValueSequence": [item(measured, self._codec)]}
        return self._item(relation, "NUM", name, own, children)

    def no_number(self, relation: str, name: Concept, why: Concept, children: Sequence[bytes] = ()) -> bytes:
        """A NUM without a value, and why (PS3.3 C.18.1)."""
        own: Elements = {"MeasuredValueSequence": (), "NumericValueQualifierCodeSequence": [self._coded(why)]}
        return self._item(relation, "NUM", name, own, children)

    def waveform(self, relation: str, name: Concept, sop_class: str, sop_instance: str) -> bytes:
        return self._item(relation, "WAVEFORM", name, {"ReferencedSOPSequence": [reference(sop_class, sop_instance)]})

    def object(self, relation: str, sop_class: str, sop_instance: str) -> bytes:
        """A COMPOSITE reference without a name, as TID 2010 has it."""
        own: Elements = {"ReferencedSOPSequence": [reference(sop_class, sop_instance)]}
        return item({"RelationshipType": relation, "ValueType": "COMPOSITE"} | own, self._codec)

    def _item(self, relation: str, kind: str, name: Concept, own: Elements, children: Sequence[bytes] = ()) -> bytes:
        elements: Elements = {"RelationshipType": relation, "ValueType": kind}
        elements |= {"ConceptNameCodeSequence": [self._coded(name)]} | own
        return item(elements | ({"ContentSequence": children} if children else {}), self._codec)

    def _coded(self, concept: Concept) -> bytes:
        return _coded(concept, self._charset)


@lru_cache(maxsize=512)
def _coded(concept: Concept, charset: str) -> bytes:
    """An item of a code sequence (PS3.3 §8.8)."""
    kind = "LongCodeValue" if len(concept.value) > _SHORT_CODE else "CodeValue"
    elements: Elements = {
        kind: concept.value,
        "CodingSchemeDesignator": concept.scheme,
        "CodeMeaning": values.meaning(concept.meaning, charset),
    }
    return item(elements, python_encoding[charset])


def reference(sop_class: str, sop_instance: str) -> bytes:
    """An item of a Referenced SOP Sequence."""
    return item({"ReferencedSOPClassUID": sop_class, "ReferencedSOPInstanceUID": sop_instance}, "ascii")
