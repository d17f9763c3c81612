"""Ports of ours: what carts, PACS and interface engines send to."""

from pathlib import Path

from pydantic import Field

from ecgfm_clinical.settings.part import AeTitle, Part, Port, Reachable, Sender, Tls


class DicomListener(Sender, Reachable):
    """A C-STORE SCP of ours."""

    name: str = "dicom"
    ae_title: AeTitle = "ECGFM"
    host: str = "0.0.0.0"
    port: Port = 11112
    allowed_callers: tuple[AeTitle, ...] = Field(default=(), description="calling AE titles; empty admits any")
    allowed_hosts: tuple[str, ...] = Field(default=(), description="addresses or networks; empty admits any")
    max_associations: int = Field(default=20, ge=1)
    max_per_host: int | None = Field(
        default=None, ge=1, description="connections of one address; three quarters of max_associations where not set"
    )
    max_object_mb: int = Field(default=64, ge=1, description="a longer object ends its association")
    idle_seconds: float = Field(default=60, gt=0, description="without a message, or for one PDU")
    object_seconds: float = Field(default=300, gt=0, description="for one object, from its first byte to its last")
    tls: Tls | None = None


class Hl7Listener(Sender, Reachable):
    """An MLLP port of ours."""

    name: str = "hl7"
    host: str = "0.0.0.0"
    port: Port = 2575
    allowed_hosts: tuple[str, ...] = Field(default=(), description="addresses or networks; empty admits any")
    allowed_senders: tuple[str, ...] = Field(default=(), description="MSH-3, or MSH-3|MSH-4; empty admits any")
    max_message_mb: int = Field(default=32, ge=1)
    max_connections: int = Field(default=100, ge=1)
    max_per_host: int | None = Field(
        default=None, ge=1, description="connections of one address; three quarters of max_connections where not set"
    )
    idle_seconds: float = Field(default=3600, gt=0, description="from one message to the next")
    stall_seconds: float = Field(default=60, gt=0, description="without a byte inside a message")
    message_seconds: float = Field(default=300, gt=0, description="for one message, from its first byte to its last")
    allowed_roots: tuple[Path, ...] = Field(default=(), description="folders that RP pointers may name")
    tls: Tls | None = None


class Listeners(Part):
    dicom: tuple[DicomListener, ...] = ()
    hl7: tuple[Hl7Listener, ...] = ()

    @property
    def all(self) -> tuple[DicomListener | Hl7Listener, ...]:
        return (*self.dicom, *self.hl7)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.all)
