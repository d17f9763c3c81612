"""How one PACS wants the objects of a result."""

from dataclasses import dataclass, field
from typing import Literal

ReportClass = Literal["comprehensive-3d", "comprehensive"]
#: Specific Character Sets without code extensions (PS3.3 Table C.12-2).
CharacterSet = Literal[
    "ISO_IR 192",
    "ISO_IR 100",
    "ISO_IR 101",
    "ISO_IR 109",
    "ISO_IR 110",
    "ISO_IR 144",
    "ISO_IR 127",
    "ISO_IR 126",
    "ISO_IR 138",
    "ISO_IR 148",
]

#: PS3.4 B.5
REPORT_CLASSES: dict[ReportClass, str] = {
    "comprehensive-3d": "1.2.840.10008.5.1.4.1.1.88.34",
    "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
}
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectProfile:
    """How one PACS wants the objects of a result. Raises ValueError where `installation` is no LO (PS3.5 §6.2).

    What a key means stands in its metadata, from which commented settings are written. A field without one is no key.
    """

    report: ReportClass = field(
        default="comprehensive",
        metadata={
            "description": 'the SOP Class of the measurement report (TID 1500): "comprehensive" SR, or '
            '"comprehensive-3d" SR'
        },
    )
    character_set: CharacterSet = field(
        default="ISO_IR 192",
        metadata={
            "description": "(0008,0005): ISO_IR 192 (UTF-8), 100 (Latin-1), 101, 109, 110, 144, 127, 126, 138 or 148"
        },
    )
    without_waveform: Literal["refuse", "own-study"] = field(
        default="refuse",
        metadata={
            "description": 'an ECG that came as no DICOM object: "refuse" its result with a reason, or store it in an '
            '"own-study"'
        },
    )
    installation: str = field(
        default="ECGFM",
        metadata={
            "description": "distinguishes this installation's device and studies; give each that stores to one PACS "
            "another"
        },
    )
    page: bool = field(
        default=False, metadata={"description": "true: the result's page (PDF) is stored beside the report"}
    )
    institution: str = ""
    software: str = ""  #: Software Versions (0018,1020)

    def __post_init__(self) -> None:
        if not 1 <= len(self.installation) <= 64:
            raise ValueError("installation must have 1 to 64 characters")
