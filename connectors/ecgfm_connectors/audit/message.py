"""An audit message and its XML (PS3.15 A.5.1): what happened, who took part, who reports it, and on what.

The schema asks for a name of each object beside its identifier. A patient's name is never written: the identifier says
who it is to those who may know, and the standard leaves the name to the sender (A.5.3, option U).
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

#: In the place of a name that is not told.
NOT_TOLD = "not told"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded value (CodedValueType)."""

    value: str
    meaning: str
    system: str = "DCM"


APPLICATION_ACTIVITY = Code(value="110100", meaning="Application Activity")
INSTANCES_TRANSFERRED = Code(value="110104", meaning="DICOM Instances Transferred")
EXPORT = Code(value="110106", meaning="Export")
IMPORT = Code(value="110107", meaning="Import")
PATIENT_RECORD = Code(value="110110", meaning="Patient Record")
QUERY = Code(value="110112", meaning="Query")
SECURITY_ALERT = Code(value="110113", meaning="Security Alert")
USER_AUTHENTICATION = Code(value="110114", meaning="User Authentication")

APPLICATION_START = Code(value="110120", meaning="Application Start")
APPLICATION_STOP = Code(value="110121", meaning="Application Stop")
LOGIN = Code(value="110122", meaning="Login")
LOGOUT = Code(value="110123", meaning="Logout")
NODE_AUTHENTICATION = Code(value="110126", meaning="Node Authentication")
ROLES_CHANGED = Code(value="110136", meaning="Security Roles Changed")
USER_CHANGED = Code(value="110137", meaning="User security Attributes Changed")

APPLICATION = Code(value="110150", meaning="Application")
DESTINATION = Code(value="110152", meaning="Destination Role ID")
SOURCE = Code(value="110153", meaning="Source Role ID")
DESTINATION_MEDIA = Code(value="110154", meaning="Destination Media")
SOURCE_MEDIA = Code(value="110155", meaning="Source Media")

STUDY_INSTANCE_UID = Code(value="110180", meaning="Study Instance UID")
NODE_ID = Code(value="110182", meaning="Node ID")
PATIENT_NUMBER = Code(value="2", meaning="Patient Number", system="RFC-3881")
URI = Code(value="12", meaning="URI", system="RFC-3881")
MEDIA_URI = Code(value="110037", meaning="URI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Who took part (ActiveParticipant)."""

    user_id: str
    requestor: bool = False
    roles: tuple[Code, ...] = ()
    ae_titles: tuple[str, ...] = ()  #: → AlternativeUserID (A.5.2.2)
    name: str = ""
    host: str = ""  #: machine name or address of where it is
    is_address: bool = False  #: whether `host` is an IP address
    media: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """On what it was done (ParticipantObjectIdentification)."""

    object_id: str
    id_type: Code
    kind: Literal["1", "2"]  #: person, system object
    role: Literal["1", "3", "13"]  #: patient, report, security resource
    name: str = NOT_TOLD
    query: str = ""  #: in the place of the name, where it is a query
    sop_instances: tuple[str, ...] = ()  #: SOP Instance UIDs
    details: tuple[tuple[str, str], ...] = ()  #: (type, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditMessage:
    """One event."""

    event: Code
    action: Literal["C", "R", "U", "D", "E"]
    at: datetime  #: aware
    outcome: Literal["0", "4", "8", "12"] = "0"
    types: tuple[Code, ...] = ()
    participants: tuple[Participant, ...]
    site: str
    source: str  #: who reports it
    objects: tuple[Object, ...] = ()


def write(message: AuditMessage) -> bytes:
    """UTF-8, without an XML declaration (RFC 5424 §6.4 says the encoding by a BOM)."""
    root = Element("AuditMessage")
    event = SubElement(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=message.at.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=message.outcome,
    )
    _code(event, "EventID", message.event)
    for one in message.types:
        _code(event, "EventTypeCode", one)
    for participant in message.participants:
        _participant(root, participant)
    reporter = {"AuditSourceID": _text(message.source)}
    if message.site:
        reporter["AuditEnterpriseSiteID"] = _text(message.site)
    # 4: application server process
    SubElement(SubElement(root, "AuditSourceIdentification", reporter), "AuditSourceTypeCode", {"csd-code": "4"})
    for thing in message.objects:
        _object(root, thing)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=False))


def _participant(root: Element, one: Participant) -> None:
    told = dict(_attributes(one))
    element = SubElement(root, "ActiveParticipant", told)
    for role in one.roles:
        _code(element, "RoleIDCode", role)
    if one.media is not None:
        _code(SubElement(element, "MediaIdentifier"), "MediaType", one.media)


def _attributes(one: Participant) -> Iterator[tuple[str, str]]:
    yield "UserID", _text(one.user_id)
    if one.ae_titles:
        yield "AlternativeUserID", _text(f"AETITLES={';'.join(one.ae_titles)}")
    if one.name:
        yield "UserName", _text(one.name)
    yield "UserIsRequestor", str(one.requestor).lower()
    if one.host:
        yield "NetworkAccessPointID", _text(one.host)
        yield "NetworkAccessPointTypeCode", "2" if one.is_address else "1"


def _object(root: Element, one: Object) -> None:
    element = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_text(one.object_id),
        ParticipantObjectTypeCode=one.kind,
        ParticipantObjectTypeCodeRole=one.role,
    )
    _code(element, "ParticipantObjectIDTypeCode", one.id_type)
    if one.query:
        SubElement(element, "ParticipantObjectQuery").text = base64.b64encode(one.query.encode()).decode()
    else:
        SubElement(element, "ParticipantObjectName").text = _text(one.name)
    for kind, text in one.details:
        value = base64.b64encode(text.encode()).decode()
        SubElement(element, "ParticipantObjectDetail", type=kind, value=value)
    if one.sop_instances:
        described = SubElement(element, "ParticipantObjectDescription")
        count = {"NumberOfInstances": str(len(one.sop_instances))}
        sop_class = SubElement(described, "SOPClass", count)
        for uid in one.sop_instances:
            SubElement(sop_class, "Instance", UID=_text(uid))


def _code(parent: Element, name: str, code: Code) -> None:
    SubElement(parent, name, {"csd-code": code.value, "codeSystemName": code.system, "originalText": code.meaning})


def _text(value: str) -> str:
    """What XML can carry of a text that may come from outside."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", value)
