"""What a value must be to stand in a DICOM element (PS3.5 §6.2): nothing is ever cut."""

import re

from pydicom.charset import python_encoding

from ecgfm_connectors.errors import Refused

_LONGEST = {"SH": 16, "LO": 64}
_PN_GROUP = 64  #: characters of one component group
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_DATE = re.compile(r"[0-9]{8}")
_TIME = re.compile(r"[0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)?")


def text(value: str, vr: str, name: str, charset: str) -> str:
    """An SH or LO of a patient, study or order. Raises Refused `dicom-length`, `dicom-value`, `unwritable`."""
    if len(value) > _LONGEST[vr]:
        raise _too_long(name, f"{vr}, {_LONGEST[vr]} characters")
    if "\\" in value or any(ord(letter) < 32 for letter in value):
        raise Refused("dicom-value", f"{name} holds a backslash or a control character, which DICOM takes for no text")
    _require_writable(value, name, charset)
    return value


def person(value: str, name: str, charset: str) -> str:
    """A PN with its component groups. Raises Refused as `text` does."""
    if any(len(group) > _PN_GROUP for group in value.split("=")):
        raise _too_long(name, f"PN, {_PN_GROUP} characters in a component group")
    if "\\" in value or any(ord(letter) < 32 for letter in value):
        raise Refused("dicom-value", f"{name} holds a backslash or a control character, which DICOM takes for no text")
    _require_writable(value, name, charset)
    return value


def writable(value: str, charset: str) -> str:
    """A text of ours; letters that a narrow character set does not know become question marks."""
    codec = python_encoding[charset]
    return value.replace("≥", ">=").replace("≤", "<=").replace("µ", "u").encode(codec, "replace").decode(codec)


def meaning(value: str, charset: str) -> str:
    """A Code Meaning (LO), which is for people only: a longer name ends in dots and stands whole elsewhere."""
    plain = writable(value.replace("\\", "/"), charset)
    return plain if len(plain) <= _LONGEST["LO"] else plain[: _LONGEST["LO"] - 3] + "..."


def is_uid(value: str) -> bool:
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def date(value: str) -> str:
    """A DA as written, or nothing where it is none: the element is type 2."""
    return value if _DATE.fullmatch(value) else ""


def time(value: str) -> str:
    """A TM as written, or nothing where it is none: the element is type 2."""
    return value if _TIME.fullmatch(value) else ""


def _too_long(name: str, limit: str) -> Refused:
    sentence = (
        f"{name} is longer than DICOM allows ({limit}, PS3.5 6.2); shortened it may be another's, so nothing "
        "is stored: have it corrected where it comes from"
    )
    return Refused("dicom-length", sentence)


def _require_writable(value: str, name: str, charset: str) -> None:
    try:
        value.encode(python_encoding[charset])
    except UnicodeEncodeError:
        sentence = f"{name} holds letters that {charset} does not know; give the destination character_set ISO_IR 192"
        raise Refused("unwritable", sentence) from None
