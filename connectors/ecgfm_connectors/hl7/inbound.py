"""Reads an inbound HL7 v2 message or batch: ECGs inside OBX, with patient and order; ADT, measured outcomes, orders.

An embedded DICOM object keeps its SOP Instance UID as identity, because the same recording also arrives by C-STORE and
must be staged once. How everything else is known, `group` says.
"""

import re
from dataclasses import replace

from ecgfm_connectors.contents import Contents, ReceivedMessage
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg, Finding, Order
from ecgfm_connectors.errors import PayloadError, Refused, Unreadable
from ecgfm_connectors.hl7 import adt, batch, ecg_report, embedded, message, orders, waveform, withdrawals
from ecgfm_connectors.hl7.group import (
    Group,
    about_ecg,
    corrects,
    document_ids,
    entity,
    groups,
    located,
    order_id,
    order_of,
    says_ecg,
    source_id,
    status_of,
    suffix,
    time_of,
)
from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.hl7.one_patient import MISMATCH, name_two, one_patient
from ecgfm_connectors.hl7.outcomes import reading as outcomes
from ecgfm_connectors.hl7.outcomes.order import Order as OutcomeOrder
from ecgfm_connectors.hl7.withdrawals import ReadEmbedded
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.people import are_two_people
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.vocabularies import SCHEMES, from_code

#: MSH-9.1 of the messages that are read; any other message is answered AR, 200.
MESSAGE_TYPES = ("ORU", "MDM", "ADT", *orders.EVENTS)

#: Reason codes of messages without ECG, outcome or identity event.
NOTHING = ("no-ecg", "event-not-followed", "other-order")
#: Reason codes of parts that nobody misses beside a recording: reports for people, links to viewers, other messages.
_NOT_MISSED = frozenset({
    *NOTHING, *embedded.REPORTS, "empty", "nested-message", "pointer-not-followed", "pointer-outside", "pointer-scheme",
    "unsupported-type",
})  # fmt: skip

_VERSION = re.compile(r"2(\.\d+)*")


class _TwoNumbers(Refused):
    """PID and the ECG inside have two numbers of one authority: refused by itself, held for a person beside others."""

    def __init__(self, ecg: Ecg) -> None:
        super().__init__("patient-mismatch", MISMATCH.text)
        self.ecg = ecg


def read_message(content: bytes, context: ReadingContext, read_embedded: ReadEmbedded) -> Contents:
    """Everything of interest in one message, or in a batch file of many.

    Where one part of several is bad, the good ones are returned and the bad one is a finding; the sender hears of the
    good ones alone, so a bad one that may have been a recording is `not_taken` besides. Raises Unreadable or Refused
    where nothing of use is left: for the damage if there is any, else for the most telling refusal.
    """
    found, errors = Contents(findings=batch.batch_count_findings(content)), list[PayloadError]()
    heard: list[ReceivedMessage] = []
    for item in batch.messages(content):
        before, failed = len(found.ecgs), len(errors)
        outcomes_before = len(found.outcomes)
        try:
            found = _joined(found, _read_one(item, context, read_embedded, errors))
        except PayloadError as error:
            errors.append(error)
        gave = [*found.ecgs[before:], *(one.ecg for one in errors[failed:] if isinstance(one, _TwoNumbers))]
        given = (*(one.source_id for one in gave), *(one.source_id for one in found.outcomes[outcomes_before:]))
        heard += (replace(one, source_ids=given) for one in headers(item))
    if found == Contents(findings=found.findings):
        raise _most_telling(errors)
    doubtful = tuple(error.ecg for error in errors if isinstance(error, _TwoNumbers))
    kept = [error for error in errors if error.code not in NOTHING and not isinstance(error, _TwoNumbers)]
    told = tuple(Finding(code=error.code, text=error.text) for error in kept)
    missed = tuple(one for one in told if one.code not in _NOT_MISSED)
    return replace(
        found,
        ecgs=found.ecgs + doubtful,
        findings=found.findings + told,
        not_taken=found.not_taken + missed,
        messages=tuple(heard),
    )


