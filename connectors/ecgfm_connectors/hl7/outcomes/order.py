"""What the outcomes of one order have in common: its message, patient, times and status."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Literal

from ecgfm_connectors.hl7.message import Message, Segment
from ecgfm_connectors.outcomes import comments
from ecgfm_connectors.outcomes.dictionary import Coded
from ecgfm_connectors.outcomes.observed import Observed, observed
from ecgfm_connectors.outcomes.site import NO_TABLE, SiteTable
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.times import parse_timestamp

Status = Literal["final", "corrected", "withdrawn"]

#: OBX-11 (table 0085; V, B and A from 2.8). What is not here is not final: R, P, S, I, N, O.
_STATUSES: dict[str, Status] = {
    "F": "final",
    "U": "final",
    "V": "final",
    "C": "corrected",
    "A": "corrected",
    "B": "corrected",
    "W": "withdrawn",
    "D": "withdrawn",
    "X": "withdrawn",
}
_SYSTEM_LENGTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One OBR, or the document of one TXA, with what stands around it."""

    parsed: Message
    patient: Patient
    obr: Segment | None
    txa: Segment | None = None
    specimens: tuple[Segment, ...] = ()  #: SPM
    comments: tuple[tuple[int, str], ...] = ()  #: NTE-3, each with how many OBXs of the order stood before it
    filler: str  #: OBR-3, else OBR-2: by it a correction is matched to what it corrects
    zone: tzinfo
    table: SiteTable = NO_TABLE
    cancelled: bool = False  #: the whole document is

    @property
    def service(self) -> str:
        """OBR-4 in words and codes; the kind of document where there is no OBR."""
        if self.obr is not None:
            return " ".join(self.obr.value(4, at) for at in (1, 2, 4, 5))
        return f"{self.txa.value(2)} {self.txa.value(2, 2)}" if self.txa else ""

    @property
    def specimen(self) -> str:
        """OBR-15 and SPM-4: what the sample is, in words; empty where no segment says it."""
        told = [self.obr.text(15)] if self.obr is not None else []
        return " ".join((*told, *(f"{spm.value(4)} {spm.value(4, 2)}" for spm in self.specimens))).strip()

    def doubted(self, position: int) -> bool:
        """Whether a comment on the order, or on the OBX at `position` (from 1), says not to use the value."""
        return any(at in (0, position) and comments.doubts(text) for at, text in self.comments)

    def coded(self, obx: Segment) -> Coded:
        """What OBX-3 says, both triplets."""
        parts = obx.components(3)
        leaf: Callable[[int], str] = lambda at: obx.leaf(parts, at)
        pairs = ((leaf(1), leaf(3).upper()[:_SYSTEM_LENGTH]), (leaf(4), leaf(6).upper()[:_SYSTEM_LENGTH]))
        return Coded(
            codes=tuple(pair for pair in pairs if pair[0]),
            names=tuple(name for name in (leaf(2), leaf(5)) if name),
            service=self.service,
            specimen=self.specimen,
        )

    def status(self, obx: Segment) -> Status | None:
        """OBX-11; where it is empty, OBR-25; None for results that are not final yet."""
        if self.cancelled:
            return "withdrawn"
        return _STATUSES.get(obx.value(11).upper() or order_status(self.obr) or "F")

    def observed(self, obx: Segment) -> Observed | None:
        """OBX-14, OBR-7, and for a document without an order TXA-4 (activity), else TXA-6 (origination)."""
        document = self.txa if self.obr is None else None
        texts = (
            obx.value(14),
            self.obr.value(7) if self.obr else "",
            document.value(4) if document else "",
            document.value(6) if document else "",
        )
        header = parse_timestamp(self.parsed.msh.value(7))
        return observed(texts, site=self.zone, message=header.tzinfo if header else None)

    def source_id(self, obx: Segment, kind: str) -> str:
        """The same for a result and its correction.

        Serial troponins under one order differ by their time of drawing.
        """
        msh = self.parsed.msh
        filler = self.filler or f"message {self.parsed.control_id}"
        drawn = obx.value(14) if kind == "troponin" else ""
        return "hl7:" + "|".join((msh.raw(3), msh.raw(4), filler, obx.value(3), obx.value(4), drawn))


def order_status(obr: Segment | None) -> str:
    """OBR-25 (table 0123); some senders lose a field before it, and OBR-24 (table 0074) has no code of one letter."""
    if obr is None:
        return ""
    shifted = obr.value(24).upper()
    return obr.value(25).upper() or (shifted if len(shifted) == 1 else "")


def unshifted(obx: Segment) -> Segment:
    """Some senders slip in a field before OBX-11: the status then stands in OBX-12, where a time belongs."""
    if obx.raw(11) == "" and obx.raw(12) in _STATUSES and (not obx.raw(15) or parse_timestamp(obx.value(15))):
        return replace(obx, fields=obx.fields[:11] + obx.fields[12:])
    return obx
