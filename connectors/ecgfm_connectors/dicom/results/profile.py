"""How one PACS wants the objects of a result."""

from dataclasses import dataclass
from typing import Literal

ReportClass = Literal["comprehensive-3d", "comprehensive"]

#: PS3.4 B.5
REPORT_CLASSES: dict[ReportClass, str] = {
    "comprehensive-3d": "1.2.840.10008.5.1.4.1.1.88.34",
    "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
}
KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectProfile:
    """As a destination's settings have it."""

    report: ReportClass = "comprehensive"
    character_set: str = "ISO_IR 192"  #: (0008,0005)
    without_waveform: Literal["refuse", "own-study"] = "refuse"  #: an ECG that came as no DICOM object
    installation: str = "ECGFM"  #: distinguishes this installation's own studies and device from others'
    institution: str = ""
    software: str = ""  #: Software Versions (0018,1020)
