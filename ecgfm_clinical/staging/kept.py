"""The bookkeeping of a payload that is kept, whatever became of it."""

from dataclasses import dataclass
from datetime import datetime

from ecgfm_connectors.base import Disposition


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPayload:
    """The bookkeeping of one payload, without its bytes."""

    payload_id: int
    received_at: datetime
    source: str  #: listener or source it came by
    transport: str
    peer: str  #: calling AE title or address
    location: str  #: file name or URL; may hold patient data
    size: int  #: bytes
    sha256: str
    disposition: Disposition
    code: str
    text: str
    repeats: int  #: how often the same bytes came again
    repeated_at: datetime | None
    needs_a_person: bool  #: unreadable, of two patients or taken in part, and nobody has looked at it

    @property
    def is_set_aside(self) -> bool:
        return self.disposition is not Disposition.STAGED
