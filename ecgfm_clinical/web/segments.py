"""The segments of an HL7 v2 message, each with what it is for (HL7 2.5.1, chapters 2, 3, 4 and 7)."""

from collections.abc import Iterator
from dataclasses import dataclass

from ecgfm_clinical.web.codes import Meaning, meanings
from ecgfm_clinical.wording import N_, Say
from ecgfm_connectors.message_text import text_of

ABOUT = {
    "MSH": N_("message header: who sends, when, under which control ID (MSH-10)"),
    "SFT": N_("the program that wrote the message"),
    "PID": N_("the patient: numbers, name, birth date, sex"),
    "PV1": N_("the visit"),
    "ORC": N_("the order: placer and filler number"),
    "OBR": N_("the report: filler number (OBR-3), what was done, when, its status (OBR-25)"),
    "OBX": N_("one observation: its code, value, flag (OBX-8) and status (OBX-11)"),
    "NTE": N_("a note for the reader"),
    "TQ1": N_("urgency"),
    "SPM": N_("specimen"),
    "MSA": N_("the answer: its code (MSA-1) and the control ID of what it answers (MSA-2)"),
    "ERR": N_("what is wrong, where and how badly (ERR-2 to ERR-4)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One segment."""

    name: str
    text: str
    about: str
    codes: tuple[Meaning, ...] = ()


#: Of a segment that no standard describes, or that is none of this program's.
UNKNOWN = N_("not explained here: it is shown as it was written")


def lines_of(body: bytes, say: Say) -> Iterator[Line]:
    """Every segment, in order."""
    for text in text_of(body).replace("\n", "\r").split("\r"):
        if text:
            name = text[:3]
            yield Line(name=name, text=text, about=say(ABOUT.get(name, UNKNOWN)), codes=tuple(meanings(text, say)))
