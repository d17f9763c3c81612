"""Reads an inbound HL7 v2 message or batch: ECGs inside OBX, with patient and order; ADT and measured outcomes.

Identity of an ECG (`Ecg.source_id`): an embedded DICOM object keeps its SOP Instance UID, because the same recording
also arrives by C-STORE and must be staged once. Everything else is known by who sent it (MSH-3, MSH-4), its filler
number (OBR-3), where it stood (OBX-1, OBX-4) and when it was recorded, so that the preliminary, the final and the
corrected message of one recording are known as one. Without a filler number or a time MSH-10 takes their place. An
aECG's own id is not used, since exports repeat it between recordings.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import Literal

from ecgfm_connectors.contents import Contents, Withdrawal
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import AcquiredAt, Ecg, Finding, Order
from ecgfm_connectors.errors import PayloadError, Refused, Unreadable
from ecgfm_connectors.hl7 import adt, embedded, message, waveform
from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.hl7.outcomes import reading as outcomes
from ecgfm_connectors.hl7.outcomes.order import Order as OutcomeOrder
from ecgfm_connectors.hl7.pid import read_patient
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.people import are_two_people, contradict, differences, share_a_number
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.vocabularies import SCHEMES, from_code
from ecgfm_connectors.times import acquired_at, parse_timestamp

ReadEmbedded = Callable[[bytes, ReadingContext], Contents]

#: MSH-9.1 of the messages that are read; any other message is answered AR, 200.
MESSAGE_TYPES = ("ORU", "MDM", "ADT")

#: Reason codes of messages without ECG, outcome or identity event.
NOTHING = ("no-ecg", "event-not-followed")
#: OBX-11 by which a sender takes back what it sent (table 0085): posted wrongly, deleted, cannot be obtained.
_TAKEN_BACK: dict[str, Literal["W", "D", "X"]] = {"W": "W", "D": "D", "X": "X"}

_MISMATCH = Finding(code="two-people", text="PID and the embedded ECG name different patients of one authority")

_VERSION = re.compile(r"2(\.\d+)*")
_ECG_WORDS = re.compile(r"\b(ECG|EKG)|electrocardio|93000|93005|11524-6", re.IGNORECASE)  # CPT and LOINC of an ECG


class _TwoNumbers(Refused):
    """PID and the ECG inside have two numbers of one authority: refused by itself, held for a person beside others."""

    def __init__(self, ecg: Ecg) -> None:
        super().__init__("patient-mismatch", _MISMATCH.text)
        self.ecg = ecg


@dataclass(slots=True)
class Group:
    """The segments of one order, as far as they matter here; an OBX without an OBR before it has `obr` None."""

    patient: Patient
    pv1: Segment | None = None
    orc: Segment | None = None
    obr: Segment | None = None
    txa: Segment | None = None
    timing: list[Segment] = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)
    observations: list[Segment] = field(default_factory=list)


def read_message(content: bytes, context: ReadingContext, read_embedded: ReadEmbedded) -> Contents:
    """Everything of interest in one message, or in a batch file of many.

    Where one part of several is bad, the good ones are returned and the bad one is a finding. Raises Unreadable or
    Refused where nothing of use is left: for the damage if there is any, else for the most telling refusal.
    """
    found, errors = Contents(findings=message.batch_count_findings(content)), list[PayloadError]()
    for item in message.messages(content):
        try:
            found = _joined(found, _read_one(item, context, read_embedded, errors))
        except PayloadError as error:
            errors.append(error)
    if found == Contents(findings=found.findings):
        raise _most_telling(errors)
    doubtful = tuple(error.ecg for error in errors if isinstance(error, _TwoNumbers))
    kept = [error for error in errors if error.code not in NOTHING and not isinstance(error, _TwoNumbers)]
    findings = found.findings + tuple(Finding(code=e.code, text=e.text) for e in kept)
    return replace(found, ecgs=found.ecgs + doubtful, findings=findings)


def _read_one(
    content: bytes, context: ReadingContext, read_embedded: ReadEmbedded, errors: list[PayloadError]
) -> Contents:
    parsed = message.parse(content)
    if parsed.version and not _VERSION.fullmatch(parsed.version):
        raise Refused("unsupported-version", "MSH-12 is not a version 2 of HL7")
    if parsed.code not in MESSAGE_TYPES:
        raise Refused("unsupported-type", f"MSH-9 {parsed.code[:3]} is not one of {', '.join(MESSAGE_TYPES)}")
    result = Contents(findings=parsed.findings)
    if parsed.code == "ADT":
        return _joined(result, adt.read(parsed, context.default_authority))
    for group in groups(parsed, context.default_authority):
        result = _joined(result, _read_group(parsed, group, context, read_embedded, errors, content))
    return result


def groups(parsed: Message, default_authority: str) -> Iterator[Group]:
    """The orders of a message, each with the patient before it and the observations after it."""
    current = Group(Patient())
    for segment in parsed.segments[1:]:
        match segment.name:
            case "PID":
                yield current
                current = Group(read_patient(segment, default_authority))
            case "PV1":
                current.pv1 = segment
            case "ORC":
                yield current
                current = Group(current.patient, current.pv1, orc=segment)
            case "OBR":
                if current.obr is not None or current.observations:
                    yield current
                    current = Group(current.patient, current.pv1)
                current.obr = segment
            case "TQ1":
                current.timing.append(segment)
            case "TXA":
                current.txa = segment
            case "SPM":
                current.specimens.append(segment)
            case "OBX":
                current.observations.append(segment)
    yield current


def _read_group(
    parsed: Message,
    group: Group,
    context: ReadingContext,
    read_embedded: ReadEmbedded,
    errors: list[PayloadError],
    content: bytes,
) -> Contents:
    measured = outcomes.read(
        OutcomeOrder(
            parsed=parsed,
            patient=group.patient,
            obr=group.obr,
            txa=group.txa,
            specimens=tuple(group.specimens),
            filler=entity(group.obr, 3) or entity(group.obr, 2) or entity(group.txa, 12),
            zone=context.zone,
            table=context.outcome_table,
        ),
        group.observations,
    )
    result = Contents(outcomes=measured.outcomes, left_out=measured.left_out, findings=measured.findings)
    taken_back = [obx for obx in group.observations if _status(obx) in _TAKEN_BACK and _holds_ecg(group, obx)]
    withdrawn = tuple(
        _withdrawal(parsed, group, together, context, read_embedded, content) for together in _recordings_in(taken_back)
    )
    result = _joined(result, Contents(withdrawals=withdrawn))
    standing = replace(group, observations=[obx for obx in group.observations if obx not in taken_back])
    try:
        result = _joined(result, Contents(ecgs=_written_out(parsed, standing, context, content)))
    except PayloadError as error:
        errors.append(error)
    for obx in filter(embedded.carries_file, standing.observations):
        try:
            inner = read_embedded(embedded.file_of(obx, context.allowed_roots), context)
            if _status(obx) in _TAKEN_BACK:  # its words do not say what the file is
                undone = _undone(inner, parsed, group, obx, context, read_embedded, content)
                result = _joined(result, undone)
                continue
            enriched = [
                _enrich(ecg, _suffix(index), parsed, group, obx, context, content)
                for index, ecg in enumerate(inner.ecgs)
            ]
            doubtful = [ecg for ecg in enriched if _MISMATCH in ecg.findings]
            errors += [_TwoNumbers(ecg) for ecg in doubtful]
            certain = tuple(ecg for ecg in enriched if _MISMATCH not in ecg.findings)
            result = _joined(result, replace(_of_this_patient(inner, group.patient, context), ecgs=certain))
        except PayloadError as error:
            errors.append(_nothing() if _is_of_others(error, group, obx) else error)
    return result


def _undone(
    inner: Contents,
    parsed: Message,
    group: Group,
    obx: Segment,
    context: ReadingContext,
    read_embedded: ReadEmbedded,
    content: bytes,
) -> Contents:
    """What a file holds that its sender takes back. Raises Refused (`patient-mismatch`)."""
    outcomes = _of_this_patient(inner, group.patient, context).outcomes
    named = _withdrawal(parsed, group, [obx], context, read_embedded, content)
    return Contents(
        outcomes=tuple(replace(one, status="withdrawn") for one in outcomes), withdrawals=(named,) if inner.ecgs else ()
    )


def _of_this_patient(inner: Contents, patient: Patient, context: ReadingContext) -> Contents:
    """The outcomes of an embedded report, under the message's patient. Raises Refused (`patient-mismatch`)."""
    for one in inner.outcomes:
        if _name_two(one.patient, patient, context) or are_two_people(one.patient, patient):
            raise Refused("patient-mismatch", "PID and the embedded report name different patients")
    if not patient.identifiers:
        return inner
    return replace(
        inner,
        outcomes=tuple(replace(one, patient=patient) for one in inner.outcomes),
        left_out=tuple(replace(one, patient=patient) for one in inner.left_out),
    )


