"""Reads orders: ORM^O01, OMG^O19 and OMI^O23 (HL7 2.5.1 §4.4.1, §4.4.4, §4.4.10), one order an ORC with its OBR.

What follows from an order stands in `connectors/LIFECYCLE.md`; here it is only read. Laboratory orders (OML) ask for
specimens, which an ECG has none of.
"""

from datetime import datetime, tzinfo

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.hl7.group import Group, entity, groups
from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.placed_order import OrderTable, PlacedOrder, WrittenField
from ecgfm_connectors.times import acquired_at, parse_timestamp

#: MSH-9.1 -> the trigger event that is read.
EVENTS = {"ORM": "O01", "OMG": "O19", "OMI": "O23"}
#: ORC-1 (table 0119) that are followed. The others answer a request (OK, UA, UC …) or place nothing (PR, DE …).
CONTROLS = frozenset(
    {"NW", "SN", "NA", "RO", "XO", "XX", "RU", "SC", "HD", "OH", "RL", "OE", "CA", "OC", "DC", "OD", "RP"}
)
#: Of these an OBR must say what is ordered.
_PLACING = frozenset({"NW", "SN", "NA", "RO"})


def read(parsed: Message, context: ReadingContext) -> Contents:
    """The orders of one message. Beside good ones a bad one is a finding, and `not_taken` where it is incomplete.

    Raises Refused where no order is left: `order-incomplete`, `other-order`, `event-not-followed`.
    """
    if parsed.event not in ("", EVENTS[parsed.code]):
        raise Refused("unsupported-event", f"of {parsed.code} only {EVENTS[parsed.code]} is read")
    found, errors = list[PlacedOrder](), list[Refused]()
    for group in groups(parsed, context.default_authority):
        if group.orc is None and group.obr is None:
            continue
        try:
            found.append(_order(parsed, group, context))
        except Refused as error:
            errors.append(error)
    if not found:
        raise next((one for one in errors if one.code == "order-incomplete"), errors[0] if errors else _incomplete())
    told = tuple(Finding(code=one.code, text=one.text) for one in errors)
    missed = tuple(one for one in told if one.code == "order-incomplete")
    return Contents(orders=tuple(found), findings=told, not_taken=missed)


def _order(parsed: Message, group: Group, context: ReadingContext) -> PlacedOrder:
    orc, obr, table = group.orc, group.obr, context.order_table
    control = orc.value(1).upper() if orc else ""
    if orc is None or not control:
        raise _incomplete()
    if control not in CONTROLS:
        raise Refused("event-not-followed", "ORC-1 answers another system, or is no control code that is followed")
    services = _services(obr)
    if (services and table.codes and not any(code in table.codes for code, _ in services)) or (
        not services and control in _PLACING
    ):
        raise Refused("other-order", "the message orders nothing that orders.codes names, or has no OBR")
    placer, filler = entity(orc, 2) or entity(obr, 2), entity(orc, 3) or entity(obr, 3)
    if not group.patient.identifiers or not (placer or filler):
        raise _incomplete()
    return PlacedOrder(
        control=control,
        status=orc.value(5).upper(),
        placer=placer,
        filler=filler,
        accession=_accession(parsed, orc, obr, table),
        patient=group.patient,
        services=services,
        provider=written(obr, 16) or written(orc, 12),
        requested_at=_requested(parsed, group, context.zone),
        said_at=_moment(parsed, parsed.msh.value(7), context.zone),
        test=parsed.msh.value(11).upper() in ("T", "D"),
    )


def _incomplete() -> Refused:
    text = "an order needs ORC-1, a patient number (PID-3) and ORC-2 or ORC-3; it was not kept"
    return Refused("order-incomplete", text)


def _services(obr: Segment | None) -> tuple[tuple[str, str], ...]:
    if obr is None:
        return ()
    pairs = ((obr.value(4, code), obr.value(4, code + 1)) for code in (1, 4))
    return tuple(pair for pair in pairs if any(pair))


def _accession(parsed: Message, orc: Segment, obr: Segment | None, table: OrderTable) -> str:
    """The number without its namespace, as DICOM's accession number has none."""
    ipc = list(parsed.all("IPC"))
    if len(ipc) == 1 and ipc[0].value(1):  # of several orders of one message nothing here says whose each is
        return ipc[0].value(1)
    number = int(table.accession.removeprefix("OBR-"))
    told = obr.value(number) if obr is not None else ""
    return told or (orc.value(number) if number in (2, 3) else "")


def _requested(parsed: Message, group: Group, site: tzinfo) -> datetime | None:
    told = [timing.value(7) for timing in group.timing]
    told += [group.orc.value(7, 4)] if group.orc else []
    told += [group.obr.value(36), group.obr.value(6), group.obr.value(27, 4)] if group.obr else []
    return next((moment for text in told if (moment := _moment(parsed, text, site))), None)


def _moment(parsed: Message, text: str, site: tzinfo) -> datetime | None:
    header = parse_timestamp(parsed.msh.value(7))
    found = acquired_at(text, site=site, message=header.tzinfo if header else None)
    return found.at if found else None


def written(segment: Segment | None, number: int) -> WrittenField:
    """A whole field, unescaped, with its repetitions, components and subcomponents."""
    if segment is None:
        return ()
    marks = segment.delimiters
    return tuple(
        tuple(
            tuple(segment.leaf(parts, at, below) for below in range(1, parts[at - 1].count(marks.subcomponent) + 2))
            for at in range(1, len(parts) + 1)
        )
        for repetition in segment.repetitions(number)
        if (parts := repetition.split(marks.component)) and any(parts)
    )
