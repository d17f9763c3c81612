"""Where results go, and how each destination wants its messages."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field

from ecgfm_clinical.settings.fhir import FhirDestination, FhirFileDestination
from ecgfm_clinical.settings.pacs import DicomDestination, StowDestination
from ecgfm_clinical.settings.part import Part, Port, Reachable, Tls

AckCondition = Literal["", "AL", "NE", "ER", "SU"]  # HL7 table 0155
Hl7Version = Literal["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"]


class _Results(Part):
    """How one destination wants its ORU^R01 messages."""

    name: str = Field(description="in status, logs and the audit trail; keep it while results wait", examples=["ehr"])
    version: Hl7Version = Field(default="2.5.1", description="MSH-12: 2.3, 2.3.1, 2.4, 2.5, 2.5.1, 2.6, 2.7 or 2.8")
    sending_application: str = Field(default="ECGFM", description="MSH-3; components as NAME^OID^ISO")
    sending_facility: str = Field(default="", description="MSH-4; site.name where empty")
    receiving_application: str = Field(default="", description="MSH-5", examples=["EHR"])
    receiving_facility: str = Field(default="", description="MSH-6", examples=["EXAMPLE"])
    filler_namespace: str = Field(
        default="ECGFM",
        description="OBR-3.2, who gave our number; give each installation that sends to one receiver a namespace "
        "of its own",
    )
    charset: str = Field(default="UNICODE UTF-8", description="MSH-18, HL7 table 0211")
    accept_ack: AckCondition = Field(
        default="", description="MSH-15: AL, NE, ER or SU; both empty is the original mode"
    )
    application_ack: AckCondition = Field(default="", description="MSH-16: as MSH-15")
    parent: Literal["OBR-29", "OBR-18", "none"] = Field(
        default="OBR-29", description="where the ECG's own filler or accession number goes: OBR-29, OBR-18 or none"
    )
    study_uid: bool = Field(default=False, description="true: the Study Instance UID is sent as an OBX of its own")
    reasons: Literal["coded", "note"] = Field(
        default="coded",
        description='why an ECG is not evaluable: "coded" in OBX-5, or "note": an empty OBX-5 with an NTE',
    )
    form: Literal["ORU", "MDM"] = Field(
        default="ORU", description='what a result is sent as: "ORU" (ORU^R01), or "MDM", a document (MDM^T02, T10, T11)'
    )
    contents: Literal["all", "page"] = Field(
        default="all", description='of each message: "all", or the "page" alone, under a number of its own'
    )
    page: Literal["none", "ORU", "companion"] = Field(
        default="none",
        description='the result page (PDF) with each result: "none"; "ORU": as an OBX of type ED beside the numbers; '
        '"companion": alone in a message of its own, by a queue of its own, NAME-page',
    )
    companion: Literal["MDM", "ORU"] = Field(default="MDM", description='what the companion is: "MDM" or "ORU"')
    page_type: tuple[str, str] = Field(
        default=("AP", "PDF"),
        description='type of data and subtype of the page, OBX-5.2 and .3 (HL7 tables 0191 and 0291): ["AP", "PDF"], '
        '["application", "pdf"], …',
    )
    alternate_codes: Mapping[str, tuple[str, str, str]] = Field(
        default_factory=dict,
        description="our code -> the site's own, OBX-3.4 to .6",
        examples=[{"ECGFM-LVEF": ["12345", "Local name", "99SITE"]}],
    )
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
    if part.page == "companion":
        own = {"name": f"{part.name}-page", "form": part.companion, "contents": "page", "page": "ORU"}
        yield part.model_copy(update=own)


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
        return frozenset(part.name for part in self.all if getattr(part, "page", False) in (True, "ORU"))