def _is_of_others(error: PayloadError, group: Group, obx: Segment) -> bool:
    """A feed of all results holds many reports of other departments, some of them empty or cancelled: only one about an
    ECG is an error.
    """
    excused = error.code in (*embedded.REPORTS, "empty") or _status(obx) in _TAKEN_BACK
    return excused and not _about_ecg(group, obx)


def _status(obx: Segment) -> str:
    return obx.value(11).upper()


def _holds_ecg(group: Group, obx: Segment) -> bool:
    """Whether an OBX is, or stands for, a recording: a sender that takes one back may leave its value out."""
    if waveform.is_part_of_waveform(obx):
        return True
    return (embedded.carries_file(obx) or not obx.raw(5)) and _about_ecg(group, obx)


def _recordings_in(observations: Sequence[Segment]) -> list[list[Segment]]:
    """Each file by itself; what is spread over several OBX, or was left out by its sender, together."""
    files = [obx for obx in observations if embedded.carries_file(obx) and obx.raw(5)]
    rest = [obx for obx in observations if obx not in files]
    if files:  # an empty text beside a file is its report, and no recording of its own
        rest = [obx for obx in rest if waveform.is_part_of_waveform(obx) or embedded.carries_file(obx)]
    return [[obx] for obx in files] + ([rest] if rest else [])


