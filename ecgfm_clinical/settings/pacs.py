"""How one PACS wants results as DICOM objects, and how it is reached."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from ecgfm_clinical.settings.part import PROFILE, AeTitle, Port, Reachable, Tls, Wishing
from ecgfm_connectors.dicom.results.profile import ObjectProfile


class _Objects(Wishing):
    """How one PACS wants results."""

    name: str = Field(
        description="in status, logs and the audit trail; keep it while results wait", examples=["archive"]
    )
    profile: ObjectProfile = Field(default_factory=ObjectProfile, validation_alias=PROFILE)
    max_attempts: int | None = Field(
        default=None,
        ge=1,
        description="a message is set aside after so many failures that are not its fault; never where not set",
        examples=[20],
    )
    answer_seconds: float = Field(
        default=30, gt=0, description="how long to wait for an answer before the same objects are stored again"
    )


class DicomDestination(_Objects, Reachable):
    """A PACS that takes results by C-STORE."""

    host: str = Field(description="address of the PACS", examples=["pacs.example"])
    port: Port = Field(description="port of the PACS", examples=[104])
    ae_title: AeTitle = Field(description="the PACS's application entity title", examples=["PACS"])
    calling: AeTitle = Field(default="ECGFM", description="our application entity title")
    commitment_seconds: float | None = Field(
        default=None,
        gt=0,
        le=600,
        description="ask for Storage Commitment, and wait so long for the report; not asked where not set. The "
        "next message waits as well",
        examples=[60],
    )
    commitment_port: Port | None = Field(
        default=None,
        description="port of ours to which the PACS reports; not set: it reports over the association of the question",
        examples=[11114],
    )
    commitment_host: str = Field(default="0.0.0.0", description="address of this machine for that port")
    tls: Tls | None = None


class StowDestination(_Objects):
    """A PACS that takes results by STOW-RS (needs ecgfm-clinical[dicomweb])."""

    name: str = Field(
        description="in status, logs and the audit trail; keep it while results wait", examples=["archive-web"]
    )
    url: str = Field(description="service root", examples=["https://pacs.example/dicom-web"])
    authorization_file: Path | None = Field(
        default=None,
        description="file that holds the whole Authorization header",
        examples=["secrets/pacs-authorization"],
    )
    cleartext: Literal["", "accepted"] = Field(
        default="", description='"accepted": an http URL, on purpose', examples=["accepted"]
    )
    tls: Tls | None = None

    @property
    def host(self) -> str:
        """Of the URL."""
        return urlsplit(self.url).hostname or ""
