"""Where results go, and how each destination wants its messages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from ecgfm_clinical.settings.part import Part, Port, Reachable, Tls

AckCondition = Literal["", "AL", "NE", "ER", "SU"]  # HL7 table 0155
Hl7Version = Literal["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"]


class _Results(Part):
    """How one destination wants its ORU^R01 messages."""

    name: str
    version: Hl7Version = "2.5.1"
    sending_application: str = Field(default="ECGFM", description="MSH-3; components as NAME^OID^ISO")
    sending_facility: str = Field(default="", description="MSH-4; site.name where empty")
    receiving_application: str = ""
    receiving_facility: str = ""
    filler_namespace: str = Field(
        default="ECGFM",
        description="OBR-3.2, who gave our number; one of its own for each installation that sends to one receiver",
    )
    charset: str = Field(default="UNICODE UTF-8", description="MSH-18, HL7 table 0211")
    accept_ack: AckCondition = Field(default="", description="MSH-15; both empty is the original mode")
    application_ack: AckCondition = Field(default="", description="MSH-16")
    parent: Literal["OBR-29", "OBR-18", "none"] = Field(
        default="OBR-29", description="where the ECG's own filler or accession number goes"
    )
    study_uid: bool = Field(default=False, description="send the Study Instance UID as an OBX of its own")
    reasons: Literal["coded", "note"] = Field(
        default="coded", description="how not evaluable is said: coded in OBX-5, or with an empty OBX-5 and an NTE"
    )
    alternate_codes: Mapping[str, tuple[str, str, str]] = Field(
        default_factory=dict, description="our code -> the site's own [code, text, coding system], OBX-3.4 to .6"
    )
    max_attempts: int | None = Field(
        default=None,
        ge=1,
        description="gives up after so many failures that are not the message's fault; for ever patient where not set",
    )


class Hl7Destination(_Results, Reachable):
    """An EHR or interface engine that takes results by MLLP."""

    host: str
    port: Port
    ack_timeout_seconds: float = Field(default=30, gt=0)
    ae_means_busy: bool = Field(
        default=False, description="this receiver answers AE also when it only wants a repeat later"
    )
    tls: Tls | None = None


class FileDestination(_Results):
    """A folder into which results are written, one file each, for a system that collects them there."""

    path: Path
    suffix: str = Field(default=".hl7", pattern=r"^\.[A-Za-z0-9.]+$", description="of each file; its name is MSH-10")
    mode: str = Field(
        default="0640", pattern=r"^0?[0-7]{3}$", description="who may read each file: this user and its group"
    )


class Destinations(Part):
    hl7: tuple[Hl7Destination, ...] = ()
    file: tuple[FileDestination, ...] = ()

    @property
    def all(self) -> tuple[Hl7Destination | FileDestination, ...]:
        return (*self.hl7, *self.file)