def _withdrawal(
    parsed: Message,
    group: Group,
    observations: Sequence[Segment],
    context: ReadingContext,
    read_embedded: ReadEmbedded,
    content: bytes,
) -> Withdrawal:
    """The recording that the sender takes back, by every number under which it may be known."""
    named = {source_id(parsed, group, obx, content, _time_of(parsed, group, obx, context.zone)) for obx in observations}
    for obx in observations:
        named |= _numbers_inside(parsed, group, obx, context, read_embedded, content)
    return Withdrawal(
        source_ids=tuple(sorted(named)),
        order_id=order_id(parsed, group),
        filler=entity(group.obr, 3),
        patient=group.patient,
        status=_TAKEN_BACK[_status(observations[0])],
    )


def _numbers_inside(
    parsed: Message, group: Group, obx: Segment, context: ReadingContext, read_embedded: ReadEmbedded, content: bytes
) -> set[str]:
    """The numbers of the recordings in a file; none where it can't be read, or nothing was sent again."""
    if not (embedded.carries_file(obx) and obx.raw(5)):
        return set()
    try:
        inner = read_embedded(embedded.file_of(obx, context.allowed_roots), context)
    except PayloadError:  # the value may be void: its number and place say which recording is meant
        return set()
    return {
        ecg.source_id
        if ecg.format == "dicom"
        else source_id(parsed, group, obx, content, ecg.acquired or _time_of(parsed, group, obx, context.zone))
        + _suffix(index)
        for index, ecg in enumerate(inner.ecgs)
    }


