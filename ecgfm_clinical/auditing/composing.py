"""Entries of the audit trail as DICOM audit messages (PS3.15 A.5.3): which act is which event, and who took part.

A message names a patient by number, as the standard asks, and never by name. User Authentication tells of the console
alone: whoever types commands was authenticated by the operating system, whose own audit says so, and is named here by
the account.
"""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ecgfm_clinical.staging.audit_spool import Concerned, Spooled
from ecgfm_connectors.audit import message as dicom
from ecgfm_connectors.audit.message import AuditMessage, Code, Object, Participant
from ecgfm_connectors.patient import Identifier

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


def _opened(spooled: Spooled, house: House) -> AuditMessage:
    return _record(spooled, house, "R")


def _changed(spooled: Spooled, house: House) -> AuditMessage:
    """What we hold of a person: whose a recording is, which numbers are one person, whether it may teach."""
    return _record(spooled, house, "U")


def _removed(spooled: Spooled, house: House) -> AuditMessage:
    """An erased person is named no more, so the message says that it was done, and by whom."""
    return _record(spooled, house, "D")


def _record(spooled: Spooled, house: House, action: str) -> AuditMessage:
    """The act stands beside the patient, in the words of the trail."""
    who = _actor(spooled, house, requestor=True)
    numbers = spooled.people or (spooled.concerned.ecg.patient.identifiers if spooled.concerned else ())
    objects = _patients(numbers, act=spooled.event.action)
    return _message(spooled, house, dicom.PATIENT_RECORD, action, (who,), objects=objects)


def _searched(spooled: Spooled, house: House) -> AuditMessage:
    """Whoever looks for a patient asks a query that is none of DICOM's (A.5.3.10, note 2).

    Whom it found stands beside it, as IHE ITI TF-2 §3.21.5 has it; the number that was asked for is kept nowhere.
    """
    who = _actor(spooled, house, requestor=True, roles=(dicom.SOURCE,))
    we = Participant(user_id="ecgfm-clinical", roles=(dicom.DESTINATION,), host=house.host)
    query = Object(object_id="ECGs of a patient", id_type=dicom.URI, kind="2", role="3", query="by patient number")
    objects = (query, *(_patient_of(spooled.concerned) if spooled.concerned is not None else ()))
    return _message(spooled, house, dicom.QUERY, "E", (who, we), objects=objects)


def _signed(spooled: Spooled, house: House) -> AuditMessage:
    """At the console. Where a session ran out, we ask for its end, not the person (A.5.3.12)."""
    action, detail = spooled.event.action, spooled.event.detail
    address = str(detail.get("address") or house.host)
    person = Participant(
        user_id=_actor(spooled, house).user_id if detail.get("user") else UNKNOWN,
        requestor=action != "console.timed-out",
        host=address,
        is_address=_is_address(address),
    )
    we = Participant(user_id="ecgfm-clinical", requestor=action == "console.timed-out", host=house.host)
    was_refused = action in ("console.sign-in-failed", "console.sign-in-refused")
    kind = dicom.LOGIN if was_refused or action == "console.signed-in" else dicom.LOGOUT
    outcome = "4" if was_refused else "0"
    return _message(spooled, house, dicom.USER_AUTHENTICATION, "E", (person, we), types=(kind,), outcome=outcome)


def _exported(spooled: Spooled, house: House) -> AuditMessage:
    """A file given to a person: bytes as received, or a table, which says of itself whether it names patients."""
    who = _actor(spooled, house, requestor=True, roles=(dicom.SOURCE,))
    medium = _medium(f"file on {house.host}", dicom.DESTINATION_MEDIA)
    return _message(spooled, house, dicom.EXPORT, "R", (who, medium), objects=_of(spooled.concerned) or _table(spooled))


def _table(spooled: Spooled) -> tuple[Object, ...]:
    about = tuple((name, str(value)) for name, value in spooled.event.detail.items() if value is not None)
    name = spooled.event.action.partition(".")[0]
    return (Object(object_id=name, id_type=dicom.URI, kind="2", role="3", name=name, details=about),)


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


def _granted(spooled: Spooled, house: House) -> AuditMessage:
    """Who may use the console was changed: a role given or taken, a password or a token made or taken back."""
    who, detail = _actor(spooled, house, requestor=True), spooled.event.detail
    words = [spooled.event.action.replace(".", " ")]
    words += [f"{word} {detail[key]}" for key, word in (("role", "as"), ("was", "before as")) if key in detail]
    described = (("Alert Description", ", ".join(words)),)
    user = str(detail["user"])
    account = Object(object_id=user, id_type=dicom.URI, kind="2", role="13", name=user, details=described)
    types = (dicom.ROLES_CHANGED, dicom.USER_CHANGED) if "role" in detail else (dicom.USER_CHANGED,)
    return _message(spooled, house, dicom.SECURITY_ALERT, "E", (who,), types=types, objects=(account,))


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
    "patient.searched": _searched,
    "patient.objected": _changed,
    "patient.objection-lifted": _changed,
    "patient.erased": _removed,
    "ecg.corrected": _changed,
    "ecg.withdrawn": _changed,
    "ecg.deleted": _removed,
    "identity.merged": _changed,
    "identity.unmerged": _changed,
    "identity.linked": _changed,
    "identity.unlinked": _changed,
    "payload.exported": _exported,
    "ecgs.exported": _exported,
    "outcomes.exported": _exported,
    "cohort.exported": _exported,
    "console.signed-in": _signed,
    "console.sign-in-failed": _signed,
    "console.sign-in-refused": _signed,
    "console.signed-out": _signed,
    "console.timed-out": _signed,
    "message.acknowledged": _sent,
    "user.added": _granted,
    "user.changed": _granted,
    "user.removed": _granted,
    "token.made": _granted,
    "token.revoked": _granted,
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
    """A person (`account@host for NAME`, `NAME by HOST/web`) or a process of ours, as the trail names it."""
    user, _, name = spooled.event.actor.partition(" for ")
    user, _, _ = user.partition(" by ")
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
    """The study, where the recording is a DICOM object, and its patient. An erased one has neither number left."""
    if known.ecg.format != "dicom":
        return _patient_of(known)
    study = Object(
        object_id=known.ecg.order.study_uid or UNKNOWN,
        id_type=dicom.STUDY_INSTANCE_UID,
        kind="2",
        role="3",
        name="ECG",
        sop_instances=(known.ecg.source_id,) if known.ecg.source_id else (),
    )
    return (study, *_patient_of(known))


def _patient_of(known: Concerned) -> tuple[Object, ...]:
    return _patients(known.ecg.patient.identifiers)


def _patients(identifiers: Sequence[Identifier], *, act: str = "") -> tuple[Object, ...]:
    """By each number, as CX components one and four."""
    numbers = [f"{one.value}^^^{one.authority}" for one in identifiers] or [UNKNOWN]
    about = (("act", act),) if act else ()
    return tuple(
        Object(object_id=one, id_type=dicom.PATIENT_NUMBER, kind="1", role="1", details=about) for one in numbers
    )
