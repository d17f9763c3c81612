"""What a reader is told beside the payload, and how large a payload may be."""

from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

#: No ECG object of a resting cart comes near; a 24 h 12-lead Holter at 180 Hz in 16 bits does, and is refused early.
MAX_PAYLOAD = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingContext:
    """What a reader must be told because the payload may not say it."""

    default_authority: str  #: assigning authority of patient ids that name none
    zone: tzinfo  #: the site's zone, for times without one
    sender: str = ""  #: who handed the payload over, where the payload does not say
    allowed_roots: tuple[Path, ...] = ()  #: folders an HL7 reference pointer (RP) may lead into


#: For files outside a hospital: times are UTC where a file names no zone, patient numbers belong to the authority FILE.
NO_SITE = ReadingContext(default_authority="FILE", zone=UTC)
