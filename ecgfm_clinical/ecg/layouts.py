"""Which lead stands where on a sheet of paper, and at which speed and gain it is drawn.

Columns are consecutive in time and rows simultaneous, as recorders print them (AHA/ACCF/HRS 2007,
doi:10.1161/CIRCULATIONAHA.106.180200). The Cabrera sequence has the limb leads in the order of their axes, from aVL
over −aVR to III.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from ecgfm_connectors.ecg import LEADS

LayoutName = Literal["3x4", "6x2", "12x1", "cabrera"]
LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)
SPEEDS = (25.0, 50.0)  #: mm/s
GAINS = (5.0, 10.0, 20.0)  #: mm/mV

#: A minus before a lead turns it over.
_ROWS: dict[LayoutName, tuple[tuple[str, ...], ...]] = {
    "3x4": (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6")),
    "6x2": (("I", "V1"), ("II", "V2"), ("III", "V3"), ("aVR", "V4"), ("aVL", "V5"), ("aVF", "V6")),
    "12x1": tuple((lead,) for lead in LEADS),
    "cabrera": (("aVL", "aVF", "V3"), ("I", "III", "V4"), ("−aVR", "V1", "V5"), ("II", "V2", "V6")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a person asks to see of an ECG."""

    layout: LayoutName = "3x4"
    rhythm: str = "II"  #: the lead of the rhythm strip under 3x4
    speed: float = 25.0  #: mm/s
    gain: float = 10.0  #: mm/mV
    start: float = 0.0  #: s of the recording at which the sheet begins

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS or self.rhythm not in LEADS:
            raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, the rhythm strip's lead one of the twelve")
        if self.speed not in SPEEDS or self.gain not in GAINS or not self.start >= 0:
            raise ValueError(f"speed must be one of {SPEEDS} mm/s, gain of {GAINS} mm/mV, the start not negative")

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The leads of each row, from the top."""
        return (*_ROWS[self.layout], (self.rhythm,)) if self.layout == "3x4" else _ROWS[self.layout]


#: What recorders print where nobody asks for anything else.
USUAL = View()


def lead_of(shown: str) -> tuple[str, float]:
    """The lead behind its name on the sheet, and the sign with which it is drawn."""
    return (shown[1:], -1.0) if shown.startswith("−") else (shown, 1.0)
