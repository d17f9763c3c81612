"""Which lead a sender's channel is: by code of a standard first, by label second, never by position.

Sources: DICOM PS3.16 CID 3001 with ISO/IEEE 11073-10101 codes (131072 + n, written `2:n`), and EN 1064 (SCP-ECG) lead
numbers, which share the same n and appear in older DICOM objects as `5.6.3-9-n`.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from ecgfm_connectors.ecg import LEADS


class Lead(NamedTuple):
    """A lead by its canonical name; `sign` is -1 where the channel carries the inverted lead."""

    name: str
    sign: int = 1
    reconstructed: bool = False  #: computed by the device from other electrodes (EASI and the like)

    @property
    def canonical(self) -> bool:
        """Whether it is one of the twelve standard leads, rather than V7, V3R, a Frank lead …"""
        return self.name in LEADS


_NUMBERED = {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"}
_NUMBERED |= {n + 2: f"V{n}" for n in range(1, 8)}  # 3–9 = V1–V7
_NUMBERED |= {n + 8: f"V{n}R" for n in range(2, 8)}  # 10–15 = V2R–V7R
_NUMBERED |= {16: "X", 17: "Y", 18: "Z", 19: "CC5", 20: "CM5", 66: "V8", 67: "V9", 68: "V8R", 69: "V9R"}
_NEGATIVE_AVR = 65  # Cabrera's -aVR; some published code lists lost the minus sign
_RECONSTRUCTED = {31: "I", 32: "II", 111: "III", 112: "aVR", 113: "aVL", 114: "aVF"}
_RECONSTRUCTED |= {n + 32: f"V{n}" for n in range(1, 7)}

_LABELS = {lead.upper(): lead for lead in (*LEADS, "V7", "V8", "V9", "X", "Y", "Z", "CC5", "CM5")}
_LABELS |= {f"V{n}R": f"V{n}R" for n in range(2, 10)}
_LABELS |= {f"C{n}": f"V{n}" for n in range(1, 10)}  # IEC 60601 electrode names
_LABELS |= {"DI": "I", "DII": "II", "DIII": "III"}  # Romance-language carts
_LABELS |= {"VX": "X", "VY": "Y", "VZ": "Z"}
_LABELS |= {"1": "I", "2": "II", "3": "III"}

#: Lead numbers of the twelve, as written into DICOM (`2:n`) and SCP-ECG.
LEAD_NUMBERS = {name: n for n, name in _NUMBERED.items() if name in LEADS}

_LONGEST_LABEL = 64  #: what Code Meaning may hold (LO); longer text names no lead

_CODE = re.compile(r"(?:2:|5\.6\.3-9-)(\d{1,3})")
_PREFIX = re.compile(r"^(?:MDC[_ ]ECG[_ ]LEAD[_ ]?|LEAD[_ :]*|E[CK]G(?:-(?=\w)|[_ :]+))+")
_SUFFIX = re.compile(r"[-_ ](?:REF|GND|AVG)\.?$")  # EDF writes a channel as the electrode minus its reference


def from_number(number: int) -> Lead | None:
    """The lead of a term code n (131072 + n), or None where n is no lead number of the standards."""
    if number == _NEGATIVE_AVR:
        return Lead("aVR", sign=-1)
    if name := _NUMBERED.get(number):
        return Lead(name)
    if name := _RECONSTRUCTED.get(number):
        return Lead(name, reconstructed=True)
    return None


def from_code(code: str) -> Lead | None:
    """The lead of a code: `2:n`, `5.6.3-9-n`, `131072 + n`, or `MDC_ECG_LEAD_…`; None where `code` is none of these."""
    text = code.strip()
    if match := _CODE.fullmatch(text):
        return from_number(int(match[1]))
    if re.fullmatch(r"131[01]\d\d", text):
        return from_number(int(text) - 131072)
    if text.upper().startswith("MDC_ECG_LEAD"):
        return from_label(text)
    return None


def from_label(label: str) -> Lead | None:
    """The lead of a label for people: `Lead I (Einthoven)`, `aVR`, `-aVR`, `DII`, `C1`, `mdc_ecg_lead_avf`."""
    return _labelled(label) if len(label) <= _LONGEST_LABEL else None


@lru_cache(maxsize=1024)  # every channel of every ECG has one of the same few labels
def _labelled(label: str) -> Lead | None:
    text = re.sub(r"\(.*?\)", "", label).strip().upper()
    text = _SUFFIX.sub("", _PREFIX.sub("", text).strip()).strip()
    sign = -1 if text.startswith(("-", "−", "NEG ")) else 1
    text = re.sub(r"^(?:[-−+]|NEG )\s*", "", text)
    name = _LABELS.get(re.sub(r"[\s_.]+", "", text))
    if name is None or (sign < 0 and name != "aVR"):
        return None
    return Lead(name, sign=sign)
