"""Composes a result as a document for systems that file documents: MDM (HL7 2.5.1 §9.5, TXA §9.6.1).

A first result is MDM^T02, a correction MDM^T10, which replaces the document before it (TXA-13), and a withdrawal or
deletion MDM^T11, which cancels it (TXA-19 CA) and holds no content. A document's number (TXA-12) is the control id of
the message that brought it; TXA-15 is the number of the result, the OBR-3 of an ORU. Nobody has authenticated it:
TXA-17 is DO. Remarks are OBX of type TX, for an NTE has no place in the older versions of MDM.
"""

from collections.abc import Iterator

from ecgfm_connectors.hl7.profile import OUTGOING_CHARSETS, Profile
from ecgfm_connectors.hl7.result import SegmentWriter, join, leaf, refuse_unwritable, written
from ecgfm_connectors.result import Result

#: OBX-3 of a remark.
NOTE_CODE, NOTE_NAME = "ECGFM-NOTE", "Remark on the result"
_WITHOUT_ORDER = ("2.3", "2.3.1", "2.4")  #: versions whose MDM has neither ORC nor OBR


def compose(result: Result, profile: Profile) -> bytes:
    """The complete message, as `hl7.result.compose`, with the same errors."""
    refuse_unwritable(result, OUTGOING_CHARSETS[profile.charset])
    return written(_Document(profile).segments(result), profile)


class _Document(SegmentWriter):
    def segments(self, result: Result) -> Iterator[str]:
        takes_back = result.status in ("W", "D")
        event = "T11" if takes_back else "T10" if result.status == "C" else "T02"
        yield self.msh(result, "MDM", event, "MDM_T01" if takes_back else "MDM_T02")
        yield self._segment("EVN", {1: event, 2: self._time(result.composed_at)})
        yield self.pid(result.patient)
        yield self._segment("PV1", {1: "1", 2: "U"})  # table 0004: unknown
        if self._profile.version not in _WITHOUT_ORDER:
            yield self.orc(result)
            yield self.obr(result)
        yield self._txa(result)
        if not takes_back:
            yield from self._content(result)

    def _txa(self, result: Result) -> str:
        takes_back = result.status in ("W", "D")
        former = result.former.control_id if result.former and result.status != "F" else ""
        number = former if takes_back and former else result.control_id
        return self._segment(
            "TXA",
            {
                1: "1",
                2: "CD",  # table 0270: cardiodiagnostics
                3: leaf(self._profile.page_type[0]) if self._profile.page == "ORU" else "TX",
                4: self._time(result.acquired_at),
                6: self._time(result.scored_at),
                12: join(leaf(number), leaf(self._profile.filler_namespace)),
                13: join(leaf(former), leaf(self._profile.filler_namespace)) if former and not takes_back else "",
                14: leaf(result.placer_number.split("^")[0]),
                15: self._filler(result),
                17: "DO",  # table 0271: documented
                19: "CA" if takes_back else "AV",  # table 0273
            },
        )

    def _content(self, result: Result) -> Iterator[str]:
        number = 0
        for observation in result.observations if self._profile.contents == "all" else ():
            yield self.obx(number := number + 1, observation, result)
        for note in result.notes:
            code = self._code((NOTE_CODE, NOTE_NAME, self._profile.coding_system))
            fields = {1: str(number := number + 1), 2: "TX", 3: code, 4: "1", 5: leaf(note), 11: result.status}
            yield self._segment("OBX", fields)
        if self._profile.page == "ORU":
            yield from self.page(number + 1, result)
