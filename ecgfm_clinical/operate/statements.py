"""How much of what devices state is not understood, as `statements` gives it to programs."""

from dataclasses import asdict, dataclass

from ecgfm_clinical.staging.records import DeviceStatements


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStatements:
    """One device in one software version. The names of the fields are the keys of `statements --json`."""

    manufacturer: str
    model: str
    software: str
    ecgs: int
    unread: int
    ecgs_with_unread: int
    last_received_at: str  #: ISO 8601

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def document_of(one: DeviceStatements) -> ShownStatements:
    """One device in one software version."""
    return ShownStatements(
        manufacturer=one.manufacturer,
        model=one.model,
        software=one.software,
        ecgs=one.ecgs,
        unread=one.unread,
        ecgs_with_unread=one.ecgs_with_unread,
        last_received_at=one.last_received_at.isoformat(),
    )
