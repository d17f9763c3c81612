"""Deaths that ADT messages tell: PID-29 (date and time) and PID-30 (indicator; HL7 2.5.1 §3.4.2.29, .30).

Kept only where the site asks for it. A death is an outcome of the number in PID-3, so that merges, corrections and
erasure hold for it as for a measured result. What is doubtful about it is left out with its reason.
"""

import hashlib
from datetime import UTC, datetime, timedelta

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.decision import DEATH, Decision, LeftOut, Source
from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.outcomes.observed import Observed, observed
from ecgfm_connectors.patient import Patient

EVENTS = ("A03", "A08", "A31")
_DELETED = '""'
_PLACE = "PID-29"


def read(parsed: Message, pid: Segment, patient: Patient, context: ReadingContext) -> Outcome | LeftOut | None:
    """The death, a former one taken back (PID-30 N, or PID-29 emptied), or why it is doubtful; None where the message
    says nothing of one, is a test, or the site keeps no deaths.
    """
    if not context.outcome_table.deaths or parsed.event not in EVENTS or not patient.identifiers:
        return None
    if parsed.msh.value(11).upper() in ("T", "D"):
        return None
    indicator, text, deleted = pid.value(30).upper(), pid.value(29), pid.raw(29) == _DELETED
    if indicator == "Y" or text:
        return _told(parsed, patient, context, indicator, text)
    return _outcome(parsed, patient, _sent(parsed, context), dead=False) if indicator == "N" or deleted else None


def _told(parsed: Message, patient: Patient, context: ReadingContext, indicator: str, text: str) -> Outcome | LeftOut:
    if indicator == "N":
        return _left_out(patient, "death-doubtful", "PID-30 says that the patient lives, PID-29 when he or she died")
    sent = _sent(parsed, context)
    moment = observed((text,), site=context.zone, message=sent.at.tzinfo)
    if moment is None:
        return _left_out(
            patient, "death-without-time", "the patient has died, and PID-29 holds no date that can be read"
        )
    if moment.at > sent.at + timedelta(days=1):
        return _left_out(patient, "death-doubtful", "PID-29 is later than the message itself", moment)
    if patient.birth_date is not None and moment.at.date() < patient.birth_date:
        return _left_out(patient, "death-doubtful", "PID-29 is earlier than the date of birth", moment)
    return _outcome(parsed, patient, moment, dead=True)


def _sent(parsed: Message, context: ReadingContext) -> Observed:
    """MSH-7; a message without one bounds nothing."""
    return observed((parsed.msh.value(7),), site=context.zone) or Observed(
        at=datetime.max.replace(tzinfo=UTC) - timedelta(days=2), precision="second"
    )


def _outcome(parsed: Message, patient: Patient, moment: Observed, *, dead: bool) -> Outcome:
    msh, number = parsed.msh, patient.identifiers[0]
    told = "|".join((msh.raw(3), msh.raw(4), number.authority, number.type, number.value))
    return Outcome(
        source_id="hl7-death:" + hashlib.sha256(told.encode()).hexdigest(),
        patient=patient,
        kind=DEATH,
        value=1.0 if dead else 0.0,
        unit="",
        code="",
        observed_at=moment.at,
        precision=moment.precision,
        status="final" if dead else "withdrawn",
        decision=Decision(rule="code", source=Source(place=_PLACE)),
    )


def _left_out(patient: Patient, reason: str, text: str, moment: Observed | None = None) -> LeftOut:
    return LeftOut(
        kind=DEATH,
        reason=reason,
        text=text,
        source=Source(place=_PLACE),
        patient=patient,
        observed_at=moment.at if moment else None,
    )
