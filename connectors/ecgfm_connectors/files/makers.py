"""Whose own format a payload is that we do not read, so that the refusal can name the maker and the way out."""

import re

from ecgfm_connectors.errors import Refused

#: How a maker writes its name -> the maker. Words as the start of a word, in any case.
_NAMES = {
    r"nihon[ _-]?kohden": "Nihon Kohden",
    r"mindray|beneheart": "Mindray",
    r"schiller|sema data": "Schiller",
    r"edan\b": "Edan",
    r"welch[ _-]?allyn|cardioperfect": "Welch Allyn",
    r"mortara|burdick|hillrom": "Mortara",
    r"fukuda(?:[ _-]?denshi)?": "Fukuda",
    r"suzuken|kenz\b": "Suzuken",
    r"cardioline": "Cardioline",
    r"contec": "Contec",
    r"comen\b": "Comen",
    r"spacelabs": "Spacelabs",
}
_MAKER = re.compile("|".join(rf"(?P<m{n}>\b(?:{words}))" for n, words in enumerate(_NAMES)).encode(), re.IGNORECASE)
#: First bytes -> what they are.
_SIGNATURES = {
    b"ISHNE1.0": "an ISHNE long-term recording",
    b"ANN  1.0": "ISHNE annotations",
    b"ALIVE\0": "an AliveCor Kardia file",
}
_LOOKED_AT = 65536


def refuse_maker(content: bytes) -> None:
    """Raises Refused `maker-format` where the first bytes are of a maker's format, or name a maker; else nothing."""
    for signature, what in _SIGNATURES.items():
        if content.startswith(signature):
            raise Refused("maker-format", f"{what}: not read; {_WAY_OUT}")
    found = _MAKER.search(content[:_LOOKED_AT].replace(b"\0", b""))
    if found is not None and found.lastgroup is not None:
        maker = tuple(_NAMES.values())[int(found.lastgroup[1:])]
        raise Refused("maker-format", f"a format of {maker}'s own that is not read; {_WAY_OUT}")


_WAY_OUT = "export DICOM, SCP-ECG or HL7 aECG instead"