def _suffix(index: int) -> str:
    """Tells several ECGs of one file apart."""
    return f"#{index}" if index else ""


def _written_out(parsed: Message, group: Group, context: ReadingContext, content: bytes) -> tuple[Ecg, ...]:
    """The ECG whose samples stand in the message itself, sample by sample."""
    recording = waveform.read_recording(group.observations)
    if recording is None:
        return ()
    ecg = Ecg(
        source_id="",
        format="hl7-waveform",
        patient=Patient(),
        acquired=_located(parsed, recording.started, context.zone),
        sampling_rate=recording.sampling_rate,
        signal=recording.assembled.signal,
        stored_leads=recording.assembled.stored_leads,
        derived_leads=recording.assembled.derived_leads,
        findings=recording.assembled.findings,
    )
    return (_enrich(ecg, "", parsed, group, recording.first, context, content),)


def _about_ecg(group: Group, obx: Segment) -> bool:
    named = obx.raw(3) + " " + obx.raw(5)[:80] + " " + (group.obr.raw(4) if group.obr else "")
    return _ECG_WORDS.search(named) is not None


def _nothing() -> Refused:
    return Refused("no-ecg", "the message holds no ECG, outcome or identity change")


def _enrich(
    ecg: Ecg, suffix: str, parsed: Message, group: Group, obx: Segment, context: ReadingContext, content: bytes
) -> Ecg:
    """Add what the message knows and the embedded object does not.

    `suffix` tells several ECGs of one file apart.
    """
    patient, also_named, findings = _one_patient(ecg.patient, group.patient, context)
    statements, measurements = _texts(group.observations)
    acquired = ecg.acquired or _time_of(parsed, group, obx, context.zone)
    named = source_id(parsed, group, obx, content, acquired) + suffix
    return replace(
        ecg,
        source_id=ecg.source_id if ecg.format == "dicom" else named,
        patient=patient,
        also_named=also_named,
        acquired=acquired,
        order=_filled(ecg.order, order_of(group)),
        order_id=order_id(parsed, group),
        corrects=_status(obx) == "C",
        final=_status(obx) == "F",
        statements=ecg.statements or statements,
        coded=ecg.coded or _coded(group.observations),
        measurements=ecg.measurements or measurements,
        findings=ecg.findings + findings,
        test_data=ecg.test_data or parsed.msh.value(11).upper() in ("T", "D"),
    )


def _one_patient(
    inner: Patient, outer: Patient, context: ReadingContext
) -> tuple[Patient, Patient | None, tuple[Finding, ...]]:
    """The patient of an embedded object and of its message as one. A wrong patient is the worst error there is.

    Where the two speak of two people, the message's patient is taken, the object's is given beside it, and the finding
    `two-people` says that a person must decide.
    """
    if _name_two(inner, outer, context):
        return outer, inner, (_MISMATCH,)
    if are_two_people(inner, outer):
        what = " and ".join(differences(inner, outer))
        text = f"PID and the embedded ECG differ in {what}: they seem to name two people"
        kept = outer if outer.identifiers or not inner.identifiers else inner
        return kept, inner if kept is outer else outer, (Finding(code="two-people", text=text),)
    if _agrees(inner, outer, context.default_authority):
        inner = replace(inner, identifiers=())
    elif _agrees(outer, inner, context.default_authority):
        outer = replace(outer, identifiers=())
    if not inner.identifiers or not outer.identifiers:
        kept = outer if outer.identifiers else inner
        return _completed(kept, inner if kept is outer else outer), None, _smaller_differences(inner, outer)
    findings = []
    if not share_a_number(inner, outer):
        text = "PID and the embedded ECG name the patient by different authorities; nothing links the two"
        findings.append(Finding(code="patient-unconfirmed", text=text))
    union = {known.identity: known for known in (*inner.identifiers, *outer.identifiers)}
    ordered = dict.fromkeys(known.identity for known in (*outer.identifiers, *inner.identifiers))
    joined = replace(_completed(outer, inner), identifiers=tuple(union[identity] for identity in ordered))
    return joined, None, (*findings, *_smaller_differences(inner, outer))


