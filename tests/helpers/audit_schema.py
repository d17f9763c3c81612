"""The audit message schema of PS3.15 A.5.1 as a check: RELAX NG compact, written down as elements and attributes.

No RELAX NG validator is a dependency of this project, so the grammar stands here in its own words: for each element its
attributes (a pattern of the value, `?` where optional), its children in their order with how often each may come, and
whether it holds text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

_TOKEN, _TEXT = r"[\s\S]*", r"[\s\S]*"
_BASE64 = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_DATE_TIME = r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"  # A.5.2.5: with its zone
_BOOLEAN = "true|false|0|1"
_OID = r"[0-2](\.(0|[1-9][0-9]*))*"


def _one_to(last: int) -> str:
    return "|".join(map(str, range(1, last + 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """One element. `children`: (names of a choice, least, most)."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    children: Sequence[tuple[tuple[str, ...], int, int | None]] = ()
    text: str = r"\s*"


_CODED = {"csd-code": _TOKEN, "codeSystemName": _TOKEN, "displayName?": _TOKEN, "originalText": _TOKEN}
_RULES: Mapping[str, _Rule] = {
    "AuditMessage": _Rule(
        children=(
            (("EventIdentification",), 1, 1),
            (("ActiveParticipant",), 1, None),
            (("AuditSourceIdentification",), 1, 1),
            (("ParticipantObjectIdentification",), 0, None),
        )
    ),
    "EventIdentification": _Rule(
        attributes={
            "EventActionCode?": "[CRUDE]",
            "EventDateTime": _DATE_TIME,
            "EventOutcomeIndicator": "0|4|8|12",
        },
        children=((("EventID",), 1, 1), (("EventTypeCode",), 0, None), (("EventOutcomeDescription",), 0, 1)),
    ),
    "EventOutcomeDescription": _Rule(text=_TEXT),
    "ActiveParticipant": _Rule(
        attributes={
            "UserID": _TEXT,
            "AlternativeUserID?": _TEXT,
            "UserName?": _TEXT,
            "UserIsRequestor": _BOOLEAN,
            "NetworkAccessPointID?": _TOKEN,
            "NetworkAccessPointTypeCode?": _one_to(5),
        },
        children=((("RoleIDCode",), 0, None), (("MediaIdentifier",), 0, 1)),
    ),
    "MediaIdentifier": _Rule(children=((("MediaType",), 1, 1),)),
    "AuditSourceIdentification": _Rule(
        attributes={"AuditEnterpriseSiteID?": _TOKEN, "AuditSourceID": _TOKEN},
        children=((("AuditSourceTypeCode",), 0, None),),
    ),
    "AuditSourceTypeCode": _Rule(
        attributes={"csd-code": _TOKEN, "codeSystemName?": _TOKEN, "displayName?": _TOKEN, "originalText?": _TOKEN}
    ),
    "ParticipantObjectIdentification": _Rule(
        attributes={
            "ParticipantObjectID": _TOKEN,
            "ParticipantObjectTypeCode?": _one_to(4),
            "ParticipantObjectTypeCodeRole?": _one_to(26),
            "ParticipantObjectDataLifeCycle?": _one_to(15),
            "ParticipantObjectSensitivity?": _TOKEN,
        },
        children=(
            (("ParticipantObjectIDTypeCode",), 1, 1),
            (("ParticipantObjectName", "ParticipantObjectQuery"), 1, 1),
            (("ParticipantObjectDetail",), 0, None),
            (("ParticipantObjectDescription",), 0, None),
        ),
    ),
    "ParticipantObjectName": _Rule(text=_TOKEN),
    "ParticipantObjectQuery": _Rule(text=_BASE64),
    "ParticipantObjectDetail": _Rule(attributes={"type": _TOKEN, "value": _BASE64}),
    "ParticipantObjectDescription": _Rule(
        children=(
            (("MPPS",), 0, None),
            (("Accession",), 0, None),
            (("SOPClass",), 0, None),
            (("ParticipantObjectContainsStudy",), 0, 1),
            (("Encrypted",), 0, 1),
            (("Anonymized",), 0, 1),
        )
    ),
    "MPPS": _Rule(attributes={"UID": _OID}),
    "Accession": _Rule(attributes={"Number": _TOKEN}),
    "SOPClass": _Rule(
        attributes={"UID?": _OID, "NumberOfInstances": r"[+-]?\d+"}, children=((("Instance",), 0, None),)
    ),
    "Instance": _Rule(attributes={"UID": _OID}),
    "ParticipantObjectContainsStudy": _Rule(children=((("StudyIDs",), 0, None),)),
    "StudyIDs": _Rule(attributes={"UID": _TOKEN}),
    "Encrypted": _Rule(text=_BOOLEAN),
    "Anonymized": _Rule(text=_BOOLEAN),
    **dict.fromkeys(
        ("EventID", "EventTypeCode", "RoleIDCode", "MediaType", "ParticipantObjectIDTypeCode"),
        _Rule(attributes=_CODED),
    ),
}


def faults(message: bytes) -> list[str]:
    """Where a message breaks the schema; empty where it is valid."""
    root = fromstring(message)
    if root.tag != "AuditMessage":
        return [f"the root is {root.tag}"]
    return _faults(root)


def _faults(element: Element) -> list[str]:
    rule = _RULES[element.tag]
    found = [
        f"{element.tag} has no {name}"
        for name in rule.attributes
        if not name.endswith("?") and name not in element.attrib
    ]
    for name, value in element.attrib.items():
        pattern = rule.attributes.get(name, rule.attributes.get(f"{name}?"))
        if pattern is None:
            found.append(f"{element.tag} may have no {name}")
        elif not re.fullmatch(pattern, value):
            found.append(f"{element.tag} {name} is {value!r}")
    if not re.fullmatch(rule.text, element.text or ""):
        found.append(f"{element.tag} holds text")
    children = list(element)
    for names, least, most in rule.children:
        here = 0
        while children and children[0].tag in names and (most is None or here < most):
            found += _faults(children.pop(0))
            here += 1
        if here < least:
            found.append(f"{element.tag} has {here} of {' or '.join(names)}")
    return found + [f"{element.tag} may not have {one.tag} there" for one in children]
