"""What another system says of an ECG in a message without its samples: a report as text (OBX TX, FT, ST, coded
statements and measurements) or as PDF (OBX ED), by ORU or MDM.

A feed of all results holds the reports of every department, so an order counts only where its OBR-4, TXA-2 or an OBX-3
says that it is about an ECG. One order is one document, and so is one TXA-12: what comes again under its number is its
next version. To which ECG it belongs is not decided here.
"""

from collections.abc import Iterator
from datetime import datetime

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.document import MAX_TEXT, Document, References
from ecgfm_connectors.hl7 import embedded, waveform, withdrawals
from ecgfm_connectors.hl7.group import Group, document_ids, entity, filler_of, located, order_of, says_ecg
from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.hl7.outcomes.order import order_status

#: The coding system of this program's own results, which an engine may send round.
_OURS = "99ECGFM"
_TEXTS, _CODED = ("ST", "TX", "FT", ""), ("CE", "CWE", "CNE")
#: Where a report stands, by tables 0123 (OBR-25, OBX-11) and 0271 (TXA-17).
_STATUSES = {
    "F": "FINAL", "C": "CORRECTED", "P": "PRELIMINARY", "R": "UNVERIFIED", "A": "PARTIAL", "I": "PENDING",
    "AU": "AUTHENTICATED", "LA": "LEGALLY AUTHENTICATED", "PA": "PRE-AUTHENTICATED", "DI": "DICTATED",
    "DO": "DOCUMENTED", "IN": "INCOMPLETE", "IP": "IN PROGRESS",
}  # fmt: skip
_LONGEST_NAME = 200  # characters of titles and makers


def read(
    parsed: Message, group: Group, context: ReadingContext, *, recordings: tuple[str, ...] = ()
) -> Document | None:
    """The report of one order; None where it holds none. `recordings`: `source_id` of the ECGs that the order holds
    too: its words are kept with them, and its pages belong to them.

    Raises Unreadable where a PDF did not survive the way.
    """
    if not says_ecg(group) or _is_ours(group):
        return None
    pages = tuple(embedded.pdf_of(obx) for obx in group.observations if embedded.carries_pdf(obx))
    words = "" if recordings else "\n".join(_lines(group))
    withdrawn = _is_taken_back(parsed, group)
    if not (pages or words or withdrawn):
        return None
    order = order_of(group)
    accession = group.obr.value(18) if group.obr else ""
    return Document(
        source_id=_number(parsed, group),
        kind="pdf" if pages else "report",
        title=_title(group)[:_LONGEST_NAME],
        text="" if withdrawn else words[:MAX_TEXT],
        patient=group.patient,
        maker=" ".join(filter(None, (parsed.msh.value(3), parsed.msh.value(4))))[:_LONGEST_NAME],
        made_at=_made_at(parsed, group, context),
        status=_status(group),
        refers=References(
            instances=recordings,
            numbers=tuple(dict.fromkeys(filter(None, (accession, order.placer, order.filler)))),
        ),
        replaces=tuple(f"hl7-document:{one}" for one in document_ids(parsed, group, 13)),
        withdrawn=withdrawn,
        pages=() if withdrawn else pages,
    )


def _number(parsed: Message, group: Group) -> str:
    """Sender and number: of the document, else of the order; else of the message, and nobody can correct it then."""
    for document in document_ids(parsed, group, 12):
        return f"hl7-document:{document}"
    order = filler_of(group) or entity(group.obr, 2) or entity(group.orc, 2)
    kind, number = ("hl7-report", order) if order else ("hl7-message", parsed.control_id)
    return "|".join((f"{kind}:{parsed.msh.raw(3)}", parsed.msh.raw(4), number))


def _is_ours(group: Group) -> bool:
    return any(_OURS in (obx.value(3, 3), obx.value(3, 6)) for obx in group.observations)


def _is_taken_back(parsed: Message, group: Group) -> bool:
    """All of it is; one line that is deleted is left out."""
    if withdrawals.cancels_document(parsed):
        return True
    said = [withdrawals.takes_back(parsed, group, obx) for obx in group.observations]
    return all(said) if said else order_status(group.obr) in ("W", "D", "X")


def _lines(group: Group) -> Iterator[str]:
    """Each OBX as a line or more, below its name where that changes."""
    name = ""
    for obx in group.observations:
        value = _value(obx)
        if not value or obx.value(11).upper() in ("W", "D", "X"):
            continue
        told = obx.value(3, 2) or obx.value(3)
        if obx.value(2).upper() == "NM":
            yield f"{told}: {value}"
            continue
        if told and told != name:
            yield f"{told}:"
        name = told
        yield from value.splitlines()


def _value(obx: Segment) -> str:
    kind = obx.value(2).upper()
    if embedded.carries_file(obx) or waveform.is_part_of_waveform(obx):
        return ""
    if kind == "NM":
        return f"{obx.value(5)} {obx.value(6)}".strip()
    if kind in _CODED:
        return obx.value(5, 2) or obx.value(5)
    return obx.text(5) if kind in _TEXTS else ""


def _title(group: Group) -> str:
    for segment, field in ((group.obr, 4), (group.txa, 2), *((obx, 3) for obx in group.observations)):
        if segment is not None and (found := segment.value(field, 2) or segment.value(field)):
            return found
    return ""


def _made_at(parsed: Message, group: Group, context: ReadingContext) -> datetime | None:
    """OBR-22, TXA-7 or -6, else when the message was made."""
    places = ((group.obr, 22), (group.txa, 7), (group.txa, 6), (parsed.msh, 7))
    texts = (segment.value(field) for segment, field in places if segment is not None)
    moment = next((found for text in texts if (found := located(parsed, text, context.zone))), None)
    return None if moment is None else moment.at


def _status(group: Group) -> str:
    said = [order_status(group.obr), group.txa.value(17).upper() if group.txa else ""]
    said += [obx.value(11).upper() for obx in group.observations[:1]]
    return next((_STATUSES[one] for one in said if one in _STATUSES), "")