def _name_two(one: Patient, other: Patient, context: ReadingContext) -> bool:
    """Whether an authority gave both different numbers that no merge has made one: a cart often keeps the old one."""
    return contradict(one, other) and not context.one_person(one, other)


def _smaller_differences(inner: Patient, outer: Patient) -> tuple[Finding, ...]:
    """A single difference does not stop the message; it becomes a finding."""
    codes = {
        "birth date": Finding(code="birth-date-differs", text="PID-7 and the embedded ECG differ"),
        "family name": Finding(code="name-differs", text="PID-5 and the embedded ECG differ"),
        "sex": Finding(code="sex-differs", text="PID-8 and the embedded ECG differ"),
    }
    return tuple(codes[what] for what in differences(inner, outer))


def _agrees(bare: Patient, full: Patient, default_authority: str) -> bool:
    """Whether every number of `bare` came without an authority and the other side has it with its true one.

    Where the other side has a number of the site's own authority too, the site's number is compared instead: a bare
    number that reads like another authority's number is no agreement.
    """
    own = default_authority.strip().casefold()
    if any(known.identity[:2] == (own, "MR") for known in full.identifiers):
        return False
    told = {known.identity[2] for known in full.identifiers}
    return bool(bare.identifiers) and all(
        known.identity[0] == own and known.identity[2] in told for known in bare.identifiers
    )


def _completed(patient: Patient, other: Patient) -> Patient:
    return replace(
        patient,
        birth_date=patient.birth_date or other.birth_date,
        sex=patient.sex if patient.sex != "U" else other.sex,
        family_name=patient.family_name or other.family_name,
        given_name=patient.given_name or other.given_name,
    )


def source_id(parsed: Message, group: Group, obx: Segment, content: bytes, acquired: AcquiredAt | None) -> str:
    """Who sent this recording, under which number, where it stood and when it was recorded.

    Without a filler number or a time MSH-10 takes its place, and without MSH-10 the bytes themselves. A time goes with
    MSH-10 as well: counters begin anew, and several carts may count under one name.
    """
    filler = entity(group.obr, 3) if group.obr else ""
    position = f"{obx.value(1)}.{obx.value(4)}"
    sender = (parsed.msh.raw(3), parsed.msh.raw(4))
    moment = (acquired.at.astimezone(UTC).isoformat(timespec="seconds"),) if acquired is not None else ()
    if filler and moment:
        return "hl7:" + "|".join((*sender, filler, position, *moment))
    control_id = parsed.control_id or hashlib.sha256(content).hexdigest()[:32]
    return "hl7:" + "|".join((*sender, control_id, filler, position, *moment))


def order_id(parsed: Message, group: Group) -> str:
    """Sender and filler number; empty where there is no filler number."""
    filler = entity(group.obr, 3) if group.obr else ""
    return "|".join((parsed.msh.raw(3), parsed.msh.raw(4), filler)) if filler else ""


def order_of(group: Group) -> Order:
    """The order numbers with their components (`ID^NAMESPACE`), so that they can be echoed whole."""
    orc, obr, txa = group.orc, group.obr, group.txa
    return Order(
        placer=entity(obr, 2) or entity(orc, 2) or entity(txa, 14),
        filler=entity(obr, 3) or entity(orc, 3) or entity(txa, 15),
        visit=group.pv1.value(19) if group.pv1 else "",
        stat=_is_stat(group),
    )


def entity(segment: Segment | None, number: int) -> str:
    """An EI, unescaped, its components joined as HL7 writes them."""
    if segment is None:
        return ""
    parts = segment.components(number)
    return "^".join(segment.leaf(parts, index) for index in range(1, len(parts) + 1)).rstrip("^")


