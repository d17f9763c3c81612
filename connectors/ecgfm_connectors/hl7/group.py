"""The orders of one message: its segments by order, and by what numbers each is known.

The identity of an ECG (`Ecg.source_id`) is who sent it (MSH-3, MSH-4), its filler number (OBR-3; of a document without
an order TXA-15, else TXA-12), where it stood (OBX-1, OBX-4) and when it was recorded, so that the preliminary, the
final and the corrected message of one recording are known as one. Without a number or a time MSH-10 takes their place.
An aECG's own id is not used, since exports repeat it between recordings.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from ecgfm_connectors.ecg import AcquiredAt, Order
from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.hl7.outcomes.order import order_status, unshifted
from ecgfm_connectors.hl7.pid import read_patient
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.times import acquired_at, parse_timestamp

_ECG_WORDS = re.compile(r"\b(ECG|EKG)|electrocardio|93000|93005|11524-6", re.IGNORECASE)  # CPT and LOINC of an ECG
#: Events of MDM whose document takes the place of an earlier one: edited, replaced (HL7 2.5.1 §9.6.8 to §9.6.10).
_CORRECTING = ("T08", "T09", "T10")


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
    comments: list[tuple[int, str]] = field(default_factory=list)  #: NTE-3, each with how many OBXs stood before it


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
            case "NTE":
                if current.obr is not None or current.observations:  # before both it speaks of the patient
                    current.comments.append((len(current.observations), segment.text(3)))
    yield current


def status_of(group: Group, obx: Segment) -> str:
    """OBX-11; where it is empty, OBR-25."""
    return unshifted(obx).value(11).upper() or order_status(group.obr)


def corrects(parsed: Message, group: Group, obx: Segment) -> bool:
    """Whether an OBX takes the place of what was sent before: OBX-11 C, or the event of its document says so."""
    edited = parsed.code == "MDM" and parsed.event in _CORRECTING
    return status_of(group, obx) == "C" or edited


def about_ecg(group: Group, obx: Segment | None) -> bool:
    """Whether OBX-3, OBX-5 or OBR-4 say in words or codes that it is about an ECG."""
    observed = f"{obx.raw(3)} {obx.raw(5)[:80]}" if obx else ""
    named = f"{observed} {group.obr.raw(4) if group.obr else ''}"
    return _ECG_WORDS.search(named) is not None


def says_ecg(group: Group) -> bool:
    """Whether OBR-4, TXA-2 or an OBX-3 name an ECG, whatever the words of a report mention."""
    named = [obx.raw(3) for obx in group.observations]
    named += [group.obr.raw(4)] if group.obr else []
    named += [group.txa.raw(2)] if group.txa else []
    return any(_ECG_WORDS.search(one) for one in named)


def source_id(parsed: Message, group: Group, obx: Segment, content: bytes, acquired: AcquiredAt | None) -> str:
    """Who sent this recording, under which number, where it stood and when it was recorded.

    Without a filler number or a time MSH-10 takes its place, and without MSH-10 the bytes themselves. A time goes with
    MSH-10 as well: counters begin anew, and several carts may count under one name.
    """
    filler = filler_of(group) or entity(group.txa, 12)
    position = f"{obx.value(1)}.{obx.value(4)}"
    sender = (parsed.msh.raw(3), parsed.msh.raw(4))
    moment = (acquired.at.astimezone(UTC).isoformat(timespec="seconds"),) if acquired is not None else ()
    if filler and moment:
        return "hl7:" + "|".join((*sender, filler, position, *moment))
    control_id = parsed.control_id or hashlib.sha256(content).hexdigest()[:32]
    return "hl7:" + "|".join((*sender, control_id, filler, position, *moment))


def order_id(parsed: Message, group: Group) -> str:
    """Sender and filler number; empty where there is no filler number."""
    filler = filler_of(group)
    return "|".join((parsed.msh.raw(3), parsed.msh.raw(4), filler)) if filler else ""


def filler_of(group: Group) -> str:
    """OBR-3; of a document without an order TXA-15."""
    return entity(group.obr, 3) or entity(group.txa, 15)


def document_ids(parsed: Message, group: Group, *fields: int) -> tuple[str, ...]:
    """Sender and number of the document in these fields of TXA: 12 its own, 13 of the one that it replaces."""
    numbers = dict.fromkeys(filter(None, (entity(group.txa, field) for field in fields)))
    return tuple("|".join((parsed.msh.raw(3), parsed.msh.raw(4), number)) for number in numbers)


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


def time_of(parsed: Message, group: Group, obx: Segment, site: tzinfo) -> AcquiredAt | None:
    """When the ECG was recorded: OBX-14, else OBR-7."""
    candidates = (obx.value(14), group.obr.value(7) if group.obr else "")
    return next((moment for text in candidates if (moment := located(parsed, text, site))), None)


def located(parsed: Message, text: str, site: tzinfo) -> AcquiredAt | None:
    """A TS with its zone: the zone beside it, else that of MSH-7, else the site's."""
    header = parse_timestamp(parsed.msh.value(7))
    return acquired_at(text, site=site, message=header.tzinfo if header else None)


def suffix(index: int) -> str:
    """Tells several ECGs of one file apart."""
    return f"#{index}" if index else ""
