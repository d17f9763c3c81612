"""Reads ADT messages: who a patient is (A01, A04, A08 …) and which numbers became one (A40, A47 …; HL7 2.5.1 chapter 3)."""

from ecgfm_connectors.contents import Contents, IdentityEvent
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.hl7.pid import identifiers, read_patient
from ecgfm_connectors.patient import Identifier, Patient

#: Trigger events whose PID tells the patient's demographics.
DEMOGRAPHICS = ("A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A13", "A28", "A31")
#: Trigger events that end the use of an identifier: §3.3.18, .30, .34, .36, .39, .40, .46, .47.
MERGES = ("A18", "A30", "A34", "A36", "A39", "A40", "A46", "A47")


def read(parsed: Message, default_authority: str) -> Contents:
    """Demographics and identity events of one ADT message; empty for events that tell neither.

    Raises Refused (`merge-unmatched`) where MRG names a number whose authority PID does not: which of several numbers
    survives it is then a guess, and a guess would give results to the wrong patient.
    """
    if parsed.event not in DEMOGRAPHICS + MERGES:
        return Contents()
    patients: list[Patient] = []
    events: list[IdentityEvent] = []
    for segment in parsed.segments:
        if segment.name == "PID":
            patients.append(read_patient(segment, default_authority))
        elif segment.name == "MRG" and parsed.event in MERGES and patients:
            events += _events(segment, patients[-1], parsed.event, default_authority)
    return Contents(
        identity_events=tuple(events),
        demographics=tuple(patient for patient in patients if patient.identifiers),
    )


def _events(mrg: Segment, patient: Patient, event: str, default_authority: str) -> list[IdentityEvent]:
    # A bare number in MRG belongs to the authority of the only number in PID; with several it is the site's own.
    only = patient.identifiers[0].authority if len(patient.identifiers) == 1 else default_authority
    events = []
    for retired in identifiers(mrg, 1, only):
        surviving = _surviving(retired, patient)
        if surviving != retired:
            events.append(IdentityEvent(retired=retired, surviving=surviving, event=event))
    return events


def _surviving(retired: Identifier, patient: Patient) -> Identifier:
    same = [known for known in patient.identifiers if known.authority.casefold() == retired.authority.casefold()]
    same_type = [known for known in same if known.type == retired.type] or same
    if not same_type:
        raise Refused("merge-unmatched", "MRG-1 names a number of an authority that PID-3 does not name")
    return same_type[0]
