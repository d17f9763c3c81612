"""Writes acknowledgements of received messages and reads those of sent ones (HL7 2.5.1 §2.9, MSA §2.15.8, ERR §2.15.5).

Original mode (MSH-15 and MSH-16 empty): one application acknowledgement AA, AE or AR. Enhanced mode (either valued):
an accept acknowledgement CA, CE or CR as MSH-15 asks, then an application acknowledgement as MSH-16 asks.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast, get_args

from ecgfm_connectors.base import Disposition, Verdict
from ecgfm_connectors.errors import ProtocolViolation, Unreadable
from ecgfm_connectors.hl7 import batch, charset, escapes, message
from ecgfm_connectors.hl7.escapes import STANDARD
from ecgfm_connectors.hl7.group import entity
from ecgfm_connectors.hl7.message import Segment
from ecgfm_connectors.result import Ack

Code = Literal["AA", "AE", "AR", "CA", "CE", "CR"]  # table 0008

#: HL7 table 0357, the codes that this program uses.
CONDITIONS = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}

#: Reason codes that the standard answers with a reject (AR, CR) and its own condition; all other failures are AE.
REJECTS = {
    "unsupported-type": "200",
    "unsupported-event": "201",
    "unsupported-processing-id": "202",
    "unsupported-version": "203",
    "unknown-sender": "204",
}

#: Reason codes of sound messages without ECG, outcome or identity event: an interface engine must not stop at them.
NOTHING_FOR_US = frozenset({"no-ecg", "event-not-followed", "other-order"})

_ERROR_CONDITIONS = {
    "patient-mismatch": "204",
    "not-hl7": "100",
    "single-segment": "100",
    "identifier-damaged": "102",
    "order-incomplete": "101",
}
_TABLE = "HL70357"
_LOCAL = "99ECGFM"
_UNREADABLE_HEADER = Segment(("MSH", STANDARD.encoding_characters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A verdict in the terms of an acknowledgement."""

    outcome: Literal["accept", "error", "reject"]
    kept: bool  #: whether the message is in safe storage, which is what an accept acknowledgement speaks of
    condition: str  #: table 0357
    reason: str = ""  #: our reason code → ERR-5
    text: str = ""


def judge(verdict: Verdict) -> Answer:
    """How a disposition is answered; TRY_LATER is an error with condition 207, so that the sender repeats."""
    disposition, code = verdict.disposition, verdict.code
    kept = disposition is not Disposition.TRY_LATER
    if disposition in (Disposition.STAGED, Disposition.DUPLICATE):
        return Answer(outcome="accept", kept=True, condition="0")
    if not kept:
        text = verdict.text or "try later"
        return Answer(outcome="error", kept=False, condition="207", reason=code or "try-later", text=text)
    if code in NOTHING_FOR_US:
        return Answer(outcome="accept", kept=True, condition="0", text=verdict.text)
    if code in REJECTS:
        return Answer(outcome="reject", kept=True, condition=REJECTS[code], reason=code, text=verdict.text)
    condition = _ERROR_CONDITIONS.get(code, "102")  # not 207, which other systems take for "send it again"
    return Answer(outcome="error", kept=True, condition=condition, reason=code, text=verdict.text)


def build(inbound: bytes, verdict: Verdict, *, now: datetime, control_id: str) -> list[bytes]:
    """The acknowledgements of one inbound message, in the order they are sent; none where the sender asked for none.

    `now` (aware) is MSH-7, `control_id` our MSH-10. A message too damaged to have an MSH is answered in original mode
    with an empty MSA-2, and an acknowledgement is never itself acknowledged.
    """
    header = _header(inbound)
    answer = judge(verdict)
    if header.value(9).upper() in ("ACK", "MCF"):
        return []
    codes = _codes(header, answer)
    if not codes and header is _UNREADABLE_HEADER:
        codes = ["AE"]
    return [
        _compose(header, code, answer, now, control_id if index == 0 else f"{control_id}-{index + 1}"[-20:])
        for index, code in enumerate(codes)
    ]


def parse(content: bytes) -> Ack:
    """An acknowledgement as received. Raises ProtocolViolation where the frame holds none."""
    try:
        received = message.parse(content)
    except Unreadable as error:
        raise ProtocolViolation(f"the peer answered with something that is not HL7 ({error.code})") from error
    msa = received.first("MSA")
    code = msa.value(1).upper() if msa else ""
    if msa is None:
        raise ProtocolViolation("the peer answered with a message that is no acknowledgement")
    if code not in get_args(Code):
        # Three letters or digits at most: what stands there may quote anything, and this text is logged.
        shown = code if len(code) <= 3 and code.isascii() and code.isalnum() else "something else"
        raise ProtocolViolation(f"the peer answered with {shown} in MSA-1, which is no code of HL7 table 0008")
    texts = [msa.value(3)]
    error_code = msa.value(6)
    for err in received.all("ERR"):
        error_code = err.value(3) or err.value(1, 4) or error_code
        texts += [err.value(8) or err.value(3, 2) or err.value(1, 4, 2)]
    text = "; ".join(dict.fromkeys(part for part in texts if part))
    orc = received.first("ORC") if code == "AA" else None
    placer = entity(orc, 2)
    return Ack(code=cast(Code, code), control_id=msa.value(2), text=text, error_code=error_code, placer=placer)


