"""Entries of the audit trail as DICOM audit messages (PS3.15 A.5.3): which act is which event, and who took part.

A message names a patient by number, as the standard asks, and never by name. There is no User Authentication: this
program has no login of its own; people are authenticated by the operating system, whose own audit says so, and are
named here by their accounts.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ecgfm_clinical.staging.audit_spool import Concerned, Spooled
from ecgfm_connectors.audit import message as dicom
from ecgfm_connectors.audit.message import AuditMessage, Code, Object, Participant

UNKNOWN = "unknown"
_AUDIT_BROKEN = Code(value="audit-broken", meaning="Audit trail does not hold together", system="99ECGFM")


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Who we are, in every message."""

    site: str
    host: str
    ae_titles: tuple[str, ...] = ()
    destinations: Mapping[str, str]  #: name → host, or a folder's name


def compose(spooled: Spooled, house: House) -> AuditMessage | None:
    """The message of one entry; None where it is no event of the standard."""
    make = _ACTS.get(spooled.event.action)
    return make(spooled, house) if make is not None else None


def _started(spooled: Spooled, house: House) -> AuditMessage:
    kind = dicom.APPLICATION_START if spooled.event.action == "service.started" else dicom.APPLICATION_STOP
    us = Participant(
        user_id=spooled.event.actor, roles=(dicom.APPLICATION,), ae_titles=house.ae_titles, host=house.host
    )
    return _message(spooled, house, dicom.APPLICATION_ACTIVITY, "E", (us,), types=(kind,))


def _received(spooled: Spooled, house: House) -> AuditMessage:
    """By C-STORE, retrieve or DICOMweb: instances transferred; by HL7: a patient record; from a file: an import."""
    known = spooled.concerned
    assert known is not None, "a recording was staged"
    here = Participant(
        user_id=f"ecgfm-clinical {spooled.event.actor}",
        roles=(dicom.DESTINATION,),
        ae_titles=house.ae_titles if known.transport == "dicom" else (),
        host=house.host,
        requestor=known.transport == "file",
    )
    if known.transport == "file":
        source = _medium(f"file by {spooled.event.actor}", dicom.SOURCE_MEDIA)
        return _message(spooled, house, dicom.IMPORT, "C", (here, source), objects=_objects(known))
    there = _peer(known.peer or spooled.event.actor, (dicom.SOURCE,), requestor=True)
    if known.transport == "mllp":
        return _message(spooled, house, dicom.PATIENT_RECORD, "C", (there, here), objects=_patient_of(known))
    return _message(spooled, house, dicom.INSTANCES_TRANSFERRED, "C", (there, here), objects=_objects(known))


def _opened(spooled: Spooled, house: House) -> AuditMessage | None:
    return _record(spooled, house, "R")


def _corrected(spooled: Spooled, house: House) -> AuditMessage | None:
    return _record(spooled, house, "U")


def _record(spooled: Spooled, house: House, action: str) -> AuditMessage | None:
    if spooled.concerned is None:
        return None
    who = _actor(spooled, house, requestor=True)
    objects = _patient_of(spooled.concerned)
    return _message(spooled, house, dicom.PATIENT_RECORD, action, (who,), objects=objects)


def _exported(spooled: Spooled, house: House) -> AuditMessage:
    """Bytes as received, given to a person as a file."""
    who = _actor(spooled, house, requestor=True, roles=(dicom.SOURCE,))
    medium = _medium(f"file on {house.host}", dicom.DESTINATION_MEDIA)
    return _message(spooled, house, dicom.EXPORT, "R", (who, medium), objects=_of(spooled.concerned))


def _sent(spooled: Spooled, house: House) -> AuditMessage:
    """A result that its destination acknowledged: conversion to another format for an EHR (A.5.3.4)."""
    name = str(spooled.event.detail.get("destination", UNKNOWN))
    who = _actor(spooled, house, requestor=True, roles=(dicom.SOURCE,))
    host = house.destinations.get(name, "")
    there = Participant(user_id=name, roles=(dicom.DESTINATION,), host=host, is_address=_is_address(host))
    medium = _medium(name, dicom.DESTINATION_MEDIA, host=host)
    return _message(spooled, house, dicom.EXPORT, "R", (there, who, medium), objects=_of(spooled.concerned))


