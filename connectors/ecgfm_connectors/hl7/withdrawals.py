"""What a message takes back: recordings by OBX-11, all of an order by OBR-25, all of a document by MDM^T11.

Codes of table 0085 and 0123; the event is in HL7 2.5.1 §9.6.11, a document's availability (CA: deleted) in table 0273.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from ecgfm_connectors.contents import Contents, Withdrawal
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import PayloadError, Refused
from ecgfm_connectors.hl7 import embedded, waveform
from ecgfm_connectors.hl7.group import (
    Group,
    about_ecg,
    document_ids,
    filler_of,
    order_id,
    source_id,
    status_of,
    suffix,
    time_of,
)
from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.hl7.outcomes.order import order_status

ReadEmbedded = Callable[[bytes, ReadingContext], Contents]
How = Literal["W", "D", "X"]

#: OBX-11 and OBR-25 by which a sender takes back what it sent: posted wrongly, deleted, not obtained or cancelled.
_TAKEN_BACK: dict[str, How] = {"W": "W", "D": "D", "X": "X"}


def cancels_document(parsed: Message) -> bool:
    """Whether the message says of its document that it is cancelled, or deleted."""
    deleted = any(txa.value(19).upper() == "CA" for txa in parsed.all("TXA"))
    return parsed.code == "MDM" and (parsed.event == "T11" or deleted)


def takes_back(parsed: Message, group: Group, obx: Segment) -> bool:
    """Whether what stands in this OBX is taken back."""
    return cancels_document(parsed) or status_of(group, obx) in _TAKEN_BACK


def of_group(
    parsed: Message, group: Group, context: ReadingContext, read_embedded: ReadEmbedded, content: bytes
) -> tuple[Withdrawal, ...]:
    """The recordings of one order that are taken back, each by itself where the message says which.

    Raises Refused (`cancel-incomplete`) where it cancels without saying what.
    """
    named = [obx for obx in group.observations if takes_back(parsed, group, obx) and holds_ecg(group, obx)]
    if named:
        return tuple(
            _withdrawal(parsed, group, together, context, read_embedded, content) for together in _recordings_in(named)
        )
    return () if any(map(embedded.carries_file, group.observations)) else _of_whole(parsed, group)


def without(parsed: Message, group: Group) -> Group:
    """The order without the recordings that `of_group` names."""
    kept = [obx for obx in group.observations if not (takes_back(parsed, group, obx) and holds_ecg(group, obx))]
    return replace(group, observations=kept)


def of_cancelled_order(parsed: Message, group: Group, source_ids: Sequence[str]) -> tuple[Withdrawal, ...]:
    """OBR-25 says that the order of these recordings was cancelled, and OBX-11 that they stand: a person is asked."""
    how = _TAKEN_BACK.get(order_status(group.obr))
    if how is None or not source_ids:
        return ()
    return (replace(_of_all(parsed, group, how), source_ids=tuple(source_ids), doubtful=True),)


def _of_whole(parsed: Message, group: Group) -> tuple[Withdrawal, ...]:
    """All of an order or document that is cancelled without its recordings being sent again."""
    document = cancels_document(parsed) and (group.txa is not None or group.obr is not None)
    ordered = order_status(group.obr) in _TAKEN_BACK and not any(obx.raw(5) for obx in group.observations)
    if not (document or ordered):
        return ()
    one = _of_all(parsed, group, _TAKEN_BACK.get(order_status(group.obr), "D"))
    says_ecg = any(about_ecg(group, obx) for obx in (None, *group.observations))
    if one.order_id or one.document_ids:
        return (replace(one, says_ecg=says_ecg),)
    if document or says_ecg:
        raise Refused("cancel-incomplete", "a document or order is cancelled without its number (TXA-12, OBR-3)")
    return ()


def _of_all(parsed: Message, group: Group, how: How) -> Withdrawal:
    return Withdrawal(
        source_ids=(),
        order_id=order_id(parsed, group),
        document_ids=document_ids(parsed, group, 12),
        filler=filler_of(group),
        patient=group.patient,
        status=how,
    )


def _how(group: Group, obx: Segment) -> How:
    return _TAKEN_BACK.get(status_of(group, obx), "D")


def of_file(
    inner: Contents,
    parsed: Message,
    group: Group,
    obx: Segment,
    context: ReadingContext,
    read_embedded: ReadEmbedded,
    content: bytes,
) -> Contents:
    """What a file holds that its sender takes back; `inner` under the message's patient."""
    named = _withdrawal(parsed, group, [obx], context, read_embedded, content)
    return Contents(
        outcomes=tuple(replace(one, status="withdrawn") for one in inner.outcomes),
        withdrawals=(named,) if inner.ecgs else (),
        documents=tuple(replace(one, withdrawn=True) for one in inner.documents),
    )


def holds_ecg(group: Group, obx: Segment) -> bool:
    """Whether an OBX is, or stands for, a recording: a sender that takes one back may leave its value out."""
    if waveform.is_part_of_waveform(obx):
        return True
    return (embedded.carries_file(obx) or not obx.raw(5)) and about_ecg(group, obx)


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
    named = {source_id(parsed, group, obx, content, time_of(parsed, group, obx, context.zone)) for obx in observations}
    for obx in observations:
        named |= _numbers_inside(parsed, group, obx, context, read_embedded, content)
    return replace(_of_all(parsed, group, _how(group, observations[0])), source_ids=tuple(sorted(named)))


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
        else source_id(parsed, group, obx, content, ecg.acquired or time_of(parsed, group, obx, context.zone))
        + suffix(index)
        for index, ecg in enumerate(inner.ecgs)
    }
