"""Where results go, and how each destination wants its messages."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from pydantic import Field

from ecgfm_clinical.settings.fhir import FhirDestination, FhirFileDestination
from ecgfm_clinical.settings.pacs import DicomDestination, StowDestination
from ecgfm_clinical.settings.part import PROFILE, AsError, Part, Port, Reachable, Tls, Wishing
from ecgfm_connectors.hl7.profile import Profile


class _Results(Wishing):
    """How one destination wants its ORU^R01 messages."""

    name: str = Field(description="in status, logs and the audit trail; keep it while results wait", examples=["ehr"])
    profile: AsError[Profile] = Field(default_factory=Profile, validation_alias=PROFILE)
    max_attempts: int | None = Field(
        default=None,
        ge=1,
        description="a message is set aside after so many failures that are not its fault; never where not set",
        examples=[20],
    )


class Hl7Destination(_Results, Reachable):
    """An EHR or interface engine that takes results by MLLP."""

    host: str = Field(description="address of the receiver", examples=["ehr.example"])
    port: Port = Field(description="port of the receiver", examples=[6661])
    ack_timeout_seconds: float = Field(
        default=30, gt=0, description="how long to wait for an acknowledgement before the same bytes go again"
    )
    ae_means_busy: bool = Field(
        default=False, description="true: this receiver answers AE also when it only wants a repeat later"
    )
    tls: Tls | None = None


class FileDestination(_Results):
    """A folder into which results are written, one file each, for a system that collects them there."""

    name: str = Field(
        description="in status, logs and the audit trail; keep it while results wait", examples=["results"]
    )
    path: Path = Field(
        description="a folder of its own; files appear complete, under their MSH-10", examples=["results"]
    )
    suffix: str = Field(default=".hl7", pattern=r"^\.[A-Za-z0-9.]+$", description="of each file")
    mode: str = Field(
        default="0640", pattern=r"^0?[0-7]{3}$", description="who may read each file: this user and its group"
    )


AnyDestination: TypeAlias = (
    Hl7Destination | FileDestination | FhirDestination | FhirFileDestination | DicomDestination | StowDestination
)


def _with_companion(part: Hl7Destination | FileDestination) -> Iterator[Hl7Destination | FileDestination]:
    """The destination, and the one that takes its pages in messages of their own to the same place."""
    yield part
    if part.profile.page == "companion":
        own = replace(part.profile, form=part.profile.companion, contents="page", page="ORU", trigger="R01")
        yield part.model_copy(update={"name": f"{part.name}-page", "profile": own})


class Destinations(Part):
    """Where results go."""

    hl7: tuple[Hl7Destination, ...] = ()
    file: tuple[FileDestination, ...] = ()
    fhir: tuple[FhirDestination, ...] = ()
    fhir_file: tuple[FhirFileDestination, ...] = ()
    dicom: tuple[DicomDestination, ...] = ()
    stow: tuple[StowDestination, ...] = ()

    @property
    def all(self) -> tuple[AnyDestination, ...]:
        """In order, each with its companion after it."""
        own: tuple[Hl7Destination | FileDestination, ...] = (*self.hl7, *self.file)
        messages = (one for part in own for one in _with_companion(part))
        return (*messages, *self.fhir, *self.fhir_file, *self.dicom, *self.stow)

    @property
    def folders(self) -> tuple[FileDestination | FhirFileDestination, ...]:
        """Those that are folders of this machine's."""
        return (*self.file, *self.fhir_file)

    @property
    def peers(self) -> tuple[Hl7Destination | FhirDestination | DicomDestination | StowDestination, ...]:
        """Those that are called over the network."""
        return (*self.hl7, *self.fhir, *self.dicom, *self.stow)

    @property
    def with_page(self) -> frozenset[str]:
        """Names of those whose results go with a page."""
        return frozenset(part.name for part in self.all if part.profile.page in (True, "ORU"))
