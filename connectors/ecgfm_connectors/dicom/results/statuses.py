"""What a PACS says of an object that it was given, and what follows (PS3.4 Table B.2-1, PS3.7 Annex C).

STOW-RS gives the same codes as Failure Reason (0008,1197) and Warning Reason (0008,1196) (PS3.18 §10.5.3).
"""

from typing import Literal

from ecgfm_connectors.result import Ack

SUCCESS = 0x0000
#: We gave the UIDs ourselves and always with the same bytes, so an object that is there already is ours.
DUPLICATE = 0x0111
#: The PACS accepts the association but not this kind of object (PS3.8 Table 9-18; STOW-RS 0122).
NO_CONTEXT = 0x0122
#: dcm4chee's own (StoreService.java), in a range that the standard gives to "out of resources": they never change.
DUPLICATE_NOTE = 0xA770
NOTHING_TO_REJECT = 0xA772
_REJECTION = range(0xA771, 0xA780)

_WARNINGS = {
    0x0107: "elements were not recognised",
    0x0116: "a value is out of range",
    0xB000: "elements were changed (coerced)",
    0xB006: "elements were discarded",
    0xB007: "the data set does not match the SOP Class",
    DUPLICATE: "the object was there already",
    DUPLICATE_NOTE: "the rejection note was there already",
}
_FAILURES = {
    0x0110: "processing failure",
    0x0112: "no such object",
    0x0119: "another SOP Class than it was stored under",
    0x0131: "the same transaction was asked before",
    NO_CONTEXT: "SOP Class not supported",
    0x0124: "not authorised",
    0x0213: "resource limitation",
    0xA771: "the object was rejected before",
    NOTHING_TO_REJECT: "there is no such object to reject",
    0xA773: "another SOP Class than that of the object to reject",
    0xA774: "the object was rejected before, for another reason",
    0xA777: "the Patient ID is missing",
    0xA778: "the Patient ID is not the one of the study there",
    0xA779: "the patient is not the one of the study there",
    0xA700: "out of resources",
    0xA900: "the data set does not match the SOP Class",
    0xC000: "cannot understand",
}


def is_stored(status: int) -> bool:
    """Success and every warning: the PACS has the object."""
    return status == SUCCESS or status in _WARNINGS or 0xB000 <= status <= 0xBFFF


def is_of_no_matter(status: int, *, unsure: bool) -> bool:
    """The PACS lacks what a note rejects; `unsure`: of that nobody knew whether it came, and it can come no more."""
    return status == NOTHING_TO_REJECT and unsure


def is_worth_repeating(status: int) -> bool:
    """The object may be taken later as it is."""
    return (0xA700 <= status <= 0xA7FF and status not in _REJECTION) or status in (0x0110, 0x0213)


def written(status: int) -> str:
    """`0xA700`."""
    return f"0x{status:04X}"


def meaning(status: int) -> str:
    """A few words of the standard's."""
    for known, words in (_WARNINGS | _FAILURES).items():
        if status == known or (known >= 0xA000 and status & 0xFF00 == known & 0xFF00 and known & 0xFF == 0):
            return words
    if 0xB000 <= status <= 0xBFFF:
        return "a warning of its own"
    return _FAILURES[0xC000] if 0xC000 <= status <= 0xCFFF else "a status of its own"


def no_objects(control_id: str) -> Ack:
    """For a message that was composed while this destination was of another kind: nothing is sent."""
    reason = (
        "the message was made while the destination was of another kind and holds no DICOM objects: compose it anew "
        "(`replay --dead --recompose`)"
    )
    return Ack(code="no-objects", control_id=control_id, error_code="no-objects", reason=reason)


def reaction(answer: Ack) -> Literal["done", "retry", "dead"]:
    """What follows from the answer of a PACS: `error_code` is the status of the object it did not take."""
    if not answer.error_code:
        return "done"
    try:
        return "retry" if is_worth_repeating(int(answer.error_code, 16)) else "dead"
    except ValueError:  # an HTTP status, or no objects
        return "dead"
