"""The patient of a message: PID and MRG as Patient and Identifier (HL7 2.5.1 §3.4.2, CX §2.A.14)."""

from ecgfm_connectors.errors import Refused
from ecgfm_connectors.hl7.message import Segment
from ecgfm_connectors.patient import Identifier, Patient, Sex
from ecgfm_connectors.times import parse_date

MAX_IDENTIFIERS = 100

_TYPES = {"": "MR", "MRN": "MR", "MRNN": "MR"}  # spellings of table 0203 MR
_FIRST = ("MR", "PI", "PT")  # results go out under the first identifier: a medical record number where there is one
_SEX: dict[str, Sex] = {"M": "M", "F": "F", "O": "O", "A": "O", "1": "M", "2": "F"}  # table 0001, ISO 5218


def read_patient(pid: Segment, default_authority: str) -> Patient:
    """The patient of one PID. Raises Refused (`identifier-damaged`) where an identifier did not survive decoding."""
    found = identifiers(pid, 3, default_authority)
    if not found:  # before 2.3 the number of an outside or alternate system may be all there is
        found = identifiers(pid, 2, default_authority) or identifiers(pid, 4, default_authority)
    return Patient(
        identifiers=found,
        birth_date=parse_date(pid.value(7)),
        sex=_SEX.get(pid.value(8).upper()[:1], "U"),
        family_name=pid.value(5, 1),
        given_name=pid.value(5, 2),
    )


def identifiers(segment: Segment, number: int, default_authority: str) -> tuple[Identifier, ...]:
    """The identifiers of a CX field, each once, medical record numbers first; those beyond `MAX_IDENTIFIERS` are
    dropped.
    """
    found = dict.fromkeys(
        identifier
        for repetition in segment.repetitions(number)[:MAX_IDENTIFIERS]
        if (identifier := _identifier(segment, repetition.split(segment.delimiters.component), default_authority))
    )
    return tuple(sorted(found, key=lambda known: _FIRST.index(known.type) if known.type in _FIRST else len(_FIRST)))


def _identifier(segment: Segment, parts: list[str], default_authority: str) -> Identifier | None:
    value = segment.leaf(parts, 1)
    if not value:
        return None
    if "\ufffd" in value:
        raise Refused("identifier-damaged", "a patient identifier holds bytes that its character set does not know")
    kind = segment.leaf(parts, 5).upper()
    return Identifier(
        authority=_authority(segment, parts) or default_authority,
        type=_TYPES.get(kind, kind),
        value=value,
    )


def _authority(segment: Segment, parts: list[str]) -> str:
    """CX-4 namespace, else its universal id; else the jurisdiction (CX-9, CX-10), as health card numbers have it."""
    for component, subcomponent in ((4, 1), (4, 2), (9, 1), (10, 1)):
        if authority := segment.leaf(parts, component, subcomponent):
            return authority
    return ""