def _is_stat(group: Group) -> bool:
    """STAT in OBR-5, ORC-7.6, OBR-27.6 (before 2.5) or TQ1-9."""
    priorities = [timing.value(9) for timing in group.timing]
    if group.obr:
        priorities += [group.obr.value(5), group.obr.value(27, 6)]
    if group.orc:
        priorities.append(group.orc.value(7, 6))
    return any(priority.upper() in ("S", "STAT") for priority in priorities)


def _filled(order: Order, other: Order) -> Order:
    return Order(
        placer=order.placer or other.placer,
        filler=order.filler or other.filler,
        accession=order.accession or other.accession,
        study_uid=order.study_uid or other.study_uid,
        visit=order.visit or other.visit,
        stat=order.stat or other.stat,
    )


def _time_of(parsed: Message, group: Group, obx: Segment, site: tzinfo) -> AcquiredAt | None:
    """When the ECG was recorded: OBX-14, else OBR-7."""
    candidates = (obx.value(14), group.obr.value(7) if group.obr else "")
    return next((moment for text in candidates if (moment := _located(parsed, text, site))), None)


def _located(parsed: Message, text: str, site: tzinfo) -> AcquiredAt | None:
    """A TS with its zone: the zone beside it, else that of MSH-7, else the site's."""
    header = parse_timestamp(parsed.msh.value(7))
    return acquired_at(text, site=site, message=header.tzinfo if header else None)


def _texts(observations: list[Segment]) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The device's interpretation and measurements that stand beside the recording."""
    statements, measurements = [], []
    for obx in observations:
        kind = obx.value(2).upper()
        if embedded.carries_file(obx) or waveform.is_part_of_waveform(obx) or not obx.raw(5):
            continue
        if kind == "NM":
            name = obx.value(3, 2) or obx.value(3)
            measurements.append((name, f"{obx.value(5)} {obx.value(6)}".strip()))
        elif kind in ("ST", "TX", "FT"):
            statements.append(obx.text(5))
        elif kind in ("CE", "CWE", "CNE"):
            statements.append(obx.value(5, 2) or obx.value(5))
    return tuple(statements), tuple(measurements)


def _coded(observations: list[Segment]) -> tuple[Statement, ...]:
    """Statements beside the recording that are codes; of a vocabulary without a table here under its sender's name."""
    found = []
    for obx in observations:
        scheme = obx.value(5, 3) if obx.value(2).upper() in ("CE", "CWE", "CNE") else ""
        source = SCHEMES.get(scheme.upper())
        beside = not (embedded.carries_file(obx) or waveform.is_part_of_waveform(obx))
        if beside and scheme and not source and obx.value(5):
            found.append(from_code(scheme, obx.value(5), obx.value(5, 2) or obx.value(5)))
        elif source:  # MUSE joins the codes of one sentence by the subcomponent separator: 21&101
            parts = [obx.value(5, 1, number) for number in range(1, 9)]
            found += [from_code(source, part, obx.value(5, 2)) for part in parts if part]
    return tuple(found)


def _joined(one: Contents, other: Contents) -> Contents:
    return Contents(
        ecgs=one.ecgs + other.ecgs,
        outcomes=one.outcomes + other.outcomes,
        left_out=one.left_out + other.left_out,
        identity_events=one.identity_events + other.identity_events,
        withdrawals=one.withdrawals + other.withdrawals,
        demographics=one.demographics + other.demographics,
        findings=one.findings + other.findings,
    )


def _most_telling(errors: list[PayloadError]) -> PayloadError:
    """Damage first, for it must be looked at; then why an ECG that was there cannot be taken; then that none was."""
    damaged = [error for error in errors if isinstance(error, Unreadable)]
    refused = [error for error in errors if error.code not in (*NOTHING, "unsupported-type")]
    chosen = damaged or refused or errors
    return chosen[0] if chosen else _nothing()
