"""Whose own format a payload is that we do not read, so that a refusal can name maker, format and way out.

The binary marks are those by which public converters and readers know the files (ecg-bridge for Nihon Kohden, Mindray
and Fukuda, ecgdatakit for Edan). They were found from single files, without a published layout: what they say of
samples and patients cannot be checked, so none of these files is read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ecgfm_connectors.errors import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """A maker whose own formats are refused."""

    spelt: str  #: regular expression of its names, in any case, as the start of a word
    exports: str = "DICOM, SCP-ECG or HL7 aECG"  #: what its devices and systems write that is read


#: Maker's name -> how it is known, and what to ask for.
MAKERS: Mapping[str, Maker] = MappingProxyType(
    {
        "Nihon Kohden": Maker(spelt=r"nihon[ _-]?kohden", exports="DICOM, MFER or HL7 aECG (FDA-XML)"),
        "Mindray": Maker(spelt="mindray|beneheart", exports="DICOM, SCP-ECG or HL7 aECG (FDA-XML)"),
        "Schiller": Maker(spelt="schiller|sema data", exports="SEMA's XML (SchillerEDI), DICOM or SCP-ECG"),
        "Edan": Maker(spelt=r"edan\b", exports="DICOM, SCP-ECG or HL7 aECG (FDA-XML)"),
        "Welch Allyn": Maker(spelt=r"welch[ _-]?allyn|cardioperfect", exports="DICOM or SCP-ECG"),
        "Mortara": Maker(spelt="mortara|burdick|hillrom", exports="ELI XML or DICOM"),
        "Fukuda": Maker(spelt=r"fukuda(?:[ _-]?denshi)?", exports="DICOM or MFER"),
        "Suzuken": Maker(spelt=r"suzuken|kenz\b"),
        "Cardioline": Maker(spelt="cardioline"),
        "Contec": Maker(spelt="contec"),
        "Comen": Maker(spelt=r"comen\b"),
        "Spacelabs": Maker(spelt="spacelabs"),
    }
)
_NAMED = re.compile(
    "|".join(rf"(?P<m{n}>\b(?:{maker.spelt}))" for n, maker in enumerate(MAKERS.values())).encode(), re.IGNORECASE
)
#: First bytes -> what they are.
_SIGNATURES = {
    b"ISHNE1.0": "an ISHNE long-term recording",
    b"ANN  1.0": "ISHNE annotations",
    b"ALIVE\0": "an AliveCor Kardia file",
}
_LOOKED_AT = 65536


def refuse_own_file(content: bytes) -> None:
    """Raises Refused `maker-format` where the bytes are a binary file of a known maker's own; else nothing.

    To be asked before formats that are known by loose marks: a PEC file of Nihon Kohden may begin as SCP-ECG does.
    """
    for maker, what, known in _OWN_FILES:
        if known(content):
            raise _refused(maker, what)


def refuse_maker(content: bytes) -> None:
    """Raises Refused `maker-format` where the first bytes are of a maker's format, or name a maker; else nothing."""
    for signature, what in _SIGNATURES.items():
        if content.startswith(signature):
            raise Refused("maker-format", f"{what}: not read; export {Maker(spelt='').exports} instead")
    found = _NAMED.search(content[:_LOOKED_AT].replace(b"\0", b""))
    if found is not None and found.lastgroup is not None:
        raise _refused(tuple(MAKERS)[int(found.lastgroup[1:])], "a format")


def edan_holter() -> Refused:
    """The refusal of Edan's `patient.hea` beside `ecgraw.dat`, which only look like a WFDB record."""
    return _refused("Edan", "a Holter recording (patient.hea, ecgraw.dat)")


def _refused(maker: str, what: str) -> Refused:
    text = f"{what} of {maker}'s own that is not read; export {MAKERS[maker].exports} instead"
    return Refused("maker-format", text)


#: Types of the sections of a PEC file that may follow its pointers.
_PEC_SECTIONS = frozenset({0x0001, 0x0002, 0x0006, 0x0007, 0x0008, 0x0100, 0x0103, 0x0104, 0x0108, 0x0110, 0x0113})


def _is_pec(content: bytes) -> bool:
    """Sections of 10 bytes, size, type (16 bits each, big endian), data and CRC; the pointers come first."""
    at, types = 0, list[int]()
    while len(types) < 3 and at + 14 <= len(content):
        size = int.from_bytes(content[at + 10 : at + 12], "big")
        types.append(int.from_bytes(content[at + 12 : at + 14], "big"))
        if size < 14:
            return False
        at += size + 2
    return len(types) == 3 and types[0] == 0 and types[1] != types[2] and _PEC_SECTIONS.issuperset(types[1:])


def _is_fukuda(content: bytes) -> bool:
    """A binary file that names a model of the FX series and holds the mark before the compressed rhythm."""
    head = content[:_LOOKED_AT]
    return b"\0" in head[:512] and re.search(rb"FX-\d{4}", head) is not None and b"\x00\x09\x02" in content


_OWN_FILES: tuple[tuple[str, str, Callable[[bytes], bool]], ...] = (
    ("Nihon Kohden", "a PEC file (.DAT)", _is_pec),
    ("Mindray", "a BeneHeart file (.PAT)", lambda content: content.startswith(b"\xeb\xec\x12\x34\x20")),
    ("Fukuda", "an FX file (.ECG)", _is_fukuda),
    ("Edan", "a Holter archive (.arc)", lambda content: content[4:32] == b"##NEUTRAL HOLTER RECORDING##"),
)
