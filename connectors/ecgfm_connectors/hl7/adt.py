"""Reads ADT messages: who a patient is (A01, A04, A08 …) and which numbers became one (A40, A47 …; HL7 2.5.1 chapter
3).

What follows from each event stands in `connectors/LIFECYCLE.md`.
"""

from itertools import pairwise

from ecgfm_connectors.contents import Addition, Contents, IdentityEvent, Link, Merge, Move
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.decision import LeftOut
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.hl7 import deaths
from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.hl7.pid import identifiers, read_patient
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.patient import Identifier, Patient

#: Trigger events whose PID tells the patient's demographics.
DEMOGRAPHICS = ("A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A13", "A28", "A31")
#: Trigger events that end the use of an identifier: §3.3.18, .30, .34, .36, .39, .40, .46, .47.
MERGES = ("A18", "A30", "A34", "A36", "A39", "A40", "A46", "A47")
#: Two PID segments that name one person (§3.3.24), or do so no more (§3.3.37).
LINKS = {"A24": True, "A37": False}
#: Identifiers (§3.3.43) or visits (§3.3.45) that go from the person in MRG to the person in PID.
MOVES = ("A43", "A45")
#: Changes of accounts and visits (§3.3.35, .41, .42, .44, .50, .51), which give no person another number.
ACCOUNTS = ("A35", "A41", "A42", "A44", "A50", "A51")


def read(parsed: Message, context: ReadingContext) -> Contents:
    """Demographics, identity events and, where the site keeps them, deaths of one ADT message.

    Raises Refused: `event-not-followed` for an event that says neither; `merge-incomplete` where MRG or its number is
    missing; `merge-into-itself`; `merge-unmatched` where MRG names a number whose authority PID does not: which of
    several numbers survives it is then a guess, and a guess would give results to the wrong patient.
    """
    event, default_authority = parsed.event, context.default_authority
    if event in MERGES:
        return _merges(parsed, default_authority)
    if event in MOVES:
        return _moves(parsed, default_authority)
    pids = list(parsed.all("PID"))
    patients = [read_patient(pid, default_authority) for pid in pids]
    known = tuple(patient for patient in patients if patient.identifiers)
    if event in LINKS:
        return Contents(identity_events=tuple(_links(known, event)))
    if event not in DEMOGRAPHICS:
        raise Refused("event-not-followed", "this ADT event changes neither a patient's number nor demographics")
    added = [Addition(identifier=p.identifiers[0], event=event) for p in known] if event == "A28" else []
    told = [deaths.read(parsed, pid, patient, context) for pid, patient in zip(pids, patients, strict=True)]
    return Contents(
        identity_events=tuple(added),
        demographics=known,
        outcomes=tuple(one for one in told if isinstance(one, Outcome)),
        left_out=tuple(one for one in told if isinstance(one, LeftOut)),
    )


def _pairs(parsed: Message, default_authority: str) -> list[tuple[Patient, Segment]]:
    """Each MRG with the PID before it. Raises Refused (`merge-incomplete`)."""
    pairs, patient = [], None
    for segment in parsed.segments:
        if segment.name == "PID":
            patient = read_patient(segment, default_authority)
        elif segment.name == "MRG" and patient is not None:
            pairs.append((patient, segment))
    if not pairs or not all(patient.identifiers for patient, _ in pairs):
        raise Refused("merge-incomplete", "the event needs a PID with a number and an MRG after it; nothing was merged")
    return pairs


def _prior(mrg: Segment, patient: Patient, default_authority: str) -> tuple[Identifier, ...]:
    """MRG-1. A bare number belongs to the authority of the only number in PID; with several it is the site's own."""
    only = patient.identifiers[0].authority if len(patient.identifiers) == 1 else default_authority
    prior = identifiers(mrg, 1, only)
    if not prior:
        raise Refused("merge-incomplete", "MRG-1 holds no number; nothing was merged")
    return prior


def _merges(parsed: Message, default_authority: str) -> Contents:
    events: list[IdentityEvent] = []
    pairs = _pairs(parsed, default_authority)
    for patient, mrg in pairs:
        events += _merge(patient, _prior(mrg, patient, default_authority), parsed.event)
    if not events:
        raise Refused("merge-into-itself", "MRG-1 and PID-3 name the same numbers; nothing was merged")
    return Contents(
        identity_events=tuple(events), demographics=tuple(_survivor(patient, events) for patient, _ in pairs)
    )


def _merge(patient: Patient, prior: tuple[Identifier, ...], event: str) -> list[IdentityEvent]:
    """What MRG-1 retires. PID-3 may list the retired numbers as well, in any place: they survive nothing.

    A number that stands in both, with no other of its authority beside it, goes on as it is.
    """
    before = {one.identity for one in prior}
    new = [one for one in patient.identifiers if one.identity not in before]
    unchanged = {one.identity for one in patient.identifiers} & before
    events: list[IdentityEvent] = []
    for one in prior:
        surviving = _surviving(one, new)
        if surviving is not None:
            events.append(Merge(retired=one, surviving=surviving, event=event))
        elif one.identity not in unchanged:
            text = "MRG-1 names a number of an authority and type that PID-3 does not name"
            raise Refused("merge-unmatched", text)
    return events


def _surviving(retired: Identifier, candidates: list[Identifier]) -> Identifier | None:
    """The number of the same authority and kind, of the same type where there is one."""
    same = [known for known in candidates if known.identity[:2] == retired.identity[:2]]
    return next((known for known in same if known.type == retired.type), same[0] if same else None)


def _survivor(patient: Patient, events: list[IdentityEvent]) -> Patient:
    """The patient without the numbers that the message retires."""
    retired = {event.retired.identity for event in events if isinstance(event, Merge)}
    kept = tuple(one for one in patient.identifiers if one.identity not in retired)
    return Patient(
        identifiers=kept or patient.identifiers,
        birth_date=patient.birth_date,
        sex=patient.sex,
        family_name=patient.family_name,
        given_name=patient.given_name,
    )


def _links(patients: tuple[Patient, ...], event: str) -> list[IdentityEvent]:
    """Both people's numbers of one authority; where they share none, the numbers under which results go out."""
    if len(patients) < 2:
        raise Refused("merge-incomplete", "the event needs two PID segments with a number each; nothing was linked")
    events: list[IdentityEvent] = []
    for one, other in pairwise(patients):
        same = [
            (first, second)
            for first in one.identifiers
            for second in other.identifiers
            if first.identity[:2] == second.identity[:2] and first.identity != second.identity
        ]
        pairs = same or [(one.identifiers[0], other.identifiers[0])]
        events += [
            Link(first=first, second=second, linked=LINKS[event], event=event)
            for first, second in pairs
            if first.identity != second.identity
        ]
    if not events:
        raise Refused("merge-into-itself", "both PID segments name the same number; nothing was linked")
    return events


def _moves(parsed: Message, default_authority: str) -> Contents:
    events = [
        Move(
            source=source,
            target=patient.identifiers[0],
            visits=tuple(
                filter(None, (mrg.leaf(part.split(mrg.delimiters.component), 1) for part in mrg.repetitions(5)))
            ),
            event=parsed.event,
        )
        for patient, mrg in _pairs(parsed, default_authority)
        for source in _prior(mrg, patient, default_authority)
    ]
    return Contents(identity_events=tuple(events))