def plain_acceptance(content: bytes, control_id: str) -> Ack | None:
    """A bare AA or CA for this message, as nearly every answer is; None for any other answer, which `parse` reads."""
    if not content.startswith(b"MSH"):
        return None
    mark = content[3:4]
    segments = content.split(b"\r")
    answers = [segment.split(mark) for segment in segments if segment.startswith(b"MSA" + mark)]
    if len(answers) != 1 or any(segment.startswith((b"ERR", b"ORC")) for segment in segments) or b"\n" in content:
        return None
    _, code, number, *more = [*answers[0], b"", b""]
    if code not in (b"AA", b"CA") or number != control_id.encode() or any(more):
        return None
    return Ack(code="AA" if code == b"AA" else "CA", control_id=control_id)


def _header(inbound: bytes) -> Segment:
    try:
        return message.parse_header(batch.messages(inbound)[0])  # of a batch, the first message
    except Unreadable:
        return _UNREADABLE_HEADER


def _codes(header: Segment, answer: Answer) -> list[Code]:
    """MSA-1 of each acknowledgement owed, by the two conditions of table 0155 (AL, NE, ER, SU)."""
    accept_when, application_when = header.value(15).upper(), header.value(16).upper()
    application: dict[str, Code] = {"accept": "AA", "error": "AE", "reject": "AR"}
    if not accept_when and not application_when:
        return [application[answer.outcome]]
    commit: Code = "CR" if answer.outcome == "reject" else "CA" if answer.kept else "CE"
    codes: list[Code] = []
    if _wanted(accept_when, success=commit == "CA"):
        codes.append(commit)
    if (commit == "CA" or not accept_when) and _wanted(application_when, success=answer.outcome == "accept"):
        codes.append(application[answer.outcome])
    return codes


def _wanted(condition: str, *, success: bool) -> bool:
    return condition == "AL" or condition == ("SU" if success else "ER")


def _compose(header: Segment, code: Code, answer: Answer, now: datetime, control_id: str) -> bytes:
    """MSH MSA [ERR] in the sender's own delimiters, so that echoed fields need no second escaping."""
    marks = header.delimiters
    version = header.value(12)
    old = version in message.VERSIONS and message.VERSIONS.index(version) < message.VERSIONS.index("2.5")
    event = header.value(9, 2)
    kind = marks.component.join(filter(None, ("ACK", escapes.escape(event, marks), "" if old else "ACK" * bool(event))))
    enhanced = ["NE", "NE"] if code[0] == "A" and (header.raw(15) or header.raw(16)) else ["", ""]
    msh = ["MSH", marks.encoding_characters.replace("\x00", "")]
    msh += [header.raw(5), header.raw(6), header.raw(3), header.raw(4), timestamp(now), "", kind, control_id]
    msh += [header.raw(11) or "P", header.raw(12) or "2.5.1", "", "", *enhanced, "", header.raw(18)]
    msa = ["MSA", code, header.raw(10)]
    failed = code not in ("AA", "CA")
    if failed and old:
        msa += [escapes.escape(answer.text, marks)[:80]]
    segments = [msh, msa] + ([_err(answer, marks, old=old)] if failed else [])
    text = "\r".join(marks.field.join(fields).rstrip(marks.field) for fields in segments) + "\r"
    codec = charset.codec_named(header.value(18)) or ("utf-8" if header.codec == "ascii" else header.codec)
    return text.encode(codec, "replace").replace(b"\x0b", b"").replace(b"\x1c", b"")


def _err(answer: Answer, marks: escapes.Delimiters, *, old: bool) -> list[str]:
    name = CONDITIONS[answer.condition]
    if old:  # ERR-1 error code and location, before 2.5
        return ["ERR", marks.component * 3 + marks.subcomponent.join((answer.condition, name, _TABLE))]
    coded = marks.component.join((answer.condition, name, _TABLE))
    reason = marks.component.join((escapes.escape(answer.reason, marks), "", _LOCAL)) if answer.reason else ""
    return ["ERR", "", "", coded, "E", reason, "", "", escapes.escape(answer.text, marks)[:250]]


def timestamp(moment: datetime) -> str:
    """TS/DTM with seconds and zone (§2.A.77). `moment` must be aware."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be sent")
    return moment.strftime("%Y%m%d%H%M%S%z")[:19]


def reaction(acknowledgement: Ack, *, ae_means_busy: bool = False) -> Literal["done", "retry", "dead"]:
    """What follows from an acknowledgement (table 0008): finished, send again, or a person must look.

    AE and CE speak of the content: sending it again changes nothing, unless this receiver is known to answer AE also
    when it only wants a repeat (`ae_means_busy`) and names no cause in the message. AR and CR are either about
    MSH-9/11/12 (ERR-3 200–203, and 204: the receiver does not know this sender), which a person must mend, or about the
    receiver's state. The caller decides how often it follows "retry".
    """
    match acknowledgement.code:
        case "AA" | "CA":
            return "done"
        case "AE" | "CE":
            about_content = acknowledgement.error_code not in ("", "0", "206", "207")
            return "retry" if ae_means_busy and not about_content else "dead"
        case "AR" | "CR":
            return "dead" if acknowledgement.error_code in ("200", "201", "202", "203", "204") else "retry"
        case _:
            raise ValueError(f"{acknowledgement.code} is no code of HL7 table 0008")
