"""A payload's bookkeeping as `payloads list` and `payloads show` give it to programs."""

from dataclasses import asdict, dataclass, field

from ecgfm_clinical.ecg.inspection import MASK
from ecgfm_clinical.staging.kept import KeptPayload


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPayload:
    """One payload; its file's name may be `***`. The names of the fields are the keys of `payloads list --json`."""

    payload_id: int
    received_at: str  #: ISO 8601
    source: str
    transport: str
    peer: str
    location: str = field(repr=False)
    size: int  #: bytes
    sha256: str
    disposition: str
    code: str
    text: str
    repeats: int
    repeated_at: str | None  #: ISO 8601
    needs_a_person: bool

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def document_of(one: KeptPayload, *, phi: bool) -> ShownPayload:
    """One payload, masked unless `phi`."""
    return ShownPayload(
        payload_id=one.payload_id,
        received_at=one.received_at.isoformat(),
        source=one.source,
        transport=one.transport,
        peer=one.peer,
        location=one.location if phi or not one.location else MASK,
        size=one.size,
        sha256=one.sha256,
        disposition=one.disposition.value,
        code=one.code,
        text=one.text,
        repeats=one.repeats,
        repeated_at=one.repeated_at.isoformat() if one.repeated_at else None,
        needs_a_person=one.needs_a_person,
    )
