"""What the codes of an acknowledgement mean (HL7 2.5.1, tables 0008, 0155 and 0357).

Receivers write codes of their own, too: what is in no table is shown as it is, with a sentence that says so.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ecgfm_clinical.wording import N_, Say
from ecgfm_connectors.result import HL7_CODES

#: MSA-1.
ACKNOWLEDGEMENTS: Mapping[str, str] = {
    "AA": N_("taken (application accept)"),
    "AE": N_("refused for its content (application error)"),
    "AR": N_("rejected (application reject)"),
    "CA": N_("kept safely (commit accept)"),
    "CE": N_("not kept (commit error)"),
    "CR": N_("not kept, and not to be repeated as it is (commit reject)"),
}
#: MSH-15 and MSH-16: when the sender wants an acknowledgement.
CONDITIONS: Mapping[str, str] = {
    "AL": N_("always"),
    "NE": N_("never"),
    "ER": N_("on an error or a reject only"),
    "SU": N_("on success only"),
}
#: ERR-3.
ERRORS: Mapping[str, str] = {
    "0": N_("message accepted"),
    "100": N_("segment sequence error"),
    "101": N_("required field missing"),
    "102": N_("data type error"),
    "103": N_("table value not found"),
    "104": N_("value too long"),
    "200": N_("unsupported message type"),
    "201": N_("unsupported event code"),
    "202": N_("unsupported processing ID"),
    "203": N_("unsupported version ID"),
    "204": N_("unknown key identifier"),
    "205": N_("duplicate key identifier"),
    "206": N_("application record locked"),
    "207": N_("application internal error"),
}
#: Segment and field -> number of the table and its codes.
FIELDS: Mapping[tuple[str, int], tuple[str, Mapping[str, str]]] = {
    ("MSH", 15): ("0155", CONDITIONS),
    ("MSH", 16): ("0155", CONDITIONS),
    ("MSA", 1): ("0008", ACKNOWLEDGEMENTS),
    ("ERR", 3): ("0357", ERRORS),
}
_OF_HL7 = re.compile(r"[A-Za-z]{1,3}")  #: other protocols answer with numbers: `HTTP 201`, `0x0000`


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One code where it stands, and what it means."""

    where: str  #: `MSH-15`
    code: str  #: as it was written
    meaning: str


def meanings(text: str, say: Say) -> Iterator[Meaning]:
    """Of the codes in one segment."""
    name, separator = text[:3], text[3:4]
    fields = text.split(separator) if separator else []
    # The separator itself is MSH-1.
    first = 1 if name == "MSH" else 0
    for (segment, number), (table, known) in FIELDS.items():
        value = fields[number - first] if segment == name and len(fields) > number - first else ""
        code = re.split(r"[\^&~]", value)[0]
        if code:
            yield Meaning(where=f"{segment}-{number}", code=code, meaning=_meaning(code, table, known, say))


def answered(code: str, error_code: str, say: Say) -> str:
    """What a receiver's answer means; empty for the answer of another protocol, which is no code of HL7's."""
    if code not in HL7_CODES and not _OF_HL7.fullmatch(code):
        return ""
    told = [_meaning(code, "0008", ACKNOWLEDGEMENTS, say)]
    if error_code and code in HL7_CODES:
        told.append(_meaning(error_code, "0357", ERRORS, say))
    return "; ".join(told)


def _meaning(code: str, table: str, known: Mapping[str, str], say: Say) -> str:
    found = known.get(code.strip().upper())
    if found is not None:
        return say(found)
    return say("no code of HL7 table %(table)s: it is shown as it was written", table=table)
