"""Ports of ours: what carts, PACS and interface engines send to."""

from pathlib import Path

from pydantic import Field

from ecgfm_clinical.settings.part import AeTitle, Part, Port, Reachable, Sender, Tls


class DicomListener(Sender, Reachable):
    """A C-STORE SCP of ours."""

    name: str = Field(
        default="dicom", description="in status, logs and the audit trail; keep it once ECGs came in by it"
    )
    ae_title: AeTitle = Field(default="ECGFM", description="the application entity title that callers must name")
    host: str = Field(
        default="0.0.0.0",
        description="address of this machine to listen at; 127.0.0.1: this machine only; 0.0.0.0: all, with "
        "allowed_hosts or tls below",
        examples=["127.0.0.1"],
    )
    port: Port = Field(default=11112, description="104, or 2762 with TLS, are the registered ones")
    documents: bool = Field(
        default=False,
        description="take Encapsulated PDF and Basic Text SR of other systems too; kept as text beside "
        "the ECG that they refer to",
    )
    allowed_callers: tuple[AeTitle, ...] = Field(
        default=(),
        description="calling AE titles; all are admitted where this is missing",
        examples=[["CART1", "PACS"]],
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="addresses or networks (192.0.2.0/24) of callers; all are admitted where this is missing",
        examples=[["192.0.2.10"]],
    )
    max_associations: int = Field(default=20, ge=1, description="callers at the same time")
    max_per_host: int | None = Field(
        default=None,
        ge=1,
        description="connections of one address; three quarters of max_associations where not set",
        examples=[15],
    )
    max_object_mb: int = Field(default=64, ge=1, description="a longer object is not taken: its association is ended")
    max_held_mb: int | None = Field(
        default=None,
        ge=1,
        description="objects received and not yet stored, of all callers; beyond it they wait; four of max_object_mb "
        "where not set",
        examples=[256],
    )
    idle_seconds: float = Field(
        default=60,
        gt=0,
        description="an association is ended after so long without a message, or where one PDU takes longer",
    )
    object_seconds: float = Field(
        default=300, gt=0, description="so long one object may take, from its first byte to its last"
    )
    tls: Tls | None = None


class Hl7Listener(Sender, Reachable):
    """An MLLP port of ours."""

    name: str = Field(default="hl7", description="in status, logs and the audit trail; keep it once ECGs came in by it")
    host: str = Field(
        default="0.0.0.0",
        description="address of this machine to listen at; 127.0.0.1: this machine only; 0.0.0.0: all, with "
        "allowed_hosts or tls below",
        examples=["127.0.0.1"],
    )
    port: Port = Field(default=2575, description="2575 is the registered one")
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="addresses or networks (192.0.2.0/24); all are admitted where this is missing",
        examples=[["192.0.2.20"]],
    )
    allowed_senders: tuple[str, ...] = Field(
        default=(),
        description="MSH-3, or MSH-3|MSH-4; all are admitted where this is missing",
        examples=[["MUSE|WARD"]],
    )
    documents: bool = Field(
        default=False,
        description="take reports about ECGs that come without samples too, as text or PDF; kept as text beside the "
        "ECG that they refer to. Without it a PDF of an ECG is refused",
    )
    max_message_mb: int = Field(default=32, ge=1, description="a longer message is not taken: its connection is closed")
    max_connections: int = Field(default=100, ge=1, description="callers at the same time")
    max_per_host: int | None = Field(
        default=None,
        ge=1,
        description="connections of one address; three quarters of max_connections where not set",
        examples=[75],
    )
    idle_seconds: float = Field(
        default=3600, gt=0, description="a connection is closed after so long without a message"
    )
    stall_seconds: float = Field(
        default=60, gt=0, description="a connection is closed after so long without a byte inside a message"
    )
    message_seconds: float = Field(
        default=300, gt=0, description="so long one message may take, from its first byte to its last"
    )
    allowed_roots: tuple[Path, ...] = Field(
        default=(),
        description="folders in which files lie that messages may point to (RP); none where this is missing",
        examples=[["/mnt/ecg"]],
    )
    tls: Tls | None = None


class Listeners(Part):
    """What calls us."""

    dicom: tuple[DicomListener, ...] = ()
    hl7: tuple[Hl7Listener, ...] = ()

    @property
    def all(self) -> tuple[DicomListener | Hl7Listener, ...]:
        return (*self.dicom, *self.hl7)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.all)