def headers(content: bytes) -> tuple[ReceivedMessage, ...]:
    """Every message of the content by its header alone, whether the rest can be read or not; none where it is no HL7
    or a message has no number.
    """
    try:
        heads = [message.parse_header(item) for item in batch.messages(content)]
    except PayloadError:
        return ()
    return tuple(
        ReceivedMessage(control_id=head.value(10), sender=f"{head.value(3)}|{head.value(4)}".strip("|"))
        for head in heads
        if head.value(10)
    )


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
        return _joined(result, adt.read(parsed, context))
    if parsed.code in orders.EVENTS:
        return _joined(result, orders.read(parsed, context))
    for group in groups(parsed, context.default_authority):
        result = _joined(result, _read_group(parsed, group, context, read_embedded, errors, content))
    return result


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
            comments=tuple(group.comments),
            filler=entity(group.obr, 3) or entity(group.obr, 2) or entity(group.txa, 12),
            zone=context.zone,
            table=context.outcome_table,
            cancelled=withdrawals.cancels_document(parsed),
        ),
        group.observations,
    )
    result = Contents(outcomes=measured.outcomes, left_out=measured.left_out, findings=measured.findings)
    standing = withdrawals.without(parsed, group)
    try:
        taken_back = withdrawals.of_group(parsed, group, context, read_embedded, content)
        result = _joined(result, Contents(withdrawals=taken_back))
        result = _joined(result, Contents(ecgs=_written_out(parsed, standing, context, content)))
    except PayloadError as error:
        errors.append(error)
    for obx in filter(embedded.carries_file, standing.observations):
        if context.reports and embedded.carries_pdf(obx) and says_ecg(group):
            continue  # it is read below, as a report
        try:
            inner = read_embedded(embedded.file_of(obx, context.allowed_roots), context)
            ours = _of_this_patient(inner, group.patient, context)
            if withdrawals.takes_back(parsed, group, obx):  # its words do not say what the file is
                undone = withdrawals.of_file(ours, parsed, group, obx, context, read_embedded, content)
                result = _joined(result, undone)
                continue
            enriched = [
                _enrich(ecg, suffix(index), parsed, group, obx, context, content)
                for index, ecg in enumerate(inner.ecgs)
            ]
            doubtful = [ecg for ecg in enriched if MISMATCH in ecg.findings]
            errors += [_TwoNumbers(ecg) for ecg in doubtful]
            certain = tuple(ecg for ecg in enriched if MISMATCH not in ecg.findings)
            result = _joined(result, replace(ours, ecgs=certain))
        except PayloadError as error:
            errors.append(_nothing() if _is_of_others(error, parsed, group, obx) else error)
    if context.reports:
        result = _joined(result, _report(parsed, group, context, errors, result.ecgs))
    stated = [ecg.source_id for ecg in result.ecgs]
    return _joined(result, Contents(withdrawals=withdrawals.of_cancelled_order(parsed, group, stated)))


def _report(
    parsed: Message, group: Group, context: ReadingContext, errors: list[PayloadError], ecgs: tuple[Ecg, ...]
) -> Contents:
    """What the order says of an ECG in words or pages."""
    try:
        told = ecg_report.read(parsed, group, context, recordings=tuple(one.source_id for one in ecgs))
    except PayloadError as error:
        errors.append(error)
        return Contents()
    if told is None:
        return Contents()
    text = "PID names no patient: the report belongs to no ECG for certain"
    nobody = Finding(code="document-without-patient", text=text)
    return Contents(documents=(told,), findings=() if told.patient.identifiers else (nobody,))


def _of_this_patient(inner: Contents, patient: Patient, context: ReadingContext) -> Contents:
    """What an embedded report says, under the message's patient. Raises Refused (`patient-mismatch`)."""
    people = [one.patient for one in inner.outcomes] + [one.patient for one in inner.documents]
    for named in people:
        if name_two(named, patient, context) or are_two_people(named, patient):
            raise Refused("patient-mismatch", "PID and the embedded report name different patients")
    if not patient.identifiers:
        return inner
    return replace(
        inner,
        outcomes=tuple(replace(one, patient=patient) for one in inner.outcomes),
        left_out=tuple(replace(one, patient=patient) for one in inner.left_out),
        documents=tuple(replace(one, patient=patient) for one in inner.documents),
    )


