"""How one PACS wants results as DICOM objects, and how it is reached."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from ecgfm_clinical.settings.part import AeTitle, Part, Port, Reachable, Tls

#: Specific Character Sets without code extensions (PS3.3 Table C.12-2).
CharacterSet = Literal[
    "ISO_IR 192",
    "ISO_IR 100",
    "ISO_IR 101",
    "ISO_IR 109",
    "ISO_IR 110",
    "ISO_IR 144",
    "ISO_IR 127",
    "ISO_IR 126",
    "ISO_IR 138",
    "ISO_IR 148",
]


class _Objects(Part):
    """How one PACS wants results."""

    name: str = Field(
        description="in status, logs and the audit trail; keep it while results wait", examples=["archive"]
    )
    report: Literal["comprehensive", "comprehensive-3d"] = Field(
        default="comprehensive",
        description='the SOP Class of the measurement report (TID 1500): "comprehensive" SR, or "comprehensive-3d" SR',
    )
    character_set: CharacterSet = Field(
        default="ISO_IR 192",
        description="(0008,0005): ISO_IR 192 (UTF-8), 100 (Latin-1), 101, 109, 110, 144, 127, 126, 138 or 148",
    )
    without_waveform: Literal["refuse", "own-study"] = Field(
        default="refuse",
        description='an ECG that came as no DICOM object: "refuse" its result with a reason, or store it in an '
        '"own-study"',
    )
    installation: str = Field(
        default="ECGFM",
        min_length=1,
        max_length=64,
        description="distinguishes this installation's device and studies; give each that stores to one PACS another",
    )
    page: bool = Field(default=False, description="true: the result's page (PDF) is stored beside the report")
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
