"""One order as a hospital's system places, changes or cancels it, before anything is decided about it."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ecgfm_connectors.patient import Patient

#: A field as its sender wrote it, unescaped: repetitions, components, subcomponents.
WrittenField = tuple[tuple[tuple[str, ...], ...], ...]

#: Where a site's orders hold the accession number. IHE Radiology (RAD-4) and the standard's own practice: OBR-18.
AccessionField = Literal["OBR-2", "OBR-3", "OBR-18", "OBR-19", "OBR-20"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTable:
    """How a site's orders are read."""

    codes: Collection[str] = ()  #: OBR-4.1 or OBR-4.4 of ECG orders; empty: every order that comes is taken
    accession: AccessionField = "OBR-18"


#: Every order is taken.
ANY_ORDER = OrderTable()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """What one ORC with its OBR says (HL7 2.5.1 §4.5.1, §4.5.3). Entity identifiers are `ID^NAMESPACE^OID^ISO`."""

    control: str  #: ORC-1, table 0119: NW, XO, CA, …
    status: str = ""  #: ORC-5, table 0038
    placer: str = field(default="", repr=False)  #: ORC-2, else OBR-2
    filler: str = field(default="", repr=False)  #: ORC-3, else OBR-3: the filler of the order, not this program
    accession: str = field(default="", repr=False)  #: IPC-1, else the field that `OrderTable.accession` names
    patient: Patient
    services: tuple[tuple[str, str], ...] = ()  #: (code, text) of OBR-4, both triplets; empty where there is no OBR
    provider: WrittenField = field(default=(), repr=False)  #: OBR-16, else ORC-12
    requested_at: datetime | None = None  #: TQ1-7, ORC-7.4, OBR-36 or OBR-6: for when it is wanted
    said_at: datetime | None = None  #: MSH-7, aware: of two words the later counts
    test: bool = False  #: MSH-11 T or D