def _is_of_others(error: PayloadError, parsed: Message, group: Group, obx: Segment) -> bool:
    """A feed of all results holds many reports of other departments, some of them empty or cancelled: only one about an
    ECG is an error.
    """
    excused = error.code in (*embedded.REPORTS, "empty") or withdrawals.takes_back(parsed, group, obx)
    return excused and not about_ecg(group, obx)


def _written_out(parsed: Message, group: Group, context: ReadingContext, content: bytes) -> tuple[Ecg, ...]:
    """The ECG whose samples stand in the message itself, sample by sample."""
    recording = waveform.read_recording(group.observations)
    if recording is None:
        return ()
    ecg = Ecg(
        source_id="",
        format="hl7-waveform",
        patient=Patient(),
        acquired=located(parsed, recording.started, context.zone),
        sampling_rate=recording.sampling_rate,
        signal=recording.assembled.signal,
        stored_leads=recording.assembled.stored_leads,
        derived_leads=recording.assembled.derived_leads,
        findings=recording.assembled.findings,
    )
    return (_enrich(ecg, "", parsed, group, recording.first, context, content),)


def _nothing() -> Refused:
    return Refused("no-ecg", "the message holds no ECG, outcome or identity change")


def _enrich(
    ecg: Ecg, suffix: str, parsed: Message, group: Group, obx: Segment, context: ReadingContext, content: bytes
) -> Ecg:
    """Add what the message knows and the embedded object does not.

    `suffix` tells several ECGs of one file apart.
    """
    patient, also_named, findings = one_patient(ecg.patient, group.patient, context)
    statements, measurements = _texts(group.observations)
    acquired = ecg.acquired or time_of(parsed, group, obx, context.zone)
    named = source_id(parsed, group, obx, content, acquired) + suffix
    return replace(
        ecg,
        source_id=ecg.source_id if ecg.format == "dicom" else named,
        patient=patient,
        also_named=also_named,
        acquired=acquired,
        order=_filled(ecg.order, order_of(group)),
        order_id=order_id(parsed, group),
        document_ids=document_ids(parsed, group, 12, 13),
        corrects=corrects(parsed, group, obx),
        final=status_of(group, obx) == "F",
        statements=ecg.statements or statements,
        coded=ecg.coded or _coded(group.observations),
        measurements=ecg.measurements or measurements,
        findings=ecg.findings + findings,
        test_data=ecg.test_data or parsed.msh.value(11).upper() in ("T", "D"),
    )


def _filled(order: Order, other: Order) -> Order:
    return Order(
        placer=order.placer or other.placer,
        filler=order.filler or other.filler,
        accession=order.accession or other.accession,
        study_uid=order.study_uid or other.study_uid,
        visit=order.visit or other.visit,
        stat=order.stat or other.stat,
    )


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
    """Both, in order: a recording that is taken back and then sent anew stands."""
    later = (replace(each, after=each.after + len(one.ecgs)) for each in other.withdrawals)
    return Contents(
        ecgs=one.ecgs + other.ecgs,
        outcomes=one.outcomes + other.outcomes,
        left_out=one.left_out + other.left_out,
        identity_events=one.identity_events + other.identity_events,
        withdrawals=(*one.withdrawals, *later),
        documents=one.documents + other.documents,
        orders=one.orders + other.orders,
        demographics=one.demographics + other.demographics,
        findings=one.findings + other.findings,
        not_taken=one.not_taken + other.not_taken,
    )


def _most_telling(errors: list[PayloadError]) -> PayloadError:
    """Damage first, for it must be looked at; then why an ECG that was there cannot be taken; then that none was."""
    damaged = [error for error in errors if isinstance(error, Unreadable)]
    refused = [error for error in errors if error.code not in (*NOTHING, "unsupported-type")]
    chosen = damaged or refused or errors
    return chosen[0] if chosen else _nothing()
