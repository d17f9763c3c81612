"""The local codes (99ECGFM) under which predictions are charted, and their wording.

Never a LOINC code: those that exist name a *measured* ejection fraction or troponin, and a probability filed under one
would chart as a measurement and fire rules.
"""

from dataclasses import dataclass
from typing import Literal

Meaning = Literal["abnormal", "normal", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCode:
    """OBX-3 of one label."""

    code: str  #: OBX-3.1, at most 20 characters
    name: str  #: OBX-3.2


_HEADS = {
    "reduced_lvef": ("LVEF", "AI-ECG probability of reduced LVEF"),
    "troponin": ("TROP", "AI-ECG probability of abnormal troponin"),
    "interpretation": ("INT", "AI-ECG probability"),
}

_INTERPRETATION = {
    "Poor data quality": "QUALITY",
    "Sinus rhythm": "SINUS",
    "Premature ventricular contraction": "PVC",
    "Tachycardia": "TACHY",
    "Ventricular tachycardia": "VT",
    "Supraventricular tachycardia with aberrancy": "SVTAB",
    "Atrial fibrillation": "AF",
    "Atrial flutter": "AFL",
    "Bradycardia": "BRADY",
    "Accessory pathway conduction": "APC",
    "Atrioventricular block": "AVB",
    "1st degree atrioventricular block": "AVB1",
    "Bifascicular block": "BIFB",
    "Right bundle branch block": "RBBB",
    "Left bundle branch block": "LBBB",
    "Infarction": "MI",
    "Electronic pacemaker": "PACED",
}
#: Labels of the published head that are no abnormal finding: a normal one, and two that judge recording and device.
_NOT_ABNORMAL: dict[str, Meaning] = {
    "Sinus rhythm": "normal",
    "Poor data quality": "none",
    "Electronic pacemaker": "none",
}


#: Head -> SNOMED CT code of where in the body what it asks for lies; of a head that is not known here none is said.
_FINDING_SITES = {
    "reduced_lvef": ("87878005", "SCT", "Left ventricle"),
    "troponin": ("80891009", "SCT", "Heart"),
    "interpretation": ("80891009", "SCT", "Heart"),
}


def finding_site(head: str) -> tuple[str, str, str] | None:
    """Code, scheme and meaning for the Finding Site of a structured report."""
    return _FINDING_SITES.get(head)


def meaning(head: str, label: str) -> Meaning:
    """What it means where a label is present. `none` for the labels of a head that this program does not know: their
    names are no basis for a flag, and the settings say which of them are abnormal.
    """
    if head == "interpretation" and label in _INTERPRETATION:
        return _NOT_ABNORMAL.get(label, "abnormal")
    return "abnormal" if head in ("reduced_lvef", "troponin") and label == head else "none"


def head_code(head: str) -> LocalCode:
    """The code of a head as a whole, for a form of the result that groups the labels of a head."""
    short, words = _named(head)
    return LocalCode(code=f"ECGFM-{short}"[:20], name=words)


def local_code(head: str, label: str) -> LocalCode:
    """The code of one label of one head. A label is named in the code wherever a head has more than one meaning."""
    if label == head:
        return head_code(head)
    short, words = _named(head)
    suffix = _INTERPRETATION.get(label, _short(label))
    return LocalCode(code=f"ECGFM-{short}-{suffix}"[:20], name=f"{words}: {label}")


def _named(head: str) -> tuple[str, str]:
    return _HEADS.get(head, (_short(head), f"AI-ECG probability, {head.replace('_', ' ')}"))


def _short(words: str) -> str:
    return "".join(letter for letter in words.upper() if letter.isalnum())[:12]
