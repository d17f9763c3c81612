"""What each HL7 version knows, from hl7apy's tables: which fields a segment has, their data types, which group holds
it.

Only tables are taken from hl7apy while composing: filling its objects field by field costs 30 ms a message, ten times
what scoring one ECG on a GPU costs. `conformance_problems` has hl7apy judge the finished message instead.
"""

from functools import cache

import hl7apy
from hl7apy import exceptions
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.parser import parse_message, parse_segment

from ecgfm_connectors.errors import Misconfigured
from ecgfm_connectors.hl7.profile import OUTGOING_VERSIONS


@cache
def field_types(version: str, segment: str) -> dict[int, str]:
    """Field number -> data type of the fields that `segment` has in `version`, without withdrawn ones.

    Raises Misconfigured where hl7apy knows no such version.
    """
    try:
        library = hl7apy.load_library(version)
    except exceptions.UnsupportedVersion as error:
        raise Misconfigured(f"HL7 version {version} is unknown; use one of {', '.join(OUTGOING_VERSIONS)}") from error
    types: dict[int, str] = {}
    for name, reference, (_, at_most), _ in library.SEGMENTS[segment][1]:
        data_type = reference[2]
        if at_most != 0 and data_type is not None:
            types[int(name.rsplit("_", 1)[1])] = data_type
    return types


@cache
def field_names(version: str, segment: str) -> dict[int, str]:
    """Field number -> its name in `version`, in lower case; empty for a segment that the version does not have.

    Raises Misconfigured as `field_types`.
    """
    try:
        library = hl7apy.load_library(version)
    except exceptions.UnsupportedVersion as error:
        raise Misconfigured(f"HL7 version {version} is unknown; use one of {', '.join(OUTGOING_VERSIONS)}") from error
    fields = library.SEGMENTS[segment][1] if segment in library.SEGMENTS else ()
    return {
        int(name.rsplit("_", 1)[1]): (reference[3] or "").replace("_", " ").lower() for name, reference, *_ in fields
    }


def conformance_problems(content: bytes, *, encoding: str = "utf-8") -> list[str]:
    """What hl7apy finds wrong with an outgoing ORU^R01: structure, cardinalities, data types, lengths.

    hl7apy's texts quote field values, so they serve tests and the composer's author and never go to a log.
    """
    text = content.decode(encoding)
    version = text.split("\r")[0].split("|")[11]
    try:
        message = _grouped(text, version) if version.startswith("2.8") else _parsed(text)
        message.validate()
    except exceptions.HL7apyException as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def _parsed(text: str) -> Message:
    return parse_message(text, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)


def _grouped(text: str, version: str) -> Message:
    """The message with its segments put into groups one by one.

    In 2.8 an OBX may stand inside ORC's group, and hl7apy's own search puts every OBX there.
    """
    message = Message("ORU_R01", version=version, validation_level=VALIDATION_LEVEL.STRICT)
    result = message.add_group("ORU_R01_PATIENT_RESULT")
    order = result.add_group("ORU_R01_ORDER_OBSERVATION")
    group = message
    for line in text.split("\r")[:-1]:
        segment = parse_segment(line, version=version, validation_level=VALIDATION_LEVEL.STRICT)
        match segment.name:
            case "MSH":
                message.msh = line
                continue
            case "PID":
                group = result.add_group("ORU_R01_PATIENT")
            case "ORC":
                group = order.add_group("ORU_R01_COMMON_ORDER")
            case "OBR":
                group = order
            case "OBX":
                group = order.add_group("ORU_R01_OBSERVATION")
        group.add(segment)
    return message