def _rejected(spooled: Spooled, house: House) -> AuditMessage:
    detail = spooled.event.detail
    us, peer = _actor(spooled, house), _peer(str(detail["peer"]), (), requestor=True)
    described = (("Alert Description", f"{detail['reason']} at listener {detail['listener']}"),)
    node = Object(object_id=peer.host, id_type=dicom.NODE_ID, kind="2", role="13", name="caller", details=described)
    types = (dicom.NODE_AUTHENTICATION,)
    return _message(spooled, house, dicom.SECURITY_ALERT, "E", (us, peer), types=types, objects=(node,), outcome="4")


def _alerted(spooled: Spooled, house: House) -> AuditMessage | None:
    """Of the alerts of this program, the one about the trail itself."""
    if spooled.event.detail.get("condition") != "audit-broken":
        return None
    us = _actor(spooled, house)
    described = (("Alert Description", "the audit trail was changed, or entries are missing"),)
    store = Object(object_id="audit trail", id_type=dicom.URI, kind="2", role="13", name="store", details=described)
    types = (_AUDIT_BROKEN,)
    return _message(spooled, house, dicom.SECURITY_ALERT, "E", (us,), types=types, objects=(store,), outcome="8")


_ACTS: Mapping[str, Callable[[Spooled, House], AuditMessage | None]] = {
    "service.started": _started,
    "service.stopped": _started,
    "ecg.staged": _received,
    "patient.opened": _opened,
    "ecg.corrected": _corrected,
    "payload.exported": _exported,
    "message.acknowledged": _sent,
    "caller.rejected": _rejected,
    "alert.opened": _alerted,
}
#: Actions of the trail that are told.
TOLD = frozenset(_ACTS)


# --- parts of a message -----------------------------------------------------------------------------------------------


def _message(
    spooled: Spooled,
    house: House,
    event: Code,
    action: str,
    participants: tuple[Participant, ...],
    *,
    types: tuple[Code, ...] = (),
    objects: tuple[Object, ...] = (),
    outcome: str = "0",
) -> AuditMessage:
    return AuditMessage(
        event=event,
        action=action,  # type: ignore[arg-type]  # one of the schema's, by the functions above
        at=spooled.event.at,
        outcome=outcome,  # type: ignore[arg-type]  # as above
        types=types,
        participants=participants,
        site=house.site,
        source=f"ecgfm-clinical@{house.host}",
        objects=objects,
    )


def _actor(spooled: Spooled, house: House, *, requestor: bool = False, roles: tuple[Code, ...] = ()) -> Participant:
    """A person (`account@host for NAME`) or a process of ours, as the trail names it."""
    user, _, name = spooled.event.actor.partition(" for ")
    return Participant(user_id=user, name=name, requestor=requestor, roles=roles, host=house.host)


def _peer(peer: str, roles: tuple[Code, ...], *, requestor: bool) -> Participant:
    """`TITLE@ADDRESS`, or an address, or the name of a source that we ask."""
    title, _, host = peer.rpartition("@")
    address = _is_address(host)
    return Participant(
        user_id=title or host,
        requestor=requestor,
        roles=roles,
        ae_titles=(title,) if title else (),
        host=host,
        is_address=address,
    )


def _medium(name: str, role: Code, *, host: str = "") -> Participant:
    return Participant(user_id=name, roles=(role,), host=host, is_address=_is_address(host), media=dicom.MEDIA_URI)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _of(known: Concerned | None) -> tuple[Object, ...]:
    return () if known is None else _objects(known)


def _objects(known: Concerned) -> tuple[Object, ...]:
    """The study, where the recording is a DICOM object, and its patient."""
    if known.ecg.format != "dicom":
        return _patient_of(known)
    study = Object(
        object_id=known.ecg.order.study_uid or UNKNOWN,
        id_type=dicom.STUDY_INSTANCE_UID,
        kind="2",
        role="3",
        name="ECG",
        sop_instances=(known.ecg.source_id,),
    )
    return (study, *_patient_of(known))


def _patient_of(known: Concerned) -> tuple[Object, ...]:
    """By each number, as CX components one and four."""
    numbers = [f"{one.value}^^^{one.authority}" for one in known.ecg.patient.identifiers] or [UNKNOWN]
    return tuple(Object(object_id=one, id_type=dicom.PATIENT_NUMBER, kind="1", role="1") for one in numbers)
